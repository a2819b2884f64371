"""The model folder: a diffusers pipeline on the disk, refused in one sentence where it is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, DDIMScheduler
from diffusers.utils.logging import disable_progress_bar
from transformers import CLIPVisionModelWithProjection
from transformers.utils import logging as transformers_logging

from dancelcm_cli.config.schema import ScheduleConfig
from dancelcm_cli.core.misfits import refuse_misfits
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.perflow_scheduler import PeRFlowScheduler
from dancelcm_cli.core.pipeline import FORMAT_VERSION, DancePipeline
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.errors import (
    SMALLER,
    DanceLCMError,
    InputError,
    OutOfMemoryError,
    ran_out_of_memory,
)
from dancelcm_cli.plain_files import read_json

COPY_AGAIN = "Copy the model again."
# diffusers imports whatever an index names: ours may name these classes and no others.
PARTS: Mapping[str, tuple[type, ...]] = {
    "unet": (DanceUNet,),
    "vae": (PatchAutoencoder, AutoencoderKL),
    "scheduler": (DDIMScheduler, PeRFlowScheduler),
    "image_encoder": (CLIPVisionModelWithProjection,),
}
LARGEST_NUMBER = 65_536  # of a config: no width, size or count of ours is near it
LARGEST_NUMBERS = {  # of layers, which are made one by one, and of what is made in full
    "blocks_per_level": 64,
    "decoder_blocks": 64,
    "encoder_blocks": 64,
    "layers_per_block": 64,
    "num_hidden_layers": 256,
    "text_tokens": 1024,
}
LONGEST_LIST = 64
# They would have code fetched or run that is not this toolkit's.
FOREIGN_KEYS = ("auto_map", "quantization_config", "attn_implementation", "_attn_implementation")


def make_scheduler(config: ScheduleConfig) -> DDIMScheduler:
    """Return the diffusers scheduler that records `config` in a model folder."""
    return DDIMScheduler(
        num_train_timesteps=config.num_train_timesteps,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
    )


def load_pipeline(folder: Path) -> DancePipeline:
    """Load a model folder in float32, ready for inference.

    Raises:
        InputError: the folder is no model folder, or of another format version.
    """
    read_index(folder)
    disable_progress_bar()  # a few files are no long work
    unet, vae = _load_network(DanceUNet, folder / "unet"), load_vae(folder)
    image_encoder = load_image_encoder(folder)
    read_config(folder / "scheduler" / "scheduler_config.json")
    try:
        pipeline: DancePipeline = DancePipeline.from_pretrained(
            folder, unet=unet, vae=vae, image_encoder=image_encoder
        )
    except Exception as error:  # whatever the parts say of a setting that they do not know
        raise _unloadable(folder, error) from error
    for part in (pipeline, pipeline.unet, pipeline.vae):
        _forget_origin(part)
    pipeline.unet.eval().requires_grad_(False)
    pipeline.vae.eval().requires_grad_(False)
    return pipeline


def read_index(folder: Path) -> dict[str, Any]:
    """Return what `model_index.json` says of a model folder: its parts and settings.

    Raises:
        InputError: the folder is no model folder, or of another format version.
    """
    index = folder / "model_index.json"
    if not index.is_file():
        raise InputError(
            f"{folder} must be a model folder, but it has no model_index.json.",
            hint="Give what `dancelcm train` or `distill` wrote, such as runs/.../model.",
        )
    content = read_config(index)
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise InputError(
            f"The format version of {folder} must be {FORMAT_VERSION}, got {version}.",
            hint="Use the dancelcm version that wrote it, or train the model again.",
        )
    _refuse_foreign_parts(index, content)
    return content


def _refuse_foreign_parts(index: Path, content: Mapping[str, Any]) -> None:
    named = {name: part for name, part in content.items() if isinstance(part, list)}
    for name, part in named.items():
        known = [[kind.__module__, kind.__name__] for kind in PARTS.get(name, ())]
        known += [
            [kind.__module__.partition(".")[0], kind.__name__] for kind in PARTS.get(name, ())
        ]
        if part not in known and (name, part) != ("image_encoder", [None, None]):
            raise InputError(
                f"{index} must name the parts of this toolkit, but its {name} would be {part}.",
                hint="Nothing of it was imported. Take a model that `dancelcm train`, `distill` or"
                " `models convert` made.",
            )
    missing = {"unet", "vae", "scheduler"} - named.keys()
    if missing or content.get("_class_name") != DancePipeline.__name__:
        found = f"no {min(missing)}" if missing else f"a {content.get('_class_name')}"
        raise InputError(f"{index} must be that of a DancePipeline, got {found}.", COPY_AGAIN)


def load_vae(folder: Path) -> PatchAutoencoder | AutoencoderKL:
    """Load the autoencoder of a model folder (its `vae/`) in float32, ready for inference."""
    config = folder / "vae" / "config.json"
    if not config.is_file():
        raise InputError(
            f"{folder} must be a model folder with an autoencoder, but it has no vae/config.json.",
            hint="Give the folder that `dancelcm train` wrote, such as runs/.../model.",
        )
    own = read_config(config).get("_class_name") == PatchAutoencoder.__name__
    kind = PatchAutoencoder if own else AutoencoderKL
    vae = _load_network(kind, config.parent).eval().requires_grad_(False)
    _forget_origin(vae)
    return vae


def load_image_encoder(folder: Path) -> CLIPVisionModelWithProjection | None:
    """Load the image encoder of a model folder in float32, or None where there is none."""
    if not (folder / "image_encoder" / "config.json").is_file():
        return None
    transformers_logging.disable_progress_bar()
    encoder = _load_network(CLIPVisionModelWithProjection, folder / "image_encoder")
    encoder.config.name_or_path = ""  # transformers 4 would save where it was loaded from
    return encoder.float().eval().requires_grad_(False)


def read_config(path: Path) -> dict[str, Any]:
    """Read one of the JSON files of a model folder, or of a part of one.

    Raises:
        InputError: it is missing or no JSON object, or says what no model of ours does.
    """
    try:
        config = read_json(path)
    except (OSError, ValueError):
        raise InputError(f"{path} must be a JSON object.", COPY_AGAIN) from None
    foreign = [key for key in FOREIGN_KEYS if config.get(key) is not None]
    if foreign:
        raise InputError(
            f"{path} must not ask for the code of others, but it sets {foreign[0]}.",
            hint=f"Delete that line, or take another model. {COPY_AGAIN}",
        )
    for key, value in config.items():
        _refuse_out_of_proportion(path, key, value)
    return config


def _refuse_out_of_proportion(path: Path, key: str, value: object) -> None:
    """Refuse sizes at which making the network would take the memory, or for ever."""
    most = LARGEST_NUMBERS.get(key, LARGEST_NUMBER)
    numbers = value if isinstance(value, list) else [value]
    real = [number for number in numbers if isinstance(number, int | float)]
    if len(numbers) > LONGEST_LIST or not all(-most <= number <= most for number in real):
        raise InputError(
            f"{key} in {path} must be at most {most}, or a list of at most {LONGEST_LIST} such.",
            COPY_AGAIN,
        )


def _load_network(kind: Any, folder: Path) -> Any:
    """Load a network from safetensors, and from nothing else, which must fill all of it.

    Raises:
        InputError: the files are damaged, or do not fit each other.
    """
    read_config(folder / "config.json")
    try:
        network, told = kind.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, local_files_only=True
        )
    except Exception as error:  # diffusers' and transformers' own, of many classes
        raise _unloadable(folder, error) from error
    misfits = [f"missing {name}" for name in told["missing_keys"]]
    misfits += [f"unknown {name}" for name in told["unexpected_keys"]]
    misfits += [f"misshapen {name}" for name in told["mismatched_keys"]]
    refuse_misfits(f"The weights in {folder} do not fit its config", sorted(misfits), COPY_AGAIN)
    return network


def _unloadable(folder: Path, error: Exception) -> DanceLCMError:
    if isinstance(error, DanceLCMError):
        return error
    cause: BaseException | None = error
    while cause is not None:  # diffusers says of missing memory, too, that it cannot load
        if ran_out_of_memory(cause):
            return OutOfMemoryError("Memory ran out.", SMALLER)
        cause = cause.__cause__ or cause.__context__
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"{folder} must be a model that can be loaded, got: {reason}", COPY_AGAIN)


def _forget_origin(part: Any) -> None:
    """Drop the path that diffusers notes on loading: saved again, it would tell of this machine."""
    part.register_to_config(_name_or_path="")
