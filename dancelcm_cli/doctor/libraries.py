"""The libraries: whether those that are needed are here, and whether they use the GPU."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement

from dancelcm_cli.doctor.check import Check

CUDA_INDEX = "https://download.pytorch.org/whl/cu126"
# What a codec is for, and whether the main job needs it.
ENCODERS = {
    "libx264": ("mp4", True),
    "libvpx-vp9": ("webm", False),
    "aac": ("the sound of an mp4", False),
    "libopus": ("the sound of a webm", False),
}


@dataclass(frozen=True)
class TorchBuild:
    """A build of torch: version, what it was built for ("CUDA 12.6", "cpu"), the GPUs it sees.

    `broken` are those that it sees and cannot use, and why.
    """

    version: str
    target: str
    gpus: tuple[str, ...]
    broken: tuple[str, ...] = ()


def check_packages(requirements: Iterable[str], installed: Mapping[str, str]) -> Check:
    """Check that every requirement is met by the `installed` versions by normalised name."""
    needed = [Requirement(requirement) for requirement in requirements]
    needed = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    problems = {}
    for one in needed:
        version = installed.get(_normalised(one.name))
        if version is None:
            problems[str(one)] = f"{one.name} is missing"
        elif not one.specifier.contains(version, prereleases=True):
            problems[str(one)] = f"{one.name} {version} does not satisfy {one.specifier}"
    if problems:
        wanted = " ".join(f'"{requirement}"' for requirement in problems)
        return Check("packages", "fail", "; ".join(problems.values()), f"pip install {wanted}")
    return Check("packages", "ok", f"all {len(needed)} that are needed")


def check_torch(build: TorchBuild | str) -> Check:
    """Check torch, or say why it could not be imported."""
    if isinstance(build, str):
        fix = "pip install --force-reinstall torch torchvision"
        return Check("torch", "fail", f"cannot be imported: {build}", fix)
    return Check("torch", "ok", f"{build.version}, built for {build.target}")


def check_gpu(build: TorchBuild | str, driver: str | None) -> Check:
    """Check that torch uses the GPU that `driver` ("560.35, NVIDIA H100") tells of, if any."""
    gpus, broken = ((), ()) if isinstance(build, str) else (build.gpus, build.broken)
    if broken:
        fix = "Restart the machine and look at nvidia-smi; without the GPU type --device cpu"
        return Check("GPU", "warn" if gpus else "fail", "; ".join(broken), fix)
    if gpus:
        shown = "; ".join(gpus) + (f"; driver {driver.split(',')[0]}" if driver else "")
        return Check("GPU", "ok", shown)
    if driver is None:
        return Check("GPU", "ok", "none: the bundled model is at home on a CPU")
    if isinstance(build, TorchBuild) and build.target.startswith("CUDA"):
        fix = f"Update the driver: this torch needs one for {build.target}."
    else:
        fix = f"pip install --force-reinstall torch torchvision --index-url {CUDA_INDEX}"
    return Check("GPU", "warn", f"driver {driver} is here, but torch does not use it", fix)


def check_onnxruntime(
    providers: Sequence[str] | str, distributions: Collection[str], has_gpu: bool
) -> Check:
    """Check what DWPose would run on; the bundled pose networks do without.

    `providers` are onnxruntime's, or why it cannot be imported; `distributions` are the names that
    it is installed under.
    """
    name = "onnxruntime"
    if isinstance(providers, str):
        fix = "pip install --force-reinstall onnxruntime"
        return Check(name, "warn", f"cannot be imported: {providers}", fix)
    found = ", ".join(provider.removesuffix("ExecutionProvider") for provider in providers)
    if {"onnxruntime", "onnxruntime-gpu"} <= set(distributions):
        both = f"{found}; onnxruntime and onnxruntime-gpu overwrite each other"
        fix = "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install only one of them"
        return Check(name, "warn", both, fix)
    if has_gpu and "CUDAExecutionProvider" not in providers:
        fix = "pip uninstall -y onnxruntime, then pip install onnxruntime-gpu"
        return Check(name, "warn", f"{found}: DWPose would not use the GPU", fix)
    return Check(name, "ok", found)


def check_ffmpeg(encoders: Collection[str] | str) -> Check:
    """Check the codecs of the ffmpeg in use, or say why it does not run."""
    fix = "pip install --force-reinstall imageio-ffmpeg, and unset IMAGEIO_FFMPEG_EXE"
    if isinstance(encoders, str):
        return Check("ffmpeg", "fail", f"does not run: {encoders}", fix)
    missing = [codec for codec in ENCODERS if codec not in encoders]
    if not missing:
        return Check("ffmpeg", "ok", ", ".join(ENCODERS))
    found = ", ".join(f"no {codec} ({ENCODERS[codec][0]})" for codec in missing)
    needed = any(ENCODERS[codec][1] for codec in missing)
    return Check("ffmpeg", "fail" if needed else "warn", found, fix)


def _normalised(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
