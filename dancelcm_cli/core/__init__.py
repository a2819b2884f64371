"""The model: network, conditions, schedule, segments, solver, sampler and pipeline."""
