import pytest
import torch
from torch import Tensor

from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder

PATCH = 4
PIXELS = 3 * PATCH**2


def make_autoencoder(latent_channels: int) -> PatchAutoencoder:
    torch.manual_seed(0)
    return PatchAutoencoder(latent_channels, PATCH, width=8, encoder_blocks=1, decoder_blocks=1)


def smooth_pictures(count: int = 12, seed: int = 0) -> Tensor:
    """Draw pictures `(N, 3, 24, 16)` in [-1, 1] whose neighbouring pixels are alike."""
    coarse = torch.rand(count, 3, 6, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, scale_factor=4.0, mode="bilinear")


def patches_of(pictures: Tensor) -> Tensor:
    patches = torch.nn.functional.pixel_unshuffle(pictures, PATCH)
    return patches.permute(0, 2, 3, 1).flatten(0, 2)


def squared_error(autoencoder: PatchAutoencoder, pictures: Tensor) -> float:
    with torch.no_grad():
        return float((autoencoder(pictures) - pictures).square().mean())


def test_as_many_components_as_pixels_give_the_pictures_back() -> None:
    autoencoder, pictures = make_autoencoder(PIXELS), smooth_pictures()
    noisy = pictures + 0.1 * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(1))
    autoencoder.start_from_components(noisy)
    with torch.no_grad():
        torch.testing.assert_close(autoencoder(noisy), noisy, rtol=0, atol=1e-5)


@pytest.mark.parametrize("latent_channels", [1, 4, 8])
def test_the_start_loses_what_lies_outside_the_principal_components(latent_channels: int) -> None:
    """No linear code of that width loses less (Eckart and Young)."""
    autoencoder, pictures = make_autoencoder(latent_channels), smooth_pictures()
    autoencoder.start_from_components(pictures)
    patches = patches_of(pictures).double()
    singular_values = torch.linalg.svdvals(patches - patches.mean(0))
    lost = singular_values[latent_channels:].square().sum() / patches.numel()
    assert squared_error(autoencoder, pictures) == pytest.approx(float(lost), rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_start_is_better_than_another_basis_even_on_new_pictures(seed: int) -> None:
    autoencoder, fresh = make_autoencoder(8), smooth_pictures(seed=100 + seed)
    autoencoder.start_from_components(smooth_pictures())
    patches = patches_of(fresh)
    mean = patches.mean(0)
    square = torch.randn(PIXELS, PIXELS, generator=torch.Generator().manual_seed(seed))
    basis = torch.linalg.qr(square).Q[:, :8]
    other = (patches - mean) @ basis @ basis.T + mean
    assert squared_error(autoencoder, fresh) < float((other - patches).square().mean())


def test_the_start_orders_the_channels_by_their_spread_and_centres_them() -> None:
    autoencoder, pictures = make_autoencoder(6), smooth_pictures()
    autoencoder.start_from_components(pictures)
    with torch.no_grad():
        latents = autoencoder.encode(pictures).latent_dist.mode()
    spread = latents.transpose(0, 1).flatten(1).std(1)
    assert (spread.diff() < 0).all()
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(6), rtol=0, atol=1e-5)


def test_constant_pictures_give_a_finite_start() -> None:
    autoencoder, grey = make_autoencoder(4), torch.full((2, 3, 8, 8), 0.25)
    autoencoder.start_from_components(grey)
    with torch.no_grad():
        torch.testing.assert_close(autoencoder(grey), grey, rtol=0, atol=1e-5)


def test_codes_and_pictures_have_their_shapes() -> None:
    autoencoder, pictures = make_autoencoder(5), smooth_pictures(count=2)
    with torch.no_grad():
        latents = autoencoder.encode(pictures).latent_dist.mode()
        assert latents.shape == (2, 5, 6, 4)
        assert autoencoder.decode(latents).sample.shape == pictures.shape


def test_a_sample_of_the_code_is_the_code() -> None:
    autoencoder = make_autoencoder(5)
    with torch.no_grad():
        code = autoencoder.encode(smooth_pictures(count=1)).latent_dist
        drawn = code.sample(torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn, code.mode(), rtol=0, atol=1e-5)


def test_gradients_reach_the_linear_code_and_the_end_of_both_residuals() -> None:
    autoencoder, pictures = make_autoencoder(5), smooth_pictures(count=2)
    autoencoder.start_from_components(pictures)
    (autoencoder(pictures) - pictures).square().mean().backward()
    for part in ("encode_linear", "decode_linear", "encode_residual", "decode_residual"):
        gradients = [p.grad for p in getattr(autoencoder, part).parameters()]
        assert any(gradient is not None and gradient.any() for gradient in gradients), part
