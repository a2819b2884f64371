from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from dancelcm_cli.data.tensor_files import (
    read_folder_tensors,
    read_metadata,
    read_tensors,
    tensor_files,
)
from dancelcm_cli.errors import InputError

TENSORS = {"a": torch.arange(3.0), "b": torch.ones(2, 2, dtype=torch.float16)}


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(found[n].equal(expected[n]) for n in expected)


@pytest.mark.parametrize("name", ["file.safetensors", "file.pth", "file.bin", "file.ckpt"])
def test_every_kind_of_file_gives_the_same_tensors(tmp_path: Path, name: str) -> None:
    if name.endswith(".safetensors"):
        save_file(TENSORS, tmp_path / name)
    else:
        torch.save(TENSORS, tmp_path / name)
    assert same(read_tensors(tmp_path / name), TENSORS)


def test_metadata_is_read_and_may_be_missing(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "with.safetensors", metadata={"made": "here"})
    save_file(TENSORS, tmp_path / "without.safetensors")
    assert read_metadata(tmp_path / "with.safetensors") == {"made": "here"}
    assert read_metadata(tmp_path / "without.safetensors") == {}


def test_a_folder_in_shards_is_read_like_one_in_a_piece(tmp_path: Path) -> None:
    vae = AutoencoderKL(block_out_channels=(32,))
    vae.save_pretrained(tmp_path / "whole")
    vae.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    assert len(tensor_files(tmp_path / "shards")) > 2
    assert same(read_folder_tensors(tmp_path / "shards"), vae.state_dict())
    assert same(read_folder_tensors(tmp_path / "whole"), vae.state_dict())


def test_safetensors_come_before_pickles(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "model.safetensors")
    torch.save({"c": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    assert same(read_folder_tensors(tmp_path), TENSORS)


def test_a_missing_file_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is none") as refusal:
        read_tensors(tmp_path / "none.pth")
    assert "models list" in refusal.value.hint


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder with weights"):
        read_folder_tensors(tmp_path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 100)
    for read in (read_tensors, read_metadata):
        with pytest.raises(InputError, match="is damaged"):
            read(tmp_path / "model.safetensors")


@pytest.mark.parametrize("shard", ["../model.safetensors", 5, ""])
def test_an_index_may_name_files_of_its_own_folder_only(tmp_path: Path, shard: object) -> None:
    save_file(TENSORS, tmp_path / "model.safetensors")
    folder = tmp_path / "folder"
    folder.mkdir()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(InputError, match="is damaged"):
        read_folder_tensors(folder)
