"""What an animation says of itself: a JSON record beside it, and metadata inside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from dancelcm_cli import __version__
from dancelcm_cli.animate.driving import driving_sha256
from dancelcm_cli.animate.motion import Motion
from dancelcm_cli.config.rendering import recipe_to_toml
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.data.fingerprint import folder_sha256
from dancelcm_cli.data.weight_files import file_sha256
from dancelcm_cli.plain_files import read_json

FORMAT_VERSION = 1
SYNTHETIC = "synthetic media: made by dancelcm from a picture and a driving clip"


@dataclass(frozen=True)
class Model:
    """A model folder, hashed once."""

    path: Path

    @cached_property
    def sha256(self) -> str:
        """A hash of its files."""
        return folder_sha256(self.path)


@dataclass(frozen=True)
class Job:
    """One animation to make: `output` is written from the other four."""

    reference: Path
    driving: Path
    output: Path
    model: Model
    recipe: Recipe


@dataclass(frozen=True)
class Facts:
    """What is only known once an animation is made."""

    motion: Motion
    face: bool  # the model saw the face
    sound: bool  # there is one
    small_decoder: bool  # TAESD made the pixels
    seam_ratio: float | None  # change at the windows' seams over that elsewhere
    seconds: float  # that making it took


def describe_making(job: Job, audio: bool) -> dict[str, object]:
    """Return all that an animation depends on; `audio` is whether it was to keep the sound."""
    return {
        "reference_sha256": file_sha256(job.reference),
        "driving_sha256": driving_sha256(job.driving),
        "model_sha256": job.model.sha256,
        "keep_sound": audio,
        "recipe": recipe_to_toml(job.recipe),
    }


def make_record(job: Job, audio: bool, facts: Facts) -> dict[str, object]:
    """Return everything it takes to make the animation again, for people and programs."""
    return {
        "format_version": FORMAT_VERSION,
        "content": SYNTHETIC,
        "reference": str(job.reference),
        "driving": str(job.driving),
        "driving_kind": facts.motion.kind,
        "model": str(job.model.path),
        "seed": job.recipe.seed,
        "steps": job.recipe.animate.steps,
        "frames": facts.motion.num_frames,
        "fps": float(facts.motion.fps),
        "face": facts.face,
        "sound": facts.sound,
        "small_decoder": facts.small_decoder,
        "seam_ratio": None if facts.seam_ratio is None else round(facts.seam_ratio, 4),
        "seconds": round(facts.seconds, 3),
        "versions": _versions(),
        **describe_making(job, audio),
    }


def make_metadata(job: Job) -> Mapping[str, str]:
    """Return what is written into the animation itself, by the names that ffmpeg gives it."""
    made_with = {
        "seed": job.recipe.seed,
        "steps": job.recipe.animate.steps,
        "model_sha256": job.model.sha256,
        "versions": _versions(),
    }
    return {"comment": SYNTHETIC, "description": json.dumps(made_with)}


def is_made(job: Job, audio: bool, record: Path) -> bool:
    """Whether the animation with that record was made as `job` says."""
    try:
        found = read_json(record)
    except (OSError, ValueError):
        return False
    making = {"format_version": FORMAT_VERSION, **describe_making(job, audio)}
    return making.items() <= found.items()


def _versions() -> dict[str, str]:
    return {"dancelcm": __version__, "torch": str(torch.__version__)}
