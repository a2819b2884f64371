from __future__ import annotations

import numpy as np
import pytest

from dancelcm_cli.animate.seams import SeamMeter
from dancelcm_cli.core.vae import Frames


def film(levels: list[int]) -> list[Frames]:
    return [np.full((2, 2, 3), level, np.uint8) for level in levels]


def test_the_ratio_is_that_of_the_mean_changes_in_either_direction() -> None:
    meter = SeamMeter({2})
    frames = film([10, 20, 0, 10, 30])
    assert all(a is b for a, b in zip(meter.over(frames), frames, strict=True))
    assert meter.ratio == pytest.approx(20 / ((10 + 10 + 20) / 3))


@pytest.mark.parametrize(("seams", "levels"), [(set(), [0, 9, 0]), ({1}, [0, 9]), ({1}, [0, 9, 9])])
def test_without_seams_or_change_elsewhere_there_is_no_ratio(
    seams: set[int], levels: list[int]
) -> None:
    meter = SeamMeter(seams)
    list(meter.over(film(levels)))
    assert meter.ratio is None
