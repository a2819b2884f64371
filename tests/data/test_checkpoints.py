import json
from pathlib import Path

import pytest
import torch

from dancelcm_cli.data.checkpoints import (
    Checkpoint,
    list_checkpoints,
    load_latest_checkpoint,
    save_checkpoint,
)
from dancelcm_cli.errors import InputError


def make_checkpoint(step: int) -> Checkpoint:
    weight = torch.arange(6.0).reshape(2, 3) + step
    tensors = {
        "network": {"weight": weight, "turned": weight.T, "empty": torch.zeros(0, 4)},
        "optimizer": {"weight/step": torch.tensor(float(step)), "half": weight.bfloat16()},
        "nothing": {},
    }
    return Checkpoint(step, tensors, {"bad_steps": 3, "rate": 0.1})


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = make_checkpoint(7)
    save_checkpoint(tmp_path, saved, keep=1)
    loaded = load_latest_checkpoint(tmp_path)
    assert loaded is not None
    assert (loaded.step, loaded.numbers) == (7, saved.numbers)
    assert loaded.tensors.keys() == saved.tensors.keys()
    for group, tensors in saved.tensors.items():
        assert loaded.tensors[group].keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert loaded.tensors[group][name].dtype == tensor.dtype
            assert torch.equal(loaded.tensors[group][name], tensor)


def test_a_run_without_a_checkpoint_has_none(tmp_path: Path) -> None:
    assert load_latest_checkpoint(tmp_path) is None


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 20, 300, 4000):
        save_checkpoint(tmp_path, make_checkpoint(step), keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-000300", "step-004000"]
    assert load_latest_checkpoint(tmp_path).step == 4000


def test_the_newest_is_that_of_the_most_steps_even_beyond_a_million(tmp_path: Path) -> None:
    for step in (999_999, 1_000_000):
        save_checkpoint(tmp_path, make_checkpoint(step), keep=2)
    assert load_latest_checkpoint(tmp_path).step == 1_000_000


def test_a_checkpoint_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_checkpoint(5), keep=2)
    save_checkpoint(tmp_path, Checkpoint(5, {}, {"bad_steps": 0}), keep=2)
    assert load_latest_checkpoint(tmp_path) == Checkpoint(5, {}, {"bad_steps": 0})
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000005"]


def test_a_failed_save_leaves_the_earlier_checkpoint_alone(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_checkpoint(5), keep=1)
    shared = torch.zeros(4)
    with pytest.raises(RuntimeError, match="share memory"):
        save_checkpoint(tmp_path, Checkpoint(6, {"network": {"a": shared, "b": shared}}, {}), 1)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000005"]
    assert load_latest_checkpoint(tmp_path).step == 5


@pytest.mark.parametrize("name", ["network.safetensors", "state.json"])
@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_still_there(
    tmp_path: Path, name: str, harm: str
) -> None:
    for step in (5, 10):
        save_checkpoint(tmp_path, make_checkpoint(step), keep=2)
    file = list_checkpoints(tmp_path)[-1] / name
    whole = file.read_bytes()
    file.unlink()
    if harm == "cut":
        file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"step-000010 must be a checkpoint") as caught:
        load_latest_checkpoint(tmp_path)
    assert "resume from the checkpoint before it" in caught.value.hint
    file.parent.rename(tmp_path / "removed")
    assert load_latest_checkpoint(tmp_path).step == 5


def test_an_unknown_format_version_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_checkpoint(5), keep=1)
    path = list_checkpoints(tmp_path)[-1] / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))
    with pytest.raises(InputError, match="must be 1, got 99") as caught:
        load_latest_checkpoint(tmp_path)
    assert "version that wrote it" in caught.value.hint
