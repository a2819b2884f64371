"""How far two latents are apart, and how much each place counts."""

from __future__ import annotations

import torch
from torch import Tensor

from dancelcm_cli.config.schema import Distance, DistillConfig, LossSpace
from dancelcm_cli.core.schedule import NoiseSchedule


def pseudo_huber(difference: Tensor, constant: float) -> Tensor:
    """Return `sqrt(d^2 + c^2) - c` elementwise: quadratic below c, linear above."""
    return (difference**2 + constant**2).sqrt() - constant


def distance(
    difference: Tensor, kind: Distance, huber_constant: float, weight: Tensor | None = None
) -> Tensor:
    """Return the mean distance, a scalar, of differences `(B, C, F, h, w)`.

    `weight` `(B, 1, F, h, w)` multiplies each place's share of the mean. `norm` is the root of the
    mean square of each clip, which weighs clips by the direction of their error alone.
    """
    huber = kind == "pseudo-huber"
    places = pseudo_huber(difference, huber_constant) if huber else difference**2
    if weight is not None:
        places = places * weight
    if kind == "norm":
        return (places.flatten(1).mean(1) + torch.finfo(places.dtype).tiny).sqrt().mean()
    return places.mean()


def weighted_losses(
    difference: Tensor,
    auxiliary_difference: Tensor | None,
    motion_mask: Tensor | None,
    config: DistillConfig,
) -> dict[str, Tensor]:
    """Return `loss`, the weighted sum, and what it is made of, before the weights.

    `difference` `(B, C, F, h, w)` is that of the student from its target, `auxiliary_difference`
    that of the ground-truth head from the real latents, `motion_mask` `(B, F, h, w)`. Keys:
    `consistency`, `motion` (the part on moving places), `auxiliary`, and the `motion_share` of
    places that move.
    """
    constant = config.huber_constant
    losses = {"consistency": distance(difference, config.distance, constant)}
    loss = losses["consistency"]
    if motion_mask is not None:
        mask = motion_mask[:, None].float()
        losses["motion_share"] = mask.mean()
        if config.motion_weight:
            losses["motion"] = distance(difference, config.distance, constant, mask)
            loss = loss + config.motion_weight * losses["motion"]
    if auxiliary_difference is not None:
        losses["auxiliary"] = distance(auxiliary_difference, "pseudo-huber", constant)
        loss = loss + config.auxiliary_weight * losses["auxiliary"]
    return {"loss": loss, **losses}


def space_weight(
    space: LossSpace, schedule: NoiseSchedule, start: Tensor, edge: Tensor, like: Tensor
) -> Tensor:
    """Return what turns a difference at the edge into one of clean latents or of v.

    One prediction's error dv moves the landing by sin(phi_start - phi_edge) dv and the estimate of
    the clean latents by sigma_start dv, so the three spaces differ by a factor per clip.
    """
    if space == "edge":
        return torch.ones_like(schedule.angle(start, edge, like))
    per_velocity = 1.0 / schedule.angle(start, edge, like).sin()
    if space == "velocity":
        return per_velocity
    _, sigma = schedule.coefficients(start, like)
    return sigma * per_velocity
