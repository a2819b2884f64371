"""Same seed, same bytes: what may be changed about a run without changing what it makes.

`ELSEWHERE` lists who tests it beside the code; what nobody does is tested here. Where sums of
floating-point numbers are taken in another order, equality ends at a bound, which stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from dancelcm_cli.data.jsonl import read_rows
from tests.reliability.conftest import Undisturbed
from tests.reliability.killing import run_command
from tests.reliability.stages import Stage, contents

ROOT = Path(__file__).parents[2]
SAME = "same bytes"
NEARLY = "but for rounding"


@dataclass(frozen=True)
class Proof:
    """What is changed about a stage, what stays, and which test shows it."""

    stage: str
    change: str
    outcome: str
    test: str


ELSEWHERE = (
    Proof(
        "preprocess",
        "number of worker processes",
        SAME,
        "preprocess/test_engine.py::test_a_pool_writes_the_bytes_of_one_process",
    ),
    Proof(
        "distill",
        "resume after any step",
        SAME,
        "training/test_loop.py::test_a_resumed_run_equals_one_that_was_not_interrupted",
    ),
    Proof(
        "distill",
        "resume of a whole run",
        SAME,
        "training/test_runs.py::test_a_resumed_run_makes_the_same_model",
    ),
    Proof(
        "distill",
        "number of processes: losses and moments to 1e-5",
        NEARLY,
        "training/test_processes.py::test_two_processes_learn_what_one_does",
    ),
    Proof(
        "distill",
        "number of processes after a resume: losses and moments to 1e-5",
        NEARLY,
        "training/test_processes.py::"
        "test_a_run_of_one_process_goes_on_in_two_and_one_of_two_in_one",
    ),
    Proof(
        "distill",
        "bfloat16: losses to 1 %",
        NEARLY,
        "training/test_processes.py::test_shards_in_bfloat16_learn_nearly_the_same",
    ),
    Proof(
        "animate",
        "number of processes, for one clip",
        SAME,
        "animate/test_several_processes.py::test_they_share_the_windows_of_one_clip",
    ),
    Proof(
        "animate",
        "number of processes, for a batch of jobs",
        SAME,
        "animate/test_several_processes.py::test_they_share_the_jobs_of_a_batch",
    ),
    Proof(
        "animate",
        "alone or in a batch of jobs",
        SAME,
        "animate/test_batch.py::test_each_job_gives_what_it_gives_alone_and_the_model_is_loaded_once",
    ),
    Proof(
        "animate",
        "resume after any network call",
        SAME,
        "animate/test_unfinished.py::test_a_resumed_render_equals_an_undisturbed_one",
    ),
    Proof(
        "animate",
        "windows seen at once: latents to 1e-5",
        NEARLY,
        "core/test_clip_predictor.py::test_windows_may_be_seen_at_once",
    ),
    Proof(
        "evaluate",
        "number of processes",
        SAME,
        "evaluate/test_processes.py::test_one_and_two_processes_give_the_same_numbers",
    ),
    Proof(
        "evaluate",
        "clips at once: FVD to 1e-5 of it",
        NEARLY,
        "evaluate/test_processes.py::test_batches_of_one_and_of_eight_clips_give_the_same_numbers",
    ),
    Proof(
        "all",
        "kills at any moment",
        SAME,
        "reliability/test_kills.py::"
        "test_a_killed_and_resumed_stage_leaves_what_an_undisturbed_one_leaves",
    ),
)


@pytest.mark.parametrize("proof", ELSEWHERE, ids=lambda proof: f"{proof.stage}: {proof.change}")
def test_what_is_said_to_be_tested_elsewhere_is(proof: Proof) -> None:
    file, name = proof.test.split("::")
    assert f"\ndef {name}(" in (ROOT / "tests" / file).read_text()


def same_bytes(one: Path, other: Path) -> None:
    assert contents(one) == contents(other)


def same_files(*unlike: str) -> Callable[[Path, Path], None]:
    """Expect equal bytes but in the files `unlike`, which hold the changed setting itself."""

    def compare(one: Path, other: Path) -> None:
        left, right = (
            {name: content for name, content in contents(path).items() if name not in unlike}
            for path in (one, other)
        )
        assert left == right

    return compare


def same_pictures(levels: int) -> Callable[[Path, Path], None]:
    """Expect pixels that differ by so many of 255 levels at most."""

    def compare(one: Path, other: Path) -> None:
        ours, theirs = (
            np.stack(
                [np.asarray(Image.open(file), int) for file in sorted(path.glob("dance/*.png"))]
            )
            for path in (one, other)
        )
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= levels

    return compare


def same_moments(one: Path, other: Path) -> None:
    """Expect losses and moments, which are sums of gradients, that agree to 1e-5.

    The weights cannot: where a gradient is zero but for rounding, AdamW takes a full step.
    """
    rows = [read_rows(path / "out" / "metrics.jsonl") for path in (one, other)]
    ours, theirs = ([row["loss"] for row in several if "loss" in row] for several in rows)
    assert ours == pytest.approx(theirs, abs=1e-5)
    states = [sorted(path.rglob("optimizer.safetensors"))[-1] for path in (one, other)]
    first, second = map(load_file, states)
    assert first.keys() == second.keys()
    assert all(float((first[k] - second[k]).abs().max()) < 1e-5 for k in first if first[k].numel())


TABLE = {  # by what is changed: stage, options of both, options of the second, what stays
    "animate, the same again": ("animate", (), (), same_bytes),
    "animate, windows at once": (
        "animate",
        ("--format", "png", "-o", "dance"),
        ("--set=animate.windows_at_once=2",),
        same_pictures(levels=1),
    ),
    "animate, frames decoded at once": (
        "animate",
        ("--format", "png", "-o", "dance"),
        ("--set=animate.decode_chunk=3",),
        same_pictures(levels=1),
    ),
    "distill, the same again": ("distill", ("--steps", "2"), (), same_bytes),
    "distill, poses drawn beforehand": (
        "distill",
        ("--steps", "2"),
        ("--set=compute.keep_poses=true",),
        same_files("out/recipe.toml"),
    ),
    "distill, batch cut into parts": (
        "distill",
        ("--steps", "2"),
        ("--set=compute.accumulation=2",),
        same_moments,
    ),
    "evaluate, the same again": ("evaluate", (), (), same_bytes),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", TABLE)
def test_a_change_that_must_not_matter_does_not(
    change: str, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    name, common, changed, compare = TABLE[change]
    command = undisturbed.stages[name].command
    one = first_of(undisturbed, undisturbed.stages[name], common)
    run_command(tmp_path / "other", *command, *common, *changed)
    compare(one, tmp_path / "other")


def first_of(undisturbed: Undisturbed, stage: Stage, common: tuple[str, ...]) -> Path:
    """Return the folder of `stage` with `common` options, which several rows share."""
    if not common:
        undisturbed.left_by(stage.name)
        return undisturbed.folder / stage.name
    folder = undisturbed.folder / "-".join((stage.name, *common))
    if not folder.exists():
        run_command(folder, *stage.command, *common)
    return folder


@pytest.mark.slow
def test_another_seed_makes_another_animation(undisturbed: Undisturbed, tmp_path: Path) -> None:
    undisturbed.left_by("animate")
    run_command(tmp_path / "other", *undisturbed.stages["animate"].command, "--seed", "1")
    ours, theirs = contents(undisturbed.folder / "animate"), contents(tmp_path / "other")
    assert ours["dance.mp4"] != theirs["dance.mp4"]
