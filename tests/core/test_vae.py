import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray

from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.vae import (
    decode_latents,
    encode_frames,
    iter_decoded,
    reduction,
    to_frames,
    to_pictures,
    to_pixels,
)

VAE = PatchAutoencoder | AutoencoderKL


@pytest.fixture
def frames() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (5, 16, 8, 3), dtype=np.uint8)


@pytest.fixture(params=["patch", "kl"])
def vae(request: pytest.FixtureRequest) -> VAE:
    torch.manual_seed(0)
    if request.param == "patch":
        small = PatchAutoencoder(4, 2, width=8, encoder_blocks=1, decoder_blocks=1)
        small.register_to_config(scaling_factor=0.5)
        return small.eval()
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        scaling_factor=0.18215,
    ).eval()


def test_every_level_survives_the_way_to_pixels_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    assert (to_frames(to_pixels(levels)) == levels).all()


def test_pixels_run_from_minus_one_to_one_and_pictures_from_zero_to_one() -> None:
    ends = np.array([0, 255], np.uint8).reshape(1, 1, 2, 1).repeat(3, axis=3)
    assert to_pixels(ends).flatten().tolist() == [-1.0, 1.0] * 3
    assert to_pictures(ends).flatten().tolist() == [0.0, 1.0] * 3


def test_axes_are_turned_and_colours_stay_in_place(frames: NDArray[np.uint8]) -> None:
    assert to_pixels(frames).shape == (5, 3, 16, 8)
    assert to_pictures(frames).shape == (3, 5, 16, 8)
    red = frames[..., 0] / 255.0
    np.testing.assert_allclose(to_pictures(frames)[0].numpy(), red, rtol=0, atol=1e-6)
    np.testing.assert_allclose(to_pixels(frames)[:, 0].numpy(), 2 * red - 1, rtol=0, atol=1e-6)


def test_pixels_beyond_the_range_are_clipped() -> None:
    pixels = torch.tensor([-7.0, 0.0, 1.5]).view(1, 3, 1, 1)
    assert to_frames(pixels).flatten().tolist() == [0, 128, 255]


def test_latents_have_the_channels_first_and_the_reduced_size(
    vae: VAE, frames: NDArray[np.uint8]
) -> None:
    assert reduction(vae) == 2
    latents = encode_frames(vae, frames)
    assert latents.shape == (4, 5, 8, 4)
    assert latents.dtype == torch.float32
    decoded = decode_latents(vae, latents)
    assert decoded.shape == frames.shape
    assert decoded.dtype == np.uint8


def test_chunks_change_nothing(vae: VAE, frames: NDArray[np.uint8]) -> None:
    latents = encode_frames(vae, frames, chunk=8)
    torch.testing.assert_close(encode_frames(vae, frames, chunk=2), latents, rtol=0, atol=1e-5)
    whole, parts = (decode_latents(vae, latents, chunk).astype(int) for chunk in (8, 2))
    assert np.abs(whole - parts).max() <= 1  # another batch may round another way


def test_where_memory_runs_out_fewer_frames_are_decoded_at_once(
    vae: VAE, frames: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    latents, decode, seen = encode_frames(vae, frames), vae.decode, []
    whole = decode_latents(vae, latents).astype(int)

    def on_a_small_machine(codes: torch.Tensor) -> object:
        seen.append(len(codes))
        if len(codes) > 2:
            raise torch.OutOfMemoryError("Tried to allocate 20.00 GiB")
        return decode(codes)

    monkeypatch.setattr(vae, "decode", on_a_small_machine)
    made = list(iter_decoded(vae, latents, chunk=5))
    assert np.abs(np.stack(made) - whole).max() <= 1
    assert seen == [5, 2, 2, 1]


def test_latents_are_scaled_and_decoding_undoes_it(vae: VAE, frames: NDArray[np.uint8]) -> None:
    latents = encode_frames(vae, frames)
    with torch.no_grad():
        mean = vae.encode(to_pixels(frames)).latent_dist.mean
        expected = to_frames(vae.decode(mean).sample)
    scaled = mean.transpose(0, 1) * vae.config.scaling_factor
    torch.testing.assert_close(latents, scaled, rtol=0, atol=1e-6)
    assert np.abs(decode_latents(vae, latents).astype(int) - expected).max() <= 1


def test_the_same_frames_always_give_the_same_latents(vae: VAE, frames: NDArray[np.uint8]) -> None:
    assert encode_frames(vae, frames).equal(encode_frames(vae, frames))
