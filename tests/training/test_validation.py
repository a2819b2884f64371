from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.core.pipeline import load_pipeline
from dancelcm_cli.core.vae import decode_latents
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.training.batches import clip_sample, collate
from dancelcm_cli.training.validation import SHOWN_FRAMES, psnr, sample_figures


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


def test_psnr_of_equal_frames_is_finite() -> None:
    frames = np.full((2, 4, 4, 3), 7, np.uint8)
    assert np.isfinite(psnr(frames, frames))


def test_figures_and_strip_show_reference_pose_results_and_truth(
    teacher: Path, shards: Path, tmp_path: Path
) -> None:
    pipeline, reader = load_pipeline(teacher), ShardReader(shards)
    batch = collate([clip_sample(reader[i], range(4), 64, 64) for i in range(2)])
    strip = tmp_path / "samples" / "strip.png"
    figures = sample_figures(pipeline, batch, [1, 2], 1.0, 0, strip)
    assert list(figures) == ["psnr_reference", "psnr_1", "psnr_2"]
    picture = np.asarray(Image.open(strip))
    columns = 1 + SHOWN_FRAMES * (1 + 2 + 1)
    assert picture.shape == (2 * 64, columns * 64, 3)
    truth = [decode_latents(pipeline.vae, latents) for latents in batch.latents]
    assert np.array_equal(picture[:64, :64], truth[0][0])  # frame 0 is the reference
    assert np.array_equal(picture[64:, -64:], truth[1][3])
    again = sample_figures(pipeline, batch, [1, 2], 1.0, 0, strip)
    assert again == figures
    repeated = [np.repeat(frames[:1], 4, axis=0) for frames in truth]
    expected = np.mean([psnr(r, t) for r, t in zip(repeated, truth, strict=True)])
    assert figures["psnr_reference"] == pytest.approx(expected)
