from dataclasses import replace
from pathlib import Path

import pytest

from dancelcm_cli.evaluate.datasets import Dataset, TestVideo
from dancelcm_cli.evaluate.estimates import ClipFacts
from dancelcm_cli.evaluate.notes import Scored, comparability_notes
from dancelcm_cli.evaluate.protocol import DISCO_256, Protocol
from dancelcm_cli.evaluate.sources import PictureFolder

AS_DISCO = replace(DISCO_256, fvd_codec="h264")
TIKTOK = Dataset("tiktok", "disco10", Path(), (), "square-crop")
LONG = TestVideo("a", PictureFolder(Path(), (Path("0.png"),) * 300), Path())
WHOLE = Scored([LONG], 1.0, lossy=0, unused=())


def notes(protocol: Protocol = AS_DISCO, clips: ClipFacts | None = None, **skipped: str) -> str:
    return "\n".join(comparability_notes(TIKTOK, protocol, WHOLE, clips, skipped))


def test_what_was_measured_as_disco_did_has_no_note() -> None:
    assert notes() == ""


@pytest.mark.parametrize(
    ("switch", "reason"),
    [
        ({"lpips_range": "signed"}, "LPIPS of pixels in the range 'signed'"),
        ({"fvd_stride": 16}, "every 16th frame"),
        ({"fvd_resize": "bilinear"}, "resized by 'bilinear'"),
        ({"fvd_codec": "none"}, "frames as they are"),
        ({"metrics": ("psnr_uint8_overflow",)}, "tells nothing of quality"),
    ],
)
def test_every_switch_that_is_not_discos_is_told(switch: dict[str, object], reason: str) -> None:
    clips = ClipFacts(1000, 5.0)
    assert reason in notes(replace(AS_DISCO, **switch), clips)
    assert reason not in notes(AS_DISCO, clips)


def test_fvd_is_told_with_its_clips_and_its_floor() -> None:
    assert notes(clips=ClipFacts(1000, 5.04)) == (
        "FVD of 1000 clips; one half of the truth is 5.0 away from the other."
    )
    few = notes(clips=ClipFacts(10, None))
    assert "FVD of 10 clips.\n" in few and "too large" in few


def test_a_skipped_metric_is_told_by_its_label_with_the_reason() -> None:
    assert notes(fvd="No weights.") == "FVD is skipped. No weights."


def test_frames_missing_inside_a_video_are_told() -> None:
    torn = Scored([replace(LONG, indices=(0, 1, 3))], 0.01, lossy=0, unused=())
    every_second = Scored([replace(LONG, indices=range(0, 300, 2))], 0.5, lossy=0, unused=())
    for scored, told in ((torn, True), (every_second, False)):
        text = "\n".join(comparability_notes(TIKTOK, AS_DISCO, scored, None, {}))
        assert ("across the gaps" in text) == told
