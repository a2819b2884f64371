"""What a forward of the published network costs, counted without memory on the meta device."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.unet import DanceUNet

HEIGHT, WIDTH = 768, 512


@pytest.fixture(scope="module")
def published() -> DanceUNet:
    with torch.device("meta"):
        return DanceUNet()


def counted(published: DanceUNet, num_frames: int) -> tuple[float, float]:
    """Return the TFLOP of the conditions, needed once a clip, and of one step."""
    with torch.device("meta"):
        conditions = Conditions(
            pose=torch.empty(1, 3, num_frames, HEIGHT, WIDTH),
            reference_pose=torch.empty(1, 3, HEIGHT, WIDTH),
            reference_latents=torch.empty(1, 4, HEIGHT // 8, WIDTH // 8),
            image_embeds=torch.empty(1, 1024),
        )
        with FlopCounterMode(display=False) as once:
            encoded = published.encode_conditions(conditions)
        latents = torch.empty(1, 4, num_frames, HEIGHT // 8, WIDTH // 8)
        with FlopCounterMode(display=False) as step:
            published(latents, torch.zeros(1, dtype=torch.long), encoded)
    return once.get_total_flops() / 1e12, step.get_total_flops() / 1e12


@pytest.mark.parametrize(("num_frames", "teraflops"), [(16, 34.76), (32, 67.56)])
def test_a_forward_costs_what_the_published_network_does(
    published: DanceUNet, num_frames: int, teraflops: float
) -> None:
    once, step = counted(published, num_frames)
    assert once + step == pytest.approx(teraflops, rel=0.01)


def test_keys_and_values_of_the_context_are_computed_once_for_all_frames(
    published: DanceUNet,
) -> None:
    num_frames, num_tokens = 32, 77 + 4
    projections = [
        projection
        for stage in published.stages()
        if stage.spatial is not None
        for projection in (stage.spatial.attn2.to_k, stage.spatial.attn2.to_v)
    ]
    once = 2 * num_tokens * sum(p.in_features * p.out_features for p in projections) / 1e12
    counted_once, _ = counted(published, num_frames)
    assert once < counted_once < once * (num_frames + 1)
