from collections.abc import Callable
from pathlib import Path

import numpy as np

from dancelcm_cli.config.schema import AnimateConfig, Recipe
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.evaluate.bounds import round_trip
from dancelcm_cli.evaluate.candidates import ROUND_TRIP
from dancelcm_cli.evaluate.datasets import TestVideo, open_dataset
from dancelcm_cli.evaluate.frame_metrics import psnr
from dancelcm_cli.evaluate.generation import generate_predictions
from dancelcm_cli.evaluate.sources import list_sources
from dancelcm_cli.progress import SilentProgress

RECIPE = Recipe(animate=AnimateConfig(num_frames=16))


def test_the_round_trip_shows_the_true_frames_at_the_models_size_almost_as_they_are(
    tmp_path: Path,
) -> None:
    (video, *_) = open_dataset("dance", None).videos
    maker = round_trip(bundled("tiny/student"), RECIPE)
    generate_predictions([video], maker, tmp_path, SilentProgress())
    (made,) = list_sources(tmp_path).values()
    assert (maker.name, made.num_frames, made.lossless) == (ROUND_TRIP, 16, True)
    truth = list(video.truth.frames(range(0, 16, 5)))
    for true_frame, frame in zip(truth, made.frames(range(0, 16, 5)), strict=True):
        assert frame.shape == (192, 128, 3)
        fitted = fit_frame(true_frame, 192, 128, "squash")
        assert 10 < psnr(frame, np.full_like(fitted, fitted.mean())) < 25 < psnr(frame, fitted) < 40


def test_finished_round_trips_need_no_model_again(
    tmp_path: Path, write_videos: Callable[..., Path]
) -> None:
    (source,) = list_sources(write_videos(tmp_path / "truth", [16])).values()
    video = TestVideo("dance0", source, source.path)
    made = tmp_path / "made"
    generate_predictions(
        [video], round_trip(bundled("tiny/student"), RECIPE), made, SilentProgress()
    )
    pictures = sorted((made / "dance0").iterdir())
    times = [picture.stat().st_mtime_ns for picture in pictures]
    generate_predictions(
        [video], round_trip(bundled("tiny/student"), RECIPE), made, SilentProgress()
    )
    assert [picture.stat().st_mtime_ns for picture in pictures] == times
