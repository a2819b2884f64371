from __future__ import annotations

import pytest

from dancelcm_cli.doctor.libraries import (
    ENCODERS,
    TorchBuild,
    check_ffmpeg,
    check_gpu,
    check_onnxruntime,
    check_packages,
    check_torch,
)

CPU = TorchBuild("2.6.0", "cpu", ())
CUDA_WITHOUT_GPU = TorchBuild("2.6.0", "CUDA 12.6", ())
CUDA = TorchBuild("2.6.0", "CUDA 12.6", ("NVIDIA H100, 80 GB",))


def test_packages_that_are_missing_or_too_old_can_be_installed_by_the_fix() -> None:
    needed = ["torch>=2.4", "Typer>=0.19", "opencv_python>=4", "pytest ; extra == 'dev'"]
    installed = {"torch": "2.3.1", "typer": "0.20"}
    check = check_packages(needed, installed)
    assert check.state == "fail"
    assert check.found == "torch 2.3.1 does not satisfy >=2.4; opencv_python is missing"
    assert check.fix == 'pip install "torch>=2.4" "opencv_python>=4"'
    met = check_packages(needed, {"torch": "2.4.0+cu126", "typer": "1", "opencv-python": "5.0"})
    assert (met.state, met.found) == ("ok", "all 3 that are needed")


def test_a_torch_that_cannot_be_imported_fails() -> None:
    assert check_torch(CPU).state == "ok"
    broken = check_torch("libcudart.so.12: cannot open")
    assert broken.state == "fail"
    assert "libcudart" in broken.found and "pip install" in broken.fix


def test_no_gpu_at_all_is_no_fault() -> None:
    assert check_gpu(CPU, None).state == "ok"


def test_a_broken_gpu_fails_unless_another_works() -> None:
    broken = ("GPU 1: an illegal memory access was encountered",)
    alone = check_gpu(TorchBuild("2.6.0", "CUDA 12.6", (), broken), None)
    assert (alone.state, alone.found) == ("fail", broken[0])
    assert "--device cpu" in alone.fix
    beside = check_gpu(TorchBuild("2.6.0", "CUDA 12.6", CUDA.gpus, broken), None)
    assert beside.state == "warn"


def test_a_gpu_that_torch_uses_is_named_with_its_driver() -> None:
    assert check_gpu(CUDA, "560.35, NVIDIA H100").found == "NVIDIA H100, 80 GB; driver 560.35"


@pytest.mark.parametrize(
    ("build", "fix"), [(CPU, "pip install"), (CUDA_WITHOUT_GPU, "Update the driver")]
)
def test_a_gpu_that_lies_idle_is_warned_of(build: TorchBuild, fix: str) -> None:
    check = check_gpu(build, "560.35, NVIDIA H100")
    assert check.state == "warn"
    assert fix in check.fix


@pytest.mark.parametrize(
    ("providers", "distributions", "has_gpu", "state"),
    [
        (["CPUExecutionProvider"], {"onnxruntime"}, False, "ok"),
        (["CPUExecutionProvider"], {"onnxruntime"}, True, "warn"),
        (["CUDAExecutionProvider"], {"onnxruntime-gpu"}, True, "ok"),
        (["CUDAExecutionProvider"], {"onnxruntime", "onnxruntime-gpu"}, True, "warn"),
        ("no module named onnxruntime", set(), False, "warn"),
    ],
)
def test_onnxruntime_should_use_the_gpu_that_is_there(
    providers: list[str] | str, distributions: set[str], has_gpu: bool, state: str
) -> None:
    check = check_onnxruntime(providers, distributions, has_gpu)
    assert check.state == state
    assert bool(check.fix) == (state == "warn")


def test_only_the_codec_of_mp4_is_indispensable() -> None:
    assert check_ffmpeg(ENCODERS.keys()).state == "ok"
    assert check_ffmpeg(ENCODERS.keys() - {"libvpx-vp9"}).state == "warn"
    assert check_ffmpeg(ENCODERS.keys() - {"libx264", "aac"}).state == "fail"
    assert check_ffmpeg("no such file").state == "fail"
