"""What the types of the schema cannot say: ranges, and settings that must fit each other."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

from dancelcm_cli.config.schema import AutoencoderConfig, NetworkConfig, PreprocessConfig, Recipe
from dancelcm_cli.errors import ConfigError

GROUP_NORM_GROUPS = 32  # the network normalises its channels in this many groups
AUTOENCODER_GROUPS = 8  # the small autoencoder in these
SINUSOIDS = 4  # sine and cosine of the row and of the column tell a token its place

LARGEST = 2**63 - 1  # of a whole number in TOML, and of a seed

# Whole numbers are counts, which start at 1, except for these.
MAY_BE_ZERO = {
    "seed",
    "preprocess.max_people",
    "animate.num_frames",
    "animate.overlap",
    "animate.prior_timestep",
    "network.text_tokens",
    "network.image_embed_dim",
    "train.image_steps",
    "train.optimizer.warmup_steps",
    "distill.optimizer.warmup_steps",
}
# Real numbers start at 0, and these end at 1 ...
SHARES = {
    "preprocess.cut_threshold",
    "preprocess.min_motion",
    "preprocess.min_person_share",
    "preprocess.min_confidence",
    "train.condition_dropout",
}
# ... or before it.
SHARES_BELOW_ONE = {
    "schedule.beta_start",
    "schedule.beta_end",
    "train.ema_decay",
    "train.validation_share",
    "train.optimizer.beta1",
    "train.optimizer.beta2",
    "distill.ema_decay",
    "distill.validation_share",
    "distill.optimizer.beta1",
    "distill.optimizer.beta2",
}
# Real numbers that something is divided by or that end a run that does not learn.
POSITIVE = {
    "schedule.beta_start",
    "preprocess.folder_fps",
    "distill.huber_constant",
    "train.optimizer.learning_rate",
    "train.optimizer.max_grad_norm",
    "distill.optimizer.learning_rate",
    "distill.optimizer.max_grad_norm",
}


def validate_recipe(recipe: Recipe) -> None:
    """Refuse values out of range and settings that contradict each other.

    Raises:
        ConfigError: naming the dotted key, its range and the value.
    """
    _check_ranges(recipe, prefix="")
    _check_network(recipe.network)
    _check_autoencoder(recipe.autoencoder)
    _check_sharding(recipe)
    schedule, distill = recipe.schedule, recipe.distill
    if schedule.beta_start >= schedule.beta_end:
        raise _error("schedule.beta_end", "above schedule.beta_start", schedule.beta_end)
    if distill.grid_size % distill.segments:
        raise _uneven_segments(distill.segments, distill.grid_size, schedule.num_train_timesteps)
    for key, lengths in (("train", recipe.train.num_frames), ("distill", distill.num_frames)):
        if not lengths or min(lengths) < 1:
            raise _error(f"{key}.num_frames", "positive whole numbers", list(lengths))
    if not recipe.evaluate.steps or min(recipe.evaluate.steps) < 1:
        raise _error("evaluate.steps", "positive whole numbers", list(recipe.evaluate.steps))
    _check_person(recipe.preprocess)
    if recipe.animate.overlap >= recipe.animate.window:
        below = f"below animate.window ({recipe.animate.window})"
        raise _error("animate.overlap", below, recipe.animate.overlap)
    if schedule.num_train_timesteps % distill.grid_size:
        timesteps = f"a divisor of schedule.num_train_timesteps ({schedule.num_train_timesteps})"
        raise _error("distill.grid_size", timesteps, distill.grid_size)


def _check_ranges(settings: Any, prefix: str) -> None:
    for field in fields(settings):
        key, value = prefix + field.name, getattr(settings, field.name)
        if is_dataclass(value):
            _check_ranges(value, f"{key}.")
        elif isinstance(value, float):
            _check_real(key, value)
        elif isinstance(value, int) and not isinstance(value, bool):
            _check_count(key, value)


def _check_count(key: str, value: int) -> None:
    least = 0 if key in MAY_BE_ZERO else 1
    if value < least:
        raise _error(key, f"at least {least}", value)
    if value > LARGEST:
        raise _error(key, f"at most {LARGEST}", f"a number of {value.bit_length()} bits")


def _check_real(key: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise _error(key, "a finite number of at least 0", value)
    if key in POSITIVE and value == 0:
        raise _error(key, "above 0", value)
    if key in SHARES and value > 1:
        raise _error(key, "between 0 and 1", value)
    if key in SHARES_BELOW_ONE and value >= 1:
        raise _error(key, "at least 0 and below 1", value)


def _check_network(network: NetworkConfig) -> None:
    multipliers = network.channel_multipliers
    if not multipliers or min(multipliers) < 1:
        raise _error("network.channel_multipliers", "positive whole numbers", list(multipliers))
    if len(network.attention_levels) != len(multipliers):
        one_each = f"one true or false for each of the {len(multipliers)} levels"
        raise _error("network.attention_levels", one_each, list(network.attention_levels))
    if network.dim % GROUP_NORM_GROUPS:
        raise _error("network.dim", f"a multiple of {GROUP_NORM_GROUPS}", network.dim)
    if network.dim % network.head_dim:
        raise _error(
            "network.head_dim", f"a divisor of network.dim ({network.dim})", network.head_dim
        )
    if network.context_dim % SINUSOIDS:
        raise _error("network.context_dim", f"a multiple of {SINUSOIDS}", network.context_dim)
    if network.image_tokens == "clip" and not network.image_embed_dim:
        needed = 'at least 1 where network.image_tokens is "clip"'
        raise _error("network.image_embed_dim", needed, network.image_embed_dim)


def _check_autoencoder(autoencoder: AutoencoderConfig) -> None:
    if autoencoder.width % AUTOENCODER_GROUPS:
        raise _error("autoencoder.width", f"a multiple of {AUTOENCODER_GROUPS}", autoencoder.width)
    numbers = 3 * autoencoder.patch_size**2
    if autoencoder.latent_channels > numbers:
        most = f"at most {numbers}, the numbers of a patch"
        raise _error("autoencoder.latent_channels", most, autoencoder.latent_channels)


def _check_person(preprocess: PreprocessConfig) -> None:
    """Refuse to follow the second person of clips that may show one only."""
    person, most = preprocess.person, preprocess.max_people
    if isinstance(person, int) and 0 < most < person:
        at_least = f"0 (any number) or at least preprocess.person ({person})"
        raise _error("preprocess.max_people", at_least, most)


def _check_sharding(recipe: Recipe) -> None:
    """Refuse what divides the memory a second time, and does not know shards."""
    if recipe.compute.sharding == "none":
        return
    without_shards = " where compute.sharding is fsdp"
    if recipe.compute.average_device == "cpu":
        raise _error("compute.average_device", f"same{without_shards}", "cpu")
    if recipe.distill.tuning == "lora":
        raise _error("distill.tuning", f"full{without_shards}", "lora")
    for part, config in (("train", recipe.train), ("distill", recipe.distill)):
        if config.optimizer.name == "adamw8bit":
            raise _error(f"{part}.optimizer.name", f"adamw{without_shards}", "adamw8bit")


def _uneven_segments(segments: int, grid_size: int, num_timesteps: int) -> ConfigError:
    """Name the nearest number of segments and the nearest grid that would do."""
    divisors = [k for k in range(1, grid_size + 1) if grid_size % k == 0]
    nearest = min(divisors, key=lambda k: abs(k - segments))
    grids = [n for n in range(segments, num_timesteps + 1, segments) if num_timesteps % n == 0]
    hint = f"Use --segments {nearest}"
    if grids:
        nearest_grid = min(grids, key=lambda n: abs(n - grid_size))
        hint += f", or --set distill.grid_size={nearest_grid}"
    return ConfigError(
        f"distill.segments must divide distill.grid_size ({grid_size}), got {segments}.",
        hint=f"{hint}.",
    )


def _error(key: str, range_: str, value: object) -> ConfigError:
    return ConfigError(
        f"{key} must be {range_}, got {value}.", hint=f"Set it with --set {key}=VALUE."
    )
