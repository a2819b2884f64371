"""No file of weights runs code: of a corpus of wicked ones each is refused, none leaves a mark."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image

from dancelcm_cli.app import app, main
from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.checkpoints import load_latest_checkpoint
from dancelcm_cli.data.pickled_arrays import read_pickled_arrays
from dancelcm_cli.data.tensor_files import read_folder_tensors, read_tensors
from dancelcm_cli.data.weight_files import find_weights, weights_path
from dancelcm_cli.data.weight_table import weight_file
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.onnx_network import OnnxNetwork
from tests.reliability.hostile.malice import checkpoints, pickles
from tests.reliability.hostile.samples import (
    make_checkpoints,
    make_model,
    make_networks,
    make_shards,
)

REASONS = r"would import|cannot be read|TorchScript program|holds no tensors|there is a"


@pytest.fixture(scope="module")
def mark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What would be there if anything was run."""
    return tmp_path_factory.mktemp("marked") / "mark"


@pytest.fixture(scope="module")
def corpus(mark: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("corpus")
    with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated
        return dict(checkpoints(mark, folder))


def test_the_corpus_would_leave_its_mark(mark: Path, tmp_path: Path) -> None:
    code = dict(pickles(tmp_path / "mark"))["a global and a reduce"]
    torch.serialization.pickle.loads(code)
    assert (tmp_path / "mark").exists()
    assert not mark.exists()


def test_every_wicked_checkpoint_is_refused_with_the_reason(
    corpus: dict[str, Path], mark: Path
) -> None:
    assert len(corpus) > 150
    for name, path in corpus.items():
        with pytest.raises(InputError, match=REASONS) as caught:
            read_tensors(path)
        assert str(path) in caught.value.message, name
        assert not mark.exists(), name


def test_a_foreign_name_is_told(corpus: dict[str, Path]) -> None:
    told = {"os.system, protocol 2, zip": "system", "eval, protocol 4, old": "builtins.eval"}
    for name, foreign in told.items():
        with pytest.raises(InputError, match=rf"would import .*{foreign}") as caught:
            read_tensors(corpus[name])
        assert "Nothing of it was run" in caught.value.hint


def test_every_wicked_pickle_of_arrays_is_refused(mark: Path) -> None:
    for name, code in pickles(mark):
        with pytest.raises(InputError, match="must hold nothing else"):
            read_pickled_arrays(code)
        assert not mark.exists(), name


def test_a_run_is_not_resumed_from_wicked_tensors(
    corpus: dict[str, Path], mark: Path, tmp_path: Path
) -> None:
    make_checkpoints(tmp_path)
    for tensors in tmp_path.glob("checkpoints/*/*.safetensors"):
        shutil.copy(corpus["eval, protocol 2, zip"], tensors)
    notes: list[str] = []
    with pytest.raises(InputError, match="all of them are damaged"):
        load_latest_checkpoint(tmp_path, notes.append)
    assert len(notes) == 2
    assert not mark.exists()


@pytest.mark.parametrize(
    "command",
    [
        "models convert WICKED.pth --vae WICKED.pth --image-encoder WICKED.pth --output made",
        "models verify MODEL",
        "models export MODEL --format upstream --output made.pth",
        "animate photo.jpg dance.mp4 --model MODEL --output made.mp4",
        "preprocess dance.mp4 --model MODEL --output made",
        "train SHARDS --init MODEL --output made",
        "distill SHARDS --teacher MODEL --output made",
    ],
)
def test_each_command_refuses_wicked_weights_in_one_sentence(
    corpus: dict[str, Path],
    mark: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path / "cache"))
    wicked = corpus["os.system, protocol 2, zip"]
    shutil.copy(wicked, "WICKED.pth")
    shutil.copy(bundled("samples/dance/10002.mp4"), "dance.mp4")
    Image.new("RGB", (32, 48)).save("photo.jpg")
    for name, make in (("MODEL", make_model), ("SHARDS", make_shards)):
        Path(name).mkdir()
        make(Path(name))
    for part in ("unet", "vae"):
        shutil.copy(wicked, Path("MODEL", part, "diffusion_pytorch_model.safetensors"))
    with pytest.raises(SystemExit) as left:
        main(lambda: app(command.split(), standalone_mode=False))
    told = capsys.readouterr().err
    assert left.value.code == 2
    assert ("WICKED.pth" if "WICKED" in command else "MODEL") in told
    assert "Traceback" not in told
    assert not mark.exists()
    assert not list(tmp_path.glob("made*/*.safetensors"))


def test_a_pickle_in_the_place_of_safetensors_is_not_looked_at(
    corpus: dict[str, Path], mark: Path, tmp_path: Path
) -> None:
    make_model(tmp_path)
    for part in ("unet", "vae"):
        folder = tmp_path / part
        weights = folder / "diffusion_pytorch_model.safetensors"
        kept = weights.read_bytes()
        shutil.copy(corpus["os.system, protocol 2, zip"], weights)
        with pytest.raises(InputError, match=rf"{part} must be a model that can be loaded"):
            load_pipeline(tmp_path)
        weights.rename(weights.with_suffix(".bin"))
        with pytest.raises(InputError, match=rf"{part} must be a model that can be loaded"):
            load_pipeline(tmp_path)
        weights.with_suffix(".bin").unlink()
        weights.write_bytes(kept)
    load_pipeline(tmp_path)
    assert not mark.exists()


def test_a_pickle_in_a_folder_of_transformers_is_refused(
    corpus: dict[str, Path], mark: Path, tmp_path: Path
) -> None:
    shutil.copy(corpus["eval, protocol 2, zip"], tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="would import"):
        read_folder_tensors(tmp_path)
    assert not mark.exists()


# --- a model folder that names the code of others ---


@pytest.mark.parametrize(
    "named",
    [
        {"vae": ["wicked", "Autoencoder"]},
        {"unet": ["os", "system"]},
        {"scheduler": ["diffusers", "DDPMScheduler"]},
        {"safety_checker": ["wicked", "Checker"]},
        {"image_encoder": ["wicked", "Encoder"]},
        {"_class_name": ["wicked", "Pipeline"]},
        {"_class_name": "StableDiffusionPipeline"},
    ],
)
def test_a_model_folder_that_names_foreign_code_is_refused_and_nothing_imported(
    mark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: dict[str, object]
) -> None:
    make_model(tmp_path)
    program = f"open({str(mark)!r}, 'w').close()\nclass Pipeline: ...\n"
    for place in (".", "vae", "unet", "scheduler"):
        (tmp_path / place / "wicked.py").write_text(program)
    monkeypatch.syspath_prepend(str(tmp_path))
    index = tmp_path / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | named))
    with pytest.raises(InputError, match=r"model_index\.json must"):
        load_pipeline(tmp_path)
    assert "wicked" not in sys.modules
    assert not mark.exists()


@pytest.mark.parametrize("part", ["unet/config.json", "vae/config.json"])
@pytest.mark.parametrize(
    "key", ["auto_map", "quantization_config", "attn_implementation", "_attn_implementation"]
)
def test_a_config_that_asks_for_foreign_code_is_refused(
    tmp_path: Path, part: str, key: str
) -> None:
    make_model(tmp_path)
    config = json.loads((tmp_path / part).read_text())
    (tmp_path / part).write_text(json.dumps(config | {key: {"AutoModel": "wicked.Model"}}))
    with pytest.raises(InputError, match=f"must not ask for the code of others, but it sets {key}"):
        load_pipeline(tmp_path)


# --- networks in ONNX format ---


def external(location: str) -> onnx.ModelProto:
    """Return a network whose weights lie elsewhere."""
    weights = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[2, 3, 3, 3])
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    return network([helper.make_node("Conv", ["input", "weights"], ["output"])], [weights])


def network(nodes: list[onnx.NodeProto], constants: list[TensorProto]) -> onnx.ModelProto:
    shapes = {"input": [1, 3, 8, 8], "output": [1, 2, 6, 6]}
    taken, given = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    )
    graph = helper.make_graph(nodes, "wicked", [taken], [given], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("wicked", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize("place", ["../secret", "absolute", "link", "/dev/zero", "a/../../secret"])
def test_weights_outside_of_an_onnx_file_are_not_read(tmp_path: Path, place: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(np.full(54, 7, np.float32).tobytes())
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(secret)
    path = folder / "network.onnx"
    path.write_bytes(external(str(secret) if place == "absolute" else place).SerializeToString())
    with pytest.raises(InputError, match="must be a network in ONNX format") as caught:
        OnnxNetwork(path, "cpu")
    assert str(path) in caught.value.message


def test_an_operator_of_others_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Run", ["input"], ["output"], domain="wicked", library="./wicked.so")
    (tmp_path / "network.onnx").write_bytes(network([node], []).SerializeToString())
    with pytest.raises(InputError, match="must be a network in ONNX format"):
        OnnxNetwork(tmp_path / "network.onnx", "cpu")


def test_an_onnx_file_that_claims_huge_weights_is_refused(tmp_path: Path) -> None:
    weights = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[2**31, 2**20, 3, 3])
    nodes = [helper.make_node("Conv", ["input", "weights"], ["output"])]
    (tmp_path / "network.onnx").write_bytes(network(nodes, [weights]).SerializeToString())
    with pytest.raises(InputError, match="must be a network in ONNX format"):
        OnnxNetwork(tmp_path / "network.onnx", "cpu")


@pytest.mark.parametrize("name", ["dwpose-detector", "dwpose-body", "facenet", "i3d", "lpips-vgg"])
def test_a_file_in_the_place_of_pinned_weights_is_refused_by_its_hash(
    tmp_path: Path, corpus: dict[str, Path], mark: Path, name: str
) -> None:
    make_networks(tmp_path)
    path = weights_path(weight_file(name), tmp_path)
    path.parent.mkdir()
    wicked = tmp_path / "network.onnx" if path.suffix == ".onnx" else next(iter(corpus.values()))
    shutil.copy(wicked, path)
    with pytest.raises(InputError, match=r"The sha256 of .* must be"):
        find_weights(name, tmp_path)
    assert not mark.exists()
