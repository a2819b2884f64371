import numpy as np
import pytest
from numpy.typing import NDArray

from dancelcm_cli.preprocess.motion import motion_mask

CELL = 4


def moving_square(steps: int) -> NDArray[np.uint8]:
    """A white 4 x 4 square that jumps one cell to the right in each of (F, 12, 24, 3) frames."""
    frames = np.zeros((steps, 12, 24, 3), np.uint8)
    for step in range(steps):
        frames[step, 4:8, CELL * step : CELL * (step + 1)] = 255
    return frames


def test_a_jumping_square_marks_where_it_comes_from_and_goes_to() -> None:
    mask = motion_mask(moving_square(4), 0.2, CELL)
    assert mask.shape == (4, 3, 6)
    assert mask[:, 1].int().tolist() == [
        [1, 1, 0, 0, 0, 0],  # leaves cell 0, enters cell 1
        [1, 1, 1, 0, 0, 0],  # came from cell 0, leaves cell 1, enters cell 2
        [0, 1, 1, 1, 0, 0],
        [0, 0, 1, 1, 0, 0],
    ]
    assert not mask[:, [0, 2]].any()


def test_time_reversal_reverses_the_mask() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    forwards, backwards = motion_mask(frames, 1.8, 4), motion_mask(frames[::-1].copy(), 1.8, 4)
    assert 0 < forwards.float().mean() < 1
    assert (forwards.flip(0) == backwards).all()


@pytest.mark.parametrize(("levels", "moves"), [(25, False), (26, True)])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_one_pixel_of_one_channel_is_enough(levels: int, moves: bool, channel: int) -> None:
    """26 of 255 levels are 0.2039 on [-1, 1], 25 are 0.1961."""
    frames = np.full((2, 8, 8, 3), 100, np.uint8)
    frames[1, 5, 2, channel] -= levels
    mask = motion_mask(frames, 0.2, CELL)
    assert mask[:, 1, 0].tolist() == [moves, moves]
    assert mask.sum() == 2 * moves


def test_nothing_moves_in_a_single_frame() -> None:
    assert motion_mask(moving_square(1), 0.2, CELL).shape == (1, 3, 6)
    assert not motion_mask(moving_square(1), 0.2, CELL).any()
