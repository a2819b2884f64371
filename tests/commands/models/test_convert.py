from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dancelcm_cli.core.model_folder import load_pipeline
from tests.commands.models.running import exit_code_of
from tests.models.published import CLIP, NETWORK, network

Capture = pytest.CaptureFixture[str]


class Trap:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("exit 1",)


@pytest.fixture(autouse=True)
def _nothing_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path / "cache"))


def test_a_folder_of_checkpoints_becomes_a_model(
    published: Path, tmp_path: Path, capsys: Capture
) -> None:
    output = tmp_path / "models" / "unianimate"
    assert exit_code_of("convert", published, "--output", output) == 0
    out, err = capsys.readouterr()
    lines = dict(line.split("  ", 1) for line in out.splitlines())
    parameters = sum(parameter.numel() for parameter in network().parameters())
    assert lines["model"].strip() == str(output)
    assert lines["unet, parameters"].strip() == f"{parameters:,}"
    assert f"Reading {published / NETWORK}" in err
    assert load_pipeline(output).unet.dtype == torch.float32


def test_parts_may_be_anywhere(published: Path, tmp_path: Path) -> None:
    shutil.copytree(published, tmp_path / "here", ignore=lambda *_: {CLIP})
    there = shutil.copy(published / CLIP, tmp_path / "clip.bin")
    arguments = ("convert", tmp_path / "here" / NETWORK, "-o", tmp_path / "model")
    assert exit_code_of(*arguments) == 3
    assert not (tmp_path / "model").exists()
    assert exit_code_of(*arguments, "--image-encoder", there) == 0


def test_foreign_code_is_refused_by_its_name(
    published: Path, tmp_path: Path, capsys: Capture
) -> None:
    shutil.copytree(published, tmp_path / "here")
    torch.save({"state_dict": {}, "hook": Trap()}, tmp_path / "here" / NETWORK)
    assert exit_code_of("convert", tmp_path / "here", "-o", tmp_path / "model") == 2
    assert f"would import {os.system.__module__}.system" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_a_teacher_is_for_a_lora_alone(published: Path, tmp_path: Path, capsys: Capture) -> None:
    arguments = ("convert", published, "-o", tmp_path / "model", "--teacher", tmp_path)
    assert exit_code_of(*arguments) == 2
    assert "--teacher must be left out" in capsys.readouterr().err
