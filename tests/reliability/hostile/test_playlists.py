"""Lists, patterns and addresses that ffmpeg would follow, dressed up as videos: none is."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import imageio_ffmpeg
import pytest
from PIL import Image

from dancelcm_cli.data import ffmpeg
from dancelcm_cli.data.containers import READABLE
from dancelcm_cli.data.decoding import Decoder
from dancelcm_cli.data.ffmpeg import sound_codec
from dancelcm_cli.data.footage import open_footage
from dancelcm_cli.errors import InputError
from tests.reliability.hostile.samples import make_sounds

SECRET = "the content of a file that is nobody's business"


class Listener:
    """A port of this machine that keeps count of who comes."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.visits = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                return
            self.visits += 1
            visitor.close()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the lists name: a video with sound, pictures in a row, and a text."""
    make_sounds(tmp_path)
    for number in range(1, 4):
        Image.new("RGB", (32, 48), (0, 255, 0)).save(tmp_path / f"{number}.png")
        Image.new("RGB", (32, 48), (0, 255, 0)).save(tmp_path / f"x{number}.mp4.png")
    (tmp_path / "secret.txt").write_text(SECRET)
    return tmp_path


def lists(folder: Path, port: int) -> dict[str, str]:
    """Return what each list says; they name files of the folder, and addresses."""
    place, away = f"{folder}/a.mp4", f"http://127.0.0.1:{port}"
    media = f'<S t="0" d="2"/><SegmentURL media="{away}/b.m4s"/>'
    return {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{away}/a.ts\n#EXT-X-ENDLIST\n",
        "hls of files": f"#EXTM3U\n#EXTINF:1,\nfile:{place}\n#EXT-X-ENDLIST\n",
        "hls with a key": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{away}/k"\n#EXTINF:1,\na.mp4\n',
        "hls after spaces": f"\n\n  #EXTM3U\n#EXTINF:1,\n{away}/a.ts\n",
        "hls of concat": f"#EXTM3U\n#EXTINF:1,\nconcat:{place}|{folder}/secret.txt\n",
        "concat": f"ffconcat version 1.0\nfile '{place}'\nfile '{away}/a.mp4'\n",
        "concat of files": "ffconcat version 1.0\nfile a.mp4\nfile secret.txt\n",
        "session": f"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video {port} RTP/AVP 9\n",
        "dash": f'<?xml version="1.0"?><MPD type="static"><Period><AdaptationSet><Representation>'
        f"<BaseURL>{away}/</BaseURL><SegmentList>{media}</SegmentList></Representation>"
        "</AdaptationSet></Period></MPD>",
        "smooth": f'<?xml version="1.0"?><SmoothStreamingMedia Url="{away}/"/>',
        "imf": f'<?xml version="1.0"?><AssetMap><Path>{away}/a.mxf</Path></AssetMap>',
        "pls": f"[playlist]\nFile1={away}/a.mp4\n",
        "asx": f'<asx version="3.0"><entry><ref href="{away}/a.wmv"/></entry></asx>',
        "rtsp": f"rtsp://127.0.0.1:{port}/a\n",
        "reference": f"[Reference]\nRef1={away}/a.asf\n",
        "metadata": ";FFMETADATA1\ntitle=a\n",
        "concat by name": f"concat:{place}|{folder}/secret.txt",
        "subtitles": "WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n",
        "vapoursynth": "import os\n",
        "avisynth": 'AviSource("a.avi")\n',
    }


@pytest.mark.parametrize("suffix", ["mp4", "m3u8", "ffconcat"])
def test_a_list_is_refused_and_nothing_in_it_is_opened(
    folder: Path, listener: Listener, suffix: str
) -> None:
    for name, text in lists(folder, listener.port).items():
        path = folder / f"list.{suffix}"
        path.write_text(text)
        with pytest.raises(InputError, match="must be a video") as caught:
            Decoder(path)
        assert SECRET not in caught.value.message + caught.value.hint, name
        assert sound_codec(path) is None, name
    assert not listener.visits


@pytest.mark.parametrize("name", ["%d.png", "%01d.png", "*.png", "?.png", "[1-3].png"])
def test_a_pattern_of_pictures_stands_for_none_of_them(folder: Path, name: str) -> None:
    (folder / name).write_text("no video")
    with pytest.raises(InputError, match="must be a video"):
        Decoder(folder / name)
    assert sound_codec(folder / name) is None


@pytest.mark.parametrize("name", ["%d.mp4", "x%d.mp4", "*.mp4", "?.mp4", "[a-c].mp4"])
def test_a_video_may_be_called_like_a_pattern(folder: Path, name: str) -> None:
    (folder / "a.mp4").rename(folder / name)
    assert len(Decoder(folder / name)) == 6
    assert sound_codec(folder / name) == "aac"


@pytest.mark.parametrize(
    "name",
    [
        "concat:a.mp4|secret.txt",
        "http:a.mp4",
        "pipe:0",
        "subfile,,start,0,end,0,,:a.mp4",
        "data:text,a.mp4",
        "lavfi",
        "-i",
        "fd:0",
    ],
)
def test_a_name_that_looks_like_an_address_is_a_name(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    Path(name).write_bytes(Path("a.mp4").read_bytes())
    footage = open_footage(Path(name), 12.0)
    assert footage.num_frames == 6
    assert sound_codec(Path(name)) == "aac"
    Path(name).unlink()
    with pytest.raises(InputError, match="does not exist"):
        Decoder(Path(name))


def test_what_may_be_opened_holds_no_list_and_no_device() -> None:
    lists = {"hls", "concat", "dash", "sdp", "rtsp", "image2", "imf", "lavfi", "tee", "vapoursynth"}
    known = {name for names in av.formats_available for name in names.split(",")}
    assert set(READABLE) <= known
    assert not lists & set(READABLE)


def test_a_film_whose_pictures_are_in_another_file_is_not_followed(folder: Path) -> None:
    content = (folder / "a.mp4").read_bytes()
    place = content.index(b"url \0\0\0\1")
    elsewhere = content[:place] + b"url \0\0\0\0" + content[place + 8 :]
    (folder / "b.mp4").write_bytes(elsewhere)
    try:
        frames = len(Decoder(folder / "b.mp4"))
    except InputError:
        return
    assert frames == 6  # of its own


def test_the_program_is_given_a_list_of_arguments_and_a_time_limit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[str], dict[str, object]]] = []
    real = ffmpeg.subprocess.run

    def run(command: list[str], **options: object) -> object:
        asked.append((command, options))
        return real(command, **options)

    monkeypatch.setattr(ffmpeg.subprocess, "run", run)
    name = folder / "$(touch mark);`touch mark`&|.mp4"
    name.write_bytes((folder / "a.mp4").read_bytes())
    assert sound_codec(name) == "aac"
    ((command, options),) = asked
    assert command[0] == imageio_ffmpeg.get_ffmpeg_exe()
    assert f"file:{name}" in command
    assert command[command.index("-protocol_whitelist") + 1] == "file"
    assert "shell" not in options
    assert isinstance(options["timeout"], float)
    assert not (folder / "mark").exists()
