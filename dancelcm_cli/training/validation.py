"""Looking at a network while it trains: fixed clips, figures and a strip of frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.vae import Frames, decode_latents, to_frames
from dancelcm_cli.data.atomic import atomic_path

SHOWN_FRAMES = 4


def psnr(frames: Frames, truth: Frames) -> float:
    """Return the mean over frames `(F, H, W, 3)` uint8 of the peak signal-to-noise ratio, in dB."""
    difference = frames.astype(np.float64) - truth.astype(np.float64)
    squared = (difference**2).mean(axis=(1, 2, 3)).clip(min=1e-10)
    return float((20 * np.log10(255) - 10 * np.log10(squared)).mean())


@torch.no_grad()
def sample_figures(
    pipeline: DancePipeline,
    batch: ClipBatch,
    steps: Sequence[int],
    guidance_scale: float,
    seed: int,
    strip: Path,
) -> dict[str, float]:
    """Animate the clips of `batch` at each number of `steps` and write a strip of pictures.

    Returns the PSNR of each in dB (`psnr_4` at 4 steps) against the decoded true latents, and that
    of the repeated reference. Each row of `strip` is a clip: reference, then frames of pose,
    results and truth.
    """
    truth = [decode_latents(pipeline.vae, latents) for latents in batch.latents]
    reference = [
        decode_latents(pipeline.vae, latents[:, None])
        for latents in batch.conditions.reference_latents
    ]
    shown: list[list[Frames]] = [[_pose_frames(pose) for pose in batch.conditions.pose]]
    figures = {
        "psnr_reference": _mean(
            psnr(np.repeat(r, len(t), axis=0), t) for r, t in zip(reference, truth, strict=True)
        )
    }
    for count in steps:
        latents = pipeline.denoise(batch.conditions, count, guidance_scale, seed=seed)
        frames = [decode_latents(pipeline.vae, clip) for clip in latents]
        figures[f"psnr_{count}"] = _mean(psnr(f, t) for f, t in zip(frames, truth, strict=True))
        shown.append(frames)
    shown.append(truth)
    _write_strip(strip, reference, shown)
    return figures


def _mean(values: object) -> float:
    return float(np.mean(list(values)))  # type: ignore[call-overload]


def _pose_frames(pose: Tensor) -> Frames:
    return to_frames(pose.permute(1, 0, 2, 3) * 2 - 1)


def _write_strip(path: Path, reference: list[Frames], columns: list[list[Frames]]) -> None:
    rows = []
    for clip, picture in enumerate(reference):
        parts = [picture]
        for column in columns:
            frames = column[clip]
            parts.append(frames[np.linspace(0, len(frames) - 1, SHOWN_FRAMES).round().astype(int)])
        rows.append(np.concatenate(np.concatenate(parts), axis=1))
    with atomic_path(path) as temporary:
        Image.fromarray(np.concatenate(rows)).save(temporary)
