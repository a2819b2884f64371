"""The loop with the smallest task there is: a line through points."""

from __future__ import annotations

import math
import os
import shutil
import signal
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dancelcm_cli.config.schema import ComputeConfig, OptimizerConfig
from dancelcm_cli.core.noise import generator
from dancelcm_cli.data.checkpoints import (
    BestCheckpoint,
    list_checkpoints,
    load_average,
    load_latest_checkpoint,
)
from dancelcm_cli.data.jsonl import read_rows
from dancelcm_cli.errors import DanceLCMError, InputError, InterruptedRunError
from dancelcm_cli.progress import RunDisplay, SilentProgress, SilentRunDisplay
from dancelcm_cli.training.ema import Average
from dancelcm_cli.training.loop import MAX_BAD_STEPS, refuse_impossible, run_loop
from dancelcm_cli.training.task import Criterion, LoopConfig, Task
from tests.reliability.timed_figures import without_times

COMMAND = "dancelcm train --resume here"
CONFIG = LoopConfig(
    steps=24,
    ema_decay=0.9,
    ema_warmup=True,
    validate_every=8,
    checkpoint_every=5,
    keep_checkpoints=2,
    optimizer=OptimizerConfig(learning_rate=0.05, warmup_steps=3),
    compute=ComputeConfig(),
)
Points = tuple[int, Tensor]


class PointBatches:
    """Batches of four points, with the step that they are for."""

    def __len__(self) -> int:
        return CONFIG.steps

    def part(self, step: int, part: int, parts: int) -> Points:
        points = torch.randn(4, 2, generator=generator(0, "points", step))
        return step, points.chunk(parts)[part]

    def shape(self, step: int) -> tuple[int, int]:
        return 4, 1


class Interrupting(SilentProgress):
    """Presses Ctrl-C when the loop tells of `step`."""

    def __init__(self, step: int) -> None:
        self.pressed_at = step

    def run(self, total: int, completed: int = 0) -> AbstractContextManager[RunDisplay]:
        pressed_at = self.pressed_at

        class Display(SilentRunDisplay):
            def step(self, done: int, losses: Mapping[str, float]) -> None:
                if done == pressed_at:
                    os.kill(os.getpid(), signal.SIGINT)

        return nullcontext(Display())


class Listening(SilentProgress):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def make_task(
    bad_steps: range = range(0),
    interrupt_at: int | None = None,
    figures: Mapping[int, float] | None = None,
) -> Task[Points]:
    """Return a task whose loss is infinite in `bad_steps`, stopped by Ctrl-C within a step.

    Validation finds `figures` by step, or else the first weight.
    """
    torch.manual_seed(0)
    network = nn.Linear(2, 1)
    average = Average(network, ComputeConfig(), asked=False)

    def losses(network: nn.Linear, batch: Points) -> dict[str, Tensor]:
        step, points = batch
        if step == interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        wanted = points @ torch.tensor([[2.0], [-1.0]])
        loss = ((network(points) - wanted) ** 2).mean()
        return {"loss": loss / 0 if step in bad_steps else loss}

    def validate(step: int) -> dict[str, float]:
        weight = float(average.network.weight[0, 0])
        return {"weight": weight if figures is None else figures[step]}

    criterion = Criterion("weight", largest=True)
    return Task(network, average, PointBatches(), losses, validate, criterion)


def run(
    folder: Path,
    task: Task[Points],
    progress: SilentProgress | None = None,
    config: LoopConfig = CONFIG,
) -> BestCheckpoint:
    return run_loop(folder, task, config, progress or SilentProgress(), COMMAND)


def weights(network: nn.Module) -> list[float]:
    return [x for p in network.parameters() for x in p.flatten().tolist()]


def state(task: Task[Points]) -> list[float]:
    return weights(task.network) + weights(task.average.network)


def test_training_learns(tmp_path: Path) -> None:
    task = make_task()
    start = torch.tensor(state(task)[:2])
    run(tmp_path, task)
    end = torch.tensor(state(task)[:2])
    wanted = torch.tensor([2.0, -1.0])
    assert (end - wanted).norm() < 0.8 * (start - wanted).norm()


@pytest.mark.parametrize("step", [1, 4, 10, 22])
def test_a_resumed_run_equals_one_that_was_not_interrupted(tmp_path: Path, step: int) -> None:
    whole = make_task()
    best = run(tmp_path / "whole", whole)
    with pytest.raises(InterruptedRunError, match=f"after step {step + 1} of 24") as caught:
        run(tmp_path / "stopped", make_task(interrupt_at=step))
    assert COMMAND in caught.value.hint
    resumed = make_task()
    assert run(tmp_path / "stopped", resumed) == best
    assert state(resumed) == state(whole)
    rows = [read_rows(tmp_path / name / "metrics.jsonl") for name in ("whole", "stopped")]
    assert list(map(without_times, rows[1])) == list(map(without_times, rows[0]))


@pytest.mark.parametrize("step", [7, 15])
def test_a_run_killed_before_its_best_is_marked_remembers_it(tmp_path: Path, step: int) -> None:
    figures = {8: 1.0, 16: 2.0, 24: 0.5}
    best = run(tmp_path / "whole", make_task(figures=figures))
    with pytest.raises(InterruptedRunError):
        run(tmp_path / "killed", make_task(figures=figures, interrupt_at=step))
    (tmp_path / "killed" / "checkpoints" / "best.json").unlink()
    assert (
        run(tmp_path / "killed", make_task(figures=figures))
        == best
        == BestCheckpoint(16, {"weight": 2.0})
    )


def test_a_run_that_is_further_than_it_must_come_is_left_as_it_is(tmp_path: Path) -> None:
    run(tmp_path, make_task())
    kept = list_checkpoints(tmp_path)
    run(tmp_path, make_task(), config=replace(CONFIG, steps=8))
    assert list_checkpoints(tmp_path) == kept


def test_a_run_killed_before_it_tidied_up_does_so_in_the_end(tmp_path: Path) -> None:
    run(tmp_path, make_task())
    kept = list_checkpoints(tmp_path)
    shutil.copytree(kept[0], tmp_path / "checkpoints" / "step-000001")
    run(tmp_path, make_task())
    assert list_checkpoints(tmp_path) == kept


@pytest.mark.parametrize("compute", [ComputeConfig(accumulation=2), ComputeConfig(accumulation=4)])
def test_a_batch_in_parts_teaches_the_same(tmp_path: Path, compute: ComputeConfig) -> None:
    whole, parts = make_task(), make_task()
    run(tmp_path / "whole", whole)
    run(tmp_path / "parts", parts, config=replace(CONFIG, compute=compute))
    assert state(parts) == pytest.approx(state(whole), abs=1e-6)
    losses = [
        [row.get("loss") for row in read_rows(tmp_path / name / "metrics.jsonl")]
        for name in ("whole", "parts")
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_a_batch_that_cannot_be_divided_is_refused_before_the_first_step(tmp_path: Path) -> None:
    config = replace(CONFIG, compute=ComputeConfig(accumulation=3))
    with pytest.raises(InputError, match="got 4 clips for 3 parts"):
        refuse_impossible(tmp_path, make_task(), config)


def test_a_checkpoint_of_another_network_is_refused_by_its_weights(tmp_path: Path) -> None:
    task = make_task()
    refuse_impossible(tmp_path, task, CONFIG)  # there is none yet
    run(tmp_path, task)
    refuse_impossible(tmp_path, task, CONFIG)
    wider, deeper = nn.Linear(3, 1), nn.Sequential(nn.Linear(2, 1))
    for network, misfit in ((wider, "misshapen weight"), (deeper, "missing 0.bias")):
        with pytest.raises(InputError, match=misfit) as caught:
            refuse_impossible(tmp_path, replace(task, network=network), CONFIG)
        assert "leave out --recipe" in caught.value.hint


def test_a_run_resumed_with_fewer_steps_than_it_has_done_keeps_what_was_best(
    tmp_path: Path,
) -> None:
    half = CONFIG.steps // 2
    figures = {half: 2.0, CONFIG.steps: 1.0}
    config = replace(CONFIG, validate_every=half, checkpoint_every=half, keep_checkpoints=2)
    run(tmp_path, make_task(figures=figures), config=config)
    task = make_task(figures=figures)
    assert run(tmp_path, task, config=replace(config, steps=half)).step == half
    best = load_average(tmp_path, half)
    assert torch.equal(task.average.network.weight, best["weight"])


def test_nothing_is_lost_when_ctrl_c_comes_between_two_steps(tmp_path: Path) -> None:
    with pytest.raises(InterruptedRunError) as caught:
        run(tmp_path, make_task(), Interrupting(2))
    checkpoint = load_latest_checkpoint(tmp_path, pytest.fail)
    assert f"after step {checkpoint.step} of" in caught.value.message


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    first, again = make_task(), make_task()
    best = run(tmp_path, first)
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert run(tmp_path, again) == best
    assert read_rows(tmp_path / "metrics.jsonl") == rows
    assert state(again) == state(first)


def test_metrics_go_up_in_steps_and_say_loss_and_time(tmp_path: Path) -> None:
    run(tmp_path, make_task())
    rows = read_rows(tmp_path / "metrics.jsonl")
    logged = [row for row in rows if "loss" in row]
    assert [row["step"] for row in logged] == [10, 20, 24]
    assert [row["step"] for row in rows if "weight" in row] == [8, 16, 24]
    assert [row["step"] for row in rows] == sorted(row["step"] for row in rows)
    for row in logged:
        assert row["loss"] > 0 and row["gradient_norm"] > 0 and row["seconds_per_step"] > 0
        assert 0 <= row["waiting_share"] <= 1


def test_a_run_can_go_back_to_the_checkpoint_before_the_last(tmp_path: Path) -> None:
    whole, again = make_task(), make_task()
    run(tmp_path, whole)
    steps = [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")]
    shutil.rmtree(list_checkpoints(tmp_path)[-1])
    run(tmp_path, again)
    assert state(again) == state(whole)
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == steps


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(tmp_path: Path) -> None:
    whole, again, listening = make_task(), make_task(), Listening()
    run(tmp_path, whole)
    newest = list_checkpoints(tmp_path)[-1] / "network.safetensors"
    newest.write_bytes(newest.read_bytes()[:-4])
    run(tmp_path, again, listening)
    assert [note for note in listening.notes if "step-000024 is damaged" in note]
    assert state(again) == state(whole)


def test_steps_without_a_finite_loss_change_nothing(tmp_path: Path) -> None:
    single, rested = make_task(interrupt_at=0), make_task(bad_steps=range(1, 1 + MAX_BAD_STEPS))
    with pytest.raises(InterruptedRunError):
        run(tmp_path / "single", single)
    with pytest.raises(DanceLCMError):
        run(tmp_path / "rested", rested)
    assert state(rested) == state(single)


def test_fewer_infinite_losses_than_too_many_are_left_behind(tmp_path: Path) -> None:
    task = make_task(bad_steps=range(3, 3 + MAX_BAD_STEPS - 1))
    run(tmp_path, task)
    assert all(math.isfinite(value) for value in state(task))
    assert load_latest_checkpoint(tmp_path, pytest.fail).step == CONFIG.steps


def test_too_many_infinite_losses_stop_the_run_and_keep_its_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(DanceLCMError, match="not finite 20 times in a row, at step 22") as caught:
        run(tmp_path, make_task(bad_steps=range(3, 3 + MAX_BAD_STEPS)))
    assert COMMAND in caught.value.hint
    assert load_latest_checkpoint(tmp_path, pytest.fail).step == 20


def test_bad_steps_are_counted_over_a_resume(tmp_path: Path) -> None:
    bad_steps = range(1, 1 + MAX_BAD_STEPS)
    with pytest.raises(InterruptedRunError):
        run(tmp_path, make_task(bad_steps, interrupt_at=12))
    with pytest.raises(DanceLCMError, match="in a row, at step 20"):
        run(tmp_path, make_task(bad_steps))


def names(folder: Path) -> list[str]:
    return [path.name for path in list_checkpoints(folder)]


def test_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    run(tmp_path, make_task(figures={8: 1.0, 16: 2.0, 24: 3.0}))
    assert names(tmp_path) == ["step-000020", "step-000024"]


def test_the_best_checkpoint_is_kept_and_its_average_returned(tmp_path: Path) -> None:
    task = make_task(figures={8: 3.0, 16: 1.0, 24: 2.0})
    assert run(tmp_path / "long", task) == BestCheckpoint(8, {"weight": 3.0})
    assert names(tmp_path / "long") == ["step-000008", "step-000020", "step-000024"]
    with pytest.raises(InterruptedRunError):
        run(tmp_path / "short", short := make_task(interrupt_at=7))
    assert weights(task.average.network) == weights(short.average.network)


def test_a_resumed_run_remembers_what_was_best(tmp_path: Path) -> None:
    figures = {8: 3.0, 16: 1.0, 24: 2.0}
    whole = make_task(figures=figures)
    run(tmp_path / "whole", whole)
    with pytest.raises(InterruptedRunError):
        run(tmp_path / "stopped", make_task(figures=figures, interrupt_at=17))
    resumed = make_task(figures=figures)
    assert run(tmp_path / "stopped", resumed).step == 8
    assert state(resumed) == state(whole)


def test_a_best_checkpoint_from_beyond_the_resumed_step_is_found_again(tmp_path: Path) -> None:
    figures = {8: 1.0, 16: 3.0, 24: 2.0}
    run(tmp_path, make_task(figures=figures))
    for folder in list_checkpoints(tmp_path)[1:]:
        shutil.rmtree(folder)
    kept = list_checkpoints(tmp_path)[0]
    assert kept.name == "step-000016"
    kept.rename(kept.with_name("step-000010"))  # as if the run were sent back before its best
    state_file = kept.with_name("step-000010") / "state.json"
    state_file.write_text(state_file.read_text().replace('"step": 16', '"step": 10'))
    assert run(tmp_path, make_task(figures=figures)) == BestCheckpoint(16, {"weight": 3.0})


def test_without_a_finite_figure_the_last_average_is_returned(tmp_path: Path) -> None:
    task = make_task(figures={8: math.nan, 16: math.nan, 24: math.inf})
    assert run(tmp_path, task) == BestCheckpoint()
    latest = load_latest_checkpoint(tmp_path, pytest.fail)
    assert weights(task.average.network)[:2] == latest.tensors["average"]["weight"][0].tolist()
    assert names(tmp_path) == ["step-000020", "step-000024"]
