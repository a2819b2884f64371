from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.tensor_files import read_tensors
from dancelcm_cli.errors import InputError
from dancelcm_cli.models.convert import convert
from dancelcm_cli.models.export import export
from dancelcm_cli.models.sources import find_sources
from dancelcm_cli.progress import SilentProgress
from tests.models.published import AUTOENCODER, CLIP, network, upstream


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].equal(tensor), name


@pytest.mark.parametrize("name", ["tuned.safetensors", "tuned.pth"])
def test_what_was_converted_is_exported_bit_for_bit(
    converted: Path, tmp_path: Path, name: str
) -> None:
    left_out = export(converted, "upstream", tmp_path / name)
    assert left_out == []
    assert_same(read_tensors(tmp_path / name), upstream(network()))
    size = sum(tensor.nbytes for tensor in upstream(network()).values())
    assert size < (tmp_path / name).stat().st_size < 1.1 * size


def test_what_was_exported_converts_to_the_same_folder(
    converted: Path, published: Path, tmp_path: Path
) -> None:
    export(converted, "upstream", tmp_path / "tuned.safetensors")
    sources = find_sources(
        tmp_path / "tuned.safetensors", published / AUTOENCODER, published / CLIP
    )
    convert(sources, tmp_path / "again", SilentProgress())
    files = [path.relative_to(converted) for path in converted.rglob("*") if path.is_file()]
    for file in files:
        assert (tmp_path / "again" / file).read_bytes() == (converted / file).read_bytes(), file


def test_half_precision_stays_half(converted: Path, tmp_path: Path) -> None:
    load_pipeline(converted).to(torch.float16).save_pretrained(tmp_path / "half")
    export(tmp_path / "half", "upstream", tmp_path / "half.safetensors")
    halves = {key: tensor.half() for key, tensor in upstream(network()).items()}
    assert_same(read_tensors(tmp_path / "half.safetensors"), halves)


def test_face_tokens_are_named_as_left_out(converted: Path, tmp_path: Path) -> None:
    student = load_pipeline(converted)
    student.unet.add_face_tokens("vae")
    student.save_pretrained(tmp_path / "student")
    left_out = export(tmp_path / "student", "upstream", tmp_path / "student.pth")
    assert "face_gate" in left_out
    assert all(name.startswith("face_") for name in left_out)
    assert_same(read_tensors(tmp_path / "student.pth"), upstream(network()))


# --- what is refused ---


def test_a_network_with_tokens_of_its_own_has_no_upstream_form(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="image tokens are clip, got reference"):
        export(bundled("tiny/student"), "upstream", tmp_path / "tiny.pth")
    assert not list(tmp_path.glob("tiny*"))


def test_a_folder_without_adapters_has_no_lora(converted: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no lora folder") as refusal:
        export(converted, "lora", tmp_path / "lora.safetensors")
    assert "distill.tuning=lora" in refusal.value.hint


@pytest.mark.parametrize(
    ("format", "name"), [("upstream", "tuned.ckpt"), ("lora", "lora.pth"), ("upstream", "tuned")]
)
def test_another_suffix_is_refused_with_one_that_fits(
    converted: Path, tmp_path: Path, format: str, name: str
) -> None:
    with pytest.raises(InputError, match="must end in") as refusal:
        export(converted, format, tmp_path / name)  # type: ignore[arg-type]
    assert ".safetensors" in refusal.value.hint


def test_a_file_is_not_replaced(converted: Path, tmp_path: Path) -> None:
    (tmp_path / "tuned.pth").write_text("mine")
    with pytest.raises(InputError, match="must not exist yet"):
        export(converted, "upstream", tmp_path / "tuned.pth")
    assert (tmp_path / "tuned.pth").read_text() == "mine"


def test_a_folder_that_does_not_fit_its_config_is_refused(converted: Path, tmp_path: Path) -> None:
    pipeline: DancePipeline = load_pipeline(converted)
    pipeline.unet.conv_out = torch.nn.Identity()
    pipeline.save_pretrained(tmp_path / "broken")
    with pytest.raises(InputError, match=r"2 tensors, such as missing conv_out\.bias"):
        export(tmp_path / "broken", "upstream", tmp_path / "tuned.pth")
