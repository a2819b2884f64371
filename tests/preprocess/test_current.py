from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.config.schema import PreprocessConfig
from dancelcm_cli.data.footage import open_footage
from dancelcm_cli.errors import InputError
from dancelcm_cli.preprocess.current import CurrentVideo
from dancelcm_cli.preprocess.jobs import Job
from dancelcm_cli.preprocess.poses import PoseFinder

WriteAnnotated = Callable[..., Path]


def test_a_video_stays_open_until_another_one_comes(
    tmp_path: Path, write_annotated: WriteAnnotated
) -> None:
    paths = [write_annotated(tmp_path / name, 6) for name in ("a.mp4", "b.mp4")]
    first, second = (open_footage(path, 12) for path in paths)
    ours, other = Job("a.mp4", "a" * 64, first), Job("b.mp4", "b" * 64, second)
    current = CurrentVideo(PoseFinder(PreprocessConfig(pose_detector="annotation"), "blazepose"))
    poses = current.open(ours, first)
    start = list(current.frames(first, [0, 1]))
    for path in paths[:1]:  # whoever still reads it has it open
        path.unlink()
    assert current.open(ours, first) is poses
    rest = list(current.frames(first, [2, 1]))
    assert np.array_equal(rest[1], start[1]) and not np.array_equal(rest[0], start[1])
    current.open(other, second)
    with pytest.raises(InputError, match="does not exist"):
        current.open(ours, first)
    current.close()
