"""The kinds of file that people hand to the toolkit, and how the toolkit reads each.

A kind makes a folder of real files, small and various. A case changes one of them and reads it as a
command would: it may be accepted or refused in a sentence, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dancelcm_cli.animate.jobs import read_jobs
from dancelcm_cli.animate.keypoint_files import read_keypoints, saved_fps
from dancelcm_cli.animate.record import Model
from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.data.checkpoints import load_best, load_latest_checkpoint
from dancelcm_cli.data.fitting import fit_frame
from dancelcm_cli.data.footage import footage_sha256, open_footage
from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.pickled_arrays import read_pickled_arrays
from dancelcm_cli.data.shards import ShardReader, ShardWriter
from dancelcm_cli.data.sound import cut_sound, find_sound
from dancelcm_cli.data.tensor_files import read_metadata, read_tensors
from dancelcm_cli.data.weight_ledger import hash_record
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.disco_tsv import unpack_table
from dancelcm_cli.models.lora import read_lora
from dancelcm_cli.perception.drawing import draw_poses
from dancelcm_cli.perception.keypoints import read_annotation
from dancelcm_cli.perception.onnx_network import OnnxNetwork
from dancelcm_cli.perception.retarget import align_keypoints
from dancelcm_cli.preprocess.report import write_report
from dancelcm_cli.preprocess.verification import verify_shards
from dancelcm_cli.progress import SilentProgress
from dancelcm_cli.training.run_folder import RunInputs, open_run
from tests.reliability.hostile import samples

SIZE = (48, 32)  # height and width of what is read, pixels


@dataclass(frozen=True)
class Kind:
    """Files of one kind.

    `read` is given a folder as `make` filled it, but for one file, and that file's path.
    `names_key` tells that a refusal may name a setting instead of the file.
    """

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path, Path], object]
    pattern: str = "*"
    names_key: bool = False

    def targets(self, folder: Path) -> list[Path]:
        """Return the files that may be changed, relative to a folder that `make` has filled."""
        found = [path for path in folder.rglob(self.pattern) if path.is_file()]
        return sorted(path.relative_to(folder) for path in found)


def _read_image(folder: Path, path: Path) -> None:
    fit_frame(read_image(path), *SIZE, "pad")


def _read_video(folder: Path, path: Path) -> None:
    footage_sha256(path)
    footage = open_footage(path, 12.0)
    count = footage.num_frames
    for frame in footage.frames(sorted({0, count // 2, count - 1})):
        fit_frame(frame, *SIZE, "crop")


def _read_sound(folder: Path, path: Path) -> None:
    with cut_sound(find_sound(path, 0.5), folder / "animation.mp4"):
        pass


def _read_keypoints(folder: Path, path: Path) -> None:
    keypoints = read_keypoints(path).keypoints[:3]
    draw_poses(keypoints, *SIZE)
    aligned = align_keypoints(
        keypoints, keypoints[0], "robust", driving_aspect=0.5, reference_aspect=0.7
    )
    draw_poses(aligned, *SIZE)


def _read_annotation(folder: Path, path: Path) -> None:
    keypoints = read_annotation(path, *SIZE)
    saved_fps(path)
    draw_poses(keypoints[:3], *SIZE)


def _read_shards(folder: Path, path: Path) -> None:
    reader = ShardReader(folder)
    for index in range(len(reader)):
        clip = reader[index]
        draw_poses(np.nan_to_num(clip.keypoints[:2]), *SIZE)
    reader.verify()


def _look_at_shards(folder: Path, path: Path) -> None:
    try:
        write_report(folder)
    finally:
        verify_shards(folder, SilentProgress())


def _append_to_shards(folder: Path, path: Path) -> None:
    with ShardWriter(folder, "", samples.MANIFEST, 1 << 20) as writer:
        writer.skip("b.mp4", "no_person", "", (0.0, 1.0), np.zeros((8, 8, 3), np.uint8))
        writer.add(samples.clip("new.mp4"))
        writer.finish("new.mp4", "0" * 64)


def _read_recipe(folder: Path, path: Path) -> None:
    load_recipe(path)


def _read_checkpoint(folder: Path, path: Path) -> None:
    load_latest_checkpoint(folder, lambda message: None)
    load_best(folder, until=9)


def _resume(folder: Path, path: Path) -> None:
    inputs = RunInputs("train", folder, None)
    with open_run(folder, inputs, resume=True):
        pass


def _read_jobs(folder: Path, path: Path) -> None:
    for job in read_jobs(path, folder / "made", Model(folder), Recipe(), None):
        assert job.output.resolve().is_relative_to((folder / "made").resolve())


def _read_model(folder: Path, path: Path) -> None:
    load_pipeline(folder)


def _read_weights(folder: Path, path: Path) -> None:
    for tensor in read_tensors(path).values():
        tensor.reshape(-1)[:4].to(torch.float32)
    if path.suffix == ".safetensors":
        read_metadata(path)


def _read_lora(folder: Path, path: Path) -> None:
    read_lora(path)


def _read_arrays(folder: Path, path: Path) -> None:
    try:
        read_pickled_arrays(path.read_bytes())
    except InputError as error:  # the caller, who has the file, names it
        raise InputError(f"{path}: {error.message}") from error


def _read_network(folder: Path, path: Path) -> None:
    network = OnnxNetwork(path, "cpu")
    network.run(np.zeros((1, 3, 8, 8), np.float32))


def _read_table(folder: Path, path: Path) -> None:
    unpack_table(path, ("00337", "201_002_1x1"))


def _read_ledger(folder: Path, path: Path) -> None:
    hash_record(folder, "taesd")


KINDS = {
    kind.name: kind
    for kind in (
        Kind("image", samples.make_images, _read_image),
        Kind("video", samples.make_videos, _read_video),
        Kind("sound", samples.make_sounds, _read_sound),
        Kind("keypoints", samples.make_keypoints, _read_keypoints),
        Kind("annotation", samples.make_annotations, _read_annotation),
        Kind("shards", samples.make_shards, _read_shards, "*.safetensors"),
        Kind("index", samples.make_shards, _read_shards, "*.json*"),
        Kind("shard-report", samples.make_shards, _look_at_shards),
        Kind("shard-append", samples.make_shards, _append_to_shards),
        Kind("recipe", samples.make_recipes, _read_recipe, names_key=True),
        Kind("checkpoint", samples.make_checkpoints, _read_checkpoint),
        Kind("run", samples.make_run, _resume, "run.json"),
        Kind("jobs", samples.make_jobs, _read_jobs, names_key=True),
        Kind("model-json", samples.make_model, _read_model, "*.json"),
        Kind("model-tensors", samples.make_model, _read_model, "*.safetensors"),
        Kind("weights", samples.make_weights, _read_weights),
        Kind("lora", samples.make_lora, _read_lora),
        Kind("arrays", samples.make_arrays, _read_arrays),
        Kind("onnx", samples.make_networks, _read_network),
        Kind("tsv", samples.make_tables, _read_table),
        Kind("ledger", samples.make_ledger, _read_ledger),
    )
}
