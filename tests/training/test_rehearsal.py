from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.errors import InputError
from dancelcm_cli.progress import SilentProgress
from dancelcm_cli.training.autoencoder_run import prepare_autoencoder
from dancelcm_cli.training.batches import ClipBatches
from dancelcm_cli.training.pose_pictures import DrawnPoses
from dancelcm_cli.training.preparation import PreparedRun
from dancelcm_cli.training.rehearsal import Rehearsal, rehearse, steps_by_shape
from dancelcm_cli.training.run_folder import RunInputs
from dancelcm_cli.training.runs import distill_student
from dancelcm_cli.training.student_run import prepare_student
from dancelcm_cli.training.teacher_run import prepare_teacher

MakeRecipe = Callable[..., Recipe]
SILENT = SilentProgress()


def told(rehearsal: Rehearsal | None) -> Rehearsal:
    assert rehearsal is not None
    assert rehearsal.loss is not None and rehearsal.loss > 0
    assert rehearsal.device.startswith("cpu, ")
    times = (rehearsal.step_seconds, rehearsal.validation_seconds, rehearsal.checkpoint_seconds)
    assert all(seconds > 0 for seconds in times)
    assert rehearsal.free_size > rehearsal.checkpoint_size > 0
    return rehearsal


def test_a_rehearsal_of_a_distillation_tells_what_the_run_takes_and_leaves_nothing(
    tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe("distill.steps=7", "distill.validate_every=3", "distill.batch_size=1")
    inputs = RunInputs("distill", shards, teacher)
    output = tmp_path / "runs" / "new"
    rehearsal = told(rehearse(prepare_student, inputs, output, recipe, SILENT))
    assert not list(tmp_path.iterdir())
    assert (rehearsal.steps, rehearsal.validations, rehearsal.checkpoints) == (7, 3, 1)
    assert rehearsal.beginning_seconds > 0
    assert rehearsal.disk == tmp_path
    short = make_recipe("distill.steps=1", "distill.batch_size=1")
    distill_student(shards, output, teacher, short, SILENT, resume=False)
    written = (output / "checkpoints" / "step-000001").iterdir()
    assert rehearsal.checkpoint_size == pytest.approx(
        sum(file.stat().st_size for file in written), rel=0.01
    )
    network = prepare_student(inputs, output, recipe).task.network
    assert rehearsal.trainable_parameters == sum(p.numel() for p in network.parameters())


def test_what_is_drawn_for_the_run_as_well_is_not_counted(
    tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    def prepare(inputs: RunInputs, output: Path, recipe: Recipe) -> PreparedRun:
        run = prepare_teacher(inputs, output, recipe)
        return replace(run, draw=lambda progress: time.sleep(0.3))

    inputs = RunInputs("train", shards, teacher)
    recipe = make_recipe("train.batch_size=1")
    rehearsal = told(rehearse(prepare, inputs, tmp_path / "new", recipe, SILENT))
    assert rehearsal.beginning_seconds < 0.3


def test_a_rehearsal_of_adapters_counts_them_alone(
    tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe("distill.tuning=lora", "distill.lora_rank=2", "distill.batch_size=1")
    inputs = RunInputs("distill", shards, teacher)
    rehearsal = told(rehearse(prepare_student, inputs, tmp_path / "new", recipe, SILENT))
    network = prepare_student(inputs, tmp_path, recipe).task.network
    learnt = [p.numel() for p in network.parameters() if p.requires_grad]
    assert (
        rehearsal.trainable_parameters == sum(learnt) < sum(p.numel() for p in network.parameters())
    )


def test_a_teacher_and_an_autoencoder_can_be_rehearsed(
    tmp_path: Path, shards: Path, picture_shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe("train.image_steps=2", "train.image_batch_size=2", "train.batch_size=1")
    inputs = RunInputs("train", shards, teacher)
    told(rehearse(prepare_teacher, inputs, tmp_path / "teacher", recipe, SILENT))
    inputs = RunInputs("train", picture_shards, None)
    told(rehearse(prepare_autoencoder, inputs, tmp_path / "autoencoder", recipe, SILENT))
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_for_a_checkpoint_is_found_out(
    tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    recipe, inputs = make_recipe("distill.batch_size=1"), RunInputs("distill", shards, teacher)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))  # fails as a full disk does
    try:
        with pytest.raises(InputError, match="must have room for a checkpoint"):
            rehearse(prepare_student, inputs, tmp_path / "new", recipe, SILENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_every_step_of_a_run_stands_beside_those_of_its_shape(shards: Path) -> None:
    batches = ClipBatches(
        ShardReader(shards),
        range(4),
        poses=DrawnPoses((64, 64)),
        device=torch.device("cpu"),
        steps=20,
        batch_size=2,
        num_frames=(2, 4),
        seed=0,
        image_steps=5,
        image_batch_size=3,
    )
    groups = steps_by_shape(batches)
    assert sorted(step for steps in groups for step in steps) == list(range(20))
    shapes = [{batches.part(step).latents.shape[::2] for step in steps} for steps in groups]
    assert shapes == [{(3, 1, 8)}, {(2, 4, 8)}, {(2, 2, 8)}]


def test_the_whole_is_the_sum_of_its_parts() -> None:
    rehearsal = Rehearsal(
        device="cpu",
        trainable_parameters=1,
        loss=1.0,
        peak_memory=None,
        steps=100,
        step_seconds=2.0,
        beginning_seconds=5.0,
        validations=10,
        validation_seconds=3.0,
        checkpoints=4,
        checkpoint_seconds=0.5,
        checkpoint_size=7,
        kept_checkpoints=3,
        free_size=1000,
        disk=Path(),
    )
    assert rehearsal.seconds == 200 + 5 + 30 + 2
    assert rehearsal.needed_size == 28
    assert replace(rehearsal, steps=200).seconds == rehearsal.seconds + 200
