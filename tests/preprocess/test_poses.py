from __future__ import annotations

import numpy as np
import pytest

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.schema import Person, PreprocessConfig
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.footage import Footage, open_footage
from dancelcm_cli.data.video import read_frames
from dancelcm_cli.errors import ConfigError
from dancelcm_cli.preprocess.poses import PoseFinder
from dancelcm_cli.preprocess.windows import Window

NOSE = 0


@pytest.fixture(scope="module")
def footage() -> Footage:
    return open_footage(bundled("samples/driving.mp4"), 12)


def test_an_annotation_is_read_and_nothing_runs(footage: Footage) -> None:
    poses = PoseFinder(PreprocessConfig(), "blazepose").of_video(footage)
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    assert (poses.find(Window(0, (3, 5)), frames)[..., 2] > 0).any()
    assert (poses.count(frames[0]), poses.device) == (1, "")


@pytest.mark.parametrize(("person", "half"), [(1, 0), (2, 1)])
def test_the_person_that_was_asked_for_is_found(
    footage: Footage, person: Person, half: int
) -> None:
    samples = (bundled("samples/person.mp4"), footage.path)
    left, right = (read_frames(path, [0])[0][0] for path in samples)
    pair = np.concatenate([left, right], axis=1)
    config = PreprocessConfig(pose_detector="blazepose", person=person, max_people=0)
    poses = PoseFinder(config, "blazepose").of_video(footage)
    keypoints = poses.find(Window(0, (0,)), pair[None])
    assert (keypoints[0, NOSE, 0] > left.shape[1] / pair.shape[1]) == half
    assert (poses.count(pair), poses.device) == (2, "cpu")


def test_a_second_person_needs_clips_of_several_people() -> None:
    with pytest.raises(ConfigError, match=r"preprocess\.max_people must be 0"):
        load_recipe(None, ["preprocess.person=2"])
    recipe = load_recipe(None, ["preprocess.person=2", "preprocess.max_people=0"])
    assert recipe.preprocess.person == 2
