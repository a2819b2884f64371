from __future__ import annotations

import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dancelcm_cli.data.decoding import Decoder
from dancelcm_cli.data.video import write_video
from dancelcm_cli.errors import InputError

COUNT, RATE = 40, 20


def ffmpeg(*arguments: object) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


def number_of(frame: NDArray[np.uint8]) -> int:
    return round(float(frame.mean()) / 4)


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frame i is all grey of level 4 i; a keyframe every 15 frames, B-frames between."""
    levels = np.arange(COUNT, dtype=np.uint8)[:, None, None, None] * 4
    folder = tmp_path_factory.mktemp("counting")
    write_video(folder / "plain.mp4", np.broadcast_to(levels, (COUNT, 32, 48, 3)), RATE)
    ffmpeg("-i", folder / "plain.mp4", "-c:v", "libx264", "-bf", 3, "-g", 15, folder / "a.mp4")
    return folder / "a.mp4"


@pytest.fixture(scope="module", params=["mp4", "mkv", "ts", "mov", "avi", "h264", "webm", "gif"])
def video(request: pytest.FixtureRequest, counting: Path) -> Path:
    """The same frames in another kind of file."""
    path = counting.with_name(f"b.{request.param}")
    copied = () if request.param in ("webm", "gif") else ("-c:v", "copy")
    ffmpeg("-i", counting, *copied, path)
    return path


def test_every_frame_has_its_number_whatever_the_file_tells(video: Path) -> None:
    with Decoder(video) as decoder:
        assert len(decoder) == COUNT
        found = np.array([number_of(decoder.frame(i)) for i in range(COUNT)])
        coarse = 2 if video.suffix == ".gif" else 0  # 256 colours
        assert np.abs(found - np.arange(COUNT)).max() <= coarse


def test_frames_are_the_same_in_any_order(video: Path) -> None:
    order = [0, 1, 17, 16, 39, 39, 3, 30, 31, 14, 15, 0, 38]
    with Decoder(video) as decoder:
        in_order = [decoder.frame(i) for i in range(COUNT)]
    with Decoder(video) as decoder:
        for number in order:
            assert np.array_equal(decoder.frame(number), in_order[number])


def test_times_and_rate_are_those_of_the_frames(video: Path) -> None:
    with Decoder(video) as decoder:
        if video.suffix == ".h264":  # tells nothing: the rate is a guess
            assert decoder.times == pytest.approx(np.arange(COUNT) / float(decoder.fps))
            return
        assert decoder.times == pytest.approx(np.arange(COUNT) / RATE, abs=0.006)
        assert float(decoder.fps) == pytest.approx(RATE, rel=0.03)


def test_frames_that_are_not_to_be_shown_have_no_number(counting: Path) -> None:
    cut = counting.with_name("cut.mp4")
    ffmpeg("-ss", 0.5, "-i", counting, "-c:v", "copy", cut)  # from a keyframe before
    with Decoder(cut) as decoder:
        assert [number_of(decoder.frame(i)) for i in range(len(decoder))] == list(range(10, COUNT))
        assert number_of(decoder.frame(0)) == 10


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_the_rotation_of_a_phone_is_applied(tmp_path: Path, turns: int) -> None:
    frame = np.zeros((32, 64, 3), np.uint8)
    frame[:16, :16] = 255
    write_video(tmp_path / "a.mp4", [frame] * 3, 10)
    turned = tmp_path / "b.mp4"
    ffmpeg("-display_rotation", 90 * turns, "-i", tmp_path / "a.mp4", "-c", "copy", turned)
    with Decoder(turned) as decoder:
        upright = np.rot90(frame, turns)
        assert (decoder.height, decoder.width) == upright.shape[:2]
        assert np.abs(decoder.frame(2).astype(int) - upright).mean() < 3


def test_a_download_that_was_cut_short_is_no_video(counting: Path) -> None:
    whole = counting.with_name("whole.mp4")
    ffmpeg("-i", counting, "-c", "copy", "-movflags", "+faststart", whole)
    short = counting.with_name("short.mp4")
    short.write_bytes(whole.read_bytes()[:-300])
    with pytest.raises(InputError, match="damaged"):
        Decoder(short)


def test_pictures_lists_and_sounds_are_no_videos(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    Image.new("RGB", (32, 32)).save(tmp_path / "a.jpg")
    (tmp_path / "a.m3u8").write_text("#EXTM3U\nhttp://example.org/a.ts\n")
    ffmpeg("-f", "lavfi", "-i", "sine=440:duration=0.1", tmp_path / "a.m4a")
    found = {"a.png": "a picture", "a.jpg": "a picture", "a.m3u8": "a list", "a.m4a": "decoded"}
    for name, reason in found.items():
        with pytest.raises(InputError, match=reason):
            Decoder(tmp_path / name)


def test_no_decoder_waits_for_a_log_in_python(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [np.zeros((32, 48, 3), np.uint8)] * 3, 10)
    av.logging.set_level(av.logging.ERROR)  # as the import of some torchvisions does
    with Decoder(tmp_path / "a.mp4"):
        assert av.logging.get_level() is None
