"""The loop with the smallest task there is: a line through points."""

from __future__ import annotations

import copy
import math
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dancelcm_cli.config.schema import OptimizerConfig
from dancelcm_cli.core.noise import generator
from dancelcm_cli.data.checkpoints import list_checkpoints, load_latest_checkpoint
from dancelcm_cli.data.jsonl import read_rows
from dancelcm_cli.errors import DanceLCMError, InterruptedRunError
from dancelcm_cli.progress import SilentProgress
from dancelcm_cli.training.loop import MAX_BAD_STEPS, LoopConfig, Task, learning_rate, run_loop

COMMAND = "dancelcm train --resume here"
CONFIG = LoopConfig(
    steps=24,
    ema_decay=0.9,
    ema_warmup=True,
    validate_every=8,
    checkpoint_every=5,
    keep_checkpoints=2,
    optimizer=OptimizerConfig(learning_rate=0.05, warmup_steps=3),
)


class Points:
    """Batches of points on a line."""

    def __len__(self) -> int:
        return CONFIG.steps

    def __getitem__(self, step: int) -> Tensor:
        return torch.randn(4, 2, generator=generator(0, "points", step))


class Interrupting(SilentProgress):
    """Presses Ctrl-C once, when the loop reports that `step` is done."""

    def __init__(self, step: int) -> None:
        self.step = step

    def task(
        self, description: str, total: int, completed: int = 0
    ) -> AbstractContextManager[Callable[[int, str], None]]:
        done = completed

        def advance(count: int, note: str) -> None:
            nonlocal done
            done += count
            if done == self.step:
                os.kill(os.getpid(), signal.SIGINT)

        return nullcontext(advance)


def make_task(bad_steps: range = range(0), interrupt_at: int | None = None) -> Task[Tensor]:
    """Return a task whose loss is infinite in `bad_steps`, stopped by Ctrl-C within a step."""
    torch.manual_seed(0)
    network = nn.Linear(2, 1)
    average = copy.deepcopy(network).requires_grad_(False)

    def losses(step: int, batch: Tensor) -> dict[str, Tensor]:
        if step == interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        wanted = batch @ torch.tensor([[2.0], [-1.0]])
        loss = ((network(batch) - wanted) ** 2).mean()
        return {"loss": loss / 0 if step in bad_steps else loss}

    def validate(step: int) -> dict[str, float]:
        return {"weight": float(average.weight.detach()[0, 0])}

    return Task(network, average, Points(), losses, validate)


def run(folder: Path, task: Task[Tensor], progress: SilentProgress | None = None) -> None:
    run_loop(folder, task, CONFIG, progress or SilentProgress(), COMMAND)


def state(task: Task[Tensor]) -> list[float]:
    networks = (task.network, task.average)
    return [x for network in networks for p in network.parameters() for x in p.flatten().tolist()]


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
    run(tmp_path / "whole", whole)
    with pytest.raises(InterruptedRunError, match=f"after step {step + 1} of 24") as caught:
        run(tmp_path / "stopped", make_task(interrupt_at=step))
    assert COMMAND in caught.value.hint
    resumed = make_task()
    run(tmp_path / "stopped", resumed)
    assert state(resumed) == state(whole)


def test_nothing_is_lost_when_ctrl_c_comes_between_two_steps(tmp_path: Path) -> None:
    with pytest.raises(InterruptedRunError) as caught:
        run(tmp_path, make_task(), Interrupting(2))
    checkpoint = load_latest_checkpoint(tmp_path)
    assert f"after step {checkpoint.step} of" in caught.value.message


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    first, again = make_task(), make_task()
    figures = run_loop(tmp_path, first, CONFIG, SilentProgress(), COMMAND)
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert run_loop(tmp_path, again, CONFIG, SilentProgress(), COMMAND) == figures
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
    assert load_latest_checkpoint(tmp_path).step == CONFIG.steps


def test_too_many_infinite_losses_stop_the_run_and_keep_its_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(DanceLCMError, match="not finite 20 times in a row, at step 22") as caught:
        run(tmp_path, make_task(bad_steps=range(3, 3 + MAX_BAD_STEPS)))
    assert COMMAND in caught.value.hint
    assert load_latest_checkpoint(tmp_path).step == 20


def test_bad_steps_are_counted_over_a_resume(tmp_path: Path) -> None:
    bad_steps = range(1, 1 + MAX_BAD_STEPS)
    with pytest.raises(InterruptedRunError):
        run(tmp_path, make_task(bad_steps, interrupt_at=12))
    with pytest.raises(DanceLCMError, match="in a row, at step 20"):
        run(tmp_path, make_task(bad_steps))


def test_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    run(tmp_path, make_task())
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-000020", "step-000024"]


def test_the_learning_rate_warms_up_in_equal_parts_and_stays() -> None:
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=4, decay="constant")
    rates = [learning_rate(config, step, 100) for step in range(100)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert set(rates[3:]) == {1.0}
    assert learning_rate(replace(config, warmup_steps=0), 0, 100) == 1.0


def test_the_learning_rate_falls_along_a_cosine_to_one_percent() -> None:
    config = OptimizerConfig(learning_rate=2.0, warmup_steps=0, decay="cosine")
    rates = [learning_rate(config, step, 100) for step in range(101)]
    assert rates[0] == 2.0
    assert rates[50] == pytest.approx(2.0 * 0.505)
    assert rates[100] == pytest.approx(2.0 * 0.01)
    assert rates == sorted(rates, reverse=True)
    assert learning_rate(config, 150, 100) == rates[100]
