"""safetensors files whose header lies, wherever the toolkit reads one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.data.checkpoints import load_latest_checkpoint
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.data.tensor_files import read_metadata, read_tensors
from dancelcm_cli.errors import InputError
from dancelcm_cli.models.lora import read_lora
from tests.reliability.hostile.envelopes import safetensors
from tests.reliability.hostile.limits import MEBIBYTE, measured
from tests.reliability.hostile.samples import make_checkpoints, make_model, make_shards

SMALL = 64 * MEBIBYTE


def tensor(shape: object, *offsets: int, dtype: object = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


WICKED = {
    "empty": b"",
    "no header": safetensors(b"", length=0),
    "a header of 2^63 bytes": safetensors({}, length=2**63 - 1),
    "a header beyond the end": safetensors({}, length=10_000),
    "a header of 200 MB": safetensors(b"{}" + b" " * 100, length=200_000_000),
    "no JSON": safetensors(b"\xff\xfe{}"),
    "deep JSON": safetensors(b'{"a":' * 10_000),
    "a list": safetensors([1, 2]),
    "too large": safetensors({"a": tensor([1 << 40], 0, 1 << 42)}, bytes(16)),
    "overflowing": safetensors({"a": tensor([2**33, 2**33], 0, 16)}, bytes(16)),
    "negative": safetensors({"a": tensor([-4], 0, 16)}, bytes(16)),
    "overlapping": safetensors({"a": tensor([4], 0, 16), "b": tensor([4], 8, 24)}, bytes(24)),
    "with a gap": safetensors({"a": tensor([2], 0, 8), "b": tensor([2], 16, 24)}, bytes(24)),
    "backwards": safetensors({"a": tensor([4], 16, 0)}, bytes(16)),
    "beyond the end": safetensors({"a": tensor([4], 16, 32)}, bytes(16)),
    "with a rest": safetensors({"a": tensor([4], 0, 16)}, bytes(99)),
    "of another size": safetensors({"a": tensor([5], 0, 16)}, bytes(16)),
    "an unknown type": safetensors({"a": tensor([4], 0, 16, dtype="F33")}, bytes(16)),
    "a type that is none": safetensors({"a": tensor([4], 0, 16, dtype=[])}, bytes(16)),
    "metadata that are none": safetensors({"__metadata__": {"a": 1}}),
}


@pytest.mark.parametrize("name", WICKED)
def test_a_header_that_lies_is_refused_by_all_who_read_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(WICKED[name])
    for read in (read_tensors, read_metadata, read_lora):
        with measured() as cost, pytest.raises(InputError, match="is damaged") as caught:
            read(path)
        assert path.name in caught.value.message
        assert cost.memory < SMALL


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    for name, make in (("model", make_model), ("run", make_checkpoints), ("shards", make_shards)):
        (folder / name).mkdir()
        make(folder / name)
    return folder


def read_run(folder: Path) -> None:
    load_latest_checkpoint(folder, lambda note: None)


@pytest.mark.parametrize("name", WICKED)
@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("model", load_pipeline),
        ("run", read_run),
        ("shards", lambda folder: ShardReader(folder)[0]),
    ],
)
def test_a_folder_of_them_is_refused(
    good: Path, tmp_path: Path, name: str, kind: str, read: Callable[[Path], object]
) -> None:
    folder = tmp_path / kind
    shutil.copytree(good / kind, folder)
    for path in folder.rglob("*.safetensors"):
        path.write_bytes(WICKED[name])
    with measured() as cost, pytest.raises(InputError) as caught:
        read(folder)
    assert str(folder) in caught.value.message
    assert cost.memory < SMALL


@pytest.mark.parametrize(
    "state",
    [
        "",
        "[]",
        "{}",
        '{"format_version": 1}',
        '{"format_version": 1, "step": "3", "numbers": {}, "groups": []}',
        '{"format_version": 1, "step": 3, "numbers": 5, "groups": []}',
        '{"format_version": 1, "step": 3, "numbers": {"a": "b"}, "groups": []}',
        '{"format_version": 1, "step": 3, "numbers": {}, "groups": ["../../step-000003/student"]}',
        '{"format_version": 1, "step": 3, "numbers": {}, "groups": [7]}',
        '{"a":' * 100_000,
    ],
)
def test_a_checkpoint_whose_state_is_damaged_is_noted_and_left_out(
    good: Path, tmp_path: Path, state: str
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(good / "run", folder)
    (folder / "checkpoints" / "step-000006" / "state.json").write_text(state)
    notes: list[str] = []
    found = load_latest_checkpoint(folder, notes.append)
    assert found is not None
    assert found.step == 3
    (note,) = notes
    assert "step-000006 is damaged" in note


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dim", 10**9),
        ("blocks_per_level", 10**6),
        ("channel_multipliers", [1] * 10**5),
        ("context_dim", 10**400),
        ("latent_channels", -1),
        ("head_dim", 0),
        ("head_dim", float("nan")),
        ("text_tokens", 2**31),
        ("dim", "many"),
        ("unheard_of", 1),
    ],
)
def test_a_config_out_of_proportion_is_refused_at_once(
    good: Path, tmp_path: Path, key: str, value: object
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(good / "model", folder)
    path = folder / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    if key == "unheard_of":  # diffusers leaves it out
        load_pipeline(folder)
        return
    with measured() as cost, pytest.raises(InputError) as caught:
        load_pipeline(folder)
    assert str(folder) in caught.value.message
    assert cost.memory < SMALL
    assert cost.seconds < 30
