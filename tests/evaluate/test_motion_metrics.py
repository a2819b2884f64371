"""What moves: a textured square that glides over a still, textured ground."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dancelcm_cli.evaluate.meters import Values
from dancelcm_cli.evaluate.metrics import MOTION_METRICS
from dancelcm_cli.evaluate.motion_metrics import MotionMeter

Frame = NDArray[np.uint8]
SIDE, SQUARE, SPEED = 96, 32, 3  # pixels; pixels a frame


def texture(side: int, seed: int) -> Frame:
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1.5)))


def gliding(count: int = 4) -> list[Frame]:
    frames = []
    for index in range(count):
        frame = texture(SIDE, 0).copy()
        left = 20 + SPEED * index
        frame[32 : 32 + SQUARE, left : left + SQUARE] = texture(SQUARE, 1)
        frames.append(frame)
    return frames


def blurred(frame: Frame, radius: float) -> Frame:
    return np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(radius)))


def measured(*shown: list[Frame]) -> list[Values]:
    """The values of each video at the last moment."""
    moments = zip(gliding(), zip(*shown, strict=True), strict=True)
    *_, last = MotionMeter(MOTION_METRICS).measure(moments)
    return list(last)


def test_the_truth_is_as_sharp_and_as_steady_as_itself() -> None:
    (values,) = measured(gliding())
    assert values == {
        "sharpness_moving": 1.0,
        "sharpness_still": 1.0,
        "flicker": 0.0,
        "warp_error": 1.0,
    }


def test_the_first_frame_tells_nothing_of_motion() -> None:
    truth = gliding(1)
    ((values,),) = MotionMeter(MOTION_METRICS).measure([(truth[0], truth)])
    assert values == {}


def test_a_ladder_of_blur_orders_the_sharpness_of_moving_and_of_still_regions() -> None:
    ladder = measured(*([blurred(frame, radius) for frame in gliding()] for radius in (1, 2, 4)))
    for name in ("sharpness_moving", "sharpness_still"):
        values = [rung[name] for rung in ladder]
        assert 1 > values[0] > values[1] > values[2] > 0


def test_blur_in_what_moves_alone_leaves_the_still_region_sharp() -> None:
    shown = gliding()
    for index, frame in enumerate(shown):
        left = 20 + SPEED * index
        place = np.s_[32 : 32 + SQUARE, left : left + SQUARE]
        frame[place] = blurred(frame[place], 3)
    (values,) = measured(shown)
    assert values["sharpness_moving"] < 0.75
    assert values["sharpness_still"] == pytest.approx(1, abs=0.02)


def test_a_change_of_brightness_flickers_by_as_much() -> None:
    shown = [frame // 2 + 20 * (index % 2) for index, frame in enumerate(gliding())]
    (values,) = measured([frame.astype(np.uint8) for frame in shown])
    assert values["flicker"] == pytest.approx(20, abs=0.5)


def test_what_jumps_tears_and_what_glides_does_not() -> None:
    jumping = gliding()
    jumping[-1] = np.roll(jumping[-1], 9, axis=0)
    glides, jumps = measured(gliding(), jumping)
    assert jumps["warp_error"] > 5 * glides["warp_error"]


def test_only_what_is_asked_for_is_measured() -> None:
    moments = [(frame, [frame]) for frame in gliding()]
    *_, (values,) = MotionMeter(["flicker"]).measure(moments)
    assert list(values) == ["flicker"]
