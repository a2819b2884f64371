"""Clips of many windows: what they take and what they look like."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from dancelcm_cli.animate.keypoint_files import write_keypoints
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.perception.keypoints import read_annotation

# Not `ru_maxrss`: a process inherits that of the one that started it.
ANIMATE = """
import sys
from dancelcm_cli.app import app
try:
    app(sys.argv[1:])
except SystemExit as stop:
    assert not stop.code
status = open("/proc/self/status").read()
print("peak", status.split("VmHWM:")[1].split()[0])
"""


def dance(path: Path, num_frames: int) -> Path:
    """Write the sample dance, to and fro, for as long as wanted."""
    keypoints = read_annotation(bundled("samples/driving.npz"), 384, 256)
    there = range(len(keypoints))
    order = [*there, *there[-2:0:-1]]
    chosen = [order[frame % len(order)] for frame in range(num_frames)]
    write_keypoints(path, keypoints[chosen], Fraction(12), (384, 256))
    return path


def animate(driving: Path, photo: Path, *arguments: str) -> int:
    """Animate in a process of its own; return its peak memory in KiB."""
    command = ["animate", str(photo), str(driving), "--device", "cpu", "--overwrite", *arguments]
    done = subprocess.run(
        [sys.executable, "-c", ANIMATE, *command], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split("peak")[1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's own count of memory")
def test_memory_does_not_grow_with_the_clip(photo: Path, model: Path, tmp_path: Path) -> None:
    common = ["--model", str(model), "--recipe", "smoke", "--steps", "1"]
    peaks = {}
    for num_frames in (10, 50, 1000):  # the first one looks for the person, for all of them
        driving = dance(tmp_path / f"{num_frames}.npz", num_frames)
        output = str(tmp_path / f"{num_frames}.mp4")
        peaks[num_frames] = animate(driving, photo, *common, "--frames", "0", "-o", output)
    assert peaks[1000] < 1.2 * peaks[50]


@pytest.mark.slow
def test_the_windows_of_the_bundled_model_leave_no_seams(photo: Path, tmp_path: Path) -> None:
    driving = dance(tmp_path / "dance.npz", 52)
    animate(driving, photo, "--frames", "0", "-o", str(tmp_path / "me.mp4"))
    record = json.loads((tmp_path / "me.json").read_text())
    assert record["frames"] == 52
    assert 0 < record["seam_ratio"] < 1.1
