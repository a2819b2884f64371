"""TAESD: a decoder for drafts, with an eighteenth of the arithmetic of Stable Diffusion's own.

It was distilled from that autoencoder (madebyollin/taesd) and reads the same latents, scaled as the
network has them; details are softer. `dancelcm models fetch taesd` gets it.
"""

from __future__ import annotations

from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.torch import load_file

from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.vae import reduction
from dancelcm_cli.data.weight_files import find_weights, weights_folder, weights_path
from dancelcm_cli.data.weight_table import weight_file

WEIGHTS = "taesd"
SCALING_FACTOR = 0.18215  # of Stable Diffusion 1 and 2; those of later ones have other latents


def load_small_decoder(vae: AutoencoderKL | PatchAutoencoder) -> AutoencoderTiny | None:
    """Load TAESD in float32, ready for inference, to decode in the place of `vae`.

    None where it was not fetched, or where `vae` is not of the kind that it was distilled from.

    Raises:
        InputError: its hash is not the one it must be.
    """
    fetched = weights_path(weight_file(WEIGHTS), weights_folder()).is_file()
    if not fetched or not isinstance(vae, AutoencoderKL):
        return None
    decoder = AutoencoderTiny()  # as diffusers makes it by default, it is TAESD's
    same_grid = reduction(vae) == reduction(decoder)
    same_channels = vae.config["latent_channels"] == decoder.config["latent_channels"]
    if not (same_grid and same_channels and vae.config["scaling_factor"] == SCALING_FACTOR):
        return None
    decoder.load_state_dict(load_file(find_weights(WEIGHTS)))
    return decoder.eval().requires_grad_(False)
