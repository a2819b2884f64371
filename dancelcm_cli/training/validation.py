"""Looking at a network while it trains: fixed clips, figures, pictures and films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dancelcm_cli.core.batch import ClipBatch
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.core.vae import Frames, decode_latents, to_frames
from dancelcm_cli.training.strips import write_film, write_strip


@dataclass(frozen=True)
class WatchedClips:
    """Clips that are animated again and again, one at a time, to save memory.

    Each is a batch of one; `fps` is the rate of the first.
    """

    clips: tuple[ClipBatch, ...]
    fps: float


def picture_path(run: Path, step: int) -> Path:
    """Return where the strip of `step` lies; its film lies beside it."""
    return run / "samples" / f"step-{step:06d}.png"


def psnr(frames: Frames, truth: Frames) -> float:
    """Return the mean over frames `(F, H, W, 3)` uint8 of the peak signal-to-noise ratio, in dB.

    A single frame `(1, H, W, 3)` is compared with each of the other side's. Frames without any
    difference, as a reference has with its own place in the clip, are left out unless all are so:
    one would outweigh the rest.
    """
    difference = frames.astype(np.float64) - truth.astype(np.float64)
    squared = (difference**2).mean(axis=(1, 2, 3))
    compared = squared[squared > 0] if squared.any() else squared.clip(min=1e-10)
    return float((20 * np.log10(255) - 10 * np.log10(compared)).mean())


@torch.no_grad()
def sample_figures(
    pipeline: DancePipeline,
    watched: WatchedClips,
    steps: Sequence[int],
    options: SamplingOptions,
    picture: Path,
    teacher: Sequence[Tensor] = (),
) -> dict[str, float]:
    """Animate the clips at each number of `steps`; write a strip, and a film beside it.

    `options` say all else about the sampling.
    `teacher` holds the latents `(C, F, h, w)` that a teacher made of each clip; it is measured and
    shown beside the network.

    Returns, of each (`psnr_4` at 4 steps), the PSNR in dB against the decoded true latents, and
    `spread`, the standard deviation of the latents over the true one's: below 1 detail and contrast
    fade, above it they are overdone. `psnr_reference` is that of a reference that stands still.
    """
    conditions = [clip.conditions for clip in watched.clips]
    true_latents = [clip.latents[0] for clip in watched.clips]
    samples = {
        str(count): [
            pipeline.denoise(c, replace(options, num_inference_steps=count))[0] for c in conditions
        ]
        for count in steps
    }
    if teacher:
        samples["teacher"] = list(teacher)
    references = [c.reference_latents[0][:, None] for c in conditions]
    reference, truth = _decoded(pipeline, references), _decoded(pipeline, true_latents)
    results = {name: _decoded(pipeline, latents) for name, latents in samples.items()}
    columns = {
        "reference": reference,
        "pose": [to_frames(c.pose[0].permute(1, 0, 2, 3) * 2 - 1) for c in conditions],
        **{_title(name): clips for name, clips in results.items()},
        "truth": truth,
    }
    write_strip(picture, columns)
    write_film(picture.with_suffix(".mp4"), columns, watched.fps)
    compared = {"reference": reference, **results}
    spread = _spread(true_latents)
    return {
        **{f"psnr_{name}": _mean_psnr(clips, truth) for name, clips in compared.items()},
        **{f"spread_{name}": _spread(latents) / spread for name, latents in samples.items()},
    }


def _decoded(pipeline: DancePipeline, clips: Sequence[Tensor]) -> list[Frames]:
    return [decode_latents(pipeline.vae, latents) for latents in clips]


def _title(name: str) -> str:
    return f"{name} step{'s' * (name != '1')}" if name.isdigit() else name


def _mean_psnr(clips: Sequence[Frames], truth: Sequence[Frames]) -> float:
    return float(np.mean([psnr(frames, true) for frames, true in zip(clips, truth, strict=True)]))


def _spread(clips: Sequence[Tensor]) -> float:
    return float(torch.cat([latents.float().flatten() for latents in clips]).std())
