"""What a dance set is made with."""

from __future__ import annotations

from dataclasses import dataclass

from dancelcm_cli.errors import ConfigError

SMALLEST_SIDE, LARGEST_SIDE = 64, 2048  # pixels


@dataclass(frozen=True)
class DanceSetSettings:
    """Which clips to render, and how.

    Raises:
        ConfigError: A value is out of range.
    """

    num_clips: int
    seed: int
    first: int = 0  # index of the first clip: a set can be extended, or made in several places
    num_frames: int = 24
    height: int = 384  # pixels
    width: int = 256
    workers: int = 1  # processes; they change nothing but the time it takes

    def __post_init__(self) -> None:
        for name, flag in (("num_clips", "--clips"), ("num_frames", "--frames")):
            _check_least(flag, getattr(self, name), 1)
        _check_least("--workers", self.workers, 1)
        _check_least("--first", self.first, 0)
        for side in (self.height, self.width):
            if not SMALLEST_SIDE <= side <= LARGEST_SIDE or side % 2:
                raise ConfigError(
                    f"--size must be two even numbers from {SMALLEST_SIDE} to {LARGEST_SIDE}, "
                    f"got {self.height}x{self.width}.",
                    hint="For example: --size 384x256",
                )

    @property
    def indices(self) -> range:
        """The indices of the clips."""
        return range(self.first, self.first + self.num_clips)


def parse_size(text: str) -> tuple[int, int]:
    """Return the height and the width that `text`, such as "384x256", says.

    Raises:
        ConfigError: It is no such text.
    """
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise ConfigError(
            f"--size must be height x width in pixels, got {text}.",
            hint="For example: --size 384x256",
        )
    return int(height), int(width)


def _check_least(flag: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"{flag} must be at least {least}, got {value}.", hint=f"{flag} {least}")
