"""The bundled model and pose networks: not whether they are there, but whether they work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from dancelcm_cli.core.model_folder import load_pipeline
from dancelcm_cli.core.vae import reduction
from dancelcm_cli.data.fingerprint import folder_sha256
from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.video import iter_frames
from dancelcm_cli.doctor.check import Check
from dancelcm_cli.perception.keypoints import body_confidence, load_detector

REINSTALL = "Install dancelcm again, from a complete checkout or wheel."
SEEN = 0.5  # mean body score of the sample picture below which the networks are broken


def check_model(folder: Path) -> Check:
    """Load the model in `folder` and let it make one frame of the smallest size, on the CPU."""
    pipeline = load_pipeline(folder)
    cell = reduction(pipeline.vae) * 2 ** (len(pipeline.unet.config.channel_multipliers) - 1)
    black = np.zeros((cell, cell, 3), np.uint8)
    latents = pipeline(black, black[None], black, num_inference_steps=1).latents
    fingerprint = f"sha256 {folder_sha256(folder)[:12]}"
    if not torch.isfinite(latents).all():
        return Check(
            "bundled model", "fail", f"{fingerprint}: its frames are no numbers", REINSTALL
        )
    return Check("bundled model", "ok", f"{fingerprint}, {folder}")


def check_pose_networks(folder: Path, picture: Path) -> Check:
    """Look for the person in a sample `picture` with the networks in `folder`."""
    keypoints = load_detector("blazepose", folder).detect(read_image(picture)[None])
    confidence = body_confidence(keypoints)
    found = f"sha256 {folder_sha256(folder)[:12]}, body score {confidence:.2f} on {picture.name}"
    if confidence < SEEN:
        return Check("pose networks", "fail", found, REINSTALL)
    return Check("pose networks", "ok", found)


def check_video_reader(video: Path) -> Check:
    """Decode the first frame of a sample."""
    height, width, _ = next(iter_frames(video, [0])).shape
    return Check("video reader", "ok", f"reads {video.name}, {width} x {height} pixels")
