"""What the teacher makes of the watched clips: sampled once, kept for every validation of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.noise import frame_noise
from dancelcm_cli.core.sampling import sample, teacher_steps
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.data.atomic import atomic_path
from dancelcm_cli.data.clips import hash_tensors
from dancelcm_cli.progress import Progress
from dancelcm_cli.training.consistency import guided_velocity
from dancelcm_cli.training.network import Velocity
from dancelcm_cli.training.validation import WatchedClips


@dataclass(frozen=True)
class TeacherSampling:
    """How the teacher samples."""

    steps: int
    guidance_scale: float
    noise_offset: float
    seed: int
    temperature: float


def teacher_latents(
    path: Path,
    teacher: Velocity,
    watched: WatchedClips,
    schedule: NoiseSchedule,
    sampling: TeacherSampling,
    progress: Progress,
) -> list[Tensor]:
    """Return what `teacher` makes of each clip, latents `(C, F, h, w)`.

    They are kept in the file `path`, and taken from it where it holds those of the same clips and
    settings.
    """
    clips = {str(index): clip.latents for index, clip in enumerate(watched.clips)}
    settings = {name: str(value) for name, value in asdict(sampling).items()}
    made_with = {**settings, "clips": hash_tensors(clips)}
    kept = _read(path, made_with)
    if kept is not None:
        return kept
    latents = []
    with progress.task("Sampling the teacher", sampling.steps * len(clips)) as advance:
        for clip in watched.clips:
            latents.append(
                _sample(teacher, clip.conditions, schedule, sampling, lambda: advance(1, "")).cpu()
            )
    with atomic_path(path) as temporary:
        save_file({str(i): made for i, made in enumerate(latents)}, temporary, _told(made_with))
    return latents


@torch.no_grad()
def _sample(
    teacher: Velocity,
    conditions: Conditions,
    schedule: NoiseSchedule,
    sampling: TeacherSampling,
    on_step: Callable[[], None],
) -> Tensor:
    """Sample one clip from the noise that a student is shown too."""
    reference, frames = conditions.reference_latents, range(conditions.pose.shape[2])
    shape = (reference.shape[1], reference.shape[2], reference.shape[3])
    noise = frame_noise(shape, frames, sampling.noise_offset, sampling.seed, "initial")
    noise = sampling.temperature * noise[None].to(reference.device)

    def predict(noisy_latents: Tensor, timesteps: Tensor) -> Tensor:
        scale = sampling.guidance_scale
        return guided_velocity(teacher, noisy_latents, timesteps, conditions, scale)

    steps = teacher_steps(sampling.steps, schedule.num_timesteps)

    def tell(index: int, latents: Tensor) -> None:
        on_step()

    return sample(predict, noise, steps, schedule, lambda index: noise, tell)[0]


def _told(made_with: dict[str, str]) -> dict[str, str]:
    """Return the file's metadata: one key, as safetensors writes several in no fixed order."""
    return {"made_with": json.dumps(made_with)}


def _read(path: Path, made_with: dict[str, str]) -> list[Tensor] | None:
    """Return the latents of `path`; None where there are none, or none made like that."""
    try:
        with safe_open(path, "pt") as file:
            if file.metadata() == _told(made_with):
                return [file.get_tensor(str(i)) for i in range(len(file.keys()))]
    except (OSError, SafetensorError):
        pass
    return None
