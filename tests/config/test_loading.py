from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dancelcm_cli.config.loading import RECIPES, load_recipe, recipe_names, setting_keys
from dancelcm_cli.config.schema import DistillConfig, Recipe
from dancelcm_cli.errors import ConfigError


def test_no_recipe_and_no_overrides_give_the_schemas_defaults() -> None:
    assert load_recipe(None) == Recipe()


def test_an_empty_file_gives_the_schemas_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").touch()
    assert load_recipe(tmp_path / "empty.toml") == Recipe()


@pytest.mark.parametrize("name", recipe_names())
def test_every_bundled_recipe_loads_by_name(name: str) -> None:
    assert isinstance(load_recipe(name), Recipe)


def test_the_papers_setting_has_the_published_networks_sizes() -> None:
    recipe = load_recipe("unianimate")
    assert (recipe.preprocess.height, recipe.preprocess.width) == (768, 512)
    assert recipe.network.channel_multipliers == (1, 2, 4, 4)
    assert recipe.network.attention_levels == (True, True, True, False)


def test_overrides_win_over_the_recipe_and_later_ones_over_earlier_ones(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[train]\nsteps = 10\nbatch_size = 2\n")
    recipe = load_recipe(path, ["train.steps=20", "train.steps=30"])
    assert recipe.train == replace(Recipe().train, steps=30, batch_size=2)


def test_one_nested_setting_leaves_its_sections_own_defaults_alone() -> None:
    optimizer = load_recipe(None, ["distill.optimizer.warmup_steps=7"]).distill.optimizer
    assert optimizer == replace(DistillConfig().optimizer, warmup_steps=7)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("seed=7", "seed", 7),
        ("animate.sampler=ddim", "animate.sampler", "ddim"),
        ('animate.sampler="ddim"', "animate.sampler", "ddim"),
        ("animate.guidance_scale=2", "animate.guidance_scale", 2.0),
        (" animate.guidance_scale = 2.5 ", "animate.guidance_scale", 2.5),
        ("train.optimizer.learning_rate=1e-5", "train.optimizer.learning_rate", 1e-5),
        ("network.channel_multipliers=[1, 2, 4]", "network.channel_multipliers", (1, 2, 4)),
        ("evaluate.allow_missing=true", "evaluate.allow_missing", True),
    ],
)
def test_an_override_is_read_as_toml_or_else_as_text(
    override: str, key: str, value: object
) -> None:
    found: object = load_recipe(None, [override])
    for name in key.split("."):
        found = getattr(found, name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.steps=many", 'train.steps must be a whole number, got "many"'),
        ("train.steps=1.5", "train.steps must be a whole number, got 1.5"),
        ("train.steps=true", "train.steps must be a whole number, got true"),
        ("animate.guidance_scale=true", "animate.guidance_scale must be a number, got true"),
        ("evaluate.allow_missing=yes", 'evaluate.allow_missing must be true or false, got "yes"'),
        ("animate.sampler=euler", "animate.sampler must be one of edge_renoise, ddim, lcm"),
        ("preprocess.person=2.0", "preprocess.person must be one of .*, got 2.0"),
        ("distill.phase=true", "distill.phase must be one of 1, 2, got true"),
        ("animate.sampler=[1]", r"animate.sampler must be one of .*, got \[1\]"),
        ("train.num_frames=a", 'train.num_frames\\[0\\] must be a whole number, got "a"'),
        ("network.channel_multipliers=['a','b']", r"channel_multipliers\[0\] must be a whole"),
        ("train=5", "train must be a section, got 5"),
        ("seed.train=5", "seed must be a whole number"),
        ("train.steps", 'An override must be section.key=value, got "train.steps"'),
        ("=5", 'An override must be section.key=value, got "=5"'),
    ],
)
def test_a_value_of_another_kind_is_refused_by_its_dotted_key(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(None, [override])


def test_a_key_below_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="seed must be a section"):
        load_recipe(None, ["seed=5", "seed.train=5"])


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("train.stepz=5", "Did you mean train.steps?"),
        ("trian.steps=5", "Did you mean train?"),
        ("train.optimizer.lerning_rate=1", "Did you mean train.optimizer.learning_rate?"),
        ("sampler=ddim", "Did you mean animate.sampler?"),
        ("ema_decay=0.9", "Did you mean train.ema_decay or distill.ema_decay?"),
    ],
)
def test_an_unknown_key_is_answered_with_the_one_that_was_meant(override: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="must be a setting") as caught:
        load_recipe(None, [override])
    assert caught.value.hint == hint


def test_an_unknown_key_like_no_other_is_answered_with_its_sections_settings() -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe(None, ["schedule.flavour=1"])
    assert caught.value.hint == (
        "The settings are schedule.num_train_timesteps, schedule.beta_start, "
        "schedule.beta_end, schedule.noise_offset."
    )


def test_an_unknown_recipe_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigError, match='got "tinny"') as caught:
        load_recipe("tinny")
    assert caught.value.hint == "Did you mean tiny?"


def test_a_recipe_that_is_no_toml_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("[train\nsteps = 5")
    with pytest.raises(
        ConfigError, match=r"broken.toml must be a TOML file, got an error: .*line 1"
    ):
        load_recipe(path)


def test_setting_keys_names_every_leaf_of_the_schema() -> None:
    keys = setting_keys(Recipe())
    assert {"seed", "train.steps", "distill.optimizer.beta1"} <= set(keys)
    assert "train" not in keys and "train.optimizer" not in keys
    assert len(keys) == len(set(keys))


def test_a_single_value_is_a_list_of_one() -> None:
    assert load_recipe(None, ["train.num_frames=8"]).train.num_frames == (8,)


def test_a_recipe_may_start_from_a_bundled_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "unianimate"\n[distill]\nsteps = 7\n')
    mine, base = load_recipe(path), load_recipe("unianimate")
    assert mine.distill.steps == 7
    assert mine == replace(base, distill=replace(base.distill, steps=7))


def test_what_a_recipe_extends_is_never_a_file_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny").write_text('extends = "tiny"\nseed = 8\n')
    assert load_recipe(Path("tiny")) == replace(load_recipe(RECIPES / "tiny.toml"), seed=8)


@pytest.mark.parametrize("base", ["nothing", "../tiny"])
def test_a_recipe_extends_bundled_ones_alone(tmp_path: Path, base: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'extends = "{base}"\n')
    with pytest.raises(ConfigError, match="must be one of smoke, tiny"):
        load_recipe(path)


def test_the_memory_presets_are_the_papers_setting_on_other_cards() -> None:
    base = load_recipe("unianimate")
    for gigabytes in (24, 40, 48, 80):
        preset = load_recipe(f"unianimate-{gigabytes}gb")
        assert preset.network == base.network and preset.preprocess == base.preprocess
        assert preset.compute.precision == "bfloat16" and preset.compute.gradient_checkpointing
        assert preset.distill.guidance_scale == base.distill.guidance_scale
