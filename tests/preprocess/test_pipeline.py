import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.image_encoder import encode_image
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.detector_weights import FETCHED
from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.jsonl import read_rows
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.data.video import iter_frames, write_video
from dancelcm_cli.data.weight_files import CACHE_VARIABLE, weights_folder, weights_path
from dancelcm_cli.data.weight_table import weight_file
from dancelcm_cli.errors import InputError, InterruptedRunError, WeightsMissingError
from dancelcm_cli.perception.face import FaceCropper
from dancelcm_cli.preprocess.drafts import Drafter
from dancelcm_cli.preprocess.pipeline import PreprocessSummary, preprocess_videos
from dancelcm_cli.preprocess.verification import verify_shards
from dancelcm_cli.progress import SilentProgress
from tests.core.tiny_clip import tiny_clip_pipeline, tiny_image_encoder

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
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    del files["report.html"]  # it names the folder
    return files


def test_all_that_fits_is_kept_and_the_rest_is_listed(run: Run) -> None:
    summary = run()
    reader = ShardReader(summary.output)
    reader.verify()
    kept = [(row.source, row.start_frame) for row in reader.rows]
    assert kept == [("1.mp4", 0), ("1.mp4", 4), ("10.mp4", 0), ("more/2.mp4", 0), ("more/2.mp4", 4)]
    assert summary.kept == 5
    reasons = {"no_keypoints": 1, "no_person": 1, "tail": 1, "too_short": 1, "unreadable": 2}
    assert summary.skipped == reasons
    rows = {row["source"]: row for row in read_rows(summary.output / "skipped.jsonl")}
    assert rows["10.mp4"]["detail"] == "frames 4 to 7: somebody in 0 of 4 frames"
    assert rows["1.mp4"]["detail"] == "frames 8 to 8: 1 frames of 4"
    assert rows["short.mp4"]["detail"] == "frames 0 to 2: 3 frames of 4"
    assert "must annotate 4 frames, got 5" in rows["shifted.mp4"]["detail"]


def test_what_is_left_out_has_its_time_and_a_thumbnail(run: Run) -> None:
    output = run().output
    rows = {row["source"]: row for row in read_rows(output / "skipped.jsonl")}
    assert (rows["10.mp4"]["start"], rows["10.mp4"]["end"]) == (0.333, 0.667)  # 12 frames/s
    assert (rows["1.mp4"]["start"], rows["1.mp4"]["end"]) == (0.667, 0.75)
    for name in ("10.mp4", "1.mp4", "short.mp4", "bare.mp4"):
        assert read_image(output / rows[name]["thumbnail"]).shape == (64, 48, 3)
    assert rows["text.mp4"]["thumbnail"] is None
    assert len(list((output / "skipped").iterdir())) == 4


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
    draft = Drafter.draft
    made: list[object] = []

    def stop_after(*arguments: object) -> object:
        if len(made) == calls:
            raise KeyboardInterrupt
        made.append(arguments)
        return draft(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Drafter, "draft", stop_after)
        with pytest.raises(InterruptedRunError, match="Interrupted after"):
            run("resumed")
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


def test_a_renamed_copy_is_a_duplicate_whenever_it_comes(run: Run, videos: Path) -> None:
    (videos / "a copy.mp4").write_bytes((videos / "1.mp4").read_bytes())
    first = run()
    (videos / "z copy.mp4").write_bytes((videos / "1.mp4").read_bytes())
    second, progress = run(), Listener()
    assert (first.kept, second.kept) == (5, 5)
    assert (first.skipped["duplicate"], second.skipped["duplicate"]) == (1, 2)
    rows = read_rows(second.output / "skipped.jsonl")
    copy = next(row for row in rows if row["source"] == "z copy.mp4")
    assert copy["detail"] == "frames 0 to 8: a copy of 1.mp4"
    assert (copy["start"], copy["end"]) == (0, 0.75)
    assert run(progress=progress).skipped == second.skipped
    assert progress.notes == ["All 9 videos are done already: nothing new."]


def test_a_moved_folder_is_known_by_its_content(
    run: Run, videos: Path, tmp_path: Path, model: Path, recipe: Recipe
) -> None:
    first = run()
    again = preprocess_videos(videos.parent, first.output, model, recipe, Listener())
    assert again.kept == first.kept and again.frames_per_second == 0


def test_another_video_of_a_known_name_is_another_video(
    run: Run, videos: Path, tmp_path: Path, write_annotated: WriteAnnotated
) -> None:
    first, progress = run(), Listener()
    write_annotated(videos / "other.mp4", 4).replace(videos / "1.mp4")
    (videos / "other.npz").replace(videos / "1.npz")
    assert run().kept == first.kept + 1
    reader = ShardReader(first.output)
    assert reader.rows[-1].source.startswith("1~") and reader.rows[-1].source.endswith(".mp4")
    assert run(progress=progress).kept == len(reader)
    assert progress.notes == ["All 7 videos are done already: nothing new."]


def test_a_lost_shard_is_made_again_though_a_copy_is_listed(run: Run, videos: Path) -> None:
    (videos / "a copy.mp4").write_bytes((videos / "1.mp4").read_bytes())
    first = run()
    whole = contents(first.output)
    (first.output / "shard-00000.safetensors").unlink()
    assert run().kept == first.kept
    assert {row.source for row in ShardReader(first.output).rows} == {
        "1.mp4",
        "10.mp4",
        "more/2.mp4",
    }
    assert contents(first.output)["shard-00000.safetensors"] == whole["shard-00000.safetensors"]


def test_shares_of_several_machines_are_read_as_one_folder(
    run: Run, videos: Path, tmp_path: Path, model: Path, recipe: Recipe
) -> None:
    whole = {row.clip_id: row.sha256 for row in ShardReader(run("whole").output).rows}
    output = tmp_path / "parts"
    preprocess_videos(videos, output, model, recipe, Listener(), (1, 2))
    with pytest.raises(InputError, match="must hold 2 parts, got 1: part-00002-of-00002"):
        ShardReader(output)
    preprocess_videos(videos, output, model, recipe, Listener(), (2, 2))
    reader = ShardReader(output)
    reader.verify()
    assert len(reader.rows) == len(whole)
    assert {row.clip_id: row.sha256 for row in reader.rows} == whole
    assert reader[0].clip_id == reader.rows[0].clip_id
    found = verify_shards(output, SilentProgress())
    assert (found.clips, found.damage) == (len(whole), ())
    other = replace(recipe, preprocess=replace(recipe.preprocess, width=32))
    shutil.rmtree(output / "part-00002-of-00002")
    preprocess_videos(videos, output, model, other, Listener(), (2, 2))
    with pytest.raises(InputError, match="same settings, got others in part-00002"):
        ShardReader(output)


def test_a_folder_of_frames_becomes_the_clips_of_its_video(
    tmp_path: Path, model: Path, recipe: Recipe, write_annotated: WriteAnnotated
) -> None:
    video = write_annotated(tmp_path / "dance.mp4", 12)
    (tmp_path / "videos" / "dance").mkdir(parents=True)
    video.with_suffix(".npz").rename(tmp_path / "videos" / "dance.npz")
    for index, frame in enumerate(iter_frames(video)):
        Image.fromarray(frame).save(tmp_path / "videos" / "dance" / f"{index}.png")
    frames = replace(recipe, preprocess=replace(recipe.preprocess, store="frames"))
    summary = preprocess_videos(tmp_path / "videos", tmp_path / "a", None, frames, Listener())
    assert summary.skipped == {} and summary.kept == 3
    (tmp_path / "videos" / "dance.npz").rename(video.with_suffix(".npz"))
    preprocess_videos(video, tmp_path / "b", None, frames, Listener())
    ours, theirs = ShardReader(tmp_path / "a"), ShardReader(tmp_path / "b")
    assert [row.sha256 for row in ours.rows] == [row.sha256 for row in theirs.rows]
    assert ours.rows[0].fps == theirs.rows[0].fps == 12


def test_a_video_that_cannot_be_read_is_not_done(
    tmp_path: Path, model: Path, recipe: Recipe
) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").symlink_to(tmp_path / "nowhere.mp4")
    progress = Listener()
    with pytest.raises(InputError, match="1 unreadable"):
        preprocess_videos(tmp_path / "videos", tmp_path / "shards", model, recipe, progress)
    assert progress.notes == []


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


def test_a_model_with_an_image_encoder_adds_what_it_sees(tmp_path: Path, recipe: Recipe) -> None:
    pipeline = tiny_clip_pipeline()
    pipeline.save_pretrained(tmp_path / "model")
    video = bundled("samples/driving.mp4")
    recipe = replace(recipe, preprocess=replace(recipe.preprocess, height=96, width=64))
    output = tmp_path / "shards"
    preprocess_videos(video, output, tmp_path / "model", recipe, SilentProgress())
    reader = ShardReader(output)
    clip, row = reader[1], reader.rows[1]
    frame = next(iter_frames(video, [row.start_frame + clip.reference_index]))
    assert clip.image_embeds is not None
    assert clip.image_embeds.equal(encode_image(pipeline.image_encoder, frame).half())
    face = FaceCropper().crop(frame, recipe.preprocess.face_size, clip.reference_keypoints)
    assert face is not None
    assert clip.face_embeds is not None
    assert clip.face_embeds.equal(encode_image(pipeline.image_encoder, face.image).half())


def test_a_model_that_needs_an_image_encoder_and_has_none_is_refused(
    videos: Path, tmp_path: Path, recipe: Recipe
) -> None:
    tiny_clip_pipeline().save_pretrained(tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "image_encoder")
    with pytest.raises(WeightsMissingError, match="must have an image encoder"):
        preprocess_videos(videos, tmp_path / "shards", tmp_path / "model", recipe, Listener())
    assert not (tmp_path / "shards").exists()


def test_another_image_encoder_needs_another_folder(
    videos: Path, tmp_path: Path, recipe: Recipe
) -> None:
    pipeline = tiny_clip_pipeline()
    for seed in (0, 1):
        pipeline.register_modules(image_encoder=tiny_image_encoder(seed))
        pipeline.save_pretrained(tmp_path / f"model-{seed}")
    preprocess_videos(videos, tmp_path / "shards", tmp_path / "model-0", recipe, Listener())
    with pytest.raises(InputError, match="other values of image_encoder"):
        preprocess_videos(videos, tmp_path / "shards", tmp_path / "model-1", recipe, Listener())


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


def test_a_folder_stays_with_the_detector_that_began_it(
    run: Run, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    chosen = replace(recipe, preprocess=replace(recipe.preprocess, pose_detector="auto"))
    first = run(recipe=chosen)
    for name in FETCHED["dwpose"]:  # now there is a better one
        path = weights_path(weight_file(name), weights_folder())
        path.parent.mkdir(parents=True)
        path.touch()
    assert run(recipe=chosen).kept == first.kept
    with pytest.raises(InputError, match="sha256"):  # a new folder would take it
        run("other", recipe=chosen)
