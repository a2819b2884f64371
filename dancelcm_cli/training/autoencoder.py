"""One training step of the small autoencoder."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder


def autoencoder_losses(vae: PatchAutoencoder, pictures: Tensor) -> dict[str, Tensor]:
    """Return squared and absolute error of the round trip of `(B, 3, H, W)` pictures in [-1, 1].

    The squared error is what PSNR measures; a little absolute error keeps edges from blurring.
    """
    decoded = vae(pictures)
    squared, absolute = F.mse_loss(decoded, pictures), F.l1_loss(decoded, pictures)
    return {"loss": squared + 0.1 * absolute, "squared": squared, "absolute": absolute}
