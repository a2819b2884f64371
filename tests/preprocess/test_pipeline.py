from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.jsonl import read_rows
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.data.video import write_video
from dancelcm_cli.errors import InputError, InterruptedRunError
from dancelcm_cli.preprocess.encoding import ClipMaker
from dancelcm_cli.preprocess.pipeline import PreprocessSummary, preprocess_videos
from dancelcm_cli.progress import SilentProgress

WriteAnnotated = Callable[..., Path]
Run = Callable[..., PreprocessSummary]


class Listener(SilentProgress):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def videos(tmp_path: Path, write_annotated: WriteAnnotated) -> Path:
    """Three good videos (5 clips), and one of each kind that is left out."""
    folder = tmp_path / "videos"
    write_annotated(folder / "1.mp4", 9)
    write_annotated(folder / "more" / "2.mp4", 8)
    write_annotated(folder / "10.mp4", 8, seen_until=4)
    write_annotated(folder / "short.mp4", 3)
    write_annotated(folder / "bare.mp4", 4).with_suffix(".npz").unlink()
    (folder / "text.mp4").write_text("no video")
    shifted = write_annotated(folder / "shifted.mp4", 5)
    write_video(shifted, np.zeros((4, 64, 48, 3), np.uint8), 12)
    return folder


@pytest.fixture
def run(tmp_path: Path, videos: Path, model: Path, recipe: Recipe) -> Run:
    def run(
        output: str = "shards", recipe: Recipe = recipe, progress: Listener | None = None
    ) -> PreprocessSummary:
        return preprocess_videos(videos, tmp_path / output, model, recipe, progress or Listener())

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_all_that_fits_is_kept_and_the_rest_is_listed(run: Run) -> None:
    summary = run()
    reader = ShardReader(summary.output)
    reader.verify()
    kept = [(row.source, row.start_frame) for row in reader.rows]
    assert kept == [("1.mp4", 0), ("1.mp4", 4), ("10.mp4", 0), ("more/2.mp4", 0), ("more/2.mp4", 4)]
    assert summary.kept == 5
    assert summary.skipped == {"no_keypoints": 1, "no_person": 1, "too_short": 1, "unreadable": 2}
    details = {row["source"]: row["detail"] for row in read_rows(summary.output / "skipped.jsonl")}
    assert details["10.mp4"] == "frames 4 to 7: mean body score 0.00"
    assert details["short.mp4"] == "3 frames of 4"
    assert "must annotate 4 frames, got 5" in details["shifted.mp4"]


def test_clips_hold_the_pixels_and_points_of_their_frames(run: Run, recipe: Recipe) -> None:
    stored = replace(recipe, preprocess=replace(recipe.preprocess, store="frames"))
    clip = ShardReader(run(recipe=stored).output)[1]
    assert clip.frames is not None
    for index, frame in enumerate(clip.frames.astype(int)):
        left = clip.start_frame + index  # 2 pixels a frame, shrunk by 2
        assert frame[16, left + 4].min() > 180
        assert frame[16, (left + 12) % 24].max() < 80
        points = clip.keypoints[index, :, 0] * 24
        assert left <= points.min() < points.max() <= left + 8


def test_motion_is_where_the_square_is(run: Run) -> None:
    clip = ShardReader(run().output)[0]
    assert clip.motion_mask is not None
    assert clip.motion_mask.any(dim=0).tolist() == [
        [False, False, False],
        [True, True, False],
        [True, True, False],
        [False, False, False],
    ]


def test_every_nth_frame_is_taken_at_its_rate(run: Run, recipe: Recipe) -> None:
    strided = replace(recipe, preprocess=replace(recipe.preprocess, num_frames=3, frame_stride=2))
    row = ShardReader(run(recipe=strided).output).rows[0]
    assert (row.num_frames, row.fps) == (3, 6.0)


def test_two_runs_write_the_same_bytes(run: Run) -> None:
    assert contents(run("first").output) == contents(run("second").output)


@pytest.mark.parametrize("calls", [0, 1, 2, 3, 4])
def test_a_resumed_run_equals_an_uninterrupted_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    whole = contents(run("whole").output)
    make = ClipMaker.make
    made: list[object] = []

    def stop_after(*arguments: object) -> object:
        if len(made) == calls:
            raise KeyboardInterrupt
        made.append(arguments)
        return make(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(ClipMaker, "make", stop_after)
        with pytest.raises(InterruptedRunError, match="Interrupted after") as caught:
            run("resumed")
    assert "same command again" in caught.value.hint
    assert contents(run("resumed").output) == whole


def test_a_repeated_run_says_that_nothing_is_new(run: Run) -> None:
    first, progress = run(), Listener()
    again = run(progress=progress)
    assert progress.notes == ["All 7 videos are done already: nothing new."]
    assert (again.kept, again.skipped) == (first.kept, first.skipped)
    assert again.frames_per_second == 0


def test_a_new_video_is_added_to_the_old_ones(
    run: Run, videos: Path, write_annotated: WriteAnnotated
) -> None:
    first = run()
    write_annotated(videos / "new.mp4", 4)
    assert run().kept == first.kept + 1
    ShardReader(first.output).verify()


def test_other_settings_need_another_folder(run: Run, recipe: Recipe) -> None:
    run()
    with pytest.raises(InputError, match="other values of preprocess"):
        run(recipe=replace(recipe, preprocess=replace(recipe.preprocess, height=48)))


def test_nothing_kept_is_an_error_that_counts_the_reasons(
    videos: Path, tmp_path: Path, model: Path, recipe: Recipe
) -> None:
    with pytest.raises(InputError, match="got none: 1 too_short"):
        preprocess_videos(
            videos / "short.mp4", tmp_path / "shards", model, recipe, SilentProgress()
        )
    assert not list((tmp_path / "shards").glob("*.safetensors"))


def test_clips_without_a_face_are_kept_and_counted(
    tmp_path: Path, model: Path, recipe: Recipe, write_annotated: WriteAnnotated
) -> None:
    path = write_annotated(tmp_path / "a.mp4", 4)
    with np.load(path.with_suffix(".npz")) as arrays:
        keypoints, visible = arrays["keypoints"], arrays["visible"]
    keypoints[:, [0, 14, 15]] = -9  # nose and eyes are left of the frame
    np.savez(path.with_suffix(".npz"), keypoints=keypoints, visible=visible)
    progress = Listener()
    summary = preprocess_videos(path, tmp_path / "shards", model, recipe, progress)
    assert summary.kept == 1
    assert progress.notes == ["1 of 1 clips show no face; they are kept without one."]
    assert not ShardReader(summary.output).rows[0].has_face


def test_the_bundled_dancer_becomes_a_clip_with_a_face(
    tmp_path: Path, model: Path, recipe: Recipe
) -> None:
    config = replace(recipe.preprocess, height=96, width=64, num_frames=16, face_size=32)
    summary = preprocess_videos(
        bundled("samples/driving.mp4"),
        tmp_path / "shards",
        model,
        replace(recipe, preprocess=config),
        SilentProgress(),
    )
    clip = ShardReader(summary.output)[0]
    assert clip.face_latents is not None
    assert clip.motion_mask is not None
    assert 0.05 < clip.motion_mask.float().mean() < 0.5
    assert (clip.reference_keypoints[:, 2] == 1).mean() > 0.9
