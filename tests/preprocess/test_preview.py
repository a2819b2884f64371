from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.data.video import read_frames
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.face import FaceCrop
from dancelcm_cli.preprocess.filters import Rejection
from dancelcm_cli.preprocess.marking import FACE
from dancelcm_cli.preprocess.preview import annotate_frame, preview_video
from dancelcm_cli.progress import SilentProgress
from tests.preprocess.conftest import WriteAnnotated

NOBODY = np.zeros((134, 3), np.float32)


def test_a_preview_shows_every_frame_and_counts_what_would_be_kept(
    tmp_path: Path, recipe: Recipe, write_annotated: WriteAnnotated
) -> None:
    video = write_annotated(tmp_path / "a.mp4", 9, seen_until=4)
    output = tmp_path / "preview.mp4"
    found = preview_video(video, output, recipe.preprocess, SilentProgress())
    assert found.verdicts == {"kept": 1, "no_person": 1, "tail": 1}
    frames, info = read_frames(output)
    assert (info.num_frames, float(info.fps)) == (9, 12)
    green, red = (frames[..., c].astype(int) - frames[..., 1 - c] for c in (1, 0))
    assert green[:4].max() > 60 and red[4:].max() > 60


def test_a_preview_leaves_nothing_but_its_video(
    tmp_path: Path, recipe: Recipe, write_annotated: WriteAnnotated
) -> None:
    video = write_annotated(tmp_path / "a.mp4", 3)
    found = preview_video(video, tmp_path / "p.mp4", recipe.preprocess, SilentProgress())
    assert found.verdicts == {"too_short": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "a.npz", "p.mp4"]


@pytest.mark.parametrize("output", ["a.mp4", "sub/../a.mp4", "link.mp4"])
def test_a_preview_never_takes_the_place_of_its_video(
    tmp_path: Path, recipe: Recipe, write_annotated: WriteAnnotated, output: str
) -> None:
    video = write_annotated(tmp_path / "a.mp4", 4)
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.mp4").symlink_to(video)
    before = video.read_bytes()
    with pytest.raises(InputError, match="must not be replaced by what is made of it") as caught:
        preview_video(video, tmp_path / output, recipe.preprocess, SilentProgress())
    assert caught.value.hint == "Choose another --output."
    assert video.read_bytes() == before


def test_a_preview_needs_a_name(
    tmp_path: Path, recipe: Recipe, write_annotated: WriteAnnotated
) -> None:
    video = write_annotated(tmp_path / "a.mp4", 4)
    with pytest.raises(InputError, match="must name a video"):
        preview_video(video, Path("."), recipe.preprocess, SilentProgress())


def test_a_missing_annotation_is_an_error_with_the_way_out(
    tmp_path: Path, recipe: Recipe, write_annotated: WriteAnnotated
) -> None:
    video = write_annotated(tmp_path / "a.mp4", 4)
    video.with_suffix(".npz").unlink()
    config = replace(recipe.preprocess, pose_detector="annotation")
    with pytest.raises(InputError, match=r"no a\.npz") as caught:
        preview_video(video, tmp_path / "p.mp4", config, SilentProgress())
    assert "--pose-detector auto" in caught.value.hint


def test_the_face_box_is_drawn_where_it_is() -> None:
    frame = np.full((120, 80, 3), 90, np.uint8)
    face = FaceCrop(np.zeros((8, 8, 3), np.uint8), (20, 70, 50, 100), 1.0)
    picture = annotate_frame(frame, NOBODY, face, "", None)[-120:]
    assert (picture[[70, 100], 20:51] == FACE).all()
    assert (picture[70:101, [20, 50]] == FACE).all()
    picture[70:101, 20:51] = 90
    assert (picture == 90).all()


def test_the_verdict_stands_above_the_frame_and_changes_nothing_in_it() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (240, 160, 3), np.uint8)
    kept = annotate_frame(frame, NOBODY, None, "frames 0 to 3", None)
    cut = annotate_frame(frame, NOBODY, None, "frames 0 to 3", Rejection("camera_cut", "x"))
    assert kept.shape == cut.shape
    assert (kept[-240:] == frame).all() and (cut[-240:] == frame).all()
    assert (kept[:-240] != cut[:-240]).any()
