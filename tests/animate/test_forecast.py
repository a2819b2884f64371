from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dancelcm_cli.animate import costs as costs_module
from dancelcm_cli.animate.animator import Animator
from dancelcm_cli.animate.costs import Costs
from dancelcm_cli.animate.forecast import (
    LATENT_COPIES,
    Forecast,
    Setting,
    choose_setting,
    forecast,
    measured_setting,
    predict_bytes,
    predict_seconds,
)
from dancelcm_cli.animate.outputs import Delivery, plan_outputs
from dancelcm_cli.animate.pipeline import look_at_inputs
from dancelcm_cli.animate.record import Job, Model
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.windows import WindowPlan
from dancelcm_cli.errors import InputError
from dancelcm_cli.progress import SilentProgress

SILENT = SilentProgress()
COSTS = Costs(
    encode_seconds=1.0,
    window_seconds=10.0,
    decode_seconds=0.1,
    film_seconds=0.5,
    write_seconds=0.01,
    idle_bytes=1000,
    window_bytes=80,
    decode_bytes=40,
    latent_bytes=1,
)
ASKED = Setting(windows_at_once=4, decode_chunk=8, offload=False)
PLAN = WindowPlan(num_frames=24, size=16, overlap=4, num_steps=2)  # 2 windows, then 3


def test_time_is_that_of_the_windows_and_of_the_frames() -> None:
    assert predict_seconds(PLAN, COSTS) == pytest.approx(1 + 5 * 10 + 0.5 + 24 * 0.11)
    compared = predict_seconds(PLAN, COSTS, films=2) - predict_seconds(PLAN, COSTS)
    assert compared == pytest.approx(0.5 + 24 * (0.1 + 3 * 0.01))


def test_beside_a_gpu_the_shorter_of_decoding_and_writing_passes_unnoticed() -> None:
    slow_writer = replace(COSTS, write_seconds=0.2)
    for costs, frame in ((COSTS, 0.1), (slow_writer, 0.2)):
        seconds = predict_seconds(PLAN, costs, on_cpu=False)
        assert seconds == pytest.approx(1 + 5 * 10 + 0.5 + 24 * frame)


def test_memory_is_that_of_the_larger_part_and_of_the_latents() -> None:
    latents = LATENT_COPIES * 24

    def needs(setting: Setting) -> int:
        return predict_bytes(PLAN, COSTS, ASKED, setting, idle_bytes=600)

    assert needs(ASKED) == 1000 + 60 + latents  # no step has more than 3 windows
    assert needs(Setting(1, 8, False)) == 1000 + 40 + latents
    assert needs(Setting(1, 1, False)) == 1000 + 20 + latents
    assert needs(Setting(1, 1, True)) == 400 + 20 + latents


def test_memory_is_told_of_what_the_measured_clip_had_at_once(
    make_recipe: Callable[..., Recipe],
) -> None:
    sizes = ("animate.window=16", "animate.overlap=4")
    config = make_recipe(*sizes, "animate.windows_at_once=4", "animate.decode_chunk=64").animate
    assert measured_setting(config, 10) == Setting(1, 10, False)
    assert measured_setting(config, 28) == Setting(2, 28, False)
    assert measured_setting(config, 1000) == Setting(4, 52, False)
    plan = WindowPlan(num_frames=1000, size=16, overlap=4, num_steps=2)
    measured = measured_setting(config, 1000)
    needed = predict_bytes(plan, COSTS, measured, Setting(1, 104, False), idle_bytes=0)
    assert needed == 1000 + 2 * 40 + LATENT_COPIES * 1000


def test_what_an_offload_took_away_already_is_not_taken_twice() -> None:
    measured = replace(ASKED, offload=True)
    needed = predict_bytes(PLAN, COSTS, measured, measured, idle_bytes=600)
    assert needed == 1000 + 60 + LATENT_COPIES * 24


@given(st.integers(0, 2000))
def test_what_is_chosen_fits_and_gives_up_as_little_as_needed(free: int) -> None:
    def needs(setting: Setting) -> int:
        return predict_bytes(PLAN, COSTS, ASKED, setting, idle_bytes=600)

    chosen = choose_setting(needs, ASKED, free)
    assert (chosen is None) == (needs(Setting(1, 1, True)) > free)
    if chosen is not None:
        assert needs(chosen) <= free
        assert (chosen == ASKED) == (needs(ASKED) <= free)
        assert not chosen.offload or needs(Setting(1, 1, False)) > free


@pytest.fixture
def job(
    photo: Path, dancer: Path, model: Path, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> Job:
    recipe = make_recipe("animate.num_frames=14", "animate.guidance_scale=2.0")
    return Job(photo, dancer, tmp_path / "dance.mp4", Model(model), recipe)


def test_a_forecast_measures_once_and_writes_nothing(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(job: Job, delivery: Delivery | None = None) -> Forecast:
        def load() -> Animator:
            return Animator(job.model.path, job.recipe)

        return forecast(job, delivery or Delivery(), load, SILENT)

    told = tell(job)
    assert (told.frames, told.windows, told.network_calls) == (14, 2, 2 * (2 + 3))
    assert told.seconds > 0 and told.peak_bytes > 100e6
    assert told.setting == told.asked == Setting(1, 8, False)
    assert not list(tmp_path.iterdir())
    bare = replace(job, recipe=replace(job.recipe, animate=replace(job.recipe.animate, steps=1)))
    tell(bare, Delivery(save_keypoints=tmp_path / "dance.npz"))
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(costs_module, "measure_costs", None)
    longer = replace(job, recipe=replace(job.recipe, animate=replace(job.recipe.animate, steps=4)))
    assert tell(longer).network_calls == 2 * (2 + 3 + 2 + 3)
    assert tell(longer).seconds > told.seconds
    assert tell(job, Delivery(compare=True)).seconds > told.seconds


@pytest.mark.parametrize(
    "override", ["animate.offload=true", "animate.windows_at_once=4", "animate.num_frames=10"]
)
def test_costs_are_kept_apart_by_what_was_done_at_once(
    job: Job, make_recipe: Callable[..., Recipe], override: str
) -> None:
    image, _ = look_at_inputs(job, Delivery(), SILENT)
    outputs = plan_outputs(job.output, None)
    other = replace(job, recipe=make_recipe("animate.num_frames=20", override))
    animator = Animator(job.model.path, make_recipe("animate.num_frames=20"))
    keys = set()
    for one in (animator, animator.with_recipe(other.recipe)):
        _, shown = look_at_inputs(replace(job, recipe=one.recipe), Delivery(), SILENT)
        keys.add(costs_module._key(one, "model", image, shown, outputs))
    assert len(keys) == 2


def test_on_a_cpu_no_gpu_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.synchronize", lambda *_: pytest.fail("it takes memory"))
    assert costs_module._mean_seconds(lambda: None, torch.device("cpu")) >= 0


def test_a_gpu_is_waited_for_before_its_time_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("torch.cuda.synchronize", lambda *_: told.append("wait"))
    costs_module._mean_seconds(lambda: told.append("work"), torch.device("cuda"))
    assert told == ["work", "wait"] * (1 + costs_module.TIMED_CALLS)


def test_a_forecast_refuses_what_an_animation_refuses(job: Job, tmp_path: Path) -> None:
    (tmp_path / "dance.mp4").write_text("precious")
    with pytest.raises(InputError, match="must not exist already"):
        forecast(job, Delivery(), lambda: pytest.fail("needs no model"), SILENT)
