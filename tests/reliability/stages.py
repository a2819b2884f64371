"""The five stages at tiny size, as data: what is typed, how it goes on, what may differ afterwards.

All commands of a stage are typed in one folder, and everything that lies there when it is done is
compared with what an undisturbed run left: no file is left out. Some tell how long something took
or how much memory it needed; `CLOCKED` names these figures, and they alone are dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.model_folder import make_scheduler
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.video import read_frames, write_video
from dancelcm_cli.preprocess.pipeline import preprocess_videos
from dancelcm_cli.progress import SilentProgress
from tests.reliability.timed_figures import without_times

NAMES = ("preprocess", "train", "distill", "animate", "evaluate")
NUM_FRAMES = (9, 10)  # of the videos: windows of 4, and tails that are left out
RECIPE = """
device = "cpu"
[preprocess]
height = 32
width = 32
num_frames = 4
face_size = 32
[network]
dim = 32
channel_multipliers = [1, 2]
attention_levels = [false, true]
head_dim = 8
stem_heads = 1
context_dim = 16
[train]
steps = 4
batch_size = 2
num_frames = [4]
checkpoint_every = 1
validate_every = 2
keep_checkpoints = 2
[distill]
steps = 4
batch_size = 2
num_frames = [4]
checkpoint_every = 1
validate_every = 2
keep_checkpoints = 2
teacher_steps = 2
[animate]
num_frames = 12
window = 8
overlap = 2
steps = 4
[evaluate]
metrics = ["l1", "psnr"]
beyond = false
height = 32
width = 32
steps = 2
"""


@dataclass(frozen=True)
class Stage:
    """A command of `dancelcm` whose results lie where it is typed.

    A killed one goes on by `resume` where `output` is a run folder that has begun, else by the same
    command again: that is what the README says, and what an interrupted one prints.
    """

    name: str
    command: tuple[str, ...]
    output: str = "out"
    resume: tuple[str, ...] | None = None

    def next_command(self, folder: Path) -> tuple[str, ...]:
        """Return what is typed in `folder` now."""
        begun = (folder / self.output / "run.json").is_file()
        return self.resume if self.resume is not None and begun else self.command


def make_stages(inputs: Path) -> dict[str, Stage]:
    """Return the stages, which read the folder `inputs` that `make_inputs` fills."""
    videos, shards, model = (str(inputs / name) for name in ("videos", "shards", "model"))
    small = ("--recipe", str(inputs / "small.toml"))
    many = ("--set=preprocess.shard_megabytes=1", "--set=preprocess.height=160", "--store=frames")
    photo, dance = (str(bundled(f"samples/{name}")) for name in ("reference.png", "driving.mp4"))
    of_model = ("--model", model)
    stages = (
        Stage("preprocess", ("preprocess", videos, *small, *many, "-o", "out")),
        Stage(
            "train",
            ("train", shards, *small, "--init", model, "-o", "out"),
            resume=("train", "--resume", "out"),
        ),
        Stage(
            "distill",
            ("distill", shards, *small, "--teacher", model, "-o", "out"),
            resume=("distill", "--resume", "out"),
        ),
        Stage(
            "animate",
            ("animate", photo, dance, *small, *of_model, "--compare", "-o", "dance.mp4"),
            output="dance.mp4",
        ),
        Stage(
            "evaluate",
            ("evaluate", "--dataset=folder", "--truth", videos, *small, *of_model, "-o", "out"),
        ),
    )
    return {stage.name: stage for stage in stages}


def make_inputs(folder: Path) -> dict[str, Stage]:
    """Fill `folder` with what the stages read; return the stages."""
    folder.mkdir(parents=True)
    (folder / "small.toml").write_text(RECIPE)
    recipe = load_recipe(folder / "small.toml", [])
    _make_model(folder / "model", recipe)
    for number, num_frames in enumerate(NUM_FRAMES):
        _make_video(folder / "videos" / f"{number}.mp4", number, num_frames)
    videos, shards = folder / "videos", folder / "shards"
    preprocess_videos(videos, shards, folder / "model", recipe, SilentProgress())
    return make_stages(folder)


def _make_model(folder: Path, recipe: Recipe) -> None:
    """Save an untrained model that reads faces."""
    torch.manual_seed(0)
    vae = PatchAutoencoder(
        latent_channels=4, patch_size=8, width=8, encoder_blocks=1, decoder_blocks=1
    )
    unet = DanceUNet.from_network(recipe.network, 4, "vae")
    DancePipeline(unet, vae, make_scheduler(recipe.schedule)).save_pretrained(folder)


def _make_video(path: Path, number: int, num_frames: int) -> None:
    """Write the first frames of a bundled dancer, a third of the size, with the keypoints."""
    dancer = sorted(bundled("samples/dance").glob("*.mp4"))[number]
    frames, info = read_frames(dancer, range(num_frames), 128, 84)
    path.parent.mkdir(exist_ok=True)
    write_video(path, frames, info.fps)
    with np.load(dancer.with_suffix(".npz")) as exact:
        keypoints = exact["keypoints"][:num_frames] * (84 / info.width, 128 / info.height)
        visible = exact["visible"][:num_frames]
    np.savez(path.with_suffix(".npz"), keypoints=keypoints.astype(np.float32), visible=visible)


def _rows(content: bytes) -> bytes:
    *complete, torn = content.split(b"\n")  # a full disk may end within a row
    rows = [json.dumps(without_times(json.loads(line))) for line in complete]
    return "\n".join(rows).encode() + torn


def _record(content: bytes) -> bytes:
    return json.dumps({**json.loads(content), "seconds": None}).encode()


def _results(content: bytes) -> bytes:
    results = json.loads(content)
    for row in results["rows"]:
        if row["cost"] is not None:
            row["cost"] = {"network_calls": row["cost"]["network_calls"]}
    return json.dumps(results).encode()


def _tables(content: bytes) -> bytes:
    """Drop the cells of the columns `s/frame` and `memory`, which follow each other."""
    return re.sub(rb"[\d.]+(</td><td>| \| )[\d.]+ [GM]B", rb"-\1-", content)


def _cost(content: bytes) -> bytes:
    return json.dumps(sorted(json.loads(content))).encode()


# What files tell of the clock and the memory, by their names.
CLOCKED: Mapping[str, Callable[[bytes], bytes]] = {
    "metrics.jsonl": _rows,  # see `timed_figures.py`
    "dance.json": _record,  # `seconds`
    "results.json": _results,  # `seconds_per_frame` and `memory` of each row's cost
    "report.md": _tables,
    "report.html": _tables,
}


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of every file, by its path in the folder, without what is clocked."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            clocked = _cost if path.name.endswith(".cost.json") else CLOCKED.get(path.name)
            content = path.read_bytes()
            found[str(path.relative_to(folder))] = clocked(content) if clocked else content
    return found


def differences(folder: Path, whole: Mapping[str, bytes]) -> list[str]:
    """Return what `folder` holds otherwise than an undisturbed run left it."""
    found = contents(folder)
    lost = [f"{name} is missing" for name in whole.keys() - found.keys()]
    more = [f"{name} is left over" for name in found.keys() - whole.keys()]
    other = [
        f"{name} differs" for name in found.keys() & whole.keys() if found[name] != whole[name]
    ]
    return sorted(lost + more + other)
