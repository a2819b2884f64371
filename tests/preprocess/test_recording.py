from __future__ import annotations

from pathlib import Path

from dancelcm_cli.data.jsonl import read_rows
from dancelcm_cli.data.shards import ShardWriter
from dancelcm_cli.preprocess.jobs import Job, Reading
from dancelcm_cli.preprocess.pipeline import CpuWarning
from dancelcm_cli.preprocess.recording import Recorder
from dancelcm_cli.preprocess.stopwatch import Stopwatch
from tests.preprocess.test_pipeline import Listener


def reading(name: str, error: str = "", last: bool = True) -> Reading:
    watch = Stopwatch({"detect": 2.0}, {"detect": 10})
    return Reading(Job(name, "a" * 64, last=last), error=error, device="cpu", watch=watch)


def test_after_a_damaged_frame_the_rest_of_a_video_is_left_alone(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, "", {}, 1) as writer:
        recorder = Recorder(writer)
        recorder.record(reading("a.mp4", error="damaged", last=False))
        assert not writer.done
        recorder.record(reading("a.mp4", error="damaged again"))
        recorder.record(reading("b.mp4", error="damaged as well"))
        assert writer.done == {"a.mp4", "b.mp4"}
    rows = [(row["source"], row["detail"]) for row in read_rows(tmp_path / "skipped.jsonl")]
    assert rows == [("a.mp4", "damaged"), ("b.mp4", "damaged as well")]


def test_a_slow_detector_is_told_of_once_with_its_rate_and_a_remedy(tmp_path: Path) -> None:
    listener = Listener()
    with ShardWriter(tmp_path, "", {}, 1) as writer:
        recorder = Recorder(writer)
        warnings = [CpuWarning(name, listener) for name in ("dwpose", "blazepose")]
        for name in ("a.mp4", "b.mp4"):
            recorder.record(reading(name))
            for warn in warnings:
                warn(recorder)
    (note,) = listener.notes
    assert note.startswith("WARNING: dwpose runs on the CPU, 5.0 frames/s")
    assert "onnxruntime-gpu" in note
