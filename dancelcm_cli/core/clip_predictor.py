"""The network as a sampler calls it: v of whole clips, under guidance, window by window."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dancelcm_cli.core.conditioning import Conditions, EncodedConditions
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.core.schedule import guided
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.core.windows import fuse_windows, plan_windows


class ClipPredictor:
    """Predicts v of clips under `conditions`, once per sampling step.

    What is constant over steps and windows (reference, context keys and values) is encoded once;
    the poses too where one window holds all frames.
    """

    def __init__(self, unet: DanceUNet, conditions: Conditions, options: SamplingOptions) -> None:
        self.unet, self.options = unet, options
        self.conditions = conditions
        self.num_frames = conditions.pose.shape[2]
        self.window = options.window or self.num_frames
        first = self._within(range(min(self.window, self.num_frames)))
        self._encoded = [unet.encode_conditions(first)]
        if options.guidance_scale != 1.0:
            nothing = first.reference_latents.new_zeros(len(first.pose))
            self._encoded.append(unet.encode_conditions(first, nothing))
        self._step = 0

    def __call__(self, noisy_latents: Tensor, timesteps: Tensor) -> Tensor:
        """Return v `(B, C, F, h, w)` of `noisy_latents` at `timesteps` `(B,)`."""
        windows = plan_windows(self.num_frames, self.window, self.options.overlap, self._step)
        self._step += 1

        def predict(latents: Tensor, window: range) -> Tensor:
            return self._predict(latents.to(self.unet.dtype), timesteps, window)

        return fuse_windows(predict, noisy_latents, windows)

    def _predict(self, latents: Tensor, timesteps: Tensor, window: range) -> Tensor:
        velocities = [self.unet(latents, timesteps, encoded) for encoded in self._seen(window)]
        if len(velocities) == 1:
            return velocities[0]
        return guided(velocities[0], velocities[1], self.options.guidance_scale)

    def _seen(self, window: range) -> list[EncodedConditions]:
        """Return the conditions, and under guidance the null condition, with `window`'s poses."""
        if len(window) == self.num_frames:
            return self._encoded
        features = self.unet.encode_frames(self._within(window))
        seen = [features, torch.zeros_like(features)][: len(self._encoded)]
        return [replace(e, frame_features=f) for e, f in zip(self._encoded, seen, strict=True)]

    def _within(self, window: range) -> Conditions:
        """Return the conditions of the frames of `window`, where and as the network wants them."""
        pose = self.conditions.pose[:, :, window.start : window.stop]
        return replace(self.conditions, pose=pose).to(self.unet.device).to(self.unet.dtype)
