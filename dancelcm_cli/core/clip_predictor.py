"""The network as a sampler calls it: v of whole clips, under guidance, window by window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from dancelcm_cli.core.conditioning import Conditions, EncodedConditions
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.core.schedule import guided
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.core.windows import fuse_windows, plan_windows

PosesOf = Callable[[range], Tensor]  # pose pictures (B, 3, f, H, W) in [0, 1] of those frames


class ClipPredictor:
    """Predicts v of clips of `num_frames`, once per sampling step.

    What is constant over steps and windows (reference, context keys and values) is encoded once;
    the poses too where one window holds all frames. `poses` gives those of any window.
    """

    def __init__(
        self,
        unet: DanceUNet,
        conditions: Conditions,
        num_frames: int,
        poses: PosesOf,
        options: SamplingOptions,
    ) -> None:
        self.unet, self.options = unet, options
        self.num_frames, self.poses = num_frames, poses
        first = replace(conditions, pose=poses(range(min(num_frames, self._window_size))))
        self.conditions = first.to(unet.device).to(unet.dtype)
        self._encoded = [self._encode(None)]
        if options.guidance_scale != 1.0:
            nothing = self.conditions.reference_latents.new_zeros(len(conditions.pose))
            self._encoded.append(self._encode(nothing))
        self._step = 0

    def __call__(self, noisy_latents: Tensor, timesteps: Tensor) -> Tensor:
        """Return v `(B, C, F, h, w)` of `noisy_latents` at `timesteps` `(B,)`."""
        overlap = self.options.overlap
        windows = plan_windows(self.num_frames, self._window_size, overlap, self._step)
        self._step += 1

        def predict(latents: Tensor, window: range) -> Tensor:
            return self._predict(latents.to(self.unet.dtype), timesteps, window)

        return fuse_windows(predict, noisy_latents, windows)

    @property
    def _window_size(self) -> int:
        return self.options.window or self.num_frames

    def _predict(self, latents: Tensor, timesteps: Tensor, window: range) -> Tensor:
        encoded = self._encoded
        if len(window) < self.num_frames:
            pose = self.poses(window).to(latents)
            features = self.unet.encode_frames(replace(self.conditions, pose=pose))
            encoded = [replace(encoded[0], frame_features=features)]
            encoded += [replace(e, frame_features=0 * features) for e in self._encoded[1:]]
        velocities = [self.unet(latents, timesteps, conditions) for conditions in encoded]
        if len(velocities) == 1:
            return velocities[0]
        return guided(velocities[0], velocities[1], self.options.guidance_scale)

    def _encode(self, keep: Tensor | None) -> EncodedConditions:
        return self.unet.encode_conditions(self.conditions, keep)
