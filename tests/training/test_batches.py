import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.vae import to_pixels
from dancelcm_cli.data.shards import Clip, ShardReader
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.drawing import draw_poses
from dancelcm_cli.training.batches import (
    ClipBatches,
    PictureBatches,
    clip_sample,
    collate,
    epoch_index,
    split_sources,
)
from dancelcm_cli.training.pose_pictures import DrawnPoses

MakeShards = Callable[..., Path]


def clip_batches(shards: Path, **changes: Any) -> ClipBatches:
    settings = {"steps": 9, "batch_size": 2, "num_frames": (4,), "seed": 0} | changes
    reader = ShardReader(shards)
    return ClipBatches(
        reader,
        range(len(reader)),
        poses=DrawnPoses((64, 64)),
        device=torch.device("cpu"),
        **settings,
    )


def assert_equal(batch: ClipBatch, other: ClipBatch) -> None:
    assert torch.equal(batch.latents, other.latents)
    for name, value in vars(batch.conditions).items():
        counterpart = getattr(other.conditions, name)
        assert (value is None) == (counterpart is None)
        assert value is None or torch.equal(value, counterpart)


def epoch(num_items: int, number: int, seed: int) -> tuple[int, ...]:
    first = number * num_items
    return tuple(epoch_index(num_items, first + i, seed) for i in range(num_items))


@given(st.integers(1, 12), st.integers(0, 5), st.integers(0, 9))
def test_every_epoch_holds_every_item_once(num_items: int, number: int, seed: int) -> None:
    assert sorted(epoch(num_items, number, seed)) == list(range(num_items))


def test_epochs_are_shuffled_differently_each_time_and_for_each_seed() -> None:
    orders = {epoch(8, number, seed) for number in range(4) for seed in (0, 1)}
    assert len(orders) == 8


@given(st.integers(0, 8), st.sampled_from([1, 2, 3, 6]))
def test_the_parts_of_a_batch_are_the_whole(shards: Path, step: int, parts: int) -> None:
    batches = clip_batches(shards, batch_size=6, image_steps=3, image_batch_size=6)
    whole = batches.part(step)
    divided = [batches.part(step, part, parts) for part in range(parts)]
    assert torch.equal(torch.cat([part.latents for part in divided]), whole.latents)
    poses = torch.cat([part.conditions.pose for part in divided])
    assert torch.equal(poses, whole.conditions.pose)
    assert sum((part.numbers for part in divided), ()) == whole.numbers


def test_every_sample_has_a_number_of_its_own_in_the_order_of_the_run(shards: Path) -> None:
    batches = clip_batches(shards, image_steps=2, image_batch_size=3)
    numbers = [number for step in range(5) for number in batches.part(step).numbers]
    assert numbers == list(range(2 * 3 + 3 * 2))


def test_a_batch_that_cannot_be_divided_is_refused(shards: Path) -> None:
    with pytest.raises(InputError, match="got 2 clips for 3 parts") as caught:
        clip_batches(shards).part(0, 0, 3)
    assert "multiple of 3" in caught.value.hint


def test_several_lengths_take_turns(shards: Path) -> None:
    batches = clip_batches(shards, num_frames=(4, 2), image_steps=1)
    assert [batches.part(step).latents.shape[2] for step in range(5)] == [1, 2, 4, 2, 4]


def test_the_motion_mask_is_that_of_the_same_frames(shards: Path) -> None:
    clip = ShardReader(shards)[0]
    mask = torch.rand(clip.num_frames, 8, 8) > 0.5
    sample = clip_sample(dataclasses.replace(clip, motion_mask=mask), range(2, 5), 64, 64)
    assert torch.equal(sample.motion_mask[0], mask[2:5].float())


def test_a_batch_depends_on_its_step_alone(shards: Path) -> None:
    settings = {"image_steps": 3, "image_batch_size": 4}
    forwards = clip_batches(shards, **settings)
    kept = [forwards.part(step) for step in range(len(forwards))]
    fresh = clip_batches(shards, **settings)
    for step in reversed(range(len(fresh))):
        assert_equal(fresh.part(step), kept[step])


def test_another_seed_gives_other_batches(shards: Path) -> None:
    first, second = (clip_batches(shards, seed=seed).part(0).latents for seed in (0, 1))
    assert not torch.equal(first, second)


def test_an_epoch_of_batches_visits_every_clip_once(shards: Path) -> None:
    reader = ShardReader(shards)
    # As long as a clip, a window can be told by its latents.
    batches = clip_batches(shards, num_frames=(reader.rows[0].num_frames,))
    clips = {reader[i].latents.float().sum().item(): i for i in range(len(reader))}
    for first in (0, 3, 6):
        seen = [
            clips[latents.sum().item()]
            for step in range(first, first + 3)
            for latents in batches.part(step).latents
        ]
        assert Counter(seen) == Counter(range(6))


def test_image_steps_come_first_and_hold_single_frames(shards: Path) -> None:
    batches = clip_batches(shards, image_steps=2, image_batch_size=3)
    shapes = [tuple(batches.part(step).latents.shape) for step in range(4)]
    assert shapes == [(3, 4, 1, 8, 8)] * 2 + [(2, 4, 4, 8, 8)] * 2
    assert batches.part(0).conditions.pose.shape == (3, 3, 1, 64, 64)


def test_the_reference_is_the_picture_that_an_image_embedding_is_of(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, read = torch.full((4, 8, 8), 7.0).half(), ShardReader.__getitem__

    def with_embedding(reader: ShardReader, index: int) -> Clip:
        embeds = torch.zeros(3).half()
        return dataclasses.replace(
            read(reader, index), image_embeds=embeds, reference_latents=stored
        )

    monkeypatch.setattr(ShardReader, "__getitem__", with_embedding)
    batches = clip_batches(shards)
    for step in range(4):
        conditions = batches.part(step).conditions
        assert torch.equal(conditions.reference_latents, stored.float().expand(2, -1, -1, -1))


def test_latents_and_poses_are_those_of_the_same_frames(shards: Path) -> None:
    clip = ShardReader(shards)[0]
    sample = clip_sample(clip, range(1, 4), 64, 64, reference=5)
    assert clip.latents is not None
    assert torch.equal(sample.latents[0], clip.latents[:, 1:4].float())
    assert torch.equal(sample.conditions.reference_latents[0], clip.latents[:, 5].float())
    drawn = draw_poses(clip.keypoints[[1, 2, 3, 5]], 64, 64).astype(np.float32) / 255
    poses = sample.conditions.pose[0].permute(1, 2, 3, 0).numpy()
    assert np.allclose(poses, drawn[:3])
    assert np.allclose(sample.conditions.reference_pose[0].permute(1, 2, 0).numpy(), drawn[3])
    assert drawn.max() > 0.5  # a figure is there


def test_a_clip_without_a_face_is_marked_and_joins_one_with_a_face(shards: Path) -> None:
    reader = ShardReader(shards)
    samples = [clip_sample(reader[i], range(2), 64, 64) for i in (0, 1)]
    conditions = collate(samples).conditions
    assert conditions.has_face is not None and conditions.face_latents is not None
    assert conditions.has_face.tolist() == [1.0, 0.0]
    assert conditions.face_latents[0].any() and not conditions.face_latents[1].any()
    assert collate(samples[1:]).conditions.face_latents is None


@given(st.integers(0, 20), st.floats(0, 0.99))
def test_no_source_is_in_both_parts(shards: Path, seed: int, share: float) -> None:
    reader = ShardReader(shards)
    training, validation = split_sources(reader, share, seed)
    assert sorted(training + validation) == list(range(len(reader)))
    sources = [{reader.rows[i].source for i in part} for part in (training, validation)]
    assert sources[0] and not sources[0] & sources[1]
    assert bool(validation) == (share > 0)


def test_a_single_source_trains_and_a_share_of_zero_holds_nothing_back(
    tmp_path: Path, shards: Path, make_shards: MakeShards
) -> None:
    lonely = ShardReader(make_shards(tmp_path, clips_per_source=[3]))
    assert split_sources(lonely, 0.5, 0) == ([0, 1, 2], [])
    assert split_sources(ShardReader(shards), 0.0, 0) == (list(range(6)), [])


def test_clips_that_are_too_short_are_refused_with_a_length_that_fits(shards: Path) -> None:
    with pytest.raises(InputError, match="at least 7 frames, got one of 6") as caught:
        clip_batches(shards, num_frames=(7,))
    assert "train.num_frames=6" in caught.value.hint
    assert "distill.num_frames=6" in caught.value.hint


def test_clips_of_frames_alone_train_no_network(picture_shards: Path) -> None:
    with pytest.raises(InputError, match="must hold latents") as caught:
        clip_batches(picture_shards).part(0)
    assert "--store frames" in caught.value.hint


def test_clips_of_latents_alone_train_no_autoencoder(shards: Path) -> None:
    with pytest.raises(InputError, match="must hold frames") as caught:
        PictureBatches(ShardReader(shards), [0], steps=1, batch_size=1, seed=0).part(0)
    assert "--store frames" in caught.value.hint


def test_picture_batches_are_stored_frames_and_depend_on_their_step_alone(
    picture_shards: Path,
) -> None:
    reader = ShardReader(picture_shards)
    batches = PictureBatches(reader, range(len(reader)), steps=4, batch_size=3, seed=0)
    kept = [batches.part(step) for step in range(len(batches))]
    frames = torch.cat([to_pixels(reader[i].frames) for i in range(len(reader))])
    for step in reversed(range(4)):
        assert torch.equal(batches.part(step), kept[step])
        assert all((frames == picture).flatten(1).all(1).any() for picture in kept[step])
    assert not torch.equal(kept[0], kept[1])
