"""Two processes on the CPU do what one does: copies and shards of real runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.processes import ALONE, join_processes
from dancelcm_cli.data.checkpoints import Checkpoint, load_latest_checkpoint
from dancelcm_cli.data.jsonl import read_rows
from tests.training import together
from tests.training.test_loop import make_task, run, state

ROOT = Path(__file__).parents[2]
COMMON = [
    "device=cpu",
    "distill.num_frames=2",
    "distill.guidance_scale=1",
    "distill.steps=2",
    "distill.batch_size=4",
    "distill.validate_every=100",
    "distill.checkpoint_every=100",
    "distill.teacher_steps=1",
]
SHARDS, PARTS = "compute.sharding=fsdp", "compute.accumulation=2"
SETTINGS = {
    "copies": [],
    "copies-of-parts": [PARTS],
    "shards": [SHARDS],
    "shards-of-self": [SHARDS, "distill.target=self", "distill.batch_size=2"],
    "shards-in-bfloat16": [
        SHARDS,
        "compute.precision=bfloat16",
        "compute.gradient_checkpointing=true",
    ],
    "shards-resumed": [SHARDS],
    "shards-to-resume": [SHARDS, "distill.steps=1"],
}


def test_a_process_alone_is_the_first_and_hears_itself() -> None:
    assert join_processes("cpu") is ALONE
    assert ALONE.first and ALONE.gather("word") == ["word"]


@dataclass(frozen=True)
class Runs:
    """The folder of runs in two processes, and what was said to `together` for each of them."""

    folder: Path
    jobs: dict[str, dict[str, Any]]

    def alone(self, name: str, output: str, *overrides: str) -> Path:
        """Make the run `name` in this one process; go on where there is a checkpoint."""
        job = self.jobs[name] | {"output": str(self.folder / output)}
        together.distil(job | {"overrides": [*job["overrides"], *overrides]}, ALONE)
        return self.folder / output


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, shards: Path, teacher: Path) -> Runs:
    folder = tmp_path_factory.mktemp("together")
    student = {"shards": str(shards), "teacher": str(teacher)}
    jobs = {
        name: {"kind": "distil", "overrides": COMMON + settings, **student}
        for name, settings in SETTINGS.items()
    }
    jobs["whole"] = {"kind": "distil_wholly", "overrides": [*COMMON, SHARDS], **student}
    jobs["interrupted"] = {"kind": "fit_points", "bad_steps": (0, 0), "interrupt_at": 7}
    jobs["bad"] = {"kind": "fit_points", "bad_steps": (3, 9), "interrupt_at": None}
    runs = Runs(folder, jobs)
    runs.alone("shards-resumed", "shards-resumed", "distill.steps=1")
    listed = [job | {"output": str(folder / name)} for name, job in jobs.items()]
    (folder / "jobs.json").write_text(json.dumps(listed))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launcher, "-m", "tests.training.together", str(folder / "jobs.json")],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return runs


@pytest.fixture(scope="module")
def alone(runs: Runs) -> Path:
    return runs.alone("copies", "alone")


def latest(folder: Path) -> Checkpoint:
    checkpoint = load_latest_checkpoint(folder, pytest.fail)
    assert checkpoint is not None
    return checkpoint


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in read_rows(folder / "metrics.jsonl") if "loss" in row]


def furthest(folder: Path, other: Path, group: str) -> float:
    """Return the largest difference between any two numbers of two runs' newest checkpoints."""
    ours, theirs = latest(folder).tensors[group], latest(other).tensors[group]
    assert ours.keys() == theirs.keys()
    return max(float((ours[k] - theirs[k]).abs().max()) for k in ours if ours[k].numel())


def assert_same_state(folder: Path, other: Path) -> None:
    """Assert that moments, which are sums of gradients, agree to 1e-5.

    The weights cannot: where a gradient is zero but for rounding, AdamW takes a full step.
    """
    assert latest(folder).step == latest(other).step
    assert furthest(folder, other, "optimizer") < 1e-5
    assert furthest(folder, other, "network") < 2e-4
    assert furthest(folder, other, "average") < 2e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["copies", "copies-of-parts", "shards"])
def test_two_processes_learn_what_one_does(runs: Runs, alone: Path, name: str) -> None:
    assert losses(runs.folder / name) == pytest.approx(losses(alone), abs=1e-5)
    assert_same_state(runs.folder / name, alone)


@pytest.mark.slow
def test_a_student_in_shards_can_be_its_own_target(runs: Runs) -> None:
    name = "shards-of-self"
    assert_same_state(runs.folder / name, runs.alone(name, f"{name}-alone"))


@pytest.mark.slow
def test_shards_in_bfloat16_learn_nearly_the_same(runs: Runs, alone: Path) -> None:
    name = "shards-in-bfloat16"
    assert losses(runs.folder / name) == pytest.approx(losses(alone), rel=0.01)
    for tensors in latest(runs.folder / name).tensors.values():
        assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


@pytest.mark.slow
def test_a_run_of_one_process_goes_on_in_two_and_one_of_two_in_one(runs: Runs, alone: Path) -> None:
    assert_same_state(runs.folder / "shards-resumed", alone)
    name = "shards-to-resume"
    assert latest(runs.folder / name).step == 1
    assert_same_state(runs.alone(name, name, "distill.steps=2"), alone)


@pytest.mark.slow
def test_the_first_process_alone_writes_what_a_run_leaves(runs: Runs) -> None:
    folder = runs.folder / "whole"
    average = latest(folder).tensors["average"]
    for name, weight in load_pipeline(folder / "model").unet.state_dict().items():
        assert torch.equal(weight, average[f"unet.{name}"])
    rows = read_rows(folder / "metrics.jsonl")
    assert len(rows) == 2 and "loss" in rows[0] and "psnr_4" in rows[1]
    assert len(list((folder / "samples").glob("*.png"))) == 1
    assert not list(folder.rglob(".tmp-*"))


@pytest.mark.slow
def test_an_interrupt_in_one_process_stops_all_at_the_same_step(runs: Runs, tmp_path: Path) -> None:
    folder = runs.folder / "interrupted"
    for rank in range(2):
        assert "Stopped after step 8 of 24" in (folder / f"error-{rank}.txt").read_text()
    whole, resumed = make_task(), make_task()
    run(tmp_path, whole)
    run(folder, resumed)
    assert state(resumed) == pytest.approx(state(whole), abs=1e-5)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_in_one_process_skips_the_step_in_all(
    runs: Runs, tmp_path: Path
) -> None:
    alone = make_task(bad_steps=range(3, 9))
    run(tmp_path, alone)
    ours = [row["skipped_steps"] for row in read_rows(runs.folder / "bad" / "metrics.jsonl")
            if "loss" in row]  # fmt: skip
    assert ours == [6, 0, 0]
    again = make_task()
    run(runs.folder / "bad", again)
    assert state(again) == pytest.approx(state(alone), abs=1e-5)
