"""The noise schedule and the jump, the one primitive of solver, consistency function and sampler.

Variance preserving: `noisy = alpha_t * latents + sigma_t * noise`, `v = alpha_t * noise - sigma_t *
latents`. With the angle phi_t = atan2(sigma_t, alpha_t), moving along a straight line in (noisy, v)
from t to s is

    J(x, v, t -> s) = cos(phi_t - phi_s) x - sin(phi_t - phi_s) v

which is DDIM's deterministic step in the v-parameterisation (Song et al., arXiv 2010.02502;
Salimans and Ho, arXiv 2202.00512). It divides by nothing, so it is finite at the last timestep,
where alpha is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr
from torch import Tensor

from dancelcm_cli.config.schema import ScheduleConfig


@dataclass(frozen=True)
class NoiseSchedule:
    """`alphas` and `sigmas`, float32 `(T,)`, of the timesteps 0 (clean) to T-1 (pure noise)."""

    alphas: Tensor
    sigmas: Tensor

    @classmethod
    def from_config(cls, config: ScheduleConfig) -> NoiseSchedule:
        """Build UniAnimate's schedule: linear in sqrt(beta), rescaled to zero terminal SNR."""
        start, end = config.beta_start**0.5, config.beta_end**0.5
        betas = torch.linspace(start, end, config.num_train_timesteps, dtype=torch.float64) ** 2
        alphas_cumprod = (1.0 - rescale_zero_terminal_snr(betas)).cumprod(0)
        return cls(alphas_cumprod.sqrt().float(), (1.0 - alphas_cumprod).sqrt().float())

    @property
    def num_timesteps(self) -> int:
        """The number T of training timesteps."""
        return len(self.alphas)

    def to(self, device: torch.device) -> NoiseSchedule:
        """Return the schedule on `device`."""
        return NoiseSchedule(self.alphas.to(device), self.sigmas.to(device))

    def coefficients(self, timesteps: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return alpha and sigma at `timesteps` `(B,)`, shaped to multiply `like` `(B, ...)`.

        None stands for the clean latents, which no timestep has: sigma is 0.03 at timestep 0.
        """
        if timesteps is None:
            return torch.ones_like(self.alphas[0]), torch.zeros_like(self.sigmas[0])
        shape = (-1,) + (1,) * (like.ndim - 1)
        return self.alphas[timesteps].view(shape), self.sigmas[timesteps].view(shape)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return the noisy latents at `timesteps`."""
        alpha, sigma = self.coefficients(timesteps, latents)
        return alpha * latents + sigma * noise

    def velocity(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return v, the target of the network."""
        alpha, sigma = self.coefficients(timesteps, latents)
        return alpha * noise - sigma * latents

    def predicted_latents(
        self, noisy_latents: Tensor, velocity: Tensor, timesteps: Tensor
    ) -> Tensor:
        """Return the estimate of the clean latents."""
        alpha, sigma = self.coefficients(timesteps, noisy_latents)
        return alpha * noisy_latents - sigma * velocity

    def jump(
        self, noisy_latents: Tensor, velocity: Tensor, start: Tensor, end: Tensor | None
    ) -> Tensor:
        """Move latents `(B, ...)` from timestep `start` to `end` `(B,)`, in float32.

        Without an `end` they become the estimate of the clean latents.
        """
        noisy_latents, velocity = noisy_latents.float(), velocity.float()
        alpha_start, sigma_start = self.coefficients(start, noisy_latents)
        alpha_end, sigma_end = self.coefficients(end, noisy_latents)
        cosine = alpha_end * alpha_start + sigma_end * sigma_start
        sine = alpha_end * sigma_start - sigma_end * alpha_start
        return cosine * noisy_latents - sine * velocity

    def angle(self, start: Tensor, end: Tensor, like: Tensor) -> Tensor:
        """Return phi_start - phi_end in radians, shaped to multiply `like` `(B, ...)`."""
        (alpha_start, sigma_start), (alpha_end, sigma_end) = (
            self.coefficients(timesteps, like) for timesteps in (start, end)
        )
        return torch.atan2(sigma_start, alpha_start) - torch.atan2(sigma_end, alpha_end)

    def renoise(self, latents: Tensor, noise: Tensor, start: Tensor | None, end: Tensor) -> Tensor:
        """Diffuse latents forward from timesteps `start` `(B,)` to the noisier `end`.

        Without a `start` they are clean latents.
        """
        alpha_start, _ = self.coefficients(start, latents)
        alpha_end, _ = self.coefficients(end, latents)
        ratio = alpha_end / alpha_start
        return ratio * latents + (1.0 - ratio**2).sqrt() * noise


def guided(conditional: Tensor, unconditional: Tensor, guidance_scale: float) -> Tensor:
    """Return v under classifier-free guidance; scale 1 is the conditional v (arXiv 2207.12598)."""
    return unconditional + guidance_scale * (conditional - unconditional)
