"""What the bundled model is made of: sizes, parameters, and the autoencoder's round trip.

    python tests/benchmarks/bench_tiny.py [VIDEOS]

VIDEOS is a folder of mp4 files of people that the model has not seen, by default the bundled ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.vae import decode_latents, encode_frames
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.video import read_frames

HEIGHT, WIDTH, NUM_FRAMES = 192, 128, 16


def decibels(result: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean PSNR of frames, in dB."""
    squared = ((result.astype(float) - truth) ** 2).mean(axis=(1, 2, 3))
    return float((10 * np.log10(255**2 / squared)).mean())


def main(videos: Path) -> None:
    megabytes = sum(p.stat().st_size for p in bundled("tiny").rglob("*") if p.is_file()) / 1e6
    print(f"assets/tiny: {megabytes:.1f} MB")
    for name in ("teacher", "student"):
        pipeline = load_pipeline(bundled(f"tiny/{name}"))
        for part in ("unet", "vae"):
            count = sum(p.numel() for p in getattr(pipeline, part).parameters())
            print(f"{name}/{part}: {count / 1e6:.2f} M parameters")
    round_trips, repeats = [], []
    for path in sorted(videos.glob("*.mp4")):
        frames, _ = read_frames(path, range(NUM_FRAMES), HEIGHT, WIDTH)
        decoded = decode_latents(pipeline.vae, encode_frames(pipeline.vae, frames))
        round_trips.append(decibels(decoded, frames))
        repeats.append(decibels(np.repeat(frames[:1], NUM_FRAMES - 1, axis=0), frames[1:]))
    print(f"{len(round_trips)} videos, {HEIGHT} x {WIDTH}, first {NUM_FRAMES} frames:")
    print(f"autoencoder round trip   {np.mean(round_trips):.2f} dB")
    print(f"repeated reference frame {np.mean(repeats):.2f} dB (frames after the first)")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else bundled("samples/dance"))
