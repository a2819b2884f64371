"""What a run depends on: settled before anything is written, and noted in the manifest."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dancelcm_cli import __version__
from dancelcm_cli.config.schema import PreprocessConfig, Recipe
from dancelcm_cli.core.device import require_device
from dancelcm_cli.core.image_encoder import require_image_encoder
from dancelcm_cli.core.model_folder import load_image_encoder, load_vae, read_config
from dancelcm_cli.core.vae import reduction
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.clips import hash_tensors
from dancelcm_cli.data.detector_weights import detector_folder, detector_of, detector_sha256
from dancelcm_cli.data.shard_files import read_manifest
from dancelcm_cli.preprocess.encoding import check_sizes
from dancelcm_cli.preprocess.stages import StageSettings

LIBRARIES = ("av", "numpy", "torch")  # whose version may change what comes out


def prepare(
    model: Path | None, recipe: Recipe, output: Path
) -> tuple[StageSettings, dict[str, object]]:
    """Return what the stages depend on, and the manifest that says so.

    Raises:
        InputError: The device is not there, or weights are not what they must be.
        ConfigError: The recipe's sizes do not fit the autoencoder.
        WeightsMissingError: The detector, or an image encoder that the model needs, is not there.
    """
    config = recipe.preprocess
    require_device(recipe.device)
    detector = _detector(config, output)
    manifest = _manifest(config, detector)
    folder = (model or bundled("tiny/teacher")) if config.store == "latents" else None
    cell = None
    if folder is not None:
        vae: Any = load_vae(folder)
        cell = reduction(vae)
        check_sizes(config, cell)
        manifest |= _encoder_manifest(vae, _image_encoder(folder))
    return StageSettings(config, recipe.device, detector, folder, cell), manifest


def _detector(config: PreprocessConfig, output: Path) -> str:
    """Return the name of the detector; a folder that one has begun stays with it."""
    choice, detector = config.pose_detector, detector_of(config.pose_detector)
    if choice == "auto" and (output / "manifest.json").is_file():
        detector = str(read_manifest(output).get("detector", {}).get("name", detector))
    if choice != "annotation":
        detector_folder(detector)  # rather now than in the middle
    return detector


def _image_encoder(folder: Path) -> Any | None:
    image_encoder = load_image_encoder(folder)
    network = folder / "unet" / "config.json"
    if network.is_file():
        require_image_encoder(read_config(network), image_encoder)
    return image_encoder


def _manifest(config: PreprocessConfig, detector: str) -> dict[str, object]:
    """Return what clips depend on besides the networks that encode, and the versions."""
    versions = {"dancelcm": __version__, **{name: version(name) for name in LIBRARIES}}
    manifest: dict[str, object] = {"preprocess": asdict(config), "versions": versions}
    if config.pose_detector != "annotation":
        manifest["detector"] = {"name": detector, "sha256": detector_sha256(detector)}
    return manifest


def _encoder_manifest(vae: Any, image_encoder: Any | None) -> dict[str, object]:
    manifest: dict[str, object] = {
        "autoencoder": {
            "latent_channels": vae.config.latent_channels,
            "scaling_factor": vae.config.scaling_factor,
            "reduction": reduction(vae),
            "sha256": hash_tensors(vae.state_dict()),
        }
    }
    if image_encoder is not None:
        manifest["image_encoder"] = {"sha256": hash_tensors(image_encoder.state_dict())}
    return manifest
