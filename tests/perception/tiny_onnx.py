"""Networks with the layout of DWPose's two files, which react to bright pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, checker, helper, numpy_helper, save_model

from dancelcm_cli.perception.dwpose import BOXES_FILE, POINTS_FILE

BOX_CELLS = 5.0  # side of the box that the finder puts about a bright cell
GREY = 114.0
CELLS = ((8, 80), (16, 40), (32, 20))  # stride and cells along an axis of a 640 pixel square


def write_models(folder: Path) -> Path:
    """Write both networks where DWPose looks for them, and return the folder."""
    save(folder / BOXES_FILE, *_finder())
    save(folder / POINTS_FILE, *_reader())
    return folder


def save(
    path: Path,
    nodes: Sequence[object],
    shapes: tuple[Sequence[object], dict[str, Sequence[object]]],
    constants: dict[str, NDArray[np.generic]],
) -> None:
    taken, given = shapes
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, taken)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in given.items()
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(model, path)


def _finder() -> tuple[list[object], tuple[list[object], dict[str, list[object]]], dict]:
    """YOLOX: (1, 3, 640, 640) to (1, 8400, 85); a cell as bright as white is a person.

    Whoever is in the lowest 200 rows is of another class.
    """
    nodes, constants, parts = [], {}, []
    half = np.log(BOX_CELLS)
    for stride, cells in CELLS:
        name = str(stride)
        count = cells * cells
        only_largest = float(stride == 32)
        row = np.arange(count) // cells * stride
        kinds = np.zeros((1, count, 80), np.float32)
        kinds[0, row < 440, 0] = kinds[0, row >= 440, 16] = 1  # a person, a dog
        constants[f"where{name}"] = np.tile(
            np.array([0.5, 0.5, half, half], np.float32), (1, count, 1)
        )
        constants[f"kinds{name}"] = kinds
        constants[f"scale{name}"] = np.array(only_largest / (255 - GREY), np.float32)
        nodes += [
            helper.make_node("ReduceMean", ["input"], [f"grey{name}"], axes=[1]),
            helper.make_node(
                "AveragePool",
                [f"grey{name}"],
                [f"pool{name}"],
                kernel_shape=[stride, stride],
                strides=[stride, stride],
            ),
            helper.make_node("Sub", [f"pool{name}", "grey"], [f"above{name}"]),
            helper.make_node("Mul", [f"above{name}", f"scale{name}"], [f"light{name}"]),
            helper.make_node("Reshape", [f"light{name}", "flat"], [f"object{name}"]),
            helper.make_node(
                "Concat",
                [f"where{name}", f"object{name}", f"kinds{name}"],
                [f"rows{name}"],
                axis=2,
            ),
        ]
        parts.append(f"rows{name}")
    nodes.append(helper.make_node("Concat", parts, ["output"], axis=1))
    constants |= {"grey": np.array(GREY, np.float32), "flat": np.array([1, -1, 1], np.int64)}
    return nodes, ([1, 3, 640, 640], {"output": [1, 8400, 85]}), constants


def _reader() -> tuple[list[object], tuple[list[object], dict[str, list[object]]], dict]:
    """DWPose's body: (B, 3, 384, 288) to (B, 133, 576) and (B, 133, 768).

    Every point is where the picture is brightest.
    """
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["grey"], axes=[1]),
        helper.make_node("ReduceMax", ["grey"], ["columns"], axes=[2], keepdims=0),
        helper.make_node("ReduceMax", ["grey"], ["rows"], axes=[3], keepdims=0),
    ]
    constants: dict[str, NDArray[np.generic]] = {}
    for axis, side, name in (("columns", 288, "simcc_x"), ("rows", 384, "simcc_y")):
        # Each pixel's two places: the first rated by the pixel, the second a little less.
        spread = np.zeros((side, 2 * side), np.float32)
        spread[np.arange(side), 2 * np.arange(side)] = 0.3
        spread[np.arange(side), 2 * np.arange(side) + 1] = 0.29
        constants |= {f"{axis}_spread": spread, f"{axis}_ones": np.ones((133, 1), np.float32)}
        nodes += [
            helper.make_node("MatMul", [axis, f"{axis}_spread"], [f"{axis}_rated"]),
            helper.make_node("Mul", [f"{axis}_rated", f"{axis}_ones"], [name]),
        ]
    given: dict[str, list[object]] = {
        "simcc_x": ["batch", 133, 576],
        "simcc_y": ["batch", 133, 768],
    }
    return nodes, (["batch", 3, 384, 288], given), constants
