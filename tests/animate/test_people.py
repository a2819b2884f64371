from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dancelcm_cli.animate import people
from dancelcm_cli.animate.driving import open_clip
from dancelcm_cli.animate.people import CACHE, PersonFinder
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.data.array_cache import cache_folder
from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.video import read_frames, write_video
from dancelcm_cli.perception.keypoints import PoseDetector
from dancelcm_cli.progress import SilentProgress

SILENT = SilentProgress()


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path / "cache"))


def no_detector(*arguments: object) -> PoseDetector:
    raise AssertionError("nothing is to be detected")


def test_what_is_found_is_what_the_detector_finds(
    dancer: Path, detector: PoseDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "CHUNK", 3)  # a dance does not fit into memory
    found = PersonFinder("auto").in_clip(open_clip(dancer, 12), range(5), SILENT)
    frames, _ = read_frames(dancer, range(5))
    expected = np.concatenate([detector.detect(frames[:3]), detector.detect(frames[3:])])
    assert np.array_equal(found.keypoints, expected)
    assert found.somebody and found.people == 1


def test_one_of_several_people_is_followed_from_chunk_to_chunk(
    tmp_path: Path, dancer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, _ = read_frames(dancer, range(6))
    small = np.full_like(frames, frames[0, 0, 0])
    for frame, shrunk in zip(frames, small, strict=True):
        shrunk[64:352, 32:224] = cv2.resize(frame, (192, 288), interpolation=cv2.INTER_AREA)
    # The left one is the larger at first, the right one from the second chunk on.
    left = np.concatenate([frames[:3], small[3:]])
    right = np.concatenate([small[:3], frames[3:]])
    write_video(tmp_path / "pair.mp4", np.concatenate([left, right], axis=2), 12)
    monkeypatch.setattr(people, "CHUNK", 3)
    found = PersonFinder("auto").in_clip(open_clip(tmp_path / "pair.mp4", 12), range(6), SILENT)
    assert found.people == 2
    assert (found.keypoints[:, 0, 0] < 0.5).all()


def test_a_clip_and_a_picture_are_looked_at_once_ever(
    dancer: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, image = open_clip(dancer, 12), read_image(photo)
    first = PersonFinder("auto")
    looked = first.in_clip(clip, (0, 2), SILENT), first.in_picture(image)
    monkeypatch.setattr(people, "load_detector", no_detector)
    again = PersonFinder("blazepose")
    for found, before in zip(
        (again.in_clip(clip, (0, 2), SILENT), again.in_picture(image)), looked, strict=True
    ):
        assert np.array_equal(found.keypoints, before.keypoints)
        assert found.people == before.people
    assert len(list(cache_folder(CACHE).iterdir())) == 2


@pytest.mark.parametrize("indices", [(0, 3), (0, 2, 4), (2, 0)])
def test_other_frames_are_looked_at_anew(
    dancer: Path, monkeypatch: pytest.MonkeyPatch, indices: tuple[int, ...]
) -> None:
    clip = open_clip(dancer, 12)
    PersonFinder("auto").in_clip(clip, (0, 2), SILENT)
    monkeypatch.setattr(people, "load_detector", no_detector)
    with pytest.raises(AssertionError):
        PersonFinder("auto").in_clip(clip, indices, SILENT)


def test_people_are_counted_and_nobody_is_not_somebody(tmp_path: Path, dancer: Path) -> None:
    frames, _ = read_frames(dancer, range(3))
    pair: Frames = np.concatenate([frames, frames], axis=2)
    write_video(tmp_path / "pair.mp4", pair, 12)
    finder = PersonFinder("auto")
    assert finder.in_clip(open_clip(tmp_path / "pair.mp4", 12), range(3), SILENT).people == 2
    nobody = finder.in_picture(np.full((96, 64, 3), 128, np.uint8))
    assert (nobody.people, nobody.somebody) == (0, False)
