"""Where the published files are: named by the user, beside each other, or fetched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dancelcm_cli.data.weight_files import find_weights
from dancelcm_cli.errors import InputError, WeightsMissingError

# Under which names a part is known in a folder of checkpoints, and which weights to fetch for it.
NETWORKS = ("unianimate*.pth", "unianimate*.safetensors")
AUTOENCODERS = ("v2-1_512-ema-pruned.ckpt", "v2-1_512-ema-pruned.safetensors", "sd-vae-ft-mse*")
IMAGE_ENCODERS = ("open_clip_pytorch_model.bin", "open_clip_model.safetensors", "CLIP-ViT-H-14*")
FETCHED_NETWORKS = ("unianimate",)
FETCHED_AUTOENCODERS = ("sd21", "sd-vae-ft-mse")
FETCHED_IMAGE_ENCODERS = ("clip-vit-h-14",)


@dataclass(frozen=True)
class Sources:
    """The files or folders that the parts of a model folder are read from."""

    network: Path
    autoencoder: Path
    image_encoder: Path
    text_encoder: Path


def find_sources(
    checkpoint: Path | None = None,
    autoencoder: Path | None = None,
    image_encoder: Path | None = None,
    text_encoder: Path | None = None,
) -> Sources:
    """Complete what the user named by what lies beside it, and then by what was fetched.

    Args:
        checkpoint: UniAnimate's network, or a folder that holds it; None takes the fetched one.
        autoencoder: Stable Diffusion's autoencoder.
        image_encoder: CLIP, or its image tower.
        text_encoder: CLIP's text tower; None takes the one of `image_encoder`.

    Raises:
        InputError: what the user named is not there.
        WeightsMissingError: a part was not named and is not found; the hint says how to fetch it.
    """
    for path in (checkpoint, autoencoder, image_encoder, text_encoder):
        if path is not None and not path.exists():
            raise InputError(
                f"{path} must be a file or folder of weights, but there is none.",
                hint="Check the path; `dancelcm models list` names what can be fetched.",
            )
    if checkpoint is None:
        folder, network = None, _fetched(FETCHED_NETWORKS, "CHECKPOINT")
    elif checkpoint.is_dir():
        folder, network = checkpoint, _network_in(checkpoint)
    else:
        folder, network = checkpoint.parent, checkpoint
    image_encoder = (
        image_encoder
        or _beside(folder, IMAGE_ENCODERS)
        or _fetched(FETCHED_IMAGE_ENCODERS, "--image-encoder")
    )
    autoencoder = (
        autoencoder or _beside(folder, AUTOENCODERS) or _fetched(FETCHED_AUTOENCODERS, "--vae")
    )
    return Sources(network, autoencoder, image_encoder, text_encoder or image_encoder)


def _network_in(folder: Path) -> Path:
    network = _beside(folder, NETWORKS)
    if network is None:
        raise WeightsMissingError(
            f"{folder} must hold UniAnimate's network, but has no {' or '.join(NETWORKS)}.",
            hint="Name the file itself, or type: dancelcm models fetch unianimate",
        )
    return network


def _beside(folder: Path | None, patterns: tuple[str, ...]) -> Path | None:
    """Return the first match in `folder`, or in a folder of it, as `models fetch` lays them out."""
    if folder is None:
        return None
    found = (
        path for depth in ("", "*/") for name in patterns for path in folder.glob(depth + name)
    )
    return next(found, None)


def _fetched(names: tuple[str, ...], option: str) -> Path:
    """Return the first of `names` that was fetched, and else say how to fetch the last."""
    for name in names:
        try:
            return find_weights(name)
        except WeightsMissingError as error:
            missing = error
    raise WeightsMissingError(missing.message, hint=f"Name it by {option}. {missing.hint}")
