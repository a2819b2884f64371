from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.video import probe_video, read_frames

SAMPLES = bundled("samples")
ANNOTATED = [SAMPLES / "driving.mp4", *sorted((SAMPLES / "dance").glob("*.mp4"))]


def test_the_reference_is_the_first_frame_of_its_truth() -> None:
    frames, _ = read_frames(SAMPLES / "driving.mp4", [0])
    assert (read_image(SAMPLES / "reference.png") == frames[0]).all()


@pytest.mark.parametrize("video", ANNOTATED, ids=lambda path: path.name)
def test_every_dancer_has_keypoints_inside_the_video(video: Path) -> None:
    info = probe_video(video)
    with np.load(video.with_suffix(".npz")) as arrays:
        keypoints, visible = arrays["keypoints"], arrays["visible"]
    assert keypoints.shape == (info.num_frames, 134, 2)
    assert visible.any(axis=1).all()
    assert (keypoints[visible] >= 0).all()
    assert (keypoints[visible] <= (info.width, info.height)).all()


def test_samples_stay_small() -> None:
    assert len(ANNOTATED) == 5
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*")) < 4 * 2**20
