"""Checkpoints: whole or not there, rotated, and never lost to a full disk."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dancelcm_cli.data.checkpoints import (
    BestCheckpoint,
    Checkpoint,
    list_checkpoints,
    load_average,
    load_best,
    load_latest_checkpoint,
    mark_best,
    remove_old_checkpoints,
    save_checkpoint,
)
from dancelcm_cli.errors import InputError


def make_checkpoint(step: int) -> Checkpoint:
    weight = torch.arange(6.0).reshape(2, 3) + step
    tensors = {
        "network": {"weight": weight, "turned": weight.T, "empty": torch.zeros(0, 4)},
        "average": {"weight": weight / 2},
        "optimizer": {"weight/step": torch.tensor(float(step)), "half": weight.bfloat16()},
        "nothing": {},
    }
    return Checkpoint(step, tensors, {"bad_steps": 3, "rate": 0.1})


def latest(run: Path) -> Checkpoint:
    """Return the newest checkpoint, which must be there and whole, and the newest one of all."""
    checkpoint = load_latest_checkpoint(run, pytest.fail)
    assert checkpoint is not None
    return checkpoint


def names(run: Path) -> list[str]:
    return [path.name for path in list_checkpoints(run)]


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = make_checkpoint(7)
    save_checkpoint(tmp_path, saved)
    loaded = latest(tmp_path)
    assert (loaded.step, loaded.numbers) == (7, saved.numbers)
    assert loaded.tensors.keys() == saved.tensors.keys()
    for group, tensors in saved.tensors.items():
        assert loaded.tensors[group].keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert loaded.tensors[group][name].dtype == tensor.dtype
            assert torch.equal(loaded.tensors[group][name], tensor)
    assert torch.equal(load_average(tmp_path, 7)["weight"], saved.tensors["average"]["weight"])


def test_a_run_without_a_checkpoint_has_none(tmp_path: Path) -> None:
    assert load_latest_checkpoint(tmp_path, pytest.fail) is None
    assert load_best(tmp_path, until=100) == BestCheckpoint()


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 20, 300, 4000):
        save_checkpoint(tmp_path, make_checkpoint(step))
        remove_old_checkpoints(tmp_path, step, keep=2)
    assert names(tmp_path) == ["step-000300", "step-004000"]


def test_the_best_is_kept_beside_the_newest(tmp_path: Path) -> None:
    for step in (1, 20, 300, 4000):
        save_checkpoint(tmp_path, make_checkpoint(step))
        if step in (1, 20):
            mark_best(tmp_path, BestCheckpoint(step, {"psnr_4": 20.0 + step}))
        remove_old_checkpoints(tmp_path, step, keep=1)
    assert names(tmp_path) == ["step-000020", "step-004000"]
    assert load_best(tmp_path, until=4000) == BestCheckpoint(20, {"psnr_4": 40.0})


def test_checkpoints_beyond_the_newest_are_those_of_a_run_that_went_back(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        save_checkpoint(tmp_path, make_checkpoint(step))
    mark_best(tmp_path, BestCheckpoint(30, {"psnr_4": 20.0}))
    assert load_best(tmp_path, until=20) == BestCheckpoint()
    remove_old_checkpoints(tmp_path, 20, keep=1)
    assert names(tmp_path) == ["step-000020"]


@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_a_damaged_best_is_none(tmp_path: Path, harm: str) -> None:
    save_checkpoint(tmp_path, make_checkpoint(5))
    mark_best(tmp_path, BestCheckpoint(5, {"psnr_4": 20.0}))
    file = list_checkpoints(tmp_path)[0] / "average.safetensors"
    whole = file.read_bytes()
    file.unlink()
    if harm == "cut":
        file.write_bytes(whole[:-1])
    assert load_best(tmp_path, until=5) == BestCheckpoint()


def test_the_newest_is_that_of_the_most_steps_even_beyond_a_million(tmp_path: Path) -> None:
    for step in (999_999, 1_000_000):
        save_checkpoint(tmp_path, make_checkpoint(step))
    assert latest(tmp_path).step == 1_000_000


def test_a_checkpoint_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_checkpoint(5))
    save_checkpoint(tmp_path, Checkpoint(5, {}, {"bad_steps": 0}))
    assert latest(tmp_path) == Checkpoint(5, {}, {"bad_steps": 0})
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000005"]


def test_a_failed_save_leaves_the_earlier_checkpoint_alone(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_checkpoint(5))
    shared = torch.zeros(4)
    with pytest.raises(RuntimeError, match="share memory"):
        save_checkpoint(tmp_path, Checkpoint(6, {"network": {"a": shared, "b": shared}}, {}))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000005"]
    assert latest(tmp_path).step == 5


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file's size")
def test_a_full_disk_tells_its_error_and_leaves_the_earlier_checkpoint_alone(
    tmp_path: Path,
) -> None:
    script = """
import resource, sys
from pathlib import Path
import torch
from dancelcm_cli.data.checkpoints import Checkpoint, save_checkpoint
run = Path(sys.argv[1])
save_checkpoint(run, Checkpoint(5, {"network": {"weight": torch.zeros(9)}}, {}))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    save_checkpoint(run, Checkpoint(6, {"network": {"weight": torch.zeros(999)}}, {}))
except OSError as error:
    print(error.errno)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(errno.EFBIG), done.stderr
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000005"]
    assert latest(tmp_path).step == 5


@pytest.mark.parametrize("name", ["network.safetensors", "state.json"])
@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_a_damaged_checkpoint_is_noted_and_the_one_before_it_taken(
    tmp_path: Path, name: str, harm: str
) -> None:
    for step in (5, 10):
        save_checkpoint(tmp_path, make_checkpoint(step))
    file = list_checkpoints(tmp_path)[-1] / name
    whole = file.read_bytes()
    file.unlink()
    if harm == "cut":
        file.write_bytes(whole[: len(whole) // 2])
    notes: list[str] = []
    checkpoint = load_latest_checkpoint(tmp_path, notes.append)
    assert checkpoint is not None and checkpoint.step == 5
    assert len(notes) == 1 and "step-000010 is damaged" in notes[0]


def test_a_run_whose_checkpoints_are_all_damaged_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_checkpoint(5))
    (list_checkpoints(tmp_path)[0] / "state.json").unlink()
    with pytest.raises(InputError, match="all of them are damaged"):
        load_latest_checkpoint(tmp_path, lambda message: None)


def test_an_unknown_format_version_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_checkpoint(5))
    path = list_checkpoints(tmp_path)[-1] / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))
    with pytest.raises(InputError, match="must be 1, got 99") as caught:
        load_latest_checkpoint(tmp_path, pytest.fail)
    assert "version that wrote it" in caught.value.hint
