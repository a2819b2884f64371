import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dancelcm_cli.data.weight_files import weights_folder
from dancelcm_cli.errors import InputError, WeightsMissingError
from dancelcm_cli.evaluate.metric_weights import (
    I3D_PACKAGE,
    LPIPS_PACKAGE,
    Package,
    convert,
    load_published,
    tensors_sha256,
)


def kernel(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def pack(folder: Path, arrays: dict[str, object]) -> Path:
    content = pickle.dumps(arrays, protocol=4)
    path = folder / "package.tar.gz"
    with tarfile.open(path, "w:gz") as files:
        member = tarfile.TarInfo("weights.ckpt")
        member.size = len(content)
        files.addfile(member, io.BytesIO(content))
    return path


def test_i3ds_arrays_get_the_names_and_axes_of_pytorch() -> None:
    mean = kernel(1, 1, 1, 1, 6)
    renamed = I3D_PACKAGE.rename(
        {
            "params/Conv3d_1a_7x7/Conv_0/kernel": kernel(2, 3, 4, 5, 6),
            "params/Conv3d_1a_7x7/BatchNorm_0/bias": kernel(6),
            "batch_stats/Conv3d_1a_7x7/BatchNorm_0/mean": mean,
            "params/Mixed_3b/Branch_0/Conv3d_0a_1x1/Conv_0/kernel": kernel(1, 1, 1, 2, 3),
            "params/Mixed_3b/Branch_2/Conv3d_0b_3x3/Conv_0/kernel": kernel(1, 1, 1, 2, 3),
            "params/Mixed_3b/Branch_3/Conv3d_0b_1x1/BatchNorm_0/bias": kernel(3),
            "params/Logits/Conv3d_0c_1x1/Conv_0/bias": kernel(400),
        }
    )
    assert list(renamed) == [
        "Conv3d_1a_7x7.conv3d.weight",
        "Conv3d_1a_7x7.bn.bias",
        "Conv3d_1a_7x7.bn.weight",
        "Conv3d_1a_7x7.bn.running_mean",
        "Mixed_3b.b0.conv3d.weight",
        "Mixed_3b.b2b.conv3d.weight",
        "Mixed_3b.b3b.bn.bias",
        "Mixed_3b.b3b.bn.weight",
        "logits.conv3d.bias",
    ]
    weight = renamed["Conv3d_1a_7x7.conv3d.weight"]
    assert weight.shape == (6, 5, 2, 3, 4)  # out, in, frames, height, width
    assert weight[1, 2, 1, 2, 3] == kernel(2, 3, 4, 5, 6)[1, 2, 3, 2, 1]
    assert np.array_equal(renamed["Conv3d_1a_7x7.bn.running_mean"], mean.ravel())
    assert np.array_equal(renamed["Mixed_3b.b3b.bn.weight"], np.ones(3))


def test_lpipss_arrays_get_the_names_and_axes_of_pytorch() -> None:
    renamed = LPIPS_PACKAGE.rename(
        {
            "VGG16_0/Conv_12/kernel": kernel(3, 3, 4, 5),
            "VGG16_0/Conv_12/bias": kernel(5),
            "NetLinLayer_3/Conv_0/kernel": kernel(1, 1, 5, 1),
        }
    )
    assert list(renamed) == ["convolutions.12.weight", "convolutions.12.bias", "heads.3"]
    assert renamed["convolutions.12.weight"][4, 3, 2, 1] == kernel(3, 3, 4, 5)[2, 1, 3, 4]
    assert renamed["heads.3"].shape == (5,)


def test_other_arrays_than_the_published_ones_are_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path, {"a": np.ones(2)})
    sha256 = tensors_sha256({"a": torch.ones(2, dtype=torch.float64)})
    right = Package("i3d", "weights.ckpt", dict, sha256)
    assert torch.equal(convert(archive, right)["a"], torch.ones(2, dtype=torch.float64))
    with pytest.raises(InputError, match=f"must have the sha256 0, got {sha256}"):
        convert(archive, Package("i3d", "weights.ckpt", dict, "0"))


def test_the_hash_is_of_names_and_values() -> None:
    ones, twos = torch.ones(2, 3), torch.full((2, 3), 2.0)
    hashes = [
        tensors_sha256(tensors)
        for tensors in ({"a": ones, "b": twos}, {"a": twos, "b": ones}, {"a": ones, "c": twos})
    ]
    assert len(set(hashes)) == 3
    assert tensors_sha256({"b": twos, "a": ones}) == hashes[0]


def test_missing_weights_say_how_they_are_fetched() -> None:
    with pytest.raises(WeightsMissingError) as caught:
        load_published(LPIPS_PACKAGE)
    assert "dancelcm models fetch lpips-vgg" in caught.value.hint


@pytest.mark.weights
@pytest.mark.parametrize("package", [I3D_PACKAGE, LPIPS_PACKAGE], ids=lambda package: package.name)
def test_published_weights_are_converted_once_and_again_after_damage(
    package: Package, cache: Path, published_weights: Path
) -> None:
    (cache / "weights").unlink()  # others map the converted files of the shared folder
    own = cache / "weights" / package.name
    own.mkdir(parents=True)
    for fetched in (published_weights / package.name).glob("*.tar.gz"):
        (own / fetched.name).symlink_to(fetched)
    first = load_published(package)
    assert tensors_sha256(first) == package.sha256
    kept = weights_folder() / package.name / f"{package.name}.safetensors"
    written = kept.stat().st_mtime_ns
    again = load_published(package)
    assert kept.stat().st_mtime_ns == written
    assert all(torch.equal(again[name], tensor) for name, tensor in first.items())
    del first, again  # they are mapped from the file
    kept.write_bytes(kept.read_bytes()[:-8])
    assert tensors_sha256(load_published(package)) == package.sha256
    assert kept.stat().st_mtime_ns != written
