from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from dancelcm_cli.data.sound import Sound, cut_sound, find_sound
from dancelcm_cli.data.video import probe_video, write_video
from dancelcm_cli.errors import InputError

RATE = 48000  # samples per second
CLICKS = (0.5, 1.25)  # seconds
FRAMES = np.zeros((40, 32, 32, 3), np.uint8)


def ffmpeg(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments]
    return subprocess.run(command, capture_output=True, check=False)


def clicks_of(path: Path) -> NDArray[np.float64]:
    """When the sound of a file is loud for the first time in a while, in seconds."""
    raw = ffmpeg("-i", str(path), "-map", "0:a", "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-")
    loud = np.flatnonzero(np.abs(np.frombuffer(raw.stdout, np.int16).astype(int)) > 6000)
    first = np.diff(loud, prepend=-RATE) > RATE // 10
    return loud[first] / RATE


def packets_of(path: Path) -> list[bytes]:
    """The stored sound, packet by packet, as hashes."""
    lines = ffmpeg("-i", str(path), "-map", "0:a", "-c", "copy", "-f", "framehash", "-").stdout
    return [line.split(b",")[-1] for line in lines.splitlines() if not line.startswith(b"#")]


@pytest.fixture
def clicking(tmp_path: Path) -> Path:
    """A video of 2 s with clicks, sound in AAC."""
    samples = np.zeros(2 * RATE, np.int16)
    for click in CLICKS:
        samples[round(click * RATE) :][:480] = 20000 * (-1) ** (np.arange(480) // 12)
    raw, silent, video = tmp_path / "raw", tmp_path / "silent.mp4", tmp_path / "clicking.mp4"
    raw.write_bytes(samples.tobytes())
    write_video(silent, FRAMES, 20)
    sound = ("-f", "s16le", "-ar", str(RATE), "-ac", "1", "-i", str(raw))
    ffmpeg("-i", str(silent), *sound, "-c:v", "copy", "-c:a", "aac", str(video))
    return video


def write_with_sound(
    output: Path, frames: NDArray[np.uint8], fps: int, sound: Sound | None
) -> None:
    with cut_sound(sound, output) as cut:
        write_video(output, frames, fps, cut)


def converted(video: Path, name: str, codec: str) -> Path:
    path = video.with_name(name)
    ffmpeg("-i", str(video), "-c:v", "copy", "-c:a", codec, str(path))
    return path


def test_a_silent_video_has_no_sound(clicking: Path) -> None:
    assert find_sound(clicking.with_name("silent.mp4"), 1.0) is None
    assert find_sound(clicking, 1.0) == Sound(clicking, "aac", 1.0)


@pytest.mark.parametrize("name", ["a.mp4", "a.webm"])
def test_the_sound_stays_with_the_pictures(clicking: Path, name: str) -> None:
    output = clicking.with_name(name)
    write_with_sound(output, FRAMES, 20, find_sound(clicking, 2.0))
    assert clicks_of(output) == pytest.approx(clicks_of(clicking), abs=0.015)
    assert probe_video(output).num_frames == 40


def test_a_sound_that_fits_is_copied_bit_for_bit(clicking: Path) -> None:
    output = clicking.with_name("a.mp4")
    write_with_sound(output, FRAMES, 20, find_sound(clicking, 2.0))
    assert packets_of(output) == packets_of(clicking)


@pytest.mark.parametrize(("name", "codec"), [("pcm.mov", "pcm_s16le"), ("flac.mkv", "flac")])
def test_a_sound_that_does_not_fit_is_encoded_anew(clicking: Path, name: str, codec: str) -> None:
    sound = find_sound(converted(clicking, name, codec), 2.0)
    assert sound is not None and sound.codec == codec
    output = clicking.with_name("a.mp4")
    write_with_sound(output, FRAMES, 20, sound)
    assert clicks_of(output) == pytest.approx(CLICKS, abs=0.015)
    assert (found := find_sound(output, 2.0)) is not None and found.codec == "aac"


def test_the_sound_is_cut_to_what_is_shown(clicking: Path) -> None:
    output = clicking.with_name("a.mp4")
    write_with_sound(output, FRAMES[:20], 20, find_sound(clicking, 1.0))
    assert clicks_of(output) == pytest.approx(CLICKS[:1], abs=0.015)
    assert probe_video(output).num_frames == 20


def test_a_sound_that_is_too_short_does_not_shorten_the_pictures(clicking: Path) -> None:
    output = clicking.with_name("a.mp4")
    write_with_sound(output, FRAMES, 10, find_sound(clicking, 4.0))
    assert probe_video(output).num_frames == 40


def test_a_sound_that_cannot_be_read_is_told_and_leaves_nothing(clicking: Path) -> None:
    before = set(clicking.parent.iterdir())
    broken = Sound(clicking.with_name("silent.mp4"), "aac", 2.0)
    with (
        pytest.raises(InputError, match=r"sound of .* must be readable") as caught,
        cut_sound(broken, clicking.with_name("a.mp4")),
    ):
        pass
    assert "--no-audio" in caught.value.hint
    assert set(clicking.parent.iterdir()) == before


def test_silence_is_no_file(tmp_path: Path) -> None:
    with cut_sound(None, tmp_path / "a.mp4") as cut:
        assert cut is None


def test_names_that_look_like_options_or_protocols_are_names(clicking: Path) -> None:
    strange = clicking.rename(clicking.with_name("-i http:concat.mp4"))
    output = strange.with_name("-y|pipe:1.mp4")
    write_with_sound(output, FRAMES, 20, find_sound(strange, 2.0))
    assert len(clicks_of(output)) == 2
