from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.animate.outputs import (
    Format,
    plan_outputs,
    require_rate,
    require_writable,
    write_animation,
)
from dancelcm_cli.errors import InputError


@pytest.mark.parametrize(
    ("output", "format", "expected"),
    [
        ("me.mp4", None, ("mp4", "me.mp4", "me.json", "me-compare.mp4", "me-align.png")),
        ("me.WEBM", None, ("webm", "me.WEBM", "me.json", "me-compare.WEBM", "me-align.png")),
        ("me.gif", "gif", ("gif", "me.gif", "me.json", "me-compare.gif", "me-align.png")),
        ("me", "mp4", ("mp4", "me.mp4", "me.json", "me-compare.mp4", "me-align.png")),
        ("v1.2", "gif", ("gif", "v1.2.gif", "v1.2.json", "v1.2-compare.gif", "v1.2-align.png")),
        ("v1.2", "png", ("png", "v1.2", "v1.2.json", "v1.2-compare", "v1.2-align.png")),
    ],
)
def test_everything_that_belongs_together_has_one_name(
    tmp_path: Path, output: str, format: Format | None, expected: tuple[str, ...]
) -> None:
    outputs = plan_outputs(tmp_path / output, format)
    chosen, *names = expected
    assert outputs.format == chosen
    paths = (outputs.animation, outputs.record, outputs.comparison, outputs.alignment)
    assert paths == tuple(tmp_path / name for name in names)
    assert outputs.unfinished.name == outputs.record.stem + "-unfinished.safetensors"


@pytest.mark.parametrize(
    ("output", "format", "typed"),
    [
        ("me", None, "--output me.mp4"),
        ("me.mov", None, "--output me.mp4"),
        ("me.mp4", "webm", "--output me.webm"),
        ("me.mp4", "png", "--format png --output me"),
        ("me.png", None, "--format png --output me"),
        ("me.png", "png", "--format png --output me"),
        ("me.png", "gif", "--output me.gif"),
    ],
)
def test_a_name_that_does_not_fit_is_refused_with_one_that_does(
    output: str, format: Format | None, typed: str
) -> None:
    with pytest.raises(InputError) as caught:
        plan_outputs(Path(output), format)
    assert caught.value.hint == f"Type {typed}"


@pytest.mark.parametrize("output", [".", "/", ".."])
@pytest.mark.parametrize("format", [None, "mp4", "png"])
def test_a_place_without_a_name_is_refused(output: str, format: Format | None) -> None:
    with pytest.raises(InputError, match="--output must name a file") as caught:
        plan_outputs(Path(output), format)
    typed = Path(caught.value.hint.removeprefix("Type --output "))
    assert plan_outputs(typed, format).animation == typed


def test_what_is_there_is_only_replaced_by_its_like(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    frames, papers = tmp_path / "frames", tmp_path / "papers"
    for folder, name in ((frames, "000000.png"), (papers, "thesis.tex")):
        folder.mkdir()
        (folder / name).touch()
    for path in (tmp_path / "file", frames, papers):
        with pytest.raises(InputError, match="must not exist already") as caught:
            require_writable(path, overwrite=False)
        assert "--overwrite" in caught.value.hint
    require_writable(tmp_path / "file", overwrite=True)
    require_writable(frames, overwrite=True, folder=True)
    for path, folder in ((tmp_path / "file", True), (frames, False), (papers, True)):
        with pytest.raises(InputError, match="to be replaced, got something else"):
            require_writable(path, overwrite=True, folder=folder)
    assert (papers / "thesis.tex").exists()


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "me.mp4", Path("/proc/me.mp4")):
        with pytest.raises(InputError, match="must lie where it can be written") as caught:
            require_writable(path, overwrite=False)
        assert "--output" in caught.value.hint
    require_writable(tmp_path / "new" / "folder" / "me.mp4", overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_gif_that_browsers_would_slow_down_is_refused() -> None:
    with pytest.raises(InputError, match=r"at most 50 frames/s, got 59\.94") as caught:
        require_rate("gif", Fraction(60000, 1001))
    assert "--fps" in caught.value.hint
    require_rate("gif", Fraction(50))
    require_rate("mp4", Fraction(60))


@pytest.mark.parametrize("format", ["mp4", "webm", "gif", "png"])
def test_every_format_is_written(tmp_path: Path, format: Format) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    path = plan_outputs(tmp_path / "me", format).animation
    write_animation(path, format, frames, 3, Fraction(12), None, {"comment": "synthetic"})
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    assert path.is_dir() == (format == "png")
