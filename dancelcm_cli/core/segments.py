"""The solver's grid of timesteps and its segments (eq. 4 of the paper)."""

from __future__ import annotations

import torch
from torch import Tensor

from dancelcm_cli.errors import ConfigError


def solver_grid(grid_size: int, num_timesteps: int) -> Tensor:
    """Return the `(n,)` ascending timesteps T/n - 1, 2T/n - 1, ..., T - 1."""
    if grid_size < 1 or num_timesteps % grid_size:
        raise ConfigError(
            f"distill.grid_size must divide {num_timesteps}, got {grid_size}.",
            hint="Use 40, 50 or 100.",
        )
    stride = num_timesteps // grid_size
    return torch.arange(1, grid_size + 1) * stride - 1


def segment_edges(segments: int, grid_size: int, num_timesteps: int) -> Tensor:
    """Return the `(K+1,)` ascending edges: 0 and the last grid timestep of each segment."""
    if segments < 1 or grid_size % segments:
        nearest = [k for k in range(1, grid_size + 1) if grid_size % k == 0]
        nearest.sort(key=lambda k: abs(k - segments))
        raise ConfigError(
            f"distill.segments must divide distill.grid_size = {grid_size}, got {segments}.",
            hint=f"Use --segments {nearest[0]}, or --set distill.grid_size=40 for 4 segments.",
        )
    ends = solver_grid(grid_size, num_timesteps)[grid_size // segments - 1 :: grid_size // segments]
    return torch.cat([torch.zeros(1, dtype=ends.dtype), ends])


def lower_edge(edges: Tensor, timesteps: Tensor) -> Tensor:
    """Return the clean end of the segment of each of `timesteps` `(B,)`.

    An edge belongs to the segment below it as a starting point; timestep 0 is its own lower edge.
    """
    index = torch.searchsorted(edges.to(timesteps.device), timesteps.contiguous()) - 1
    return edges.to(timesteps.device)[index.clamp(min=0)]


def upper_edge(edges: Tensor, timesteps: Tensor) -> Tensor:
    """Return the noisy end of the segment of each of `timesteps` `(B,)`; an edge is its own."""
    edges = edges.to(timesteps.device)
    return edges[torch.searchsorted(edges, timesteps.contiguous())]


def previous_timestep(grid: Tensor, timesteps: Tensor) -> Tensor:
    """Return the next cleaner grid timestep of each of `timesteps` `(B,)`, 0 below the first."""
    stride = int(grid[0]) + 1
    return (timesteps - stride).clamp(min=0)
