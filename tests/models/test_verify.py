from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.errors import InputError
from dancelcm_cli.models.verify import Verdict, verify_folder
from dancelcm_cli.progress import SilentProgress
from tests.models.published import network

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(converted: Path, tmp_path: Path) -> Path:
    return shutil.copytree(converted, tmp_path / "model")


def verdict(folder: Path) -> Verdict:
    return verify_folder(folder, SilentProgress())


def change(file: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    edit(tensors)
    save_file(tensors, file)


def test_a_converted_folder_has_no_problems(converted: Path) -> None:
    found = verdict(converted)
    assert found.problems == ()
    assert found.parameters["unet"] == sum(p.numel() for p in network().parameters())


@pytest.mark.parametrize("name", ["tiny/student", "tiny/teacher"])
def test_the_bundled_models_have_no_problems(name: str) -> None:
    assert verdict(bundled(name)).problems == ()


def test_a_folder_in_shards_has_no_problems_and_loads(converted: Path, tmp_path: Path) -> None:
    whole = load_pipeline(converted)
    whole.save_pretrained(tmp_path / "shards", max_shard_size="500KB")
    assert len(list((tmp_path / "shards" / "unet").iterdir())) > 4
    assert verdict(tmp_path / "shards").problems == ()
    loaded = load_pipeline(tmp_path / "shards").unet.state_dict()
    assert all(loaded[name].equal(tensor) for name, tensor in whole.unet.state_dict().items())


def test_every_file_is_told_with_its_size_and_hash(converted: Path) -> None:
    files = {converted / file.name: file for file in verdict(converted).files}
    assert files.keys() == {path for path in converted.rglob("*") if path.is_file()}
    for path, file in files.items():
        assert file.size == path.stat().st_size
        assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda t: t["conv_out.bias"].fill_(float("nan")), "unet: not finite conv_out.bias"),
        (lambda t: t["conv_in.weight"][0].fill_(float("inf")), "unet: not finite conv_in.weight"),
        (lambda t: t.pop("time_in.bias"), "unet: missing time_in.bias"),
        (lambda t: t.update(extra=torch.zeros(1)), "unet: unknown extra"),
        (
            lambda t: t.update({"conv_out.bias": torch.zeros(5)}),
            "unet: misshapen conv_out.bias: (5,) for (4,)",
        ),
    ],
    ids=["nan", "infinite", "missing", "unknown", "misshapen"],
)
def test_a_wrong_tensor_is_named(
    folder: Path, edit: Callable[[dict[str, Tensor]], object], problem: str
) -> None:
    change(folder / WEIGHTS, edit)
    assert verdict(folder).problems == (problem,)


def damage_weights(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1])


def lose_encoder(folder: Path) -> None:
    (folder / "image_encoder" / "model.safetensors").unlink()


def lose_scheduler(folder: Path) -> None:
    (folder / "scheduler" / "scheduler_config.json").unlink()


def add_pickle(folder: Path) -> None:
    torch.save({}, folder / "unet" / "optimizer.pt")


def misconfigure(folder: Path) -> None:
    config = json.loads((folder / "unet" / "config.json").read_text())
    (folder / "unet" / "config.json").write_text(json.dumps(config | {"dim": 33}))


def name_another_class(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index["vae"] = ["os", "system"]
    (folder / "model_index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (damage_weights, "is damaged"),
        (lose_encoder, "folder with weights"),
        (lose_scheduler, "must be a JSON object"),
        (add_pickle, "unet/optimizer.pt is a pickle"),
        (misconfigure, "makes no DanceUNet"),
    ],
)
def test_a_broken_folder_has_one_problem_in_words(
    folder: Path, harm: Callable[[Path], None], problem: str
) -> None:
    harm(folder)
    (found,) = verdict(folder).problems
    assert problem in found


def test_a_folder_that_names_the_class_of_others_is_refused(folder: Path) -> None:
    name_another_class(folder)
    with pytest.raises(InputError, match=r"its vae would be \['os', 'system'\]"):
        verdict(folder)


def test_adapters_are_looked_at_too(folder: Path) -> None:
    (folder / "lora").mkdir()
    adapters = {"a.lora_A.weight": torch.tensor([1.0, float("nan")])}
    save_file(adapters, folder / "lora" / "adapter_model.safetensors")
    assert verdict(folder).problems == ("lora: not finite a.lora_A.weight",)
    assert verdict(folder).parameters["lora"] == 2


def test_what_is_no_model_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no model_index\.json"):
        verdict(tmp_path)
