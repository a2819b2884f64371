"""The names of UniAnimate's checkpoint, and where each of its tensors lives in `DanceUNet`.

The one place that knows upstream's names. Facts from `unet_unianimate.py` of ali-vilab/UniAnimate
and the key list of its released checkpoint `unianimate_16f_32f_non_ema_223000.pth` (1,544 tensors).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

from torch import Tensor, nn

from dancelcm_cli.config.schema import NetworkConfig
from dancelcm_cli.core.blocks import Upsample
from dancelcm_cli.core.misfits import SHOWN, list_misfits, refuse_misfits
from dancelcm_cli.core.unet import STEM_CHANNELS, DanceUNet, Stage
from dancelcm_cli.errors import InputError

# ours -> upstream's, by part
STEM = {
    "conv1": "0",
    "conv2": "3",
    "conv3": "5",
}
LATENT_STEM = {"conv1": "0", "conv2": "2", "conv3": "4"}
MIXER = {
    "norm": "layers.0.0.norm",
    "to_qkv": "layers.0.0.fn.to_qkv",
    "to_out": "layers.0.0.fn.to_out.0",
    "ff_in": "layers.0.1.net.0.0",
    "ff_out": "layers.0.1.net.2",
}
TRANSFORMER = {
    "norm": "norm",
    "proj_in": "proj_in",
    "proj_out": "proj_out",
    "norm1": "transformer_blocks.0.norm1",
    "norm2": "transformer_blocks.0.norm2",
    "norm3": "transformer_blocks.0.norm3",
    "attn1.to_q": "transformer_blocks.0.attn1.to_q",
    "attn1.to_k": "transformer_blocks.0.attn1.to_k",
    "attn1.to_v": "transformer_blocks.0.attn1.to_v",
    "attn1.to_out": "transformer_blocks.0.attn1.to_out.0",
    "attn2.to_q": "transformer_blocks.0.attn2.to_q",
    "attn2.to_k": "transformer_blocks.0.attn2.to_k",
    "attn2.to_v": "transformer_blocks.0.attn2.to_v",
    "attn2.to_out": "transformer_blocks.0.attn2.to_out.0",
    "ff.proj_in": "transformer_blocks.0.ff.net.0.proj",
    "ff.proj_out": "transformer_blocks.0.ff.net.2",
}
RES_BLOCK = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "embedding": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "skip": "skip_connection",
    "temporal.norms.0": "temopral_conv.conv1.0",
    "temporal.convs.0": "temopral_conv.conv1.2",
    "temporal.norms.1": "temopral_conv.conv2.0",
    "temporal.convs.1": "temopral_conv.conv2.3",
    "temporal.norms.2": "temopral_conv.conv3.0",
    "temporal.convs.2": "temopral_conv.conv3.3",
    "temporal.norms.3": "temopral_conv.conv4.0",
    "temporal.convs.3": "temopral_conv.conv4.3",
}
TOP = {
    "time_in": "time_embed.0",
    "time_out": "time_embed.2",
    "image_projector.proj_in": "pre_image_condition.0",
    "image_projector.proj_out": "pre_image_condition.2",
    "conv_in": "input_blocks.0.0",
    "norm_out": "out.0",
    "conv_out": "out.2",
}
STEMS = {  # ours -> upstream's convolutions, upstream's mixer
    "first_frame_stem": ("local_image_embedding", "local_image_embedding_after"),
    "pose_stem": ("dwpose_embedding", "dwpose_embedding_after"),
    "reference_pose_stem": ("randomref_pose2_embedding", "randomref_pose2_embedding_after"),
    "reference_stem": ("randomref_embedding2", "randomref_embedding_after2"),
}
WRONG_FILE = "Check that it is UniAnimate's network, and that no other file took its name."
NORM_GROUPS = 32  # every width is a multiple of it
STEM_HEADS = 8  # of the first temporal transformer, whatever the width
# Upstream convolves over time and space in 3-D and projects by convolutions of one: one axis more.
ONE_AXIS_MORE = re.compile(r"temporal(_in)?\.(proj_in|proj_out|convs\.\d)\.weight")


def upstream_modules(unet: DanceUNet) -> dict[str, str]:
    """Map every module of `unet` that holds weights to upstream's name of it."""
    return dict(_pairs(unet))


def upstream_keys(unet: DanceUNet) -> dict[str, str]:
    """Map every parameter name of `unet` to upstream's key (face tokens have none)."""
    modules = upstream_modules(unet)
    keys = {}
    for name, _ in unet.named_parameters():
        module, _, kind = name.rpartition(".")
        if module in modules:
            keys[name] = f"{modules[module]}.{kind}"
    return keys


def read_architecture(tensors: Mapping[str, Tensor]) -> tuple[NetworkConfig, int]:
    """Read off upstream's `tensors` how large their network is.

    The number of text tokens is in no tensor: the published network's 77 is filled in.

    Returns:
        The network's sizes, and the channels of its latents.

    Raises:
        InputError: a tensor that tells a size is missing, or the sizes make no such network.
    """
    dim, in_channels = _shape(tensors, "input_blocks.0.0.weight")[:2]
    stem_dim = _shape(tensors, "input_blocks.0.1.proj_in.weight")[0]
    context_dim, image_embed_dim = _shape(tensors, "pre_image_condition.0.weight")[:2]
    parts = {".".join(key.split(".")[:3]) for key in tensors}  # such as input_blocks.3.op
    levels = _levels(parts)
    widths = [_shape(tensors, f"{stages[0]}.0.in_layers.2.weight")[0] for stages in levels]
    if any(width % dim for width in widths) or dim % NORM_GROUPS or stem_dim % STEM_HEADS:
        raise _unlike(f"{dim} channels, {stem_dim} in the stem, {widths} in the levels")
    network = NetworkConfig(
        dim=dim,
        channel_multipliers=tuple(width // dim for width in widths),
        attention_levels=tuple(f"{stages[0]}.1" in parts for stages in levels),
        blocks_per_level=len(levels[0]),
        head_dim=stem_dim // STEM_HEADS,
        stem_heads=STEM_HEADS,
        context_dim=context_dim,
        text_tokens=77,
        image_tokens="clip",
        image_embed_dim=image_embed_dim,
        first_frame=f"{STEMS['first_frame_stem'][0]}.0.weight" in parts,
    )
    return network, in_channels - STEM_CHANNELS


def to_upstream(unet: DanceUNet, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give `tensors`, by the names of `unet`, upstream's names and shapes; no number is changed.

    What upstream does not have, such as face tokens, is left out.
    """
    return {
        key: tensors[name].unsqueeze(-1) if ONE_AXIS_MORE.search(name) else tensors[name]
        for name, key in upstream_keys(unet).items()
    }


def load_upstream(unet: DanceUNet, tensors: Mapping[str, Tensor]) -> None:
    """Copy upstream's `tensors` into `unet`; shapes may differ by axes of length one.

    Raises:
        InputError: a key is missing, left over or of another shape; nothing is copied.
    """
    keys = upstream_keys(unet)
    parameters = dict(unet.named_parameters())
    misfits = list_misfits(
        {key: _squeezed(parameters[name]) for name, key in keys.items()},
        {key: _squeezed(tensor) for key, tensor in tensors.items()},
    )
    refuse_misfits("The checkpoint does not fit the network", misfits, hint=WRONG_FILE)
    state = {name: tensors[key].reshape(parameters[name].shape) for name, key in keys.items()}
    unet.load_state_dict(state, strict=False, assign=parameters["conv_in.weight"].is_meta)


def _levels(parts: Set[str]) -> list[list[str]]:
    """Return the names of the stages on the way down, by level."""
    levels: list[list[str]] = [[]]
    num_blocks = len({part.split(".")[1] for part in parts if part.startswith("input_blocks.")})
    for index in range(1, num_blocks):
        name = f"input_blocks.{index}"
        if f"{name}.op" in parts:
            levels.append([])
        elif f"{name}.0" in parts:
            levels[-1].append(name)
        else:
            raise _unlike(f"{num_blocks} blocks without {name}")
    sizes = [len(stages) for stages in levels]
    if not sizes[0] or len(set(sizes)) > 1:
        raise _unlike(f"{sizes} blocks")
    return levels


def _shape(tensors: Mapping[str, Tensor], key: str) -> tuple[int, ...]:
    if key in tensors and tensors[key].ndim >= 2:
        return tuple(tensors[key].shape)
    raise InputError(
        f"The checkpoint must hold UniAnimate's network, but {key} is not among its {len(tensors)} "
        f"tensors, such as {'; '.join(sorted(tensors)[:SHOWN])}.",
        hint=WRONG_FILE,
    )


def _unlike(got: str) -> InputError:
    return InputError(
        f"The levels of UniAnimate's network must be alike, and multiples of the first, got {got}.",
        hint=WRONG_FILE,
    )


def _squeezed(tensor: Tensor) -> tuple[int, ...]:
    return tuple(size for size in tensor.shape if size != 1)


def _pairs(unet: DanceUNet) -> Iterator[tuple[str, str]]:
    yield from TOP.items()
    for ours, (convolutions, mixer) in STEMS.items():
        convs = LATENT_STEM if ours == "reference_stem" else STEM
        yield from _inside(ours, convolutions, convs)
        yield from _inside(f"{ours}.mixer", mixer, MIXER)
    yield from _inside("temporal_in", "input_blocks.0.1", TRANSFORMER)
    for index, block in enumerate(unet.down):
        upstream = f"input_blocks.{index + 1}"
        if isinstance(block, Stage):
            yield from _stage(f"down.{index}", upstream, ("0", "1", "2"))
        else:
            yield f"down.{index}.conv", f"{upstream}.op"
    yield from _stage("middle_in", "middle_block", ("0", "1", "2"))
    yield from _inside("middle_out", "middle_block.3", RES_BLOCK)
    yield from _up(unet.up)


def _up(blocks: nn.ModuleList) -> Iterator[tuple[str, str]]:
    """Upstream nests each upsampling in the stage before it, as its last part."""
    output, parts = -1, 0
    for index, block in enumerate(blocks):
        if isinstance(block, Upsample):
            yield f"up.{index}.conv", f"output_blocks.{output}.{parts}.conv"
            continue
        output += 1
        stage: Any = block
        parts = 1 if stage.spatial is None else 3
        yield from _stage(f"up.{index}", f"output_blocks.{output}", ("0", "1", "2"))


def _stage(ours: str, upstream: str, parts: tuple[str, str, str]) -> Iterator[tuple[str, str]]:
    yield from _inside(f"{ours}.res", f"{upstream}.{parts[0]}", RES_BLOCK)
    yield from _inside(f"{ours}.spatial", f"{upstream}.{parts[1]}", TRANSFORMER)
    yield from _inside(f"{ours}.temporal", f"{upstream}.{parts[2]}", TRANSFORMER)


def _inside(ours: str, upstream: str, table: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for our_part, upstream_part in table.items():
        yield f"{ours}.{our_part}", f"{upstream}.{upstream_part}"
