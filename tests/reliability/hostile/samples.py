"""Small real files of every kind, as the toolkit and its users write them."""

from __future__ import annotations

import base64
import pickle
import subprocess
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, save_model
from PIL import Image
from safetensors.torch import save_file

from dancelcm_cli.animate.keypoint_files import write_keypoints
from dancelcm_cli.config.rendering import recipe_to_toml
from dancelcm_cli.config.schema import Recipe, ScheduleConfig
from dancelcm_cli.core.lora_student import LoraStudent
from dancelcm_cli.core.model_folder import make_scheduler
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.data.checkpoints import BestCheckpoint, Checkpoint, mark_best, save_checkpoint
from dancelcm_cli.data.clips import Clip, make_clip_id
from dancelcm_cli.data.shards import ShardWriter
from dancelcm_cli.data.weight_ledger import HashRecord, record_hash
from dancelcm_cli.models.lora import write_lora
from dancelcm_cli.training.run_folder import RunInputs, noted_run
from tests.core.tiny_unet import tiny_unet

MANIFEST = {"preprocess": {"height": 48, "width": 32}, "detector": {"name": "blazepose"}}
ENCODED = {  # what a file of each suffix is encoded by, small and quick
    "mp4": ("-c:v", "libx264", "-bf", "2", "-g", "4", "-movflags", "+faststart"),
    "mov": (
        "-c:v",
        "mpeg4",
    ),
    "webm": ("-c:v", "libvpx", "-deadline", "realtime"),
    "mkv": ("-c:v", "libx264", "-preset", "ultrafast"),
    "avi": (
        "-c:v",
        "mpeg4",
    ),
    "ts": (
        "-c:v",
        "mpeg2video",
    ),
    "mpg": (
        "-c:v",
        "mpeg1video",
    ),
    "flv": (
        "-c:v",
        "flv",
    ),
    "wmv": (
        "-c:v",
        "wmv2",
    ),
    "gif": (),
}


def make_images(folder: Path) -> None:
    """Write pictures in all common formats and modes."""
    colours = np.random.default_rng(0).integers(0, 255, (40, 24, 3), np.uint8)
    picture = Image.fromarray(colours)
    for suffix in ("png", "jpg", "webp", "bmp", "tiff", "gif", "ppm", "tga", "ico", "jp2"):
        picture.save(folder / f"a.{suffix}")
    picture.convert("RGBA").save(folder / "clear.png")
    picture.convert("P").save(folder / "palette.png")
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.convert("L").save(folder / "grey.tiff", compression="tiff_lzw")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(folder / "turned.jpg", exif=exif)
    Image.fromarray(colours[..., 0].astype(np.uint16)).save(folder / "deep.png")


def make_videos(folder: Path) -> None:
    """Write a quarter of a second of video in all common formats."""
    for suffix, codec in ENCODED.items():
        _ffmpeg("-f", "lavfi", "-i", "testsrc=s=32x48:r=24:d=0.25", *codec, folder / f"a.{suffix}")


def make_sounds(folder: Path) -> None:
    """Write a quarter of a second of video with a sound in several formats."""
    sources = (
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=32x48:r=24:d=0.25",
        "-f",
        "lavfi",
        "-i",
        "sine=d=0.25",
    )
    for suffix in ("mp4", "webm", "avi"):
        _ffmpeg(*sources, *ENCODED[suffix], folder / f"a.{suffix}")


def make_keypoints(folder: Path) -> None:
    """Write files as --save-keypoints does, packed and plain."""
    write_keypoints(folder / "packed.npz", poses(6), Fraction(12), (480, 320))
    np.savez(folder / "plain.npz", keypoints=poses(4), size=np.array([48, 32]))


def make_annotations(folder: Path) -> None:
    """Write files as they lie beside annotated videos, in pixels and in shares of the frame."""
    points = poses(4)
    pixels = points[..., :2] * (32, 48)
    np.savez_compressed(folder / "pixels.npz", keypoints=pixels, visible=points[..., 2] > 0.5)
    np.savez(folder / "shares.npz", keypoints=points, fps=np.float64(12), size=np.array([48, 32]))


def make_shards(folder: Path) -> None:
    """Write a shard folder of two shards, as a run leaves it that was killed later."""
    with ShardWriter(folder, recipe_to_toml(Recipe()), MANIFEST, 1) as writer:
        for source in ("a.mp4", "b.mp4"):
            writer.add(clip(source))
            frame = np.full((8, 8, 3), 9, np.uint8)
            writer.skip(source, "no_motion", "frames 0 to 3", (0.0, 1.0), frame)
            writer.finish(source, "0" * 64)


def make_recipes(folder: Path) -> None:
    """Write recipes, whole and short."""
    (folder / "whole.toml").write_text(recipe_to_toml(Recipe()))
    (folder / "short.toml").write_text('extends = "unianimate"\nseed = 3\n[animate]\nsteps = 2\n')


def make_checkpoints(folder: Path) -> None:
    """Write a run folder's checkpoints."""
    groups = {"student": {"a": torch.ones(4)}, "average": {"a": torch.ones(4, 2)}}
    for step in (3, 6):
        save_checkpoint(folder, Checkpoint(step, groups, {"loss": 0.5, "bad_steps": 0.0}))
    mark_best(folder, BestCheckpoint(3, {"psnr_4": 12.5}))


def make_run(folder: Path) -> None:
    """Write a run folder that can be resumed."""
    inputs = RunInputs("train", folder, None)
    with noted_run(folder, inputs, Recipe(), resume=False):
        pass


def make_jobs(folder: Path) -> None:
    """Write tables of a batch."""
    (folder / "jobs.csv").write_text(
        "reference,driving,output,seed,steps\n"
        "ann.jpg,waltz.mp4,ann-waltz.mp4,,\nbob.jpg,waltz.mp4,bob/waltz.gif,7,8\n"
        '"a, b.jpg",waltz.mp4,"c ""d"".webm",1,2\n'
    )
    (folder / "short.csv").write_text("output,driving,reference\nx.mp4,y.mp4,z.png\n")


def make_model(folder: Path) -> None:
    """Write a model folder of the smallest networks."""
    torch.manual_seed(0)
    unet = tiny_unet(context_dim=16)
    vae = PatchAutoencoder(latent_channels=4, width=8, encoder_blocks=1, decoder_blocks=1)
    pipeline = DancePipeline(unet, vae, make_scheduler(ScheduleConfig()), num_segments=2)
    pipeline.save_pretrained(folder)


def make_weights(folder: Path) -> None:
    """Write tensors in each form in which they are published."""
    tensors = {
        "weight": torch.arange(12.0).view(3, 4),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "steps": torch.tensor([3]),
    }
    save_file(tensors, folder / "a.safetensors", metadata={"note": "text"})
    torch.save(tensors, folder / "flat.pth")
    torch.save({"state_dict": tensors, "epoch": 3, "rate": 1e-4}, folder / "wrapped.ckpt")
    torch.save(tensors, folder / "old.bin", _use_new_zipfile_serialization=False)


def make_lora(folder: Path) -> None:
    """Write a LoRA file."""
    adapters = {f"down.0.res.lora_{x}.weight": torch.ones(2, 2) for x in "AB"}
    student = LoraStudent(adapters, 2, 4, {}, "none", "0" * 64, {"num_segments": 2}, {"a": 1})
    write_lora(student, folder / "a.safetensors")


def make_arrays(folder: Path) -> None:
    """Write a pickle of arrays, as packages for JAX hold them."""
    layer = {"kernel": np.ones((2, 3), np.float32), "bias": np.zeros(3, np.float32)}
    for protocol in (3, 4):
        content = pickle.dumps({"params": {"Conv_0": layer, "Conv_1": layer}}, protocol)
        (folder / f"protocol-{protocol}.ckpt").write_bytes(content)


def make_networks(folder: Path) -> None:
    """Write a small network in ONNX format."""
    weights = numpy_helper.from_array(np.ones((2, 3, 3, 3), np.float32), "weights")
    shapes = {"input": ["n", 3, 8, 8], "output": ["n", 2, 6, 6]}
    taken, given = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    )
    node = helper.make_node("Conv", ["input", "weights"], ["output"])
    graph = helper.make_graph([node], "tiny", [taken], [given], [weights])
    opset = helper.make_opsetid("", 17)
    save_model(
        helper.make_model(graph, opset_imports=[opset], ir_version=8), folder / "network.onnx"
    )


def make_tables(folder: Path) -> None:
    """Write a table of pictures as DisCo has it."""
    picture = folder / "picture.png"
    Image.new("RGB", (4, 6)).save(picture)
    encoded = base64.b64encode(picture.read_bytes()).decode()
    picture.unlink()
    names = ("TiktokDance_00337_0001.png", "TiktokDance_201_002_1x1_0002.png", "other_1.png")
    lines = "".join(f"{name}\t{encoded}\n" for name in names)
    (folder / "val_images.tsv").write_text(lines)


def make_ledger(folder: Path) -> None:
    """Write what a weights folder remembers."""
    record_hash(folder, "taesd", HashRecord("0" * 64, 12, 34, "2025-01-02"))


def clip(source: str) -> Clip:
    """Return a clip of four frames of 48 x 32 pixels."""
    mask = torch.zeros(4, 6, 4, dtype=torch.bool)
    mask[:, 2:4] = True
    return Clip(
        clip_id=make_clip_id(source, 0),
        source=source,
        fps=12.0,
        start_frame=0,
        keypoints=poses(4),
        reference_index=1,
        reference_keypoints=poses(4)[1],
        latents=torch.ones(4, 4, 6, 4, dtype=torch.float16),
        reference_latents=torch.ones(4, 6, 4, dtype=torch.float16),
        motion_mask=mask,
        thumbnail=torch.zeros(64, dtype=torch.uint8),
        people=1,
        confidence=0.9,
        face_box=(1, 2, 9, 10),
    )


def poses(num_frames: int) -> NDArray[np.float32]:
    """Return keypoints (F, 134, 3) of somebody who is all over the place."""
    points = np.random.default_rng(num_frames).uniform(0, 1, (num_frames, 134, 3))
    return points.astype(np.float32)


def _ffmpeg(*arguments: object) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)
