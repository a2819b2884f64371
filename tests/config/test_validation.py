from __future__ import annotations

import pytest

from dancelcm_cli.config.loading import load_recipe, setting_keys
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.config.validation import (
    MAY_BE_ZERO,
    POSITIVE,
    SHARES,
    SHARES_BELOW_ONE,
    validate_recipe,
)
from dancelcm_cli.errors import ConfigError


def test_the_schemas_defaults_are_valid() -> None:
    validate_recipe(Recipe())


@pytest.mark.parametrize("keys", [MAY_BE_ZERO, POSITIVE, SHARES, SHARES_BELOW_ONE])
def test_rules_name_settings_that_exist(keys: set[str]) -> None:
    assert keys <= set(setting_keys(Recipe()))


@pytest.mark.parametrize(
    "override",
    [
        "compute.average_device=cpu",
        "distill.tuning=lora",
        "train.optimizer.name=adamw8bit",
        "distill.optimizer.name=adamw8bit",
    ],
)
def test_shards_go_with_nothing_else_that_divides_the_memory(override: str) -> None:
    key, _, value = override.partition("=")
    load_recipe(None, [override])
    with pytest.raises(ConfigError, match=f"{key} must be .* fsdp, got {value}"):
        load_recipe(None, [override, "compute.sharding=fsdp"])


def numbers_of(kind: type) -> list[str]:
    def value(key: str) -> object:
        found: object = Recipe()
        for name in key.split("."):
            found = getattr(found, name)
        return found

    return [key for key in setting_keys(Recipe()) if type(value(key)) is kind]


@pytest.mark.parametrize("key", numbers_of(int))
def test_no_count_is_negative(key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key} must be (at least [01]|one of 1, 2), got -1"):
        load_recipe(None, [f"{key}=-1"])


@pytest.mark.parametrize("key", numbers_of(float))
@pytest.mark.parametrize("value", ["nan", "inf", "-0.5"])
def test_real_numbers_are_finite_and_not_negative(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{key} must be a finite number of at least 0"):
        load_recipe(None, [f"{key}={value}"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.batch_size=0"], "train.batch_size must be at least 1, got 0"),
        (["train.condition_dropout=1.5"], "train.condition_dropout must be between 0 and 1"),
        (["train.validation_share=1"], "train.validation_share must be at least 0 and below 1"),
        (["distill.huber_constant=0"], "distill.huber_constant must be above 0, got 0"),
        (["distill.segments=3"], r"segments must divide distill.grid_size \(50\), got 3"),
        (["train.num_frames=[]"], "train.num_frames must be positive whole numbers"),
        (["distill.num_frames=[16, 0]"], "distill.num_frames must be positive whole numbers"),
        (["animate.overlap=16"], r"animate.overlap must be below animate.window \(16\), got 16"),
        (["distill.grid_size=48"], "distill.grid_size must be a divisor of schedule"),
        (["schedule.beta_start=0.5"], "schedule.beta_end must be above schedule.beta_start"),
        (["network.channel_multipliers=[]"], "network.channel_multipliers must be positive"),
        (["network.attention_levels=[true]"], "network.attention_levels must be one true or false"),
        (["network.dim=48"], "network.dim must be a multiple of 32, got 48"),
        (["network.head_dim=24"], r"network.head_dim must be a divisor of network.dim \(64\)"),
        (["network.image_tokens=clip"], "network.image_embed_dim must be at least 1"),
        (["network.context_dim=130"], "network.context_dim must be a multiple of 4, got 130"),
        (["autoencoder.width=100"], "autoencoder.width must be a multiple of 8, got 100"),
        (
            ["autoencoder.patch_size=4", "autoencoder.latent_channels=49"],
            "autoencoder.latent_channels must be at most 48, the numbers of a patch, got 49",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_range(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(None, overrides)


@pytest.mark.parametrize("key", sorted(MAY_BE_ZERO))
def test_what_may_be_zero_may_be_zero(key: str) -> None:
    load_recipe(None, [f"{key}=0"])


@pytest.mark.parametrize(
    ("segments", "hint"),
    [(4, "Use --segments 5, or --set distill.grid_size=40."), (3, "Use --segments 2.")],
)
def test_uneven_segments_are_answered_with_the_nearest_that_fit(segments: int, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe(None, [f"distill.segments={segments}"])
    assert caught.value.hint == hint
