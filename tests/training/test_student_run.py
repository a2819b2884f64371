"""Distillations at the smallest size: methods, phases, LoRA, faces, precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch

from dancelcm_cli.config.methods import method_settings
from dancelcm_cli.config.schema import Method, Recipe
from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.data.jsonl import read_rows
from dancelcm_cli.errors import InputError
from dancelcm_cli.progress import SilentProgress
from dancelcm_cli.training.run_folder import RunInputs
from dancelcm_cli.training.runs import distill_student
from dancelcm_cli.training.student_run import prepare_student

MakeRecipe = Callable[..., Recipe]
SILENT = SilentProgress()
SHORT = ("distill.steps=2", "distill.batch_size=2", "distill.grid_size=40")


def distilled(
    shards: Path, output: Path, teacher: Path, recipe: Recipe, student: Path | None = None
) -> Path:
    distill_student(shards, output, teacher, recipe, SILENT, resume=False, student=student)
    return output / "model"


@pytest.fixture
def first_phase(tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe) -> Path:
    return distilled(shards, tmp_path / "first", teacher, make_recipe(*SHORT))


@pytest.mark.parametrize("method", get_args(Method))
def test_every_method_trains_a_student_that_samples(
    method: Method, tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe(*method_settings(method), *SHORT, "distill.substeps=1")
    model = distilled(shards, tmp_path, teacher, recipe)
    losses = [row for row in read_rows(tmp_path / "metrics.jsonl") if "loss" in row]
    assert losses[-1]["loss"] > 0
    assert ("auxiliary" in losses[-1]) == (method == "dancelcm")
    pipeline = load_pipeline(model)
    assert pipeline.config.num_segments == recipe.distill.segments
    moved = pipeline.unet.conv_in.weight - load_pipeline(teacher).unet.conv_in.weight
    assert moved.abs().max() > 0


def test_the_ground_truth_head_is_gone_from_the_model(
    tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe(*SHORT, "distill.face=none")
    model = distilled(shards, tmp_path, teacher, recipe)
    ours, theirs = (load_pipeline(folder).unet.state_dict() for folder in (model, teacher))
    assert ours.keys() == theirs.keys()


def test_the_second_phase_jumps_from_edge_to_end(
    tmp_path: Path, shards: Path, teacher: Path, first_phase: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe(*SHORT, "distill.phase=2")
    model = distilled(shards, tmp_path / "second", teacher, recipe, first_phase)
    pipeline = load_pipeline(model)
    assert (pipeline.config.num_segments, pipeline.config.grid_size) == (1, 2)
    (only,) = pipeline.plan(SamplingOptions(1))
    assert (only.start, only.landing) == (999, 0)
    assert [step.start for step in pipeline.plan(SamplingOptions(2))] == [999, 499]
    before = load_pipeline(first_phase).unet.conv_in.weight
    assert (pipeline.unet.conv_in.weight - before).abs().max() < 1e-2


@pytest.mark.parametrize("segments", [1, None])
def test_the_second_phase_needs_a_student_of_segments(
    tmp_path: Path,
    shards: Path,
    teacher: Path,
    make_recipe: MakeRecipe,
    segments: int | None,
) -> None:
    student = None
    if segments is not None:
        one = make_recipe(*SHORT, f"distill.segments={segments}")
        student = distilled(shards, tmp_path / "one", teacher, one)
    with pytest.raises(InputError, match="must start from a student"):
        distilled(shards, tmp_path / "second", teacher, make_recipe("distill.phase=2"), student)


def test_a_lora_student_is_its_teacher_and_thin_matrices(
    tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe(
        *SHORT, "distill.tuning=lora", "distill.lora_rank=2", "distill.target=self"
    )
    model = distilled(shards, tmp_path, teacher, recipe)
    assert (model / "lora" / "adapter_model.safetensors").is_file()
    ours, theirs = (load_pipeline(folder).unet.state_dict() for folder in (model, teacher))
    changed = {name for name in theirs if not torch.equal(ours[name], theirs[name])}
    assert changed and all(name.endswith(".weight") for name in changed)
    assert "conv_in.weight" not in changed
    difference = ours["middle_in.res.conv1.weight"] - theirs["middle_in.res.conv1.weight"]
    assert torch.linalg.matrix_rank(difference.flatten(1), atol=1e-7) <= 2


def test_a_lora_run_keeps_one_copy_of_the_frozen_weights(
    tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe("distill.tuning=lora", "distill.target=self")
    run = prepare_student(RunInputs("distill", shards, teacher), tmp_path, recipe)
    network, average = (
        dict(part.named_parameters()) for part in (run.task.network, run.task.average.network)
    )
    for name, parameter in network.items():
        shared = parameter.data_ptr() == average[name].data_ptr()
        assert shared == (not parameter.requires_grad)


def test_a_student_starts_as_its_teacher(
    tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    for tuning in ("full", "lora"):
        recipe = make_recipe(f"distill.tuning={tuning}")
        run = prepare_student(RunInputs("distill", shards, teacher), tmp_path / tuning, recipe)
        batch = run.task.batches.part(0, 0, 1)
        assert batch.conditions.has_face.any()
        theirs = load_pipeline(teacher).unet
        timesteps = torch.full((len(batch.latents),), 999)
        with torch.no_grad():
            ours, _ = run.task.network(batch.latents, timesteps, batch.conditions)
            wanted = theirs(batch.latents, timesteps, theirs.encode_conditions(batch.conditions))
        assert (ours - wanted).abs().max() < 1e-2


def test_clip_faces_need_their_embeddings(
    tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    with pytest.raises(InputError, match="image encoder") as caught:
        distilled(shards, tmp_path, teacher, make_recipe(*SHORT, "distill.face=clip"))
    assert "distill.face" in caught.value.hint


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_half_precision_gives_nearly_the_same_losses(
    tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe, tuning: str
) -> None:
    first = []
    for precision in ("float32", "bfloat16"):
        recipe = make_recipe(
            f"distill.tuning={tuning}", "distill.target=self", f"compute.precision={precision}"
        )
        run = prepare_student(RunInputs("distill", shards, teacher), tmp_path / precision, recipe)
        losses = run.task.losses(run.task.network, run.task.batches.part(0, 0, 1))
        losses["loss"].backward()
        first.append(float(losses["loss"].detach()))
        kinds = {p.dtype for p in run.task.network.parameters() if p.requires_grad}
        assert kinds == {torch.float32}
    assert first[1] == pytest.approx(first[0], rel=0.1) and first[1] != first[0]
