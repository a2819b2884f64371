"""PeRFlow's sampler (arXiv 2405.07510): straight lines through windows of timesteps.

From the noisy end s of a window to its clean end e, DDIM with the estimate x0 of the clean latents
goes to z_e = lambda z_s + eta x0, where lambda = sigma_e / sigma_s and eta = alpha_e - alpha_s
lambda: finite under zero terminal SNR, where the paper's form, with alpha in the place of sigma,
divides by zero. A student was trained to estimate, at every point of the straight line from z_s to
z_e, the x0 that leads to its end.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import ConfigMixin, SchedulerMixin
from diffusers.configuration_utils import register_to_config
from diffusers.schedulers.scheduling_utils import SchedulerOutput
from torch import Tensor

from dancelcm_cli.config.schema import ScheduleConfig
from dancelcm_cli.core.sampling import OnStep, go_on, student_starts
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.segments import lower_edge, segment_edges, upper_edge
from dancelcm_cli.errors import ConfigError


def window_factors(
    schedule: NoiseSchedule, noisy_end: Tensor, clean_end: Tensor, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Return lambda and eta of windows between timesteps `(B,)`, shaped to multiply `like`."""
    alpha_noisy, sigma_noisy = schedule.coefficients(noisy_end, like)
    alpha_clean, sigma_clean = schedule.coefficients(clean_end, like)
    kept = sigma_clean / sigma_noisy
    return kept, alpha_clean - alpha_noisy * kept


class PeRFlowScheduler(SchedulerMixin, ConfigMixin):  # type: ignore[misc]
    """Follows a student of `num_windows` windows, trained at `grid_size` timesteps, which says v.

    Its noise schedule is UniAnimate's. Call `set_timesteps` before `step`.
    """

    order = 1
    init_noise_sigma = 1.0

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        num_train_timesteps: int = ScheduleConfig.num_train_timesteps,
        beta_start: float = ScheduleConfig.beta_start,
        beta_end: float = ScheduleConfig.beta_end,
        num_windows: int = 4,
        grid_size: int = 40,
    ) -> None:
        self.schedule = NoiseSchedule.from_config(
            ScheduleConfig(num_train_timesteps, beta_start, beta_end)
        )
        self.edges = segment_edges(num_windows, grid_size, num_train_timesteps)
        self.timesteps = self.edges[1:].flip(0)

    def set_timesteps(
        self, num_inference_steps: int, device: str | torch.device | None = None
    ) -> None:
        """Spread the steps over the windows, extra ones to the noisiest, all on the grid.

        Raises:
            ConfigError: there are fewer steps than windows, or more than the grid has.
        """
        windows, grid_size = self.config.num_windows, self.config.grid_size
        if not windows <= num_inference_steps <= grid_size:
            raise ConfigError(
                f"The number of steps of this PeRFlow student must be from {windows} (one for each"
                f" of its windows) to {grid_size}, got {num_inference_steps}.",
                hint=f"Type --steps {windows}; for fewer, distill with --segments 1 or 2.",
            )
        starts = student_starts(
            num_inference_steps, windows, grid_size, self.config.num_train_timesteps
        )
        self.timesteps = torch.tensor(starts, device=device)

    def scale_model_input(self, sample: Tensor, timestep: Tensor | int | None = None) -> Tensor:
        """Return `sample`: the network takes latents as they are."""
        return sample

    def step(self, model_output: Tensor, timestep: Tensor | int, sample: Tensor) -> SchedulerOutput:
        """Go from `timestep` towards the end of its window, to where the next step starts.

        Args:
            model_output: v `(B, C, F, h, w)`.
            timestep: any timestep above 0; the next is the first of `timesteps` below it, or 0.
            sample: noisy latents of that shape.
        """
        sample, schedule = sample.float(), self.schedule.to(sample.device)
        here = torch.as_tensor(timestep, device=sample.device).view(1)
        noisy_end, clean_end = upper_edge(self.edges, here), lower_edge(self.edges, here)
        kept, gained = window_factors(schedule, noisy_end, clean_end, sample)
        estimate = schedule.predicted_latents(sample, model_output.float(), here)
        share = (noisy_end - here) / (noisy_end - clean_end)  # of the window, already behind
        end = (kept * sample + (1 - share) * gained * estimate) / (1 - share + share * kept)
        timesteps = self.timesteps.to(sample.device)
        there = torch.cat([clean_end, timesteps[timesteps < here]]).max()
        way = (here - there) / (here - clean_end)
        return SchedulerOutput(prev_sample=sample + way * (end - sample))


def follow_windows(
    scheduler: PeRFlowScheduler,
    predict: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    num_inference_steps: int,
    on_step: OnStep = go_on,
    first: int = 0,
) -> Tensor:
    """Turn `noise` `(B, C, F, h, w)` into float32 latents of that shape, without fresh noise.

    `predict(noisy_latents, timesteps)` returns v; `on_step` hears of every step. Where the steps
    before `first` are done, `noise` is what they landed on.
    """
    scheduler.set_timesteps(num_inference_steps, noise.device)
    latents = noise.float()
    for index, timestep in list(enumerate(scheduler.timesteps))[first:]:
        velocity = predict(latents, timestep.expand(len(latents)))
        latents = scheduler.step(velocity, timestep, latents).prev_sample
        replaced = on_step(index, latents)
        latents = latents if replaced is None else replaced
    return latents
