"""The machine: Python, memory and disk."""

from __future__ import annotations

from pathlib import Path

from dancelcm_cli.data.weight_files import readable_size
from dancelcm_cli.doctor.check import Check

OLDEST_PYTHON = (3, 11)
# The bundled model takes 1.1 GB for 16 frames, most of it libraries.
ENOUGH_MEMORY, LEAST_MEMORY = 3e9, 1.5e9  # bytes
# UniAnimate's files are 10 GB, which are as much again once they are converted.
ENOUGH_DISK, LEAST_DISK = 20e9, 0.1e9  # bytes


def check_python(version: tuple[int, int, int], executable: str) -> Check:
    """Check the interpreter's version."""
    found = f"{'.'.join(map(str, version))}, {executable}"
    if version[:2] < OLDEST_PYTHON:
        needed = ".".join(map(str, OLDEST_PYTHON))
        fix = f"Make a new environment: python{needed} -m venv .venv"
        return Check("Python", "fail", found, fix)
    return Check("Python", "ok", found)


def check_memory(total: int, available: int) -> Check:
    """Check the bytes of main memory, of which `available` are free or can be freed."""
    found = f"{readable_size(available)} of {readable_size(total)} free"
    if available < LEAST_MEMORY:
        fix = f"Close other programs until {readable_size(LEAST_MEMORY)} are free."
        return Check("memory", "fail", found, fix)
    if available < ENOUGH_MEMORY:
        return Check("memory", "warn", found, "Keep to short clips: --frames 16")
    return Check("memory", "ok", found)


def check_disk(name: str, folder: Path, free: int, enough: float) -> Check:
    """Check the bytes that are free where `folder` is, or would be, against what is `enough`."""
    found = f"{readable_size(free)} free in {folder}"
    if free < LEAST_DISK:
        return Check(name, "fail", found, f"Free {readable_size(LEAST_DISK)} there.")
    if free < enough:
        fix = f"Fetching and converting large models takes {readable_size(enough)}."
        return Check(name, "warn", found, fix)
    return Check(name, "ok", found)


def existing_part(path: Path) -> Path:
    """Return `path`, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())
