"""The training sample: a fixed window of frames of one video, and its row in a shard's index."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

TENSOR_FIELDS = (
    "latents",
    "keypoints",
    "reference_latents",
    "reference_keypoints",
    "face_latents",
    "face_embeds",
    "image_embeds",
    "motion_mask",
    "frames",
    "thumbnail",
)
NUM_KEYPOINTS = 134  # as in `perception.keypoints`, which this layer does not know
# Axes of a field, and which of them counts the frames.
AXES = {
    "latents": (4, 1),
    "keypoints": (3, 0),
    "reference_latents": (3, None),
    "reference_keypoints": (2, None),
    "face_latents": (3, None),
    "face_embeds": (1, None),
    "image_embeds": (1, None),
    "motion_mask": (3, 0),
    "frames": (4, 0),
    "thumbnail": (1, None),
}
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,200}")
MOST_FRAMES = 2**31


@dataclass(frozen=True, eq=False)
class Clip:
    """A window of frames as the network sees it.

    Axes: C latent channels, F frames, h x w latent cells, H x W pixels. Latents are scaled by the
    autoencoder's scaling factor. Keypoints are (x, y, score) as in `perception.keypoints`: x and y
    in units of the frame's width and height, score in [0, 1].

    A clip stored for training has `latents`, `reference_latents` and `motion_mask`; one stored for
    the autoencoder has `frames` instead. `face_latents` and `face_embeds` are None where no face
    was found, `image_embeds` and `face_embeds` where the model has no image encoder.
    """

    clip_id: str  # unique in its folder; safe as a file name and as a key
    source: str  # the video, relative to the folder that was preprocessed, with forward slashes
    fps: float  # of the clip: the video's, divided by the frame stride
    start_frame: int  # index of the first frame in the video
    keypoints: NDArray[np.float32]  # (F, 134, 3)
    reference_index: int  # which of the clip's frames is the reference picture
    reference_keypoints: NDArray[np.float32]  # (134, 3)
    latents: torch.Tensor | None = None  # (C, F, h, w) float16
    reference_latents: torch.Tensor | None = None  # (C, h, w) float16
    face_latents: torch.Tensor | None = None  # (C, hf, wf) float16
    face_embeds: torch.Tensor | None = None  # (D,) float16
    image_embeds: torch.Tensor | None = None  # (D,) float16
    motion_mask: torch.Tensor | None = None  # (F, h, w) bool
    frames: NDArray[np.uint8] | None = None  # (F, H, W, 3) RGB
    thumbnail: torch.Tensor | None = None  # (N,) uint8: a JPEG with skeleton and face box
    people: int | None = None  # that are seen at a time, the one who is followed included
    confidence: float | None = None  # mean score of the body points, [0, 1]
    face_box: tuple[int, int, int, int] | None = None  # left, top, right, bottom: see `IndexRow`

    @property
    def num_frames(self) -> int:
        """F, the length of the window."""
        return len(self.keypoints)


@dataclass(frozen=True)
class IndexRow:
    """What `index.jsonl` tells of one clip without opening its shard."""

    clip_id: str
    shard: str  # file name in the folder
    source: str
    fps: float
    start_frame: int
    num_frames: int
    reference_index: int
    has_face: bool
    sha256: str  # of the clip's tensors, see `hash_tensors`
    people: int | None = None
    confidence: float | None = None
    motion_share: float | None = None  # share of places that move, [0, 1]
    # Of the face crop, in pixels of the video's frame: square, and may reach beyond the frame.
    face_box: tuple[int, int, int, int] | None = None

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> IndexRow:
        """Return the row that was written as JSON.

        Raises:
            TypeError: It has other columns.
            ValueError: A column holds what no clip has.
        """
        box = row.get("face_box")
        made = cls(**{**row, "face_box": None if box is None else tuple(box)})
        _check_columns(made)
        return made


def _check_columns(row: IndexRow) -> None:
    """Refuse what would fail later, or lead out of the shard folder."""
    if not all(isinstance(text, str) for text in (row.clip_id, row.shard, row.source, row.sha256)):
        raise ValueError("a name is no text")
    row.source.encode("utf-8", "surrogateescape")  # raises ValueError where no file has such a name
    if not SAFE_NAME.fullmatch(row.clip_id) or not SAFE_NAME.fullmatch(row.shard or "none"):
        raise ValueError(f"{row.clip_id!r} in {row.shard!r} are no names of a clip and its file")
    box = row.face_box
    counts = (row.start_frame, row.num_frames, row.reference_index, *(box or ()))
    if not all(type(count) is int and abs(count) < MOST_FRAMES for count in counts):
        raise ValueError(f"{counts} are no numbers of frames and pixels")
    if row.start_frame < 0 or not 0 <= row.reference_index < row.num_frames:
        raise ValueError(f"reference_index {row.reference_index} of {row.num_frames} frames")
    known = (row.people, row.confidence, row.motion_share)
    measures = (row.fps, *(value for value in known if value is not None))
    if not all(type(value) in (int, float) and 0 <= value < MOST_FRAMES for value in measures):
        raise ValueError(f"{measures} are no rate, people and shares")
    if row.fps == 0 or type(row.has_face) is not bool or (box is not None and len(box) != 4):
        raise ValueError(f"{row.fps} frames/s, face box {box}")


def make_clip_id(source: str, start_frame: int) -> str:
    """Name the clip of `source` that starts at `start_frame`: readable, unique and safe anywhere.

    The stem is cut to 40 plain characters; eight digits of the full name's hash keep sources apart
    that look alike afterwards, such as `a/dance.mp4` and `b/dance.mp4`.
    """
    stem = re.sub(r"[^A-Za-z0-9]+", "-", PurePosixPath(source).stem)[:40].strip("-") or "video"
    digest = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{stem}-{digest[:8]}-{start_frame:06d}"


def clip_tensors(clip: Clip) -> dict[str, torch.Tensor]:
    """Return the fields of `clip` that hold arrays, as contiguous CPU tensors."""
    tensors = {}
    for name in TENSOR_FIELDS:
        value = getattr(clip, name)
        if value is not None:
            tensor = torch.from_numpy(value) if isinstance(value, np.ndarray) else value
            tensors[name] = tensor.detach().cpu().contiguous()
    return tensors


def clip_from_tensors(row: IndexRow, tensors: dict[str, torch.Tensor]) -> Clip:
    """Put a clip together again: the inverse of `clip_tensors` and `describe_clip`.

    Raises:
        ValueError: The tensors are not those of a clip of that length.
    """
    _check_tensors(row, tensors)
    frames = tensors.get("frames")
    return Clip(
        clip_id=row.clip_id,
        source=row.source,
        fps=row.fps,
        start_frame=row.start_frame,
        keypoints=tensors["keypoints"].numpy(),
        reference_index=row.reference_index,
        reference_keypoints=tensors["reference_keypoints"].numpy(),
        latents=tensors.get("latents"),
        reference_latents=tensors.get("reference_latents"),
        face_latents=tensors.get("face_latents"),
        face_embeds=tensors.get("face_embeds"),
        image_embeds=tensors.get("image_embeds"),
        motion_mask=tensors.get("motion_mask"),
        frames=None if frames is None else frames.numpy(),
        thumbnail=tensors.get("thumbnail"),
        people=row.people,
        confidence=row.confidence,
        face_box=row.face_box,
    )


def _check_tensors(row: IndexRow, tensors: dict[str, torch.Tensor]) -> None:
    missing = {"keypoints", "reference_keypoints"} - tensors.keys()
    if missing:
        raise ValueError(f"it has no {min(missing)}")
    for name, tensor in tensors.items():
        axes, frames = AXES.get(name, (tensor.ndim, None))
        length = row.num_frames if frames is None or tensor.ndim <= frames else tensor.shape[frames]
        if tensor.ndim != axes or length != row.num_frames or not tensor.numel():
            shape = tuple(tensor.shape)
            raise ValueError(f"{name} of {row.num_frames} frames has the shape {shape}")
    for name in ("keypoints", "reference_keypoints"):
        points = tensors[name]
        if points.shape[-2:] != (NUM_KEYPOINTS, 3) or not points.isfinite().all():
            raise ValueError(f"{name} are not {NUM_KEYPOINTS} finite points")


def describe_clip(clip: Clip, shard: str) -> IndexRow:
    """Return the index row of `clip` in the file `shard`."""
    mask = clip.motion_mask
    motion = None if mask is None else round(float(mask.float().mean()), 4)
    return IndexRow(
        clip_id=clip.clip_id,
        shard=shard,
        source=clip.source,
        fps=clip.fps,
        start_frame=clip.start_frame,
        num_frames=clip.num_frames,
        reference_index=clip.reference_index,
        has_face=clip.face_latents is not None,
        sha256=hash_tensors(clip_tensors(clip)),
        people=clip.people,
        confidence=clip.confidence,
        motion_share=motion,
        face_box=clip.face_box,
    )


def hash_tensors(tensors: dict[str, torch.Tensor]) -> str:
    """Return the SHA-256 over name, type, shape and bytes of each tensor, in order of the names.

    It is of the clip, not of the shard file, so that a damaged clip can be named and a clip keeps
    its hash wherever it is stored.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
