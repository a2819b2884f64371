"""Whole runs at the smallest size: teacher, autoencoder and student."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.model_recipe import model_recipe, trained_recipe
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.model_folder import load_pipeline, load_vae
from dancelcm_cli.core.vae import encode_frames
from dancelcm_cli.data.checkpoints import Checkpoint, load_average, load_latest_checkpoint
from dancelcm_cli.data.jsonl import read_rows
from dancelcm_cli.data.shards import ShardReader
from dancelcm_cli.errors import InputError, InterruptedRunError
from dancelcm_cli.progress import RunDisplay, SilentProgress, SilentRunDisplay
from dancelcm_cli.training.runs import (
    RunSummary,
    distill_student,
    train_autoencoder,
    train_teacher,
)

MakeRecipe = Callable[..., Recipe]
MakeShards = Callable[..., Path]
Start = Callable[..., RunSummary]
SILENT = SilentProgress()


class Interrupting(SilentProgress, SilentRunDisplay):
    """Presses Ctrl-C when the second step is told; the run stops after it."""

    def run(self, total: int, completed: int = 0) -> AbstractContextManager[RunDisplay]:
        return nullcontext(self)

    def step(self, done: int, losses: Mapping[str, float]) -> None:
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)


def latest(run: Path) -> Checkpoint:
    checkpoint = load_latest_checkpoint(run, pytest.fail)
    assert checkpoint is not None
    return checkpoint


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("start", [train_teacher, distill_student])
def test_a_resumed_run_makes_the_same_model(
    start: Start, tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe(
        "train.steps=3",
        "train.image_steps=1",
        "train.batch_size=1",
        "distill.steps=3",
        "distill.batch_size=1",
    )
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    start(shards, whole, teacher, recipe, SILENT, resume=False)
    with pytest.raises(InterruptedRunError, match="after step 2 of 3") as caught:
        start(shards, stopped, teacher, recipe, Interrupting(), resume=False)
    assert f"--resume {stopped}" in caught.value.hint
    assert not (stopped / "model").exists()
    elsewhere = tmp_path / "elsewhere"  # a resumed run reads what it was started with
    start(elsewhere, stopped, elsewhere, recipe, SILENT, resume=True)
    assert contents(stopped / "model") == contents(whole / "model")
    assert contents(stopped / "samples") == contents(whole / "samples")


def recipe_in(model: Path) -> str:
    path = model_recipe(model)
    return "" if path is None else path.read_text()


def test_a_teacher_run_leaves_model_metrics_and_samples(
    tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe("train.steps=2", "train.validate_every=1")
    summary = train_teacher(shards, tmp_path, teacher, recipe, SILENT, resume=False)
    assert summary.steps == 2
    assert summary.metrics.keys() == {"validation_loss", "psnr_reference", "psnr_8", "spread_8"}
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 2]
    assert rows[1]["loss"] > 0 and rows[1]["seconds_per_step"] > 0
    for step in (1, 2):
        Image.open(tmp_path / "samples" / f"step-{step:06d}.png").verify()
    assert recipe_in(tmp_path / "model") == trained_recipe(recipe)
    pipeline = load_pipeline(tmp_path / "model")
    assert pipeline.config.num_segments == 0
    before = load_pipeline(teacher)
    for name, weight in before.vae.state_dict().items():
        assert torch.equal(pipeline.vae.state_dict()[name], weight)
    assert not torch.equal(pipeline.unet.conv_out.weight, before.unet.conv_out.weight)


@pytest.mark.slow
@pytest.mark.parametrize("start", [train_teacher, distill_student, train_autoencoder])
def test_what_saves_memory_changes_little(
    start: Start,
    tmp_path: Path,
    shards: Path,
    picture_shards: Path,
    teacher: Path,
    make_recipe: MakeRecipe,
) -> None:
    data, init = (picture_shards, None) if start is train_autoencoder else (shards, teacher)
    plain = ["train.steps=2", "distill.steps=2", "distill.teacher_steps=1"]
    saving = [
        "compute.precision=bfloat16",
        "compute.gradient_checkpointing=true",
        "compute.accumulation=2",
        "compute.average_device=cpu",
    ]
    for name, overrides in (("plain", plain), ("saving", [*plain, *saving])):
        recipe = make_recipe(*overrides, "train.image_steps=1")
        start(data, tmp_path / name, init, recipe, SILENT, resume=False)
    ours, theirs = (read_rows(tmp_path / name / "metrics.jsonl")[0] for name in ("saving", "plain"))
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=0.02, abs=1e-3)
    assert ours["loss"] != theirs["loss"]
    for tensors in latest(tmp_path / "saving").tensors.values():
        assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_an_autoencoder_alone_gets_an_untrained_network_of_the_recipes_sizes(
    tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    init = tmp_path / "init"
    load_vae(teacher).save_pretrained(init / "vae")
    recipe = make_recipe("train.steps=1", "network.context_dim=64")
    train_teacher(shards, tmp_path / "run", init, recipe, SILENT, resume=False)
    unet = load_pipeline(tmp_path / "run" / "model").unet
    assert (unet.config.dim, unet.config.context_dim) == (32, 64)
    assert unet.config.face_tokens == "none"


def test_a_student_is_an_average_with_segments_and_face_tokens_that_leaves_its_teacher_alone(
    tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    before = contents(teacher)
    recipe = make_recipe("distill.steps=1", "distill.segments=4", "distill.grid_size=40")
    summary = distill_student(shards, tmp_path, teacher, recipe, SILENT, resume=False)
    kinds = (1, 2, 4, 8, "teacher")
    assert summary.metrics.keys() == {
        "psnr_reference",
        *(f"{figure}_{kind}" for figure in ("psnr", "spread") for kind in kinds),
    }
    assert recipe_in(tmp_path / "model") == trained_recipe(recipe)
    student = load_pipeline(tmp_path / "model")
    assert (student.config.num_segments, student.config.grid_size) == (4, 40)
    assert student.unet.face_projector is not None
    assert contents(teacher) == before
    checkpoint = latest(tmp_path)
    for name, weight in student.unet.state_dict().items():
        assert torch.equal(weight, checkpoint.tensors["average"][f"unet.{name}"])
    network = checkpoint.tensors["network"]["unet.conv_out.weight"]
    assert not torch.equal(student.unet.conv_out.weight, network)


@pytest.mark.parametrize("start", [train_teacher, distill_student])
def test_validations_sample_at_the_temperature_of_the_recipe(
    start: Start, tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    def spreads(temperature: float) -> dict[str, float]:
        recipe = make_recipe(
            "train.steps=1", "distill.steps=1", f"animate.temperature={temperature}"
        )
        summary = start(shards, tmp_path / str(temperature), teacher, recipe, SILENT, resume=False)
        return {name: value for name, value in summary.metrics.items() if "spread" in name}

    cool, warm = spreads(0.5), spreads(1.0)
    assert cool["spread_8"] < warm["spread_8"]  # a step or two of this network hardly feel it
    assert all(cool[name] != warm[name] for name in warm)


def test_the_model_is_that_of_the_best_validation(
    tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe(
        "train.steps=3",
        "train.validate_every=1",
        "train.checkpoint_every=1",
        "train.keep_checkpoints=3",
        "train.ema_decay=0",
        "train.optimizer.learning_rate=0.1",  # so large that the first steps harm
    )
    summary = train_teacher(shards, tmp_path, teacher, recipe, SILENT, resume=False)
    found = {
        row["step"]: row["validation_loss"]
        for row in read_rows(tmp_path / "metrics.jsonl")
        if "validation_loss" in row
    }
    assert len(found) == 3
    assert summary.model_step == min(found, key=found.__getitem__)
    assert summary.metrics["validation_loss"] == min(found.values())
    average = load_average(tmp_path, summary.model_step)
    for name, weight in load_pipeline(tmp_path / "model").unet.state_dict().items():
        assert torch.equal(weight, average[f"unet.{name}"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file's size")
@pytest.mark.slow
def test_a_full_disk_ends_a_run_with_the_command_that_continues_it(
    tmp_path: Path, picture_shards: Path
) -> None:
    script = """
import resource, sys
from pathlib import Path
from dancelcm_cli.app import main
size = max(file.stat().st_size for file in Path(sys.argv[2]).rglob("*.safetensors"))
resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, size - 1))
sys.argv[1:3] = ["train", "--resume", sys.argv[2], "--device", "cpu", "--steps", "2"]
main()
"""
    recipe = load_recipe("smoke", ["device=cpu", "train.part=autoencoder", "train.steps=1"])
    train_autoencoder(picture_shards, tmp_path, None, recipe, SILENT, resume=False)
    checkpoints = contents(tmp_path / "checkpoints")
    command = [sys.executable, "-c", script, "unused", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "is full" in done.stderr and f"dancelcm train --resume {tmp_path}" in done.stderr
    assert contents(tmp_path / "checkpoints") == checkpoints


def test_training_an_autoencoder_makes_its_pictures_better(
    tmp_path: Path, picture_shards: Path, make_recipe: MakeRecipe
) -> None:
    def psnr_after(steps: int) -> float:
        overrides = ("train.part=autoencoder", f"train.steps={steps}", "train.ema_decay=0.5")
        recipe = make_recipe(*overrides, "train.optimizer.learning_rate=0.003")
        output = tmp_path / f"{steps}"
        summary = train_autoencoder(picture_shards, output, None, recipe, SILENT, resume=False)
        return summary.metrics["psnr"]

    assert psnr_after(40) > psnr_after(1) + 0.5


def test_an_autoencoder_scales_its_latents_to_unit_spread(
    tmp_path: Path, picture_shards: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe("train.part=autoencoder", "train.steps=1", "train.validation_share=0")
    train_autoencoder(picture_shards, tmp_path / "run", None, recipe, SILENT, resume=False)
    vae = load_vae(tmp_path / "run" / "model")
    reader = ShardReader(picture_shards)
    frames = np.concatenate([reader[i].frames for i in range(len(reader))])
    assert encode_frames(vae, frames).std() == pytest.approx(1, rel=0.02)


def test_a_resumed_autoencoder_is_the_same(
    tmp_path: Path, picture_shards: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe("train.part=autoencoder", "train.steps=3")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train_autoencoder(picture_shards, whole, None, recipe, SILENT, resume=False)
    with pytest.raises(InterruptedRunError):
        train_autoencoder(picture_shards, stopped, None, recipe, Interrupting(), resume=False)
    train_autoencoder(picture_shards, stopped, None, recipe, SILENT, resume=True)
    assert contents(stopped / "model") == contents(whole / "model")


def test_a_used_folder_is_refused(
    tmp_path: Path, picture_shards: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe("train.part=autoencoder", "train.steps=1")
    train_autoencoder(picture_shards, tmp_path, None, recipe, SILENT, resume=False)
    model = contents(tmp_path / "model")
    with pytest.raises(InputError, match="must not hold a run already"):
        train_autoencoder(picture_shards, tmp_path, None, recipe, SILENT, resume=False)
    assert contents(tmp_path / "model") == model


def test_a_new_run_does_not_go_on_from_what_another_left(
    tmp_path: Path, picture_shards: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe("train.part=autoencoder", "train.steps=1")
    train_autoencoder(picture_shards, tmp_path, None, recipe, SILENT, resume=False)
    (tmp_path / "run.json").unlink()
    with pytest.raises(InputError, match="must not hold the checkpoints of another run"):
        train_autoencoder(picture_shards, tmp_path, None, recipe, SILENT, resume=False)


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (["autoencoder.latent_channels=3"], "must have 3 channels for this autoencoder, got 4"),
        (
            [
                "autoencoder.latent_channels=4",
                "network.channel_multipliers=[1,1,1,1,1]",
                "network.attention_levels=[true,true,true,true,true]",
            ],
            "multiples of 128 for this network, got 64 x 64",
        ),
    ],
)
def test_latents_that_autoencoder_or_network_cannot_take_are_refused(
    tmp_path: Path,
    shards: Path,
    picture_shards: Path,
    make_recipe: MakeRecipe,
    overrides: list[str],
    complaint: str,
) -> None:
    recipe = make_recipe("train.steps=1", *overrides)
    train_autoencoder(picture_shards, tmp_path / "vae", None, recipe, SILENT, resume=False)
    init = tmp_path / "vae" / "model"
    with pytest.raises(InputError, match=complaint):
        train_teacher(shards, tmp_path / "run", init, recipe, SILENT, resume=False)


def test_a_resume_with_another_network_is_refused_and_forgotten(
    tmp_path: Path, shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    recipe, run = make_recipe("distill.steps=1", "distill.batch_size=1"), tmp_path / "run"
    distill_student(shards, run, teacher, recipe, SILENT, resume=False)
    kept = (run / "recipe.toml").read_text()
    for change in ("distill.auxiliary_weight=0", "distill.face=none", "distill.tuning=lora"):
        other = make_recipe("distill.steps=2", "distill.batch_size=1", change)
        with pytest.raises(InputError, match="do not fit the network") as caught:
            distill_student(shards, run, teacher, other, SILENT, resume=True)
        assert "leave out --recipe" in caught.value.hint
        assert (run / "recipe.toml").read_text() == kept


def test_a_run_with_a_wrong_input_can_be_started_again(
    tmp_path: Path, picture_shards: Path, make_recipe: MakeRecipe
) -> None:
    recipe, run = make_recipe("train.part=autoencoder", "train.steps=1"), tmp_path / "run"
    with pytest.raises(InputError):
        train_autoencoder(tmp_path / "misspelt", run, None, recipe, SILENT, resume=False)
    train_autoencoder(picture_shards, run, None, recipe, SILENT, resume=False)


def test_shards_of_frames_alone_are_refused(
    tmp_path: Path, picture_shards: Path, teacher: Path, make_recipe: MakeRecipe
) -> None:
    with pytest.raises(InputError, match="must hold latents, got frames alone"):
        train_teacher(picture_shards, tmp_path, teacher, make_recipe(), SILENT, resume=False)
