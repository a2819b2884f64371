"""UniAnimate's noise prior: sampling starts from the noised reference instead of from noise alone.

It keeps the background and the appearance steady, most of all over long videos.

    legacy       what UniAnimate does: the network is told the last timestep and shown more of the
                 reference than a noisy picture holds there, of which the factor
                 sqrt(V_0) alpha_T' remains in what comes out (V_0 the variance at timestep 0)
    consistent   the first step starts at the prior's timestep T' itself, so that nothing is added
                 where the video equals the reference (SDEdit, arXiv 2108.01073)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.errors import ConfigError

UNIANIMATE_TIMESTEP = 949  # inference_unianimate_entrance.py


def choose_timestep(asked: int, trained: Sequence[int]) -> int:
    """Return the timestep of the prior: `asked`, or for 0 the `trained` one nearest to 949.

    Raises:
        ConfigError: the model was not trained at the timestep that is asked for.
    """
    wanted = asked or UNIANIMATE_TIMESTEP
    nearest = min(trained, key=lambda timestep: abs(timestep - wanted))
    if asked not in (0, nearest):
        raise ConfigError(
            f"animate.prior_timestep must be one that the model was trained at, got {asked}.",
            hint=f"Type --set animate.prior_timestep={nearest}.",
        )
    return nearest


def noised_reference(
    reference_latents: Tensor, noise: Tensor, timestep: int, schedule: NoiseSchedule
) -> Tensor:
    """Return the reference `(B, C, h, w)`, standing still, in `noise` `(B, C, F, h, w)`."""
    still = reference_latents[:, :, None].expand_as(noise)
    return schedule.add_noise(
        still, noise, torch.full((len(noise),), timestep, device=noise.device)
    )
