from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.perception.dwpose import BOXES_FILE
from dancelcm_cli.perception.yolox import PersonBoxes, letterbox, people_in
from tests.perception.tiny_onnx import write_models

NUM_CELLS = 80 * 80 + 40 * 40 + 20 * 20


def test_a_frame_lies_in_the_upper_left_on_grey() -> None:
    frame = np.zeros((100, 50, 3), np.uint8)
    frame[..., 0] = 200  # red
    picture = letterbox(frame, 640, 640)
    assert picture.shape == (3, 640, 640) and picture.dtype == np.float32
    assert (picture[:, :, :320] == np.array([0, 0, 200])[:, None, None]).all()  # B, G, R
    assert (picture[:, :, 320:] == 114).all()


def test_a_box_is_decoded_from_its_cell() -> None:
    output = np.zeros((NUM_CELLS, 85), np.float32)
    cell = 80 * 80 + 3 * 40 + 7  # row 3, column 7 of the grid with stride 16
    output[cell, :4] = 0.25, -0.5, np.log(4), np.log(2)
    output[cell, 4:6] = 0.9, 0.8
    assert people_in(output, 640, 640) == pytest.approx(
        np.array([[7.25 * 16 - 32, 2.5 * 16 - 16, 7.25 * 16 + 32, 2.5 * 16 + 16]])
    )


def test_only_sure_people_are_people() -> None:
    output = np.zeros((NUM_CELLS, 85), np.float32)
    output[0, 4:6] = 0.5, 0.5  # 0.25 in all
    output[40, 4], output[40, 5 + 16] = 1, 1  # a dog
    assert people_in(output, 640, 640).shape == (0, 4)


def test_people_are_found_at_their_places_in_frames_of_any_size(tmp_path: Path) -> None:
    finder = PersonBoxes(write_models(tmp_path) / BOXES_FILE, "cpu")
    frames = np.zeros((3, 320, 160, 3), np.uint8)  # twice as large to the network
    frames[0, 32:48, 64:80] = 255  # its cell (2, 4)
    frames[1, 32:48, [64, 128]] = 255
    frames[2, 240:256, 64:80] = 255  # low down: a dog
    first, second, third = finder.find(frames)
    assert first == pytest.approx(np.array([[32, 0, 112, 80]]), abs=1e-4)
    assert len(second) == 0  # a column of a cell is too faint
    assert len(third) == 0
    assert finder.device == "cpu"
