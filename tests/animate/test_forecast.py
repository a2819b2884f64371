from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
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
    predict_bytes,
    predict_seconds,
)
from dancelcm_cli.animate.outputs import Delivery
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

    assert needs(ASKED) == 1000 + 80 + latents
    assert needs(Setting(1, 8, False)) == 1000 + 40 + latents
    assert needs(Setting(1, 1, False)) == 1000 + 20 + latents
    assert needs(Setting(1, 1, True)) == 400 + 20 + latents


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
    monkeypatch.setattr(costs_module, "measure_costs", None)
    longer = replace(job, recipe=replace(job.recipe, animate=replace(job.recipe.animate, steps=4)))
    assert tell(longer).network_calls == 2 * (2 + 3 + 2 + 3)
    assert tell(longer).seconds > told.seconds
    assert tell(job, Delivery(compare=True)).seconds > told.seconds


def test_a_forecast_refuses_what_an_animation_refuses(job: Job, tmp_path: Path) -> None:
    (tmp_path / "dance.mp4").write_text("precious")
    with pytest.raises(InputError, match="must not exist already"):
        forecast(job, Delivery(), lambda: pytest.fail("needs no model"), SILENT)
