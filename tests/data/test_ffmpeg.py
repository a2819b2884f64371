from __future__ import annotations

import socket
from pathlib import Path

import pytest

from dancelcm_cli.data.ffmpeg import list_encoders, run_ffmpeg, sound_codec
from dancelcm_cli.errors import InputError


def test_the_codecs_that_are_written_are_there() -> None:
    assert {"libx264", "aac"} <= list_encoders()


def test_what_takes_too_long_is_stopped() -> None:
    endless = ["-re", "-f", "lavfi", "-i", "sine=440", "-f", "null", "-"]
    with pytest.raises(InputError, match="within 0 seconds"):
        run_ffmpeg(endless, seconds=0.3)


def test_an_ffmpeg_that_does_not_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "none"))
    with pytest.raises(InputError, match="ffmpeg must run") as caught:
        list_encoders()
    assert "imageio-ffmpeg" in caught.value.hint


def test_a_list_that_names_another_place_is_not_followed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        for name, content in (
            ("list.m3u8", f"#EXTM3U\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n"),
            ("list.ffconcat", f"ffconcat version 1.0\nfile {address}\n"),
        ):
            (tmp_path / name).write_text(content)
            assert sound_codec(tmp_path / name) is None
        with pytest.raises(BlockingIOError):  # nobody has called
            server.accept()
