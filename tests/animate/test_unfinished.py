"""Renders that are interrupted and go on."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from dancelcm_cli.animate import unfinished as module
from dancelcm_cli.animate.animator import Animator
from dancelcm_cli.animate.outputs import Delivery
from dancelcm_cli.animate.pipeline import animate
from dancelcm_cli.animate.record import Job, Model
from dancelcm_cli.animate.unfinished import RenderWatch, Unfinished
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.clip_predictor import Denoising
from dancelcm_cli.core.vae import Frames
from dancelcm_cli.core.windows import Fusion
from dancelcm_cli.errors import InterruptedRunError
from dancelcm_cli.interrupt import StopRequest
from dancelcm_cli.progress import SilentProgress, Unit

MakeRecipe = Callable[..., Recipe]
MAKING = {"seed": 0}
NUM_FRAMES = 14  # two windows of 8 frames that share 2, and three where they stand further on


@pytest.fixture
def job(photo: Path, dancer: Path, model: Path, make_recipe: MakeRecipe, tmp_path: Path) -> Job:
    recipe = make_recipe(f"animate.num_frames={NUM_FRAMES}")
    return Job(photo, dancer, tmp_path / "dance", Model(model), recipe)


def make(job: Job, progress: SilentProgress | None = None) -> list[bytes]:
    """Return the frames of the animation as they are stored."""

    def load() -> Animator:
        return Animator(job.model.path, job.recipe)

    made = animate(job, Delivery("png"), load, progress or SilentProgress())
    return [path.read_bytes() for path in sorted(made.path.iterdir())]


class Interrupter(SilentProgress):
    """Presses Ctrl-C when so many windows are done; counts those that were told."""

    def __init__(self, after: int, signal_number: signal.Signals = signal.SIGINT) -> None:
        self.after, self.signal_number, self.done = after, signal_number, 0

    def task(
        self, description: str, total: int, completed: int = 0, unit: Unit = "items"
    ) -> AbstractContextManager[Callable[[int, str], None]]:
        def advance(count: int, note: str) -> None:
            self.done += count
            if self.done == self.after:
                signal.raise_signal(self.signal_number)

        return nullcontext(advance)


def denoising() -> Denoising:
    latents = torch.randn(1, 4, 3, 2, 2)
    return Denoising(2, latents, Fusion(5, torch.randn_like(latents)))


def test_what_was_kept_is_read_back_to_the_bit(tmp_path: Path) -> None:
    kept = Unfinished(tmp_path / "kept.safetensors", lambda: MAKING)
    assert kept.read() is None
    before = denoising()
    kept.write(before)
    after = kept.read()
    assert after is not None and after.fusion is not None and before.fusion is not None
    assert (after.steps, after.fusion.done) == (2, 5)
    assert after.latents.equal(before.latents) and after.fusion.total.equal(before.fusion.total)
    kept.write(replace(before, fusion=None))
    assert (again := kept.read()) is not None and again.fusion is None
    kept.remove()
    assert kept.read() is None and not list(tmp_path.iterdir())


def test_what_was_made_otherwise_or_is_damaged_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "kept.safetensors"
    Unfinished(path, lambda: MAKING).write(denoising())
    assert Unfinished(path, lambda: {"seed": 1}).read() is None
    path.write_bytes(path.read_bytes()[:-8])
    assert Unfinished(path, lambda: MAKING).read() is None


def test_it_is_kept_every_so_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Unfinished(tmp_path / "kept.safetensors", lambda: MAKING)
    with StopRequest() as stop:
        watch = RenderWatch(kept, stop, [2, 3], lambda count, note: None)
        watch(denoising())
        assert kept.read() is None
        monkeypatch.setattr(module, "SAVE_SECONDS", 0.0)
        watch(denoising())
    assert kept.read() is not None


@pytest.mark.parametrize("after", [1, 2, 3, 5])
def test_a_resumed_render_equals_an_undisturbed_one(job: Job, after: int, tmp_path: Path) -> None:
    whole = make(replace(job, output=tmp_path / "whole"))
    with pytest.raises(InterruptedRunError, match=f"after {after} of 5 network calls"):
        make(job, Interrupter(after))
    assert {path.name for path in tmp_path.iterdir()} == {
        "whole",
        "whole.json",
        "dance-unfinished.safetensors",
    }
    rest = Interrupter(after=99)
    assert make(job, rest) == whole
    assert rest.done == 5
    assert not (tmp_path / "dance-unfinished.safetensors").exists()


def test_saved_keypoints_do_not_keep_the_same_command_from_going_on(
    job: Job, tmp_path: Path
) -> None:
    def make_both(progress: SilentProgress) -> None:
        load = partial(Animator, job.model.path, job.recipe)
        animate(job, Delivery("png", save_keypoints=tmp_path / "found.npz"), load, progress)

    with pytest.raises(InterruptedRunError):
        make_both(Interrupter(2))
    make_both(SilentProgress())
    assert (tmp_path / "found.npz").is_file()


@pytest.mark.parametrize("lost", ["dance.json", "dance"])
def test_what_a_killed_process_had_written_is_made_again(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Unfinished, "remove", lambda self: None)  # killed just before
        made = make(job)
    path = tmp_path / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert make(job) == made
    assert {path.name for path in tmp_path.iterdir()} == {"dance", "dance.json"}


def test_a_polite_kill_is_an_interruption_too(job: Job) -> None:
    with pytest.raises(InterruptedRunError):
        make(job, Interrupter(2, signal.SIGTERM))


def test_an_interruption_while_the_film_is_written_costs_no_network_call(
    job: Job, model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = make(replace(job, output=tmp_path / "whole"))
    over = RenderWatch.over

    def pressed(self: RenderWatch, frames: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return over(self, frames)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(InterruptedRunError, match="5 of 5"):
        patch.setattr(RenderWatch, "over", pressed)
        make(job)
    animator = Animator(model, job.recipe)
    calls: list[int] = []
    animator.pipeline.unet.register_forward_hook(lambda *_: calls.append(1))
    made = animate(job, Delivery("png"), lambda: animator, SilentProgress())
    assert [path.read_bytes() for path in sorted(made.path.iterdir())] == whole
    assert calls == []


def test_an_interruption_between_two_films_leaves_neither(
    job: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    over, films = RenderWatch.over, list[object]()

    def pressed(self: RenderWatch, frames: Iterable[Frames]) -> Iterator[Frames]:
        films.append(frames)
        for number, frame in enumerate(over(self, frames)):
            if len(films) == 2 and number == 1:
                signal.raise_signal(signal.SIGINT)
            yield frame

    animator = Animator(job.model.path, job.recipe)
    compared = Delivery("png", compare=True)
    with monkeypatch.context() as patch, pytest.raises(InterruptedRunError):
        patch.setattr(RenderWatch, "over", pressed)
        animate(job, compared, lambda: animator, SilentProgress())
    assert [path.name for path in tmp_path.iterdir()] == ["dance-unfinished.safetensors"]
    animate(job, compared, lambda: animator, SilentProgress())
    assert len(list((tmp_path / "dance-compare").iterdir())) == NUM_FRAMES


def test_other_settings_start_from_the_beginning(job: Job, tmp_path: Path) -> None:
    with pytest.raises(InterruptedRunError):
        make(job, Interrupter(3))
    other = replace(job, recipe=replace(job.recipe, seed=1))
    assert make(other) == make(replace(other, output=tmp_path / "other"))
