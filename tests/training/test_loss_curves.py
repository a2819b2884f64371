import json
from pathlib import Path

import pytest

from dancelcm_cli.config.schema import Method
from tests.golden.loss_curves import CURVES, METHODS, STEPS, distilled_curve


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_method_learns_as_it_did(method: Method, tmp_path: Path) -> None:
    golden = json.loads(CURVES.read_text(encoding="utf-8"))[method]
    curve = distilled_curve(method, tmp_path)
    assert curve.keys() == golden.keys()
    assert len(curve["loss"]) == STEPS
    for name, values in golden.items():
        assert curve[name] == pytest.approx(values, rel=1e-4), name


def test_no_two_methods_learn_alike() -> None:
    golden = json.loads(CURVES.read_text(encoding="utf-8"))
    assert len({tuple(golden[method]["loss"]) for method in METHODS}) == len(METHODS)
