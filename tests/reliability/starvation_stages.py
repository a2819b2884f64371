"""What is typed on a disk that fills up, at a size at which it can be typed hundreds of times."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.core.model_folder import make_scheduler
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.bundled import bundled
from tests.models.published import publish

Command = tuple[str, ...]
SMALLEST = ("dim=32", "channel_multipliers=[1]", "attention_levels=[true]", "context_dim=16")
SMOKE = ("--recipe", "smoke", "--device", "cpu")
DANCES = ("10002", "10006")


@dataclass(frozen=True)
class Stage:
    """Commands that are typed in an empty folder: first, with room, those of `before`."""

    name: str
    command: Command
    before: tuple[Command, ...] = ()


def make_inputs(folder: Path, run: Callable[[Path, Command], None]) -> None:
    """Fill `folder` with what the stages read; `run` types a command in a folder."""
    for name, dances in (("few", DANCES[:1]), ("videos", DANCES)):
        (folder / name).mkdir(parents=True)
        for dance in dances:
            for suffix in (".mp4", ".npz"):
                shutil.copy(bundled(f"samples/dance/{dance}{suffix}"), folder / name)
    (folder / "videos" / "broken.mp4").write_bytes(b"no video")
    _model("vae").save_pretrained(folder / "model")
    _model(None).save_pretrained(folder / "teacher")
    publish(folder / "published")
    model = ("--model", str(folder / "model"))
    run(folder, ("preprocess", "videos", *SMOKE, *model, "-o", "shards"))


def _model(face_tokens: str | None) -> DancePipeline:
    torch.manual_seed(0)
    recipe = load_recipe("smoke", [f"network.{size}" for size in SMALLEST])
    vae = PatchAutoencoder(
        latent_channels=4, patch_size=8, width=8, encoder_blocks=1, decoder_blocks=1
    )
    unet = DanceUNet.from_network(recipe.network, 4, face_tokens)
    segments = {} if face_tokens is None else {"num_segments": 2}
    return DancePipeline(unet, vae, make_scheduler(recipe.schedule), **segments)


def make_stages(inputs: Path) -> dict[str, Stage]:
    """Return the stages, which read the folder `inputs` that `make_inputs` fills."""
    stages = [*_preprocessing(inputs), *_runs(inputs), *_animations(inputs)]
    stages += [*_evaluations(inputs), *_weights(inputs)]
    if importlib.util.find_spec("moderngl") and importlib.util.find_spec("anny"):
        size = ("--frames", "3", "--size", "64x64", "--workers", "1")
        stages.append(Stage("danceset", ("danceset", "out", "--clips", "2", *size)))
    return {stage.name: stage for stage in stages}


def _preprocessing(inputs: Path) -> list[Stage]:
    def command(videos: str, *more: str) -> Command:
        model = str(inputs / "model")
        return ("preprocess", str(inputs / videos), *SMOKE, "--model", model, "-o", "out", *more)

    return [Stage("preprocess", command("videos"), before=(command("few"),))]


def _runs(inputs: Path) -> list[Stage]:
    def often(section: str, *more: str) -> Command:
        counts = {"steps": 2, "checkpoint_every": 1, "validate_every": 1, "keep_checkpoints": 1}
        told = (f"--set={section}.{name}={value}" for name, value in counts.items())
        return (*SMOKE, *told, *(f"--set=network.{size}" for size in SMALLEST), *more)

    shards, teacher = str(inputs / "shards"), ("--teacher", str(inputs / "teacher"))
    init = ("--init", str(inputs / "teacher"))
    train = ("train", shards, *often("train"), *init, "-o", "out")
    longer = ("train", "--resume", "out", "--steps", "3")
    distill = ("distill", shards, *often("distill", "--set=distill.ema_decay=0.5"), *teacher)
    lora = ("--set=distill.tuning=lora", "--set=distill.lora_rank=2", "--tensorboard")
    return [
        Stage("train", train),
        Stage("train --resume", longer, before=(train,)),
        Stage("distill", (*distill, "-o", "out")),
        Stage("distill, LoRA", (*distill, *lora, "-o", "out")),
    ]


def _animations(inputs: Path) -> list[Stage]:
    photo, dance = bundled("samples/reference.png"), bundled("samples/driving.mp4")
    typed = ("animate", str(photo), str(dance), *SMOKE, "--model", str(inputs / "model"))
    typed += ("--set=animate.num_frames=3",)
    jobs = inputs / "jobs.csv"
    made = ("one/dance.mp4", "two/dance.gif")
    lines = (f"{photo},{dance},{output}\n" for output in made)
    jobs.write_text(f"reference,driving,output\n{''.join(lines)}")
    batch = ("animate", "--batch", str(jobs), *typed[3:], "-o", ".")
    return [
        Stage(
            "animate mp4",
            (*typed, "--compare", "--save-keypoints", "dance.npz", "-o", "dance.mp4"),
        ),
        Stage("animate webm", (*typed, "-o", "dance.webm")),
        Stage("animate gif", (*typed, "-o", "dance.gif")),
        Stage("animate png", (*typed, "--format", "png", "-o", "dance")),
        Stage("animate --preview", (*typed, "--preview", "-o", "dance.mp4")),
        Stage("animate --batch", batch),
    ]


def _evaluations(inputs: Path) -> list[Stage]:
    truth = ("evaluate", "--dataset", "folder", "--truth", str(inputs / "few"), *SMOKE)
    few = ("--set=animate.num_frames=3", "--model", str(inputs / "model"), "-o", "out")
    typed = (*truth, *few, "--steps", "1,2")
    return [Stage("evaluate", typed, before=((*truth, *few, "--steps", "1"),))]


def _weights(inputs: Path) -> list[Stage]:
    published = str(inputs / "published")
    convert = ("models", "convert", published, "-o", "converted")
    export = ("models", "export", "converted", "--format", "upstream", "-o")
    return [
        Stage("models convert", convert),
        Stage("models export .pth", (*export, "out.pth"), before=(convert,)),
        Stage("models export .safetensors", (*export, "out.safetensors"), before=(convert,)),
    ]
