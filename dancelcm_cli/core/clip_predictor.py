"""The network as a sampler calls it: v of whole clips, under guidance, window by window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dancelcm_cli.core.conditioning import ClipConditions, Conditions, EncodedConditions
from dancelcm_cli.core.memory import with_less_at_once
from dancelcm_cli.core.processes import ALONE, Processes
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.core.schedule import guided
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.core.windows import Fusion, fuse_windows, plan_windows

KEPT_BYTES = 2**26  # of encoded poses: of 2,000 frames of 192 x 128, or 250 of 768 x 512


@dataclass(frozen=True)
class Denoising:
    """How far it has come: `steps` are done and landed on `latents` `(B, C, F, h, w)`, float32.

    `fusion` is what there is of the next step; None where it has not begun.
    """

    steps: int
    latents: Tensor
    fusion: Fusion | None = None


def _ignore(denoising: Denoising) -> None: ...


def _no_room() -> bool:
    return False


@dataclass(frozen=True)
class Execution:
    """How clips are denoised: nothing of it changes what comes out."""

    windows_at_once: int = 1  # that the network is shown as a batch, in each process
    processes: Processes = ALONE  # that share the windows of each step
    begun: Denoising | None = None  # goes on from here
    on_windows: Callable[[Denoising], None] = _ignore  # told whenever windows are done
    make_room: Callable[[], bool] = _no_room  # where one window does not fit into the memory
    device: torch.device | None = None  # None: where the network is


class ClipPredictor:
    """Predicts v of clips under `conditions`, once per sampling step.

    What is constant over steps and windows (reference, context keys and values) is encoded once;
    the poses of a window too, unless a clip has more of them than are kept.
    """

    def __init__(
        self,
        unet: DanceUNet,
        conditions: ClipConditions,
        options: SamplingOptions,
        execution: Execution | None = None,
    ) -> None:
        self.unet, self.options = unet, options
        self.conditions, self.num_frames = conditions, conditions.num_frames
        self.execution = execution or Execution()
        self.window = options.window or self.num_frames
        self._encoded, _ = with_less_at_once(
            lambda _: self._encode(), 1, self.execution.make_room, self._one_window
        )
        self._kept = {self._first: self._encoded[0].frame_features}
        self._at_once = self.execution.windows_at_once
        begun = self.execution.begun
        self._step = 0 if begun is None else begun.steps
        self._begun = None if begun is None else begun.fusion

    @property
    def _first(self) -> range:
        return range(min(self.window, self.num_frames))

    @property
    def _one_window(self) -> str:
        return f"one window of {len(self._first)} frames"

    def _encode(self) -> list[EncodedConditions]:
        """Return the conditions and, under guidance, the null condition, of the first window."""
        first = self._within(self._first)
        encoded = [self.unet.encode_conditions(first)]
        if self.options.guidance_scale != 1.0:
            nothing = first.reference_latents.new_zeros(len(first.pose))
            encoded.append(self.unet.encode_conditions(first, nothing))
        return encoded

    def __call__(self, noisy_latents: Tensor, timesteps: Tensor) -> Tensor:
        """Return v `(B, C, F, h, w)` of `noisy_latents` at `timesteps` `(B,)`."""
        windows = plan_windows(self.num_frames, self.window, self.options.overlap, self._step)
        step, at_once = self._step, self.execution.windows_at_once
        alone = len(windows) == 1 or self.execution.processes.count == 1
        ask = self._predict_all if alone else self._predict_own_share

        def predict(latents: Tensor, asked: list[range]) -> list[Tensor]:
            return ask(latents.to(self.unet.dtype), timesteps, asked)

        def tell(fusion: Fusion) -> None:
            self.execution.on_windows(Denoising(step, noisy_latents, fusion))

        velocity = fuse_windows(
            predict,
            noisy_latents,
            windows,
            at_once * self.execution.processes.count,
            self._begun,
            tell,
        )
        self._step, self._begun = step + 1, None
        return velocity

    def _predict_own_share(
        self, latents: Tensor, timesteps: Tensor, windows: list[range]
    ) -> list[Tensor]:
        """Return v of each of `windows`, of which every process predicts some."""
        processes, at_once = self.execution.processes, self.execution.windows_at_once
        own = windows[processes.rank * at_once :][:at_once]
        batch, channels, _, height, width = latents.shape
        shape = (at_once, batch, channels, self.window, height, width)
        made = latents.new_zeros(shape, dtype=torch.float32)  # as many by all, even if few are left
        for place, velocity in enumerate(self._predict_all(latents, timesteps, own)):
            made[place] = velocity
        return list(torch.cat(processes.share(made)))[: len(windows)]

    def _predict_all(
        self, latents: Tensor, timesteps: Tensor, windows: list[range]
    ) -> list[Tensor]:
        """Return v of each of `windows`, as many at once as there is memory for."""

        def work(size: int) -> list[Tensor]:
            parts = [windows[start : start + size] for start in range(0, len(windows), size)]
            return [v for part in parts for v in self._predict(latents, timesteps, part)]

        velocities, self._at_once = with_less_at_once(
            work, self._at_once, self.execution.make_room, self._one_window
        )
        return velocities

    def _predict(self, latents: Tensor, timesteps: Tensor, windows: list[range]) -> list[Tensor]:
        """Return v of each of `windows`, which the network sees as one batch."""
        count = len(windows)
        seen = torch.cat([latents[:, :, window.start : window.stop] for window in windows])
        repeated = timesteps.repeat(count)
        velocities = [self.unet(seen, repeated, encoded).float() for encoded in self._seen(windows)]
        if len(velocities) == 2:
            velocities = [guided(velocities[0], velocities[1], self.options.guidance_scale)]
        return list(velocities[0].chunk(count))

    def _seen(self, windows: list[range]) -> list[EncodedConditions]:
        """Return the conditions, and under guidance the null condition, with the windows' poses."""
        if len(windows[0]) == self.num_frames:
            return self._encoded
        features = torch.cat([self._pose_features(window) for window in windows])
        seen = [features, torch.zeros_like(features)][: len(self._encoded)]
        return [
            replace(encoded.repeated(len(windows)), frame_features=own)
            for encoded, own in zip(self._encoded, seen, strict=True)
        ]

    def _pose_features(self, window: range) -> Tensor:
        """Return what the network makes of the poses of `window`; it stands there every other step.

        As many are kept as there is room for: memory must not grow with the clip.
        """
        if window in self._kept:
            return self._kept[window]
        features = self.unet.encode_frames(self._within(window))
        if (len(self._kept) + 1) * features.nbytes <= KEPT_BYTES:
            self._kept[window] = features
        return features

    def _within(self, window: range) -> Conditions:
        """Return the conditions of the frames of `window`, where and as the network wants them."""
        device = self.execution.device or self.unet.device
        return self.conditions.within(window).to(device).to(self.unet.dtype)
