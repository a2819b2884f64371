"""All checks in a row, and where their facts come from.

What is looked at may be broken in any way. So third parties are imported in here, by the check that
needs them, and whatever goes wrong in a check is its result.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, distributions, requires
from pathlib import Path

from dancelcm_cli.data.weight_files import weights_folder
from dancelcm_cli.data.weight_table import WEIGHTS
from dancelcm_cli.doctor.check import Check
from dancelcm_cli.doctor.libraries import (
    TorchBuild,
    check_ffmpeg,
    check_gpu,
    check_onnxruntime,
    check_packages,
    check_torch,
)
from dancelcm_cli.doctor.machine import (
    ENOUGH_DISK,
    LEAST_DISK,
    check_disk,
    check_memory,
    check_python,
    existing_part,
)
from dancelcm_cli.doctor.weights import check_weights
from dancelcm_cli.errors import DanceLCMError
from dancelcm_cli.progress import Progress

DRIVER_SECONDS = 20  # that the driver may take to answer


def examine(progress: Progress) -> list[Check]:
    """Look at everything that animating with the bundled model needs, and at all that helps."""
    build, driver = _torch_build(), _driver()
    has_gpu = isinstance(build, TorchBuild) and bool(build.gpus)
    folder = weights_folder()
    looks: list[tuple[str, Callable[[], Check]]] = [
        ("Python", partial(check_python, sys.version_info[:3], sys.executable)),
        ("packages", _look_at_packages),
        ("torch", partial(check_torch, build)),
        ("GPU", partial(check_gpu, build, driver)),
        ("onnxruntime", partial(_look_at_onnxruntime, has_gpu)),
        ("ffmpeg", _look_at_ffmpeg),
        ("video reader", _look_at_video_reader),
        ("memory", _look_at_memory),
        ("disk, here", partial(_look_at_disk, "disk, here", Path.cwd(), LEAST_DISK)),
        ("disk, weights", partial(_look_at_disk, "disk, weights", folder, ENOUGH_DISK)),
        ("bundled model", _look_at_model),
        ("pose networks", _look_at_pose_networks),
        *((f"weights {file.name}", partial(check_weights, file, folder)) for file in WEIGHTS),
    ]
    return [attempt(name, look) for name, look in progress.track(looks, "Looking")]


def attempt(name: str, look: Callable[[], Check]) -> Check:
    """Return what `look` finds; that it breaks is a finding as well."""
    try:
        return look()
    except DanceLCMError as error:
        return Check(name, "fail", error.message, error.hint)
    except Exception as error:  # anything can be wrong with what is broken
        found = f"{type(error).__name__}: {' '.join(str(error).split())}"
        fix = "Mend what fails above; else install dancelcm again, in a new environment."
        return Check(name, "fail", found, fix)


def prevents_animation(checks: Sequence[Check]) -> bool:
    """Whether the bundled model cannot animate here."""
    return any(check.state == "fail" for check in checks)


def _look_at_packages() -> Check:
    try:
        needed = requires("dancelcm") or []
    except PackageNotFoundError:
        return Check("packages", "warn", "dancelcm itself is not installed", "pip install -e .")
    return check_packages(needed, _installed())


def _installed() -> dict[str, str]:
    names = {found.metadata["Name"]: found.version for found in distributions()}
    return {name.lower().replace("_", "-").replace(".", "-"): names[name] for name in names if name}


def _torch_build() -> TorchBuild | str:
    try:
        import torch
    except Exception as error:  # a broken binary raises OSError, a wrong numpy something else
        return " ".join(str(error).split())
    version = torch.version
    target = f"CUDA {version.cuda}" if version.cuda else f"ROCm {version.hip}"
    if not (version.cuda or version.hip):
        target = "Apple's GPU" if torch.backends.mps.is_available() else "cpu"
    gpus, broken = [], []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        try:
            found = torch.cuda.get_device_properties(index)
            gpus.append(f"{found.name}, {found.total_memory / 1e9:.0f} GB")
        except Exception as error:  # as above
            broken.append(f"GPU {index}: {' '.join(str(error).split())}")
    return TorchBuild(torch.__version__, target, tuple(gpus), tuple(broken))


def _driver() -> str | None:
    """Return version and first GPU of NVIDIA's driver, or None where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=driver_version,name", "--format=csv,noheader"]
    try:
        asked = subprocess.run(
            command, capture_output=True, text=True, timeout=DRIVER_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.splitlines()[0].strip() if asked.stdout.strip() else None


def _look_at_onnxruntime(has_gpu: bool) -> Check:
    providers: Sequence[str] | str
    try:
        import onnxruntime

        providers = onnxruntime.get_available_providers()
    except Exception as error:  # as with torch
        providers = " ".join(str(error).split())
    return check_onnxruntime(providers, _installed().keys(), has_gpu)


def _look_at_ffmpeg() -> Check:
    from dancelcm_cli.data.ffmpeg import list_encoders

    try:
        return check_ffmpeg(list_encoders())
    except DanceLCMError as error:
        return check_ffmpeg(error.message)


def _look_at_video_reader() -> Check:
    from dancelcm_cli.data.bundled import bundled
    from dancelcm_cli.doctor.model import check_video_reader

    return check_video_reader(bundled("samples/driving.mp4"))


def _look_at_memory() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    return check_memory(memory.total, memory.available)


def _look_at_disk(name: str, folder: Path, enough: float) -> Check:
    return check_disk(name, folder, shutil.disk_usage(existing_part(folder)).free, enough)


def _look_at_model() -> Check:
    from dancelcm_cli.data.bundled import bundled
    from dancelcm_cli.doctor.model import check_model

    return check_model(bundled("tiny/student"))


def _look_at_pose_networks() -> Check:
    from dancelcm_cli.data.bundled import bundled
    from dancelcm_cli.doctor.model import check_pose_networks

    return check_pose_networks(bundled("blazepose"), bundled("samples/reference.png"))
