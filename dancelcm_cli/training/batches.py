"""Batches as a pure function of the step, so that a resumed run sees what it would have seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import lru_cache

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.noise import generator
from dancelcm_cli.core.vae import Frames, to_pixels
from dancelcm_cli.data.shards import Clip, ShardReader
from dancelcm_cli.errors import InputError
from dancelcm_cli.seeding import stream_seed
from dancelcm_cli.training.pose_pictures import DrawnPoses, PosePictures


def split_sources(
    shards: ShardReader, validation_share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Split clip indices into training and validation so that no source is in both.

    At least one source trains; with a positive share and two sources, at least one validates.
    """
    sources = sorted(
        {row.source for row in shards.rows}, key=lambda s: stream_seed(seed, "split", s)
    )
    wanted = max(1, round(validation_share * len(sources))) if validation_share > 0 else 0
    held_out = set(sources[: min(wanted, len(sources) - 1)])
    validation = [i for i, row in enumerate(shards.rows) if row.source in held_out]
    training = [i for i, row in enumerate(shards.rows) if row.source not in held_out]
    return training, validation


def epoch_index(num_items: int, number: int, seed: int) -> int:
    """Return item `number` of an endless sequence of shuffled epochs."""
    epoch, place = divmod(number, num_items)
    return int(_epoch_order(num_items, epoch, seed)[place])


@lru_cache(maxsize=2)
def _epoch_order(num_items: int, epoch: int, seed: int) -> Tensor:
    return torch.randperm(num_items, generator=generator(seed, "epoch", epoch))


class ClipBatches:
    """The clips of each training step, as a pure function of the step.

    The first `image_steps` steps hold `image_batch_size` single frames, the others `batch_size`
    windows of neighbouring frames, whose length is the next of `num_frames` in turn. Any frame of a
    clip may be its reference. The batches are on `device`; `poses` are those of the shards' clips.
    """

    def __init__(
        self,
        shards: ShardReader,
        indices: Sequence[int],
        *,
        poses: PosePictures,
        device: torch.device,
        steps: int,
        batch_size: int,
        num_frames: Sequence[int],
        seed: int,
        image_steps: int = 0,
        image_batch_size: int = 1,
    ) -> None:
        shortest = min(shards.rows[i].num_frames for i in indices)
        if shortest < max(num_frames):
            raise InputError(
                f"Clips must have at least {max(num_frames)} frames, got one of {shortest}.",
                hint=f"Train on --set train.num_frames={shortest}, distill on --set"
                f" distill.num_frames={shortest}, or preprocess longer clips.",
            )
        self.shards = shards
        self.indices = list(indices)
        self.poses = poses
        self.device = device
        self.steps = steps
        self.batch_size, self.num_frames = batch_size, tuple(num_frames)
        self.image_steps, self.image_batch_size = image_steps, image_batch_size
        self.seed = seed

    def __len__(self) -> int:
        return self.steps

    def part(self, step: int, part: int = 0, parts: int = 1) -> ClipBatch:
        """Return the `part`-th of `parts` equal parts of the batch of `step`."""
        count, num_frames = self.shape(step)
        numbers = part_of(self._first(step), count, part, parts)
        samples = [self._sample(number, num_frames) for number in numbers]
        return collate(samples).to(self.device)

    def shape(self, step: int) -> tuple[int, int]:
        """Return how many samples the whole batch of `step` holds, and how many frames each."""
        if step < self.image_steps:
            return self.image_batch_size, 1
        return self.batch_size, self.num_frames[step % len(self.num_frames)]

    def _sample(self, number: int, num_frames: int) -> ClipBatch:
        index = self.indices[epoch_index(len(self.indices), number, self.seed)]
        clip = self.shards[index]
        stream = generator(self.seed, "window", number)
        start = int(torch.randint(clip.num_frames - num_frames + 1, (), generator=stream))
        drawn = int(torch.randint(clip.num_frames, (), generator=stream))
        # An image embedding is of the stored reference.
        reference = drawn if clip.image_embeds is None else None
        window = slice(start, start + num_frames)
        pictures = self.poses.of(index, clip, window, reference)
        return replace(_sample_of(clip, window, pictures, reference), numbers=(number,))

    def _first(self, step: int) -> int:
        """Return how many samples came before `step`."""
        images = min(step, self.image_steps)
        return images * self.image_batch_size + (step - images) * self.batch_size


def part_of(first: int, count: int, part: int, parts: int) -> range:
    """Return the numbers of the `part`-th of `parts` equal parts of `count` samples from `first`.

    Raises:
        InputError: the samples cannot be divided evenly.
    """
    if count % parts:
        raise InputError(
            f"A batch must divide evenly among processes and accumulated parts, got {count} "
            f"clips for {parts} parts.",
            hint=f"Use a batch size that is a multiple of {parts}.",
        )
    size = count // parts
    return range(first + part * size, first + (part + 1) * size)


def clip_sample(
    clip: Clip, frames: range, height: int, width: int, reference: int | None = None
) -> ClipBatch:
    """Return `frames` of `clip` as a batch of one; `reference` is a frame, None the stored one."""
    window = slice(frames.start, frames.stop)
    pictures = DrawnPoses((height, width)).of(0, clip, window, reference)
    return _sample_of(clip, window, pictures, reference).to(torch.device("cpu"))


def _sample_of(clip: Clip, window: slice, pictures: Frames, reference: int | None) -> ClipBatch:
    """Return `window` of `clip`; `pictures` are the poses of its frames, then the reference's."""
    if clip.latents is None or clip.reference_latents is None:
        raise InputError(
            f"Clip {clip.clip_id} must hold latents, got frames alone.",
            hint="Run `dancelcm preprocess` without --store frames.",
        )
    latents = clip.reference_latents if reference is None else clip.latents[:, reference]
    poses = rearrange(torch.from_numpy(pictures), "f h w c -> c f h w")
    face, mask = clip.face_latents, clip.motion_mask
    return ClipBatch(
        clip.latents[:, window].float()[None],
        Conditions(
            pose=poses[None, :, :-1],
            reference_pose=poses[None, :, -1],
            reference_latents=latents.float()[None],
            image_embeds=None if clip.image_embeds is None else clip.image_embeds.float()[None],
            face_latents=None if face is None else face.float()[None],
            face_embeds=None if clip.face_embeds is None else clip.face_embeds.float()[None],
            has_face=torch.tensor([0.0 if face is None else 1.0]),
        ),
        motion_mask=None if mask is None else mask[window].float()[None],
    )


def collate(samples: Sequence[ClipBatch]) -> ClipBatch:
    """Join batches of one; a sample without a face gets blank face features and `has_face` 0."""
    conditions = {
        field.name: _joined([getattr(sample.conditions, field.name) for sample in samples])
        for field in fields(Conditions)
    }
    mask = _joined([sample.motion_mask for sample in samples])
    return ClipBatch(
        torch.cat([sample.latents for sample in samples]),
        Conditions(**conditions),  # type: ignore[arg-type]
        tuple(number for sample in samples for number in sample.numbers),
        mask,
    )


def _joined(values: Sequence[Tensor | None]) -> Tensor | None:
    """Concatenate, with zeros in the place of what is missing; None where all are."""
    present = next((value for value in values if value is not None), None)
    if present is None:
        return None
    blank = torch.zeros_like(present)
    return torch.cat([blank if value is None else value for value in values])


class PictureBatches:
    """The `(B, 3, H, W)` pictures in [-1, 1] of each step of the autoencoder's training."""

    def __init__(
        self, shards: ShardReader, indices: Sequence[int], *, steps: int, batch_size: int, seed: int
    ) -> None:
        self.shards = shards
        self.indices = list(indices)
        self.steps, self.batch_size, self.seed = steps, batch_size, seed

    def __len__(self) -> int:
        return self.steps

    def part(self, step: int, part: int = 0, parts: int = 1) -> Tensor:
        """Return the `part`-th of `parts` equal parts of the batch of `step`."""
        pictures = []
        for number in part_of(step * self.batch_size, self.batch_size, part, parts):
            index = epoch_index(len(self.indices), number, self.seed)
            frames = clip_frames(self.shards[self.indices[index]])
            stream = generator(self.seed, "picture", number)
            frame = int(torch.randint(len(frames), (), generator=stream))
            pictures.append(frames[frame])
        return to_pixels(np.stack(pictures))

    def shape(self, step: int) -> tuple[int, int]:
        """Return how many pictures the whole batch of `step` holds; each is one frame."""
        return self.batch_size, 1


def clip_frames(clip: Clip) -> NDArray[np.uint8]:
    """Return the stored `(F, H, W, 3)` frames of `clip`."""
    if clip.frames is None:
        raise InputError(
            f"Clip {clip.clip_id} must hold frames, got latents alone.",
            hint="Run `dancelcm preprocess ./videos --store frames --output shards-frames`.",
        )
    return clip.frames
