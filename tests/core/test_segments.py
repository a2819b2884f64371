import pytest
import torch

from dancelcm_cli.core.segments import (
    lower_edge,
    previous_timestep,
    segment_edges,
    solver_grid,
    upper_edge,
)
from dancelcm_cli.errors import ConfigError

NUM_TIMESTEPS = 1000
SEGMENTED_GRIDS = [
    (segments, grid_size)
    for grid_size in (1, 8, 40, 50, 100, 500)
    for segments in (1, 2, 4, 5, 8)
    if grid_size % segments == 0
]
every_segmented_grid = pytest.mark.parametrize(("segments", "grid_size"), SEGMENTED_GRIDS)


@pytest.mark.parametrize(
    ("segments", "grid_sizes", "expected"),
    [
        (1, (40, 50, 100), [0, 999]),
        (2, (40, 50, 100), [0, 499, 999]),
        (4, (40, 100), [0, 249, 499, 749, 999]),
        (8, (40,), [0, 124, 249, 374, 499, 624, 749, 874, 999]),
    ],
)
def test_edges_divide_the_timesteps_equally(
    segments: int, grid_sizes: tuple[int, ...], expected: list[int]
) -> None:
    for grid_size in grid_sizes:
        assert segment_edges(segments, grid_size, NUM_TIMESTEPS).tolist() == expected


@every_segmented_grid
def test_every_grid_timestep_lies_in_exactly_one_segment(segments: int, grid_size: int) -> None:
    grid = solver_grid(grid_size, NUM_TIMESTEPS)
    edges = segment_edges(segments, grid_size, NUM_TIMESTEPS)
    inside = (edges[:-1, None] < grid) & (grid <= edges[1:, None])
    assert (inside.sum(0) == 1).all()
    assert (inside.sum(1) == grid_size // segments).all()
    assert lower_edge(edges, grid).equal(edges[:-1][inside.int().argmax(0)])


@every_segmented_grid
def test_the_solvers_step_never_leaves_its_segment(segments: int, grid_size: int) -> None:
    grid = solver_grid(grid_size, NUM_TIMESTEPS)
    edges = segment_edges(segments, grid_size, NUM_TIMESTEPS)
    assert (previous_timestep(grid, grid) >= lower_edge(edges, grid)).all()


@every_segmented_grid
def test_an_edge_starts_in_the_segment_below_it(segments: int, grid_size: int) -> None:
    edges = segment_edges(segments, grid_size, NUM_TIMESTEPS)
    assert lower_edge(edges, edges[1:]).equal(edges[:-1])
    assert lower_edge(edges, edges[:1]).tolist() == [0]


@every_segmented_grid
def test_a_segment_reaches_from_its_lower_edge_to_its_upper(segments: int, grid_size: int) -> None:
    grid = solver_grid(grid_size, NUM_TIMESTEPS)
    edges = segment_edges(segments, grid_size, NUM_TIMESTEPS)
    lower, upper = lower_edge(edges, grid), upper_edge(edges, grid)
    assert ((lower < grid) & (grid <= upper)).all()
    assert ((upper - lower - NUM_TIMESTEPS // segments).abs() <= 1).all()
    assert upper_edge(edges, edges).equal(edges)


@pytest.mark.parametrize("grid_size", [1, 40, 50, 500])
def test_the_grid_is_evenly_spaced_and_ends_at_pure_noise(grid_size: int) -> None:
    grid = solver_grid(grid_size, NUM_TIMESTEPS)
    stride = NUM_TIMESTEPS // grid_size
    assert grid.dtype == torch.int64
    assert len(grid) == grid_size
    assert int(grid[-1]) == NUM_TIMESTEPS - 1
    assert (grid.diff() == stride).all()


@pytest.mark.parametrize("grid_size", [1, 40, 50])
def test_the_previous_timestep_is_the_next_cleaner_one_of_the_grid(grid_size: int) -> None:
    grid = solver_grid(grid_size, NUM_TIMESTEPS)
    previous = previous_timestep(grid, grid)
    assert previous[1:].equal(grid[:-1])
    assert int(previous[0]) == 0


@pytest.mark.parametrize(("segments", "grid_size", "suggested"), [(4, 50, 5), (3, 40, 2)])
def test_segments_that_do_not_divide_the_grid_are_refused_with_ones_that_do(
    segments: int, grid_size: int, suggested: int
) -> None:
    with pytest.raises(ConfigError, match=f"grid_size = {grid_size}, got {segments}") as refusal:
        segment_edges(segments, grid_size, NUM_TIMESTEPS)
    assert f"--segments {suggested}," in refusal.value.hint
    assert len(segment_edges(suggested, grid_size, NUM_TIMESTEPS)) == suggested + 1


@pytest.mark.parametrize("segments", [0, -2])
def test_fewer_than_one_segment_is_refused(segments: int) -> None:
    with pytest.raises(ConfigError, match=f"got {segments}"):
        segment_edges(segments, 50, NUM_TIMESTEPS)


@pytest.mark.parametrize("grid_size", [0, -50, 48, 2000])
def test_a_grid_that_does_not_divide_the_timesteps_is_refused(grid_size: int) -> None:
    with pytest.raises(ConfigError, match=f"divide 1000, got {grid_size}") as refusal:
        solver_grid(grid_size, NUM_TIMESTEPS)
    assert "Use 40, 50 or 100" in refusal.value.hint
