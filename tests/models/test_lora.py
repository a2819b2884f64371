"""A LoRA student leaves its folder as one file and comes back from it, bit for bit."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dancelcm_cli.config.model_recipe import model_recipe
from dancelcm_cli.core.lora import add_adapters, merge_adapters, save_adapters
from dancelcm_cli.core.lora_student import fingerprint
from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.perflow_scheduler import PeRFlowScheduler
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.data.tensor_files import read_folder_tensors, read_metadata
from dancelcm_cli.errors import InputError
from dancelcm_cli.models.export import export
from dancelcm_cli.models.lora import METADATA, convert_lora, is_lora_file
from dancelcm_cli.progress import SilentProgress

RANK = 2


@pytest.fixture(scope="module")
def student(
    converted: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Path:
    """The model folder of a LoRA student, laid out as by its run; its face tokens are `vae`."""
    folder = tmp_path_factory.mktemp("student") / "model"
    teacher = load_pipeline(converted)
    unet = teacher.unet
    torch.manual_seed(0)
    unet.add_face_tokens(getattr(request, "param", "vae"))
    add_adapters(unet, RANK)
    with torch.no_grad():
        for parameter in unet.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    merged = copy.deepcopy(unet)
    merge_adapters(merged)
    pipeline = DancePipeline(
        merged,
        teacher.vae,
        PeRFlowScheduler(num_windows=4, grid_size=40),
        teacher.image_encoder,
        num_segments=4,
        grid_size=40,
        noise_offset=0.05,
    )
    pipeline.save_pretrained(folder)
    save_adapters(unet, folder / "lora")
    return folder


@pytest.fixture
def file(student: Path, tmp_path: Path) -> Path:
    export(student, "lora", tmp_path / "lora.safetensors")
    return tmp_path / "lora.safetensors"


@pytest.mark.parametrize("student", ["vae", "clip", "none"], indirect=True)
def test_export_and_convert_give_the_student_back(
    student: Path, converted: Path, file: Path, tmp_path: Path
) -> None:
    convert_lora(file, converted, tmp_path / "again", SilentProgress())
    assert model_recipe(tmp_path / "again") is not None
    for part in ("unet", "vae", "image_encoder", "lora"):
        expected, found = (
            read_folder_tensors(student / part),
            read_folder_tensors(tmp_path / "again" / part),
        )
        assert found.keys() == expected.keys()
        assert all(found[name].equal(tensor) for name, tensor in expected.items()), part
    pipelines = [load_pipeline(folder) for folder in (student, tmp_path / "again")]
    assert pipelines[0].config == pipelines[1].config
    assert pipelines[0].scheduler.config == pipelines[1].scheduler.config


def test_a_student_that_came_back_is_exported_to_the_same_bytes(
    converted: Path, file: Path, tmp_path: Path
) -> None:
    convert_lora(file, converted, tmp_path / "again", SilentProgress())
    export(tmp_path / "again", "lora", tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()


def test_the_file_is_small_and_says_what_it_is(student: Path, file: Path) -> None:
    facts = json.loads(read_metadata(file)[METADATA])
    assert (facts["rank"], facts["alpha"]) == (RANK, RANK)
    assert facts["settings"] == {"num_segments": 4, "grid_size": 40, "noise_offset": 0.05}
    assert len(facts["teacher"]) == 64
    network = read_folder_tensors(student / "unet")
    faces = {f"unet.{name}" for name in network if name.startswith("face_")}
    names = load_file(file).keys()
    assert faces == {name for name in names if ".lora_" not in name}
    assert all(name.startswith("unet.") for name in names)
    assert file.stat().st_size < 0.3 * sum(tensor.nbytes for tensor in network.values())


def test_only_such_a_file_is_taken_for_one(file: Path, converted: Path, tmp_path: Path) -> None:
    assert is_lora_file(file)
    assert not is_lora_file(converted / "unet" / "diffusion_pytorch_model.safetensors")
    assert not is_lora_file(tmp_path)
    assert not is_lora_file(tmp_path / "none.safetensors")


def test_another_teacher_is_refused(converted: Path, file: Path, tmp_path: Path) -> None:
    other = load_pipeline(converted)
    other.unet.time_in.bias += 1
    other.save_pretrained(tmp_path / "other")
    with pytest.raises(InputError, match="must be the one that the LoRA was distilled from"):
        convert_lora(file, tmp_path / "other", tmp_path / "again", SilentProgress())
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("change", ["lost", "misshapen"])
def test_a_file_that_does_not_fit_is_refused(
    converted: Path, file: Path, tmp_path: Path, change: str
) -> None:
    tensors, metadata = load_file(file), read_metadata(file)
    name = next(name for name in tensors if name.endswith("lora_A.weight"))
    tensors[name] = torch.zeros(1)
    if change == "lost":
        del tensors[name]
    save_file(tensors, file, metadata=metadata)
    with pytest.raises(InputError, match="LoRA does not fit its teacher: 1 tensors"):
        convert_lora(file, converted, tmp_path / "again", SilentProgress())


@pytest.mark.parametrize(
    ("facts", "complaint"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"format_version": 1}', "is damaged"),
        ('{"format_version": 2}', "format version .* must be 1, got 2"),
    ],
)
def test_a_file_of_unknown_format_is_refused(
    converted: Path, file: Path, tmp_path: Path, facts: str, complaint: str
) -> None:
    save_file(load_file(file), file, metadata={METADATA: facts})
    with pytest.raises(InputError, match=complaint):
        convert_lora(file, converted, tmp_path / "again", SilentProgress())


@pytest.mark.parametrize("facts", [{"scheduler": {"_class_name": "os"}}, {"settings": {"x": 1}}])
def test_a_way_to_sample_that_is_unknown_is_refused(
    converted: Path, file: Path, tmp_path: Path, facts: dict[str, object]
) -> None:
    stated = json.loads(read_metadata(file)[METADATA])
    save_file(load_file(file), file, metadata={METADATA: json.dumps(stated | facts)})
    with pytest.raises(InputError, match="is damaged"):
        convert_lora(file, converted, tmp_path / "again", SilentProgress())
    assert not (tmp_path / "again").exists()


# --- telling teachers apart ---


def test_a_fingerprint_looks_at_what_no_adapter_and_no_face_token_changes() -> None:
    tensors = {"a.weight": torch.ones(2), "a.bias": torch.ones(2), "face_gate": torch.ones(())}
    base = fingerprint(tensors, ["a"])
    assert fingerprint(tensors | {"a.weight": torch.zeros(2)}, ["a"]) == base
    assert fingerprint(tensors | {"face_gate": torch.zeros(())}, ["a"]) == base
    assert fingerprint(tensors | {"a.bias": torch.zeros(2)}, ["a"]) != base
    assert fingerprint(tensors, []) != base


def test_a_fingerprint_survives_a_run_in_bfloat16() -> None:
    weight = torch.randn(100, generator=torch.Generator().manual_seed(0))
    rounded = weight.bfloat16().float()
    assert not rounded.equal(weight)
    assert fingerprint({"a": rounded}, []) == fingerprint({"a": weight}, [])
