from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.core.vae import Frames, decode_latents
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.data.video import read_frames
from dancelcm_cli.training.batches import clip_sample
from dancelcm_cli.training.strips import SHOWN_FRAMES, TITLE_HEIGHT
from dancelcm_cli.training.validation import WatchedClips, psnr, sample_figures

OPTIONS = SamplingOptions(temperature=0.7)


@pytest.mark.parametrize("difference", [1, 16, 255])
def test_psnr_of_a_steady_difference_has_a_closed_form(difference: int) -> None:
    black = np.zeros((3, 4, 5, 3), np.uint8)
    assert psnr(black + np.uint8(difference), black) == pytest.approx(
        20 * np.log10(255 / difference)
    )


def test_psnr_is_the_mean_over_frames() -> None:
    black = np.zeros((2, 4, 4, 3), np.uint8)
    frames = black.copy()
    frames[0], frames[1] = 1, 10
    assert psnr(frames, black) == pytest.approx(20 * np.log10(255) - 10)


def test_frames_that_are_the_same_do_not_count_beside_others() -> None:
    black = np.zeros((3, 4, 4, 3), np.uint8)
    frames = black.copy()
    frames[0], frames[2] = 1, 10
    assert psnr(frames, black) == pytest.approx(20 * np.log10(255) - 10)


def test_psnr_of_equal_frames_is_finite() -> None:
    frames = np.full((2, 4, 4, 3), 7, np.uint8)
    assert np.isfinite(psnr(frames, frames))


def test_a_single_frame_is_compared_with_each() -> None:
    frames = np.stack([np.full((4, 4, 3), level, np.uint8) for level in (1, 2, 4)])
    assert psnr(frames[:1], frames[1:]) == psnr(np.repeat(frames[:1], 2, axis=0), frames[1:])


@pytest.fixture
def watched(shards: Path) -> WatchedClips:
    """Two clips of four frames; the second has no face."""
    reader = ShardReader(shards)
    clips = tuple(clip_sample(reader[i], range(4), 64, 64) for i in range(2))
    return WatchedClips(clips, fps=12.0)


def test_figures_measure_each_number_of_steps_beside_reference_and_teacher(
    teacher: Path, watched: WatchedClips, tmp_path: Path
) -> None:
    pipeline, picture = load_pipeline(teacher), tmp_path / "samples" / "step-000001.png"
    halved = [0.5 * clip.latents[0] for clip in watched.clips]
    figures = sample_figures(pipeline, watched, [1, 2], OPTIONS, picture, halved)
    kinds = ("reference", "1", "2", "teacher")
    assert list(figures) == [*(f"psnr_{k}" for k in kinds), *(f"spread_{k}" for k in kinds[1:])]
    truth = [decode_latents(pipeline.vae, clip.latents[0]) for clip in watched.clips]
    repeated = [np.repeat(frames[:1], 4, axis=0) for frames in truth]  # frame 0 is the reference
    pairs = zip(repeated, truth, strict=True)
    assert figures["psnr_reference"] == pytest.approx(np.mean([psnr(r, t) for r, t in pairs]))
    assert figures["spread_teacher"] == pytest.approx(0.5)
    in_two = replace(OPTIONS, num_inference_steps=2)
    made = [pipeline.denoise(clip.conditions, in_two) for clip in watched.clips]
    true = torch.cat([clip.latents for clip in watched.clips])
    assert figures["spread_2"] == pytest.approx(float(torch.cat(made).std() / true.std()))
    assert sample_figures(pipeline, watched, [1, 2], OPTIONS, picture, halved) == figures


def test_true_latents_are_shown_without_error_and_with_their_whole_spread(
    teacher: Path, watched: WatchedClips, tmp_path: Path
) -> None:
    truth = [clip.latents[0] for clip in watched.clips]
    pipeline, picture = load_pipeline(teacher), tmp_path / "x.png"
    figures = sample_figures(pipeline, watched, [], OPTIONS, picture, truth)
    assert figures["psnr_teacher"] > 140  # the bound for equal frames
    assert figures["spread_teacher"] == pytest.approx(1)


def test_a_validation_leaves_a_strip_and_a_film_of_the_same_columns(
    teacher: Path, watched: WatchedClips, tmp_path: Path
) -> None:
    pipeline, picture = load_pipeline(teacher), tmp_path / "samples" / "step-000001.png"
    truth = [clip.latents[0] for clip in watched.clips]
    sample_figures(pipeline, watched, [1, 2], OPTIONS, picture, truth)
    strip = np.asarray(Image.open(picture))
    moving = ("pose", "1 step", "2 steps", "teacher", "truth")
    assert strip.shape == (TITLE_HEIGHT + 2 * 64, (1 + SHOWN_FRAMES * len(moving)) * 64, 3)
    first, second = (decode_latents(pipeline.vae, clip) for clip in truth)
    assert np.array_equal(strip[TITLE_HEIGHT:-64, :64], first[0])  # frame 0 is the reference
    assert np.array_equal(strip[-64:, -64:], second[3])
    frames, info = read_frames(picture.with_suffix(".mp4"))
    assert frames.shape == (4, TITLE_HEIGHT + 2 * 64, (1 + len(moving)) * 64, 3)
    assert info.fps == 12
    last = frames[3, TITLE_HEIGHT:]
    assert looks_like(last[:64, :64], first[0])  # the reference stands still
    assert looks_like(last[64:, -64:], second[3])
    assert not looks_like(last[64:, -64:], first[3])


def looks_like(frame: Frames, other: Frames) -> bool:
    """Compare brightness alone: a film keeps less of the colours."""
    difference = (frame.astype(float) - other.astype(float)) @ [0.2126, 0.7152, 0.0722]
    return float(np.abs(difference).mean()) < 3
