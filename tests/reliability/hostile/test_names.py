"""Files with names that break scripts, terminals and pages go all the way through the commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.app import app, main
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.jsonl import read_rows
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.data.video import probe_video, write_video

LONGEST = 255  # bytes of a name
STEMS = [
    "a\nb",
    "a\r\nb\tc",
    'it\'s "quoted" \\',
    "-i",
    "--output=elsewhere",
    "\u202egnp.exe",
    "$(touch mark)`touch mark`;touch mark|&",
    "[bold red]a[bold]",
    "%d %s {0} {name}",
    "concat:a|b",
    "<script>alert(1)<",
    "\x1b[31mred\x1b]0;title\x07",
    " ",
    "日本語 é e\u0301 🕺",
    "\udcff\udcfe\udc80",
    "x" * (LONGEST - 4),
    "é" * ((LONGEST - 4) // 2),
    ",a;b",
    "a..b",
    "NUL",
]


def dancelcm(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "DANCELCM_CACHE": str(folder / "cache"), "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-m", "dancelcm_cli", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, timeout=1800, check=False
    )


def write_dances(folder: Path) -> list[str]:
    """Write a video of each name, with its keypoints beside it, and return the names."""
    folder.mkdir()
    names = []
    for seed, stem in enumerate(STEMS):
        generator = np.random.default_rng(seed)
        path = folder / f"{stem}.mp4"
        write_video(folder / "made.mp4", generator.integers(0, 256, (5, 64, 48, 3), np.uint8), 12)
        (folder / "made.mp4").rename(path)
        points = generator.uniform(8, 40, (5, 134, 2)).astype(np.float32)
        with path.with_suffix(".npz").open("wb") as file:
            np.savez(file, keypoints=points, visible=np.ones((5, 134), bool))
        names.append(path.name)
    return names


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("names")


@pytest.fixture(scope="module")
def names(place: Path) -> list[str]:
    return write_dances(place / "videos")


@pytest.mark.slow
def test_videos_of_any_name_become_clips_and_are_listed(place: Path, names: list[str]) -> None:
    small = ["--store=frames", "--set=preprocess.num_frames=4", "--set=preprocess.height=32"]
    done = dancelcm(place, "preprocess", "videos", *small, "--workers=1", "--output=shards")
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    reader = ShardReader(place / "shards")
    assert sorted(row.source for row in reader.rows) == sorted(names)
    reader.verify()
    assert {row["source"] for row in read_rows(place / "shards" / "sources.jsonl")} == set(names)
    page = (place / "shards" / "report.html").read_text("utf-8", errors="surrogateescape")
    assert "<script>alert" not in page
    assert b"\x1b]0;" not in done.stdout + done.stderr  # no title is set
    again = dancelcm(place, "preprocess", "videos", "--append", "--output=shards")
    assert again.returncode == 0, again.stderr.decode(errors="replace")[-2000:]
    assert f"All {len(names)} videos are done already".encode() in again.stderr
    assert not list(place.rglob("mark"))
    assert not list(place.glob("elsewhere*"))


@pytest.mark.slow
def test_a_batch_of_any_names_is_animated(place: Path, names: list[str]) -> None:
    writable = [name for name in names if name.isprintable() or not name.isascii()]
    kept = [name for name in writable if "\udcff" not in name]
    photo = place / f"-\n{'y' * 200}.png"
    photo.write_bytes(bundled("samples/reference.png").read_bytes())
    rows = ["reference,driving,output"]
    for name in kept:
        cells = (photo.name, f"videos/{name}", f"{name[:60]}.mp4")
        rows.append(",".join('"' + cell.replace('"', '""') + '"' for cell in cells))
    (place / "jobs.csv").write_bytes("\n".join(rows).encode())
    few = ["--steps=1", "--frames=2", "--set=animate.window=4", "--set=animate.overlap=1"]
    done = dancelcm(place, "animate", "--batch=jobs.csv", "--output=made", *few)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")[-3000:]
    for name in kept:
        animation = place / "made" / f"{name[:60]}.mp4"
        assert probe_video(animation).num_frames == 2
        record = json.loads(animation.with_suffix(".json").read_text(encoding="utf-8"))
        assert record["driving"] == f"videos/{name}"
    assert not list(place.rglob("mark"))


@pytest.mark.slow
def test_a_name_that_is_no_unicode_is_animated(place: Path, names: list[str]) -> None:
    stem = "-\udcff\n\udcfe"
    Image.open(bundled("samples/reference.png")).save(place / "photo.png")
    (place / "photo.png").rename(place / f"{stem}.png")
    (output := place / f"{stem}.webm").unlink(missing_ok=True)
    few = ["--steps=1", "--frames=2", f"--output={output}"]
    done = dancelcm(place, "animate", *few, "--", f"{stem}.png", f"videos/{STEMS[3]}.mp4")
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    assert probe_video(output).num_frames == 2


def test_an_output_whose_companions_have_too_long_names_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    photo, driving = bundled("samples/reference.png"), bundled("samples/driving.mp4")
    output = "x" * (LONGEST - 4) + ".mp4"
    command = ["animate", str(photo), str(driving), "--steps=1", f"--output={output}"]
    with pytest.raises(SystemExit) as left:
        main(lambda: app(command, standalone_mode=False))
    assert left.value.code == 2
    assert "too long" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
