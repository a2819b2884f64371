"""Shows where a network that reads patch tokens gets a person's appearance from.

    dancelcm preprocess TEST_CLIPS --output shards-test
    python -m tests.benchmarks.appearance shards-test --clips 20

One call predicts the clean latents from noise of a timestep, with the reference frame and its
tokens, and without either. The figures are mean squared errors.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from dancelcm_cli.core.conditioning import Conditions, EncodedConditions
from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.noise import frame_noise
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.training.batches import clip_sample
from dancelcm_cli.training.preparation import picture_size

TIMESTEPS = (999, 749, 499, 249)
NUM_FRAMES = 16
Errors = dict[str, list[float]]  # by what is shown of the reference, one a timestep


@contextmanager
def _tokens_replaced(unet: DanceUNet, tokens: Tensor) -> Iterator[None]:
    assert unet.reference_projector is not None
    hook = unet.reference_projector.register_forward_hook(lambda *_: tokens)
    try:
        yield
    finally:
        hook.remove()


def _tokens(unet: DanceUNet, conditions: Conditions) -> Tensor:
    """Return the patch tokens that the network makes of a reference."""
    assert unet.reference_projector is not None
    made: list[Tensor] = []
    hook = unet.reference_projector.register_forward_hook(lambda *call: made.append(call[-1]))
    try:
        unet.encode_conditions(conditions)
    finally:
        hook.remove()
    return made[0]


def _shown(unet: DanceUNet, conditions: Conditions, others: Tensor) -> dict[str, EncodedConditions]:
    """Return the conditions, whole and with parts of the reference taken away."""

    def without_frame(encoded: EncodedConditions) -> EncodedConditions:
        features = torch.zeros_like(encoded.reference_features)
        return replace(encoded, reference_features=features)

    whole = unet.encode_conditions(conditions)
    with _tokens_replaced(unet, torch.zeros_like(others)):
        frame = unet.encode_conditions(conditions)
    with _tokens_replaced(unet, others):
        mistaken = unet.encode_conditions(conditions)
    return {
        "frame and tokens": whole,
        "frame, no tokens": frame,
        "frame, another person's tokens": mistaken,
        "tokens, no frame": without_frame(whole),
        "neither": without_frame(frame),
    }


@torch.no_grad()
def measure(pipeline: DancePipeline, shards: ShardReader, clips: int) -> Errors:
    """Return the errors over the first `clips` of `shards`."""
    unet, schedule = pipeline.unet, pipeline.schedule
    size = picture_size(shards, pipeline.vae, unet)
    batches = [clip_sample(shards[i], range(NUM_FRAMES), *size) for i in range(clips)]
    errors: Errors = {}
    for index, batch in enumerate(batches):
        latents = batch.latents
        shape = (latents.shape[1], latents.shape[3], latents.shape[4])
        offset = pipeline.config.noise_offset
        noise = frame_noise(shape, range(NUM_FRAMES), offset, 0, "appearance", index)[None]
        stranger = batches[(index + clips // 2) % clips]  # neighbours may show one person
        others = _tokens(unet, stranger.conditions)
        for name, encoded in _shown(unet, batch.conditions, others).items():
            sums = errors.setdefault(name, [0.0] * len(TIMESTEPS))
            for place, timestep in enumerate(TIMESTEPS):
                at = torch.tensor([timestep])
                noisy = schedule.add_noise(latents, noise, at)
                clean = schedule.predicted_latents(noisy, unet(noisy, at, encoded), at)
                sums[place] += float((clean - latents).square().mean()) / clips
        print(f"{index + 1}/{clips}", flush=True)
    return errors


def table(errors: Errors) -> str:
    """Return the errors as Markdown."""
    rows: list[Sequence[str]] = [("shown of the reference", *map(str, TIMESTEPS))]
    rows.append(["---"] * len(rows[0]))
    rows += [(name, *(f"{value:.3f}" for value in values)) for name, values in errors.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shards", type=Path, help="what `dancelcm preprocess` wrote")
    parser.add_argument("--model", type=Path, default=bundled("tiny/teacher"))
    parser.add_argument("--clips", type=int, default=20)
    given = parser.parse_args()
    print(table(measure(load_pipeline(given.model), ShardReader(given.shards), given.clips)))


if __name__ == "__main__":
    main()
