import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dancelcm_cli.data.video import (
    frame_times,
    iter_frames,
    probe_video,
    read_frames,
    write_video,
)
from dancelcm_cli.errors import InputError

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 120, 90), (0, 0, 0), (255, 255, 255)]


def grey_frames(count: int, height: int = 32, width: int = 48) -> NDArray[np.uint8]:
    """Frame i is all grey of level 4 i, so that each frame tells its index."""
    levels = np.arange(count, dtype=np.uint8)[:, None, None, None] * 4
    return np.broadcast_to(levels, (count, height, width, 3)).copy()


def indices_of(frames: NDArray[np.uint8]) -> list[int]:
    return [round(float(frame.mean()) / 4) for frame in frames]


def ffmpeg(*arguments: str) -> str:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "grey.mp4"
    write_video(path, grey_frames(40), 25)
    return path


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(24000, 1001), 12, 7.5, 60])
def test_number_size_and_rate_of_frames_survive(tmp_path: Path, fps: Fraction | float) -> None:
    write_video(tmp_path / "a.mp4", grey_frames(9), fps)
    info = probe_video(tmp_path / "a.mp4")
    assert (info.num_frames, info.height, info.width) == (9, 32, 48)
    assert info.fps == fps
    assert info.seconds == pytest.approx(9 / fps)


def test_colours_survive(tmp_path: Path) -> None:
    frame = np.concatenate([np.full((32, 32, 3), colour, np.uint8) for colour in COLOURS], axis=1)
    write_video(tmp_path / "a.mp4", [frame] * 3, 10)
    read, _ = read_frames(tmp_path / "a.mp4")
    centres = read[:, 16, 16::32].astype(int)
    assert np.abs(centres - COLOURS).max() <= 4


def test_the_file_plays_everywhere(video: Path) -> None:
    report = ffmpeg("-i", str(video))
    assert "h264" in report
    assert "yuv420p(tv, bt709" in report
    content = video.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # starts before it is loaded


@pytest.mark.parametrize(("height", "width"), [(33, 48), (32, 47), (31, 31)])
def test_odd_sizes_are_made_even_by_repeating_the_edge(
    tmp_path: Path, height: int, width: int
) -> None:
    write_video(tmp_path / "a.mp4", grey_frames(4, height, width), 10)
    frames, info = read_frames(tmp_path / "a.mp4")
    assert (info.height, info.width) == (height + height % 2, width + width % 2)
    assert np.abs(frames[3].astype(int) - 12).max() <= 2


def test_frames_come_in_order_one_by_one(video: Path) -> None:
    assert indices_of(np.array(list(iter_frames(video)))) == list(range(40))


@pytest.mark.parametrize("width", [2, 16, 24, 48, 72, 74])
def test_narrow_videos_are_read_right(tmp_path: Path, width: int) -> None:
    ramp = np.linspace(0, 255, 32, dtype=np.uint8)[:, None, None]
    frame = np.broadcast_to(ramp, (32, width, 3))
    write_video(tmp_path / "a.mp4", [frame] * 2, 10)
    assert np.abs(read_frames(tmp_path / "a.mp4")[0].astype(int) - frame).max() <= 4


def test_any_frames_can_be_asked_for(video: Path) -> None:
    frames, info = read_frames(video, [30, 2, 2, 39], height=16, width=8)
    assert frames.shape == (4, 16, 8, 3)
    assert indices_of(frames) == [30, 2, 2, 39]
    assert (info.height, info.width) == (32, 48)
    assert read_frames(video, [])[0].shape == (0, 32, 48, 3)


def test_a_frame_outside_is_refused(video: Path) -> None:
    with pytest.raises(InputError, match=r"must be in 0\.\.39, got 40"):
        read_frames(video, [0, 40])


def test_the_rotation_of_a_phone_is_applied(tmp_path: Path) -> None:
    frame = np.zeros((32, 64, 3), np.uint8)
    frame[:, :16] = 255  # white on the left
    write_video(tmp_path / "a.mp4", [frame] * 3, 10)
    turned = str(tmp_path / "b.mp4")
    ffmpeg("-display_rotation", "90", "-i", str(tmp_path / "a.mp4"), "-c", "copy", turned)
    frames, _ = read_frames(Path(turned))
    assert frames.shape[1:3] == (64, 32)
    assert frames[0, -8:].mean() > 245  # anticlockwise: the left is now at the bottom
    assert frames[0, :40].mean() < 10


def test_what_the_file_says_of_itself_can_be_read(tmp_path: Path) -> None:
    said = {"comment": "synthetic: a = b", "description": '{"seed": 3, "who": "Zoë"}'}
    for name in ("a.mp4", "a.webm"):
        write_video(tmp_path / name, grey_frames(3), 10, metadata=said)
        report = ffmpeg("-i", str(tmp_path / name))
        for value in said.values():
            assert value in report


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_the_same_frames_make_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        write_video(tmp_path / f"{name}{suffix}", grey_frames(5), 25, metadata={"comment": "me"})
    content = (tmp_path / f"a{suffix}").read_bytes()
    assert content == (tmp_path / f"b{suffix}").read_bytes()
    assert b"me" in content


def test_a_webm_holds_the_same_frames_and_colours(tmp_path: Path) -> None:
    write_video(tmp_path / "a.webm", grey_frames(30), 25)
    frames, info = read_frames(tmp_path / "a.webm")
    assert indices_of(frames) == list(range(30))
    assert (info.num_frames, info.fps) == (30, 25)
    assert "vp9" in (report := ffmpeg("-i", str(tmp_path / "a.webm"))) and "bt709" in report


def test_another_container_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"an \.mp4 or a \.webm file, got .*a\.mov") as caught:
        write_video(tmp_path / "a.mov", grey_frames(3), 10)
    assert "a.mp4" in caught.value.hint


def test_frames_are_shown_at_their_times_whatever_the_rate(tmp_path: Path, video: Path) -> None:
    assert frame_times(video) == pytest.approx(np.arange(40) / 25, abs=1e-3)
    uneven = tmp_path / "uneven.mp4"
    dropped = "select='not(between(n,10,19))'"
    ffmpeg("-i", str(video), "-vf", dropped, "-fps_mode", "vfr", str(uneven))
    expected = np.array([*range(10), *range(20, 40)]) / 25
    assert frame_times(uneven) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    "content", ["#EXTM3U\nhttp://example.org/a.ts\n", "ffconcat version 1.0\n"]
)
def test_a_list_of_other_files_is_no_video(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.mp4").write_text(content)
    with pytest.raises(InputError, match="a list that names other files"):
        probe_video(tmp_path / "a.mp4")


def test_a_failure_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def frames() -> Iterator[NDArray[np.uint8]]:
        yield from grey_frames(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", frames(), 10)
    assert list(tmp_path.iterdir()) == []


def test_frames_must_exist_and_have_one_size(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one frame"):
        write_video(tmp_path / "a.mp4", [], 10)
    with pytest.raises(InputError, match=r"must have shape \(32, 48, 3\)"):
        write_video(tmp_path / "a.mp4", [grey_frames(1)[0], grey_frames(1, 16, 16)[0]], 10)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_video_is_named(
    tmp_path: Path, video: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("hello" * 99)
    (tmp_path / "cut.mp4").write_bytes(video.read_bytes()[:-700])
    found = {
        "nowhere.mp4": "does not exist",
        "": "got a folder",
        "a.png": "it is a picture",
        "empty.mp4": "an empty file",
        "text.mp4": "damaged or of another format",
    }
    for name, reason in found.items():
        with pytest.raises(InputError, match=reason):
            probe_video(tmp_path / name)
    with pytest.raises(InputError, match="damaged"):
        read_frames(tmp_path / "cut.mp4")
    assert capfd.readouterr().err == ""
