from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.progress import SilentProgress, Unit
from dancelcm_cli.training.network import Velocity, velocity_of
from dancelcm_cli.training.preparation import watched_clips
from dancelcm_cli.training.teacher_samples import TeacherSampling, teacher_latents
from dancelcm_cli.training.validation import WatchedClips

SAMPLING = TeacherSampling(steps=3, guidance_scale=2.5, noise_offset=0.1, seed=7, temperature=0.7)


@pytest.fixture
def pipeline(teacher: Path) -> DancePipeline:
    return load_pipeline(teacher)


@pytest.fixture
def watched(shards: Path) -> WatchedClips:
    return watched_clips(ShardReader(shards), [0, 1], (64, 64), 4, torch.device("cpu"))


def sampled(
    path: Path,
    pipeline: DancePipeline,
    watched: WatchedClips,
    sampling: TeacherSampling = SAMPLING,
    teacher: Velocity | None = None,
    progress: SilentProgress | None = None,
) -> list[Tensor]:
    velocity = teacher or velocity_of(pipeline.unet)
    schedule, progress = pipeline.schedule, progress or SilentProgress()
    return teacher_latents(path, velocity, watched, schedule, sampling, progress)


def asleep(
    noisy_latents: Tensor, timesteps: Tensor, conditions: Conditions, keep: Tensor | None = None
) -> Tensor:
    """A teacher that must not be asked."""
    raise AssertionError


def same(ones: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))


def test_a_teacher_samples_as_its_pipeline_does(
    tmp_path: Path, pipeline: DancePipeline, watched: WatchedClips
) -> None:
    made = sampled(tmp_path / "teacher.safetensors", pipeline, watched)
    options = SamplingOptions(3, 2.5, seed=7, temperature=0.7)
    for latents, clip in zip(made, watched.clips, strict=True):
        wanted = pipeline.denoise(clip.conditions, options)[0]
        torch.testing.assert_close(latents, wanted)


def test_a_resumed_run_takes_what_was_kept(
    tmp_path: Path, pipeline: DancePipeline, watched: WatchedClips
) -> None:
    path = tmp_path / "run" / "teacher.safetensors"
    made = sampled(path, pipeline, watched)
    assert same(sampled(path, pipeline, watched, teacher=asleep), made)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 4},
        {"guidance_scale": 1.0},
        {"noise_offset": 0.0},
        {"seed": 8},
        {"temperature": 1.0},
    ],
)
def test_other_settings_make_other_samples(
    tmp_path: Path, pipeline: DancePipeline, watched: WatchedClips, change: dict[str, float]
) -> None:
    path = tmp_path / "teacher.safetensors"
    made = sampled(path, pipeline, watched)
    changed = replace(SAMPLING, **change)
    anew = sampled(path, pipeline, watched, changed)
    assert not same(anew, made)
    assert same(sampled(path, pipeline, watched, changed, teacher=asleep), anew)


def test_the_same_samples_are_the_same_bytes(
    tmp_path: Path, pipeline: DancePipeline, watched: WatchedClips
) -> None:
    sampled(tmp_path / "kept.safetensors", pipeline, watched)
    with safe_open(tmp_path / "kept.safetensors", "pt") as file:
        assert len(file.metadata()) == 1  # of several the order changes from process to process


def test_other_clips_are_sampled_anew(
    tmp_path: Path, shards: Path, pipeline: DancePipeline, watched: WatchedClips
) -> None:
    path = tmp_path / "teacher.safetensors"
    sampled(path, pipeline, watched)
    others = watched_clips(ShardReader(shards), [2, 3], (64, 64), 4, torch.device("cpu"))
    fresh = sampled(tmp_path / "others.safetensors", pipeline, others)
    assert same(sampled(path, pipeline, others), fresh)


def test_a_damaged_file_is_written_anew(
    tmp_path: Path, pipeline: DancePipeline, watched: WatchedClips
) -> None:
    path = tmp_path / "teacher.safetensors"
    made = sampled(path, pipeline, watched)
    path.write_bytes(path.read_bytes()[:100])
    assert same(sampled(path, pipeline, watched), made)
    assert same(sampled(path, pipeline, watched, teacher=asleep), made)


class Counting(SilentProgress):
    """Counts how far its tasks came."""

    done = total = 0

    def task(
        self, description: str, total: int, completed: int = 0, unit: Unit = "items"
    ) -> AbstractContextManager[Callable[[int, str], None]]:
        self.total += total

        def advance(count: int, note: str) -> None:
            self.done += count

        return nullcontext(advance)


def test_who_waits_sees_how_far_it_is(
    tmp_path: Path, pipeline: DancePipeline, watched: WatchedClips
) -> None:
    progress = Counting()
    sampled(tmp_path / "teacher.safetensors", pipeline, watched, progress=progress)
    assert progress.done == progress.total == 2 * SAMPLING.steps
