import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dancelcm_cli.errors import PartialFailureError
from dancelcm_cli.evaluate.self_check import (
    Check,
    check_table,
    cross,
    require_agreement,
    run_self_check,
)
from dancelcm_cli.progress import SilentProgress

CPU = torch.device("cpu")


def test_without_weights_what_needs_none_is_checked(tmp_path: Path) -> None:
    checks = run_self_check(CPU, tmp_path, SilentProgress())
    verdicts = {check.name: check.verdict for check in checks}
    assert {name for name, verdict in verdicts.items() if verdict == "skipped"} == {
        name for name in verdicts if name.startswith(("LPIPS", "FVD"))
    }
    assert set(verdicts.values()) == {"ok", "skipped"}
    assert all("dancelcm models fetch" in c.reason for c in checks if c.verdict == "skipped")
    require_agreement(checks)


@pytest.mark.weights
@pytest.mark.slow
def test_with_weights_every_published_number_comes_out(tmp_path: Path) -> None:
    checks = run_self_check(CPU, tmp_path, SilentProgress())
    assert {check.name: check.verdict for check in checks} == {c.name: "ok" for c in checks}
    kept = json.loads((tmp_path / "self_check.json").read_text())
    assert [Check(**check) for check in kept] == list(checks)


def test_a_number_that_differs_is_told_and_stops() -> None:
    checks = [Check("right", 1.0, 0.1, 1.05), Check("wrong", 1.0, 0.1, 1.2)]
    assert [row[-1] for row in check_table(checks)] == ["ok", "differs"]
    with pytest.raises(PartialFailureError, match="1 differ: wrong"):
        require_agreement(checks)


def test_a_number_that_is_none_differs() -> None:
    assert Check("broken", 1.0, 0.1, float("nan")).verdict == "differs"


def test_crosses_have_the_moments_they_are_made_for() -> None:
    points = cross((1.0, 4.0, 0.0), shift=2.0)
    assert points.mean(axis=0) == pytest.approx([2, 2, 2])
    assert np.cov(points, rowvar=False) == pytest.approx(np.diag([1, 4, 0]))
