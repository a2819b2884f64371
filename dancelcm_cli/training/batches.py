"""Batches as a pure function of the step, so that a resumed run sees what it would have seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.noise import generator
from dancelcm_cli.core.vae import to_pictures, to_pixels
from dancelcm_cli.data.shards import Clip, ShardReader
from dancelcm_cli.errors import InputError
from dancelcm_cli.perception.drawing import draw_pose, draw_poses
from dancelcm_cli.seeding import stream_seed


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


def epoch_indices(num_items: int, first: int, count: int, seed: int) -> list[int]:
    """Return items `first` to `first + count` of an endless sequence of shuffled epochs."""
    chosen = []
    for position in range(first, first + count):
        epoch, place = divmod(position, num_items)
        order = torch.randperm(num_items, generator=generator(seed, "epoch", epoch))
        chosen.append(int(order[place]))
    return chosen


class ClipBatches:
    """`batches[step]` is the `ClipBatch` of a training step.

    The first `image_steps` steps hold `image_batch_size` single frames, the others `batch_size`
    windows of `num_frames` neighbouring frames. Any frame of a clip may be its reference. Poses
    are drawn here, from keypoints, at `size` (height, width).
    """

    def __init__(
        self,
        shards: ShardReader,
        indices: Sequence[int],
        *,
        size: tuple[int, int],
        steps: int,
        batch_size: int,
        num_frames: int,
        seed: int,
        image_steps: int = 0,
        image_batch_size: int = 1,
    ) -> None:
        shortest = min(shards.rows[i].num_frames for i in indices)
        if shortest < num_frames:
            raise InputError(
                f"Clips must have at least {num_frames} frames, got one of {shortest}.",
                hint=f"Train on --set train.num_frames={shortest}, or preprocess longer clips.",
            )
        self.shards = shards
        self.indices = list(indices)
        self.size = size
        self.steps = steps
        self.batch_size, self.num_frames = batch_size, num_frames
        self.image_steps, self.image_batch_size = image_steps, image_batch_size
        self.seed = seed

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> ClipBatch:
        stream = generator(self.seed, "window", step)
        images = step < self.image_steps
        count = self.image_batch_size if images else self.batch_size
        num_frames = 1 if images else self.num_frames
        samples = []
        for index in epoch_indices(len(self.indices), self._first(step), count, self.seed):
            clip = self.shards[self.indices[index]]
            start = int(torch.randint(clip.num_frames - num_frames + 1, (), generator=stream))
            reference = int(torch.randint(clip.num_frames, (), generator=stream))
            window = range(start, start + num_frames)
            samples.append(clip_sample(clip, window, *self.size, reference))
        return collate(samples)

    def _first(self, step: int) -> int:
        """Return how many samples came before `step`."""
        images = min(step, self.image_steps)
        return images * self.image_batch_size + (step - images) * self.batch_size


def clip_sample(
    clip: Clip, frames: range, height: int, width: int, reference: int | None = None
) -> ClipBatch:
    """Return `frames` of `clip` as a batch of one; `reference` is a frame, None the stored one."""
    if clip.latents is None or clip.reference_latents is None:
        raise InputError(
            f"Clip {clip.clip_id} must hold latents, got frames alone.",
            hint="Run `dancelcm preprocess` without --store frames.",
        )
    window = slice(frames.start, frames.stop)
    latents = clip.reference_latents if reference is None else clip.latents[:, reference]
    keypoints = clip.reference_keypoints if reference is None else clip.keypoints[reference]
    pose = to_pictures(draw_poses(clip.keypoints[window], height, width))
    reference_pose = to_pictures(draw_pose(keypoints, height, width)[None])[:, 0]
    face = clip.face_latents
    return ClipBatch(
        clip.latents[:, window].float()[None],
        Conditions(
            pose=pose[None],
            reference_pose=reference_pose[None],
            reference_latents=latents.float()[None],
            image_embeds=None if clip.image_embeds is None else clip.image_embeds.float()[None],
            face_latents=None if face is None else face.float()[None],
            has_face=torch.tensor([0.0 if face is None else 1.0]),
        ),
    )


def collate(samples: Sequence[ClipBatch]) -> ClipBatch:
    """Join batches of one; a sample without a face gets blank face latents and `has_face` 0."""
    conditions = [sample.conditions for sample in samples]
    faces = [c.face_latents for c in conditions if c.face_latents is not None]
    blank = torch.zeros_like(faces[0]) if faces else None

    def joined(name: str, default: Tensor | None = None) -> Tensor | None:
        values = [getattr(c, name) for c in conditions]
        values = [default if value is None else value for value in values]
        return None if values[0] is None else torch.cat(values)

    required: dict[str, Any] = {
        name: joined(name) for name in ("pose", "reference_pose", "reference_latents")
    }
    return ClipBatch(
        torch.cat([sample.latents for sample in samples]),
        Conditions(
            **required,
            image_embeds=joined("image_embeds"),
            face_latents=joined("face_latents", blank),
            has_face=joined("has_face"),
        ),
    )


class PictureBatches:
    """`batches[step]` is a `(B, 3, H, W)` batch of pictures in [-1, 1] for the autoencoder."""

    def __init__(
        self, shards: ShardReader, indices: Sequence[int], *, steps: int, batch_size: int, seed: int
    ) -> None:
        self.shards = shards
        self.indices = list(indices)
        self.steps, self.batch_size, self.seed = steps, batch_size, seed

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Tensor:
        stream = generator(self.seed, "picture", step)
        first = step * self.batch_size
        pictures = []
        for index in epoch_indices(len(self.indices), first, self.batch_size, self.seed):
            frames = clip_frames(self.shards[self.indices[index]])
            frame = int(torch.randint(len(frames), (), generator=stream))
            pictures.append(frames[frame])
        return to_pixels(np.stack(pictures))


def clip_frames(clip: Clip) -> NDArray[np.uint8]:
    """Return the stored `(F, H, W, 3)` frames of `clip`."""
    if clip.frames is None:
        raise InputError(
            f"Clip {clip.clip_id} must hold frames, got latents alone.",
            hint="Run `dancelcm preprocess ./videos --store frames --output shards-frames`.",
        )
    return clip.frames
