"""One training step of the small autoencoder."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dancelcm_cli.config.schema import Precision
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.training.precision import computing_in


def autoencoder_losses(
    vae: PatchAutoencoder, pictures: Tensor, precision: Precision = "float32"
) -> dict[str, Tensor]:
    """Return squared and absolute error of the round trip of `(B, 3, H, W)` pictures in [-1, 1].

    The squared error is what PSNR measures; a little absolute error keeps edges from blurring.
    """
    with computing_in(precision, pictures.device):
        decoded = vae(pictures)
    decoded = decoded.float()
    squared, absolute = F.mse_loss(decoded, pictures), F.l1_loss(decoded, pictures)
    return {"loss": squared + 0.1 * absolute, "squared": squared, "absolute": absolute}
