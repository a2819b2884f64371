"""Students and spreads of Gaussian data, in closed form.

Of data N(mean, variance), noisy latents at timestep t have the mean alpha_t * mean and the variance
V_t = alpha_t^2 variance + sigma_t^2. The flow from t to s keeps the distance from the mean in units
of sqrt(V).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.segments import lower_edge, segment_edges

GRID_SIZE = 40  # which 1, 2, 4 and 8 divide


def deviations(schedule: NoiseSchedule, variance: float) -> Tensor:
    """Return sqrt(V_t) `(T,)`, in double precision."""
    return (schedule.alphas.double() ** 2 * variance + schedule.sigmas.double() ** 2).sqrt()


def perfect_student(
    schedule: NoiseSchedule, variance: float, segments: int, mean: float = 0.0
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the v whose jump to the lower edge is the exact flow of the data."""
    edges = segment_edges(segments, GRID_SIZE, schedule.num_timesteps)
    alphas, spread = schedule.alphas.double(), deviations(schedule, variance)
    angles = torch.atan2(schedule.sigmas.double(), alphas)

    def predict(latents: Tensor, timesteps: Tensor) -> Tensor:
        def at(table: Tensor, places: Tensor) -> Tensor:
            return table[places].view(-1, *[1] * (latents.ndim - 1))

        edge = lower_edge(edges, timesteps)
        distance = latents - at(alphas, timesteps) * mean
        landing = at(alphas, edge) * mean + at(spread, edge) / at(spread, timesteps) * distance
        delta = at(angles, timesteps) - at(angles, edge)
        return ((delta.cos() * latents - landing) / delta.sin()).float()

    return predict
