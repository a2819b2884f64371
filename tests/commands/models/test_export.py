from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dancelcm_cli.core.lora import add_adapters, merge_adapters, save_adapters
from dancelcm_cli.core.model_folder import load_pipeline
from tests.commands.models.running import exit_code_of
from tests.models.published import network, upstream

Capture = pytest.CaptureFixture[str]


def test_the_pickle_is_what_unianimates_code_loads(
    converted: Path, tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "tuned.pth"
    assert exit_code_of("export", converted, "--format", "upstream", "-o", file) == 0
    assert f"{file.stat().st_size:,}" in capsys.readouterr().out
    loaded = torch.load(file, weights_only=True)
    assert loaded.keys() == upstream(network()).keys()


def test_what_has_no_place_is_told(converted: Path, tmp_path: Path, capsys: Capture) -> None:
    student = load_pipeline(converted)
    student.unet.add_face_tokens("vae")
    student.save_pretrained(tmp_path / "student")
    arguments = (tmp_path / "student", "--format", "upstream", "-o", tmp_path / "file.safetensors")
    assert exit_code_of("export", *arguments) == 0
    assert "face_gate" in capsys.readouterr().err


def test_a_lora_goes_out_and_comes_back_by_the_command_line(
    converted: Path, tmp_path: Path, capsys: Capture
) -> None:
    student = load_pipeline(converted)
    add_adapters(student.unet, rank=1)
    save_adapters(student.unet, tmp_path / "lora")
    merge_adapters(student.unet)
    student.save_pretrained(tmp_path / "student")
    (tmp_path / "lora").rename(tmp_path / "student" / "lora")
    file = tmp_path / "lora.safetensors"
    assert exit_code_of("export", tmp_path / "student", "--format", "lora", "-o", file) == 0
    again = ("convert", file, "-o", tmp_path / "again")
    assert exit_code_of(*again) == 2
    assert "--teacher must name" in capsys.readouterr().err
    assert exit_code_of(*again, "--teacher", converted) == 0
    assert (tmp_path / "again" / "lora").is_dir()


def test_an_unknown_format_is_refused(converted: Path, tmp_path: Path) -> None:
    assert exit_code_of("export", converted, "--format", "onnx", "-o", tmp_path / "file") == 2
