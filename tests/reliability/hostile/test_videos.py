"""Videos whose headers lie: about sizes, lengths, rates and numbers of frames."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.data.decoding import MOST_FRAMES, Decoder
from dancelcm_cli.data.footage import open_footage
from dancelcm_cli.data.sound import find_sound
from dancelcm_cli.errors import InputError
from dancelcm_cli.preprocess.windows import plan_windows
from tests.reliability.hostile import envelopes
from tests.reliability.hostile.limits import MEBIBYTE, measured
from tests.reliability.hostile.samples import make_videos

BOUND = 256 * MEBIBYTE  # for videos of 48 x 32 pixels, whatever they say of themselves
FIELDS = (b"\0\0\0\0", b"\0\0\0\1", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\xff")
LIES = {  # what a number of an mp4 is, and where: its box and the offset after the box's name
    "time scale of the film": (b"mvhd", 12),
    "duration of the film": (b"mvhd", 16),
    "duration of the track": (b"tkhd", 20),
    "width of the track": (b"tkhd", 76),
    "time scale of the track": (b"mdhd", 12),
    "duration in the track's scale": (b"mdhd", 16),
    "number of times": (b"stts", 4),
    "frames of a time": (b"stts", 8),
    "length of a frame": (b"stts", 12),
    "size of all frames": (b"stsz", 4),
    "number of frames": (b"stsz", 8),
    "number of runs": (b"stsc", 4),
    "frames in a chunk": (b"stsc", 12),
    "number of chunks": (b"stco", 4),
    "place of a chunk": (b"stco", 8),
    "number of keyframes": (b"stss", 4),
    "number of offsets": (b"ctts", 4),
    "offset of a frame": (b"ctts", 12),
    "number of edits": (b"elst", 4),
    "length of an edit": (b"elst", 8),
    "start of an edit": (b"elst", 12),
    "width and height": (b"avc1", 24),
    "size of the codec's header": (b"stsd", 8),
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    make_videos(folder)
    return folder


def read(path: Path) -> None:
    """Read a video as the stages do: it is refused, or all that it promises is there."""
    try:
        footage = open_footage(path, 12.0)
        frames = list(footage.frames(range(min(8, footage.num_frames))))
    except InputError as error:
        assert str(path) in error.message
        return
    assert 0 < footage.fps < 10_000
    assert np.isfinite(footage.times).all()
    assert {frame.shape for frame in frames} == {(footage.height, footage.width, 3)}
    plan_windows(footage.times, footage.fps, 4, 1)


@pytest.mark.parametrize("lie", LIES)
def test_an_mp4_that_lies_is_refused_or_read_within_bounds(
    videos: Path, tmp_path: Path, lie: str
) -> None:
    honest = (videos / "a.mp4").read_bytes()
    for number, field in enumerate(FIELDS):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(envelopes.patched(honest, *LIES[lie], field))
        with measured() as cost:
            read(path)
        assert cost.memory < BOUND


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("name", "box", "offset"),
    [
        ("a.avi", b"avih", 4),  # microseconds of a frame
        ("a.avi", b"avih", 20),  # number of frames
        ("a.avi", b"avih", 36),  # width
        ("a.avi", b"strh", 24),  # scale
        ("a.avi", b"strh", 28),  # rate
        ("a.avi", b"strh", 36),  # length
        ("a.avi", b"strf", 8),  # width
        ("a.flv", b"duration", 1),
        ("a.flv", b"framerate", 1),
        ("a.flv", b"width", 1),
        ("a.webm", b"\x2a\xd7\xb1", 1),  # nanoseconds of a tick
        ("a.webm", b"\x44\x89", 1),  # duration
        ("a.gif", b"GIF89a", 0),  # width and height
        ("a.gif", b"\x21\xf9\x04", 0),  # delay of a frame
    ],
)
def test_other_containers_that_lie_are_refused_or_read_within_bounds(
    videos: Path, tmp_path: Path, name: str, box: bytes, offset: int, field: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(envelopes.patched((videos / name).read_bytes(), box, offset, field))
    with measured() as cost:
        read(path)
    assert cost.memory < BOUND


def packets(path: Path, stamps: list[int]) -> Path:
    """Write a video of JPEGs that are shown at `stamps`, in hundredths of a second."""
    picture = io.BytesIO()
    Image.new("L", (32, 48)).save(picture, format="JPEG")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 48, "yuvj420p"
        for stamp in stamps:
            packet = av.Packet(picture.getvalue())
            packet.stream, packet.pts, packet.dts = stream, stamp, stamp
            packet.time_base = Fraction(1, 100)
            container.mux(packet)
    return path


def test_a_pause_of_years_is_refused_and_one_of_minutes_is_not(tmp_path: Path) -> None:
    patient = packets(tmp_path / "a.mkv", [0, 4, 8, 60_000, 60_004])
    assert len(Decoder(patient)) == 5
    with pytest.raises(InputError, match="or a pause as long"):
        Decoder(packets(tmp_path / "b.mkv", [0, 4, 8, 12, 4 * MOST_FRAMES + 99]))


def test_a_frame_that_is_larger_than_any_screen_is_not_decoded(tmp_path: Path) -> None:
    side = 16_000
    small = envelopes.png(32, 48, envelopes.blank_rows(32, 48, 1), colours=0)
    large = envelopes.png(side, side, envelopes.blank_rows(side, side, 1), colours=0)
    packets = [small, large, small]
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("png", rate=12)
        stream.width, stream.height, stream.pix_fmt = 32, 48, "gray"
        for number, content in enumerate(packets):
            packet = av.Packet(content)
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base = Fraction(1, 12)
            container.mux(packet)
    with measured() as cost, pytest.raises(InputError, match=r"frame 1 cannot be decoded|damaged"):
        video = Decoder(tmp_path / "a.mov")
        for number in range(len(video)):
            video.frame(number)
    assert cost.memory < BOUND


def test_a_video_of_many_streams_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        for _ in range(70):
            stream = container.add_stream("mpeg4", rate=12)
            stream.width, stream.height = 32, 48
        container.start_encoding()
    with pytest.raises(InputError, match="must be a video that can be decoded"):
        Decoder(tmp_path / "a.mkv")


@pytest.mark.parametrize("width", [0, 1, 2**31])
def test_a_wave_that_lies_is_no_sound_or_a_harmless_one(tmp_path: Path, width: int) -> None:
    header = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack(
        "<IHHIIHH", 16, 1, 2, width % 2**32, 0, 4, 16
    )
    (tmp_path / "a.mp4").write_bytes(header + b"data\xff\xff\xff\xff")
    find_sound(tmp_path / "a.mp4", 1.0)
    with pytest.raises(InputError, match="must be a video"):
        Decoder(tmp_path / "a.mp4")
