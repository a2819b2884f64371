from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from diffusers.image_processor import VaeImageProcessor
from safetensors.torch import save_file

from dancelcm_cli.animate.animator import Animator
from dancelcm_cli.animate.motion import read_motion
from dancelcm_cli.animate.outputs import Delivery
from dancelcm_cli.animate.pipeline import SMALL_DECODER, animate
from dancelcm_cli.animate.record import Job, Model
from dancelcm_cli.animate.small_decoder import SCALING_FACTOR, WEIGHTS, load_small_decoder
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.core.model_folder import make_scheduler
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.weight_files import weights_folder, weights_path
from dancelcm_cli.data.weight_ledger import HashRecord, record_hash
from dancelcm_cli.data.weight_table import weight_file
from dancelcm_cli.errors import InputError
from dancelcm_cli.progress import SilentProgress


def autoencoder(levels: int = 4, channels: int = 4, scale: float = SCALING_FACTOR) -> AutoencoderKL:
    """Return an autoencoder of Stable Diffusion's kind."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=(8,) * levels,
        latent_channels=channels,
        norm_num_groups=4,
        scaling_factor=scale,
    )


@pytest.fixture
def taesd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AutoencoderTiny:
    """TAESD untrained, fetched: the ledger says that its hash was looked at."""
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    decoder, file = AutoencoderTiny(), weight_file(WEIGHTS)
    path = weights_path(file, weights_folder())
    path.parent.mkdir(parents=True)
    save_file(decoder.state_dict(), path, {"format": "pt"})
    assert file.sha256 is not None
    record_hash(weights_folder(), WEIGHTS, HashRecord.of(path, file.sha256))
    return decoder


def test_what_is_read_is_laid_out_as_the_published_file(taesd: AutoencoderTiny) -> None:
    path = weights_path(weight_file(WEIGHTS), weights_folder())
    assert path.stat().st_size == weight_file(WEIGHTS).size  # names, shapes and precision


@torch.no_grad()
def test_frames_are_those_that_diffusers_makes_of_scaled_latents(taesd: AutoencoderTiny) -> None:
    decoder, latents = load_small_decoder(autoencoder()), torch.randn(4, 3, 6, 4)
    assert decoder is not None
    pipeline = DancePipeline(None, autoencoder(), None)
    frames = np.stack(list(pipeline.decode(latents, 3, decoder)))
    # As StableDiffusionPipeline decodes with TAESD as its `vae`.
    pixels = taesd.decode(latents.transpose(0, 1) / taesd.config.scaling_factor).sample
    expected = VaeImageProcessor(vae_scale_factor=8).postprocess(pixels, output_type="np") * 255
    assert frames.shape == (3, 48, 32, 3) and frames.std() > 1
    assert np.abs(frames - expected).max() <= 0.5 + 1e-3  # they are rounded


@pytest.mark.parametrize(
    "vae",
    [
        PatchAutoencoder(latent_channels=4, width=8, encoder_blocks=1, decoder_blocks=1),
        autoencoder(channels=16),
        autoencoder(levels=3),
        autoencoder(scale=0.13025),  # SDXL's
    ],
)
def test_latents_of_another_kind_are_left_to_their_own_decoder(
    taesd: AutoencoderTiny, vae: AutoencoderKL | PatchAutoencoder
) -> None:
    assert load_small_decoder(vae) is None


def test_a_file_of_another_hash_is_refused(taesd: AutoencoderTiny) -> None:
    path = weights_path(weight_file(WEIGHTS), weights_folder())
    path.write_bytes(path.read_bytes()[:-4] + bytes(4))
    with pytest.raises(InputError, match="The sha256 of"):
        load_small_decoder(autoencoder())


@pytest.fixture
def animators(
    make_recipe: Callable[..., Recipe], tmp_path: Path
) -> Callable[..., Sequence[Animator]]:
    """Return a function that makes an animator of drafts and one of everything else."""
    unet = DanceUNet.from_network(make_recipe().network, 4)
    vae, scheduler = autoencoder(), make_scheduler(make_recipe().schedule)
    DancePipeline(unet, vae, scheduler, num_segments=2).save_pretrained(tmp_path / "model")

    def make(*overrides: str) -> Sequence[Animator]:
        recipes = make_recipe("animate.small_decoder=true", *overrides), make_recipe(*overrides)
        return [Animator(tmp_path / "model", recipe) for recipe in recipes]

    return make


def test_a_draft_is_decoded_by_it_where_it_was_fetched_and_nothing_else_is(
    animators: Callable[..., Sequence[Animator]],
    taesd: AutoencoderTiny,
    photo: Path,
    dancer: Path,
) -> None:
    draft, plain = animators()
    image, motion = read_image(photo), read_motion(dancer, draft.recipe.animate, draft.finder)
    drafted, full = draft.render(image, motion), plain.render(image, motion)
    assert torch.equal(drafted.latents, full.latents)
    small = np.stack(list(plain.pipeline.decode(full.latents, 8, taesd)))
    assert np.array_equal(drafted.frames, small)
    assert not np.array_equal(drafted.frames, full.frames)
    weights_path(weight_file(WEIGHTS), weights_folder()).unlink()
    unfetched, _ = animators()
    assert unfetched.small_decoder is None
    assert np.array_equal(unfetched.render(image, motion).frames, full.frames)


def test_it_computes_in_the_precision_of_the_network(
    animators: Callable[..., Sequence[Animator]], taesd: AutoencoderTiny
) -> None:
    draft, _ = animators("animate.precision=bfloat16")
    assert draft.small_decoder is not None
    assert draft.small_decoder.dtype == draft.pipeline.unet.dtype == torch.bfloat16


def test_user_and_record_are_told_that_the_pixels_are_a_drafts(
    animators: Callable[..., Sequence[Animator]],
    taesd: AutoencoderTiny,
    photo: Path,
    dancer: Path,
    tmp_path: Path,
) -> None:
    for number, animator in enumerate(animators()):
        output, model = tmp_path / f"{number}.mp4", Model(tmp_path / "model")
        job, told = Job(photo, dancer, output, model, animator.recipe), Listener()
        made = animate(job, Delivery(), lambda: animator, told)  # noqa: B023
        assert json.loads(made.record.read_text())["small_decoder"] == (number == 0)
        assert [note for note in told.notes if "TAESD" in note] == [SMALL_DECODER] * (number == 0)


class Listener(SilentProgress):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)
