import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from PIL import Image

from dancelcm_cli.config.schema import NoisePrior, ScheduleConfig
from dancelcm_cli.core.model_folder import load_pipeline, load_vae, make_scheduler
from dancelcm_cli.core.noise import frame_noise
from dancelcm_cli.core.noise_prior import noised_reference
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.perflow_scheduler import PeRFlowScheduler
from dancelcm_cli.core.pipeline import FORMAT_VERSION, DancePipeline
from dancelcm_cli.core.sampling import SamplingOptions, student_steps, teacher_steps
from dancelcm_cli.core.schedule import NoiseSchedule
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.core.vae import encode_frames
from dancelcm_cli.core.windows import plan_windows
from dancelcm_cli.errors import ConfigError, InputError

MakePipeline = Callable[..., DancePipeline]
HEIGHT, WIDTH, NUM_FRAMES = 32, 16, 3


@pytest.fixture
def make_pipeline(make_unet: Callable[..., DanceUNet]) -> MakePipeline:
    def make(num_segments: int = 2, face_tokens: bool = True) -> DancePipeline:
        torch.manual_seed(0)
        vae = PatchAutoencoder(
            latent_channels=4, patch_size=4, width=8, encoder_blocks=1, decoder_blocks=1
        )
        pipeline = DancePipeline(
            make_unet(face_tokens),
            vae.eval(),
            make_scheduler(ScheduleConfig()),
            num_segments=num_segments,
            grid_size=40,
            noise_offset=0.05,
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    return make


@pytest.fixture
def pictures() -> dict[str, Any]:
    random = np.random.default_rng(0)

    def draw(*shape: int) -> Any:
        return random.integers(0, 256, (*shape, 3), dtype=np.uint8)

    return {
        "image": draw(HEIGHT, WIDTH),
        "pose": draw(NUM_FRAMES, HEIGHT, WIDTH),
        "reference_pose": draw(HEIGHT, WIDTH),
        "face": draw(16, 16),
    }


# --- animating ---


def test_a_picture_and_poses_give_as_many_frames_as_poses(
    make_pipeline: MakePipeline, pictures: dict[str, Any]
) -> None:
    output = make_pipeline()(**pictures)
    assert output.frames.shape == (NUM_FRAMES, HEIGHT, WIDTH, 3)
    assert output.frames.dtype == np.uint8
    assert output.latents.shape == (4, NUM_FRAMES, HEIGHT // 4, WIDTH // 4)
    assert output.latents.dtype == torch.float32


def test_the_same_seed_gives_the_same_frames_and_another_gives_others(
    make_pipeline: MakePipeline, pictures: dict[str, Any]
) -> None:
    pipeline = make_pipeline()
    first = pipeline(**pictures, seed=3)
    torch.manual_seed(1)
    assert pipeline(**pictures, seed=3).latents.equal(first.latents)
    assert not pipeline(**pictures, seed=4).latents.equal(first.latents)


@pytest.mark.parametrize("num_segments", [0, 2])
@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_the_temperature_scales_all_noise(
    make_pipeline: MakePipeline,
    pictures: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    num_segments: int,
    temperature: float,
) -> None:
    pipeline = make_pipeline(num_segments=num_segments)
    made = pipeline(**pictures, temperature=temperature).latents

    def scaled_noise(*given: Any) -> torch.Tensor:
        return temperature * frame_noise(*given)

    monkeypatch.setattr("dancelcm_cli.core.pipeline.frame_noise", scaled_noise)
    assert made.equal(pipeline(**pictures).latents)


def test_without_temperature_every_seed_gives_the_same_frames(
    make_pipeline: MakePipeline, pictures: dict[str, Any]
) -> None:
    pipeline = make_pipeline(num_segments=2)
    first, second = (pipeline(**pictures, seed=seed, temperature=0.0) for seed in (1, 2))
    assert first.latents.equal(second.latents)


def test_guidance_of_one_calls_the_network_once_a_step(
    make_pipeline: MakePipeline, pictures: dict[str, Any]
) -> None:
    pipeline, calls = make_pipeline(), []
    pipeline.unet.register_forward_hook(lambda *_: calls.append(1))
    pipeline(**pictures, num_inference_steps=3)
    assert len(calls) == 3
    pipeline(**pictures, num_inference_steps=3, guidance_scale=2.5)
    assert len(calls) == 3 + 2 * 3


class Listener:
    """Notes down what it is told of the steps; returns what takes the latents' place."""

    def __init__(self, replaced: Mapping[str, torch.Tensor] = MappingProxyType({})) -> None:
        self.replaced = replaced
        self.told: list[tuple[int, int]] = []

    def __call__(
        self, pipeline: DancePipeline, index: int, timestep: int, kept: dict[str, torch.Tensor]
    ) -> Mapping[str, torch.Tensor]:
        assert pipeline.config.grid_size and kept["latents"].ndim == 5
        self.told.append((index, timestep))
        return self.replaced


def test_every_finished_step_is_told_and_may_be_replaced(
    make_pipeline: MakePipeline, pictures: dict[str, Any]
) -> None:
    pipeline, plain = make_pipeline(), Listener()
    pipeline(**pictures, num_inference_steps=3, callback_on_step_end=plain)
    steps = pipeline.plan(SamplingOptions(3))
    assert plain.told == [(index, step.start) for index, step in enumerate(steps)]
    zeros = torch.zeros(1, 4, NUM_FRAMES, HEIGHT // 4, WIDTH // 4)
    output = pipeline(**pictures, callback_on_step_end=Listener({"latents": zeros}))
    assert not output.latents.any()


def test_frames_come_in_the_form_that_is_asked_for(
    make_pipeline: MakePipeline, pictures: dict[str, Any]
) -> None:
    pipeline = make_pipeline()
    frames = pipeline(**pictures).frames
    images = pipeline(**pictures, output_type="pil").frames
    assert (np.stack([np.asarray(image) for image in images]) == frames).all()
    tensor = pipeline(**pictures, output_type="pt").frames
    assert tensor.shape == (NUM_FRAMES, 3, HEIGHT, WIDTH)
    assert np.array_equal((255 * tensor.permute(0, 2, 3, 1)).round().byte().numpy(), frames)
    latent = pipeline(**pictures, output_type="latent")
    assert latent.frames is None and latent.latents.isfinite().all()
    with pytest.raises(InputError, match='"np", "pil", "pt" or "latent", got \'png\''):
        pipeline(**pictures, output_type="png")


def test_a_generator_draws_the_seed(make_pipeline: MakePipeline, pictures: dict[str, Any]) -> None:
    pipeline, generator = make_pipeline(), torch.Generator().manual_seed(3)
    first, second = (pipeline(**pictures, generator=generator).latents for _ in range(2))
    assert not first.equal(second)
    assert pipeline(**pictures, generator=generator.manual_seed(3)).latents.equal(first)


def test_pictures_may_be_images_and_the_reference_may_stand_as_the_clip_begins(
    make_pipeline: MakePipeline, pictures: dict[str, Any]
) -> None:
    pipeline = make_pipeline()
    image = Image.fromarray(pictures["image"])
    poses = [Image.fromarray(pose) for pose in pictures["pose"]]
    expected = pipeline(pictures["image"], pictures["pose"], pictures["pose"][0]).latents
    assert pipeline(image, poses).latents.equal(expected)


@pytest.mark.parametrize(
    ("name", "given", "complaint"),
    [
        ("image", np.zeros((HEIGHT, WIDTH, 3)), "got float64"),
        ("image", np.zeros((HEIGHT, WIDTH), np.uint8), "uint8 array"),
        ("pose", [], "at least one picture"),
        ("pose", [np.zeros((side, 16, 3), np.uint8) for side in (16, 32)], "one size"),
    ],
)
def test_what_is_no_picture_is_refused(
    make_pipeline: MakePipeline, pictures: dict[str, Any], name: str, given: Any, complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        make_pipeline()(**{**pictures, name: given})


def test_a_teacher_walks_by_ddim_and_a_student_as_it_was_trained(
    make_pipeline: MakePipeline,
) -> None:
    teacher, student = make_pipeline(num_segments=0), make_pipeline(num_segments=2)
    assert teacher.plan(SamplingOptions(4)) == teacher_steps(4, 1000)
    assert student.plan(SamplingOptions(4)) == student_steps(4, 2, 40, 1000, "edge_renoise")


def test_a_teacher_may_walk_upstreams_grid_but_not_from_a_prior(
    make_pipeline: MakePipeline, pictures: dict[str, Any]
) -> None:
    teacher, seen = make_pipeline(num_segments=0), []
    teacher.unet.register_forward_pre_hook(lambda _, inputs: seen.append(int(inputs[1][0])))
    teacher(**pictures, num_inference_steps=4, teacher_grid="upstream")
    assert seen == [751, 501, 251, 1]
    with pytest.raises(ConfigError, match="teacher_grid must be trailing"):
        teacher(**pictures, teacher_grid="upstream", noise_prior="consistent")


@pytest.mark.parametrize(("window", "overlap"), [(2, 0), (2, 1), (3, 1)])
def test_every_frame_starts_from_the_same_noise_whatever_the_windows(
    make_pipeline: MakePipeline, pictures: dict[str, Any], window: int, overlap: int
) -> None:
    pipeline, seen = make_pipeline(), []
    pipeline.unet.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    pipeline(**pictures, num_inference_steps=1)
    (whole,) = seen
    seen.clear()
    pipeline(**pictures, num_inference_steps=1, window=window, overlap=overlap)
    for part, frames in zip(seen, plan_windows(NUM_FRAMES, window, overlap), strict=True):
        assert part.equal(whole[:, :, frames.start : frames.stop])


@pytest.mark.parametrize("guidance_scale", [1.0, 2.5])
def test_a_network_in_bfloat16_takes_conditions_in_float32(
    make_pipeline: MakePipeline, pictures: dict[str, Any], guidance_scale: float
) -> None:
    pipeline = make_pipeline()
    pipeline.unet.bfloat16()
    output = pipeline(**pictures, num_inference_steps=2, guidance_scale=guidance_scale)
    assert output.latents.dtype == torch.float32
    assert output.latents.isfinite().all()


@pytest.mark.parametrize(
    ("noise_prior", "expected"),
    [("none", [999, 499]), ("legacy", [999, 499]), ("consistent", [949, 499])],
)
def test_the_noise_prior_shows_the_network_the_noised_reference(
    make_pipeline: MakePipeline,
    pictures: dict[str, Any],
    schedule: NoiseSchedule,
    noise_prior: NoisePrior,
    expected: list[int],
) -> None:
    pipeline = make_pipeline(num_segments=2)
    shown: list[tuple[int, torch.Tensor]] = []
    pipeline.unet.register_forward_pre_hook(
        lambda _, inputs: shown.append((int(inputs[1][0]), inputs[0]))
    )
    pipeline(**pictures, num_inference_steps=2)
    noise = shown[0][1]
    shown.clear()
    pipeline(**pictures, num_inference_steps=2, noise_prior=noise_prior)
    assert [timestep for timestep, _ in shown] == expected
    reference = pipeline.encode(**pictures).reference_latents
    start = noise
    if noise_prior != "none":
        start = noised_reference(reference, noise, 949, schedule)
    torch.testing.assert_close(shown[0][1], start, rtol=0, atol=1e-6)


def test_a_perflow_student_brings_its_own_sampler(
    make_pipeline: MakePipeline, pictures: dict[str, Any], tmp_path: Path
) -> None:
    saved = make_pipeline(num_segments=2)
    saved.register_modules(scheduler=PeRFlowScheduler(num_windows=2))
    saved.save_pretrained(tmp_path)
    pipeline, seen, listener = load_pipeline(tmp_path), [], Listener()
    pipeline.unet.register_forward_pre_hook(lambda _, inputs: seen.append(int(inputs[1][0])))
    pipeline(**pictures, num_inference_steps=4, callback_on_step_end=listener)
    assert seen == [999, 749, 499, 249]
    assert listener.told == list(enumerate(seen))
    assert [step.start for step in pipeline.plan(SamplingOptions(4))] == seen
    with pytest.raises(ConfigError, match="from 2"):
        pipeline(**pictures, num_inference_steps=1)
    with pytest.raises(ConfigError, match="must be none for a PeRFlow student"):
        pipeline(**pictures, noise_prior="legacy")


def test_conditions_are_in_the_networks_ranges(
    make_pipeline: MakePipeline, pictures: dict[str, Any]
) -> None:
    pipeline = make_pipeline()
    conditions = pipeline.encode(**pictures)
    assert conditions.pose.shape == (1, 3, NUM_FRAMES, HEIGHT, WIDTH)
    assert conditions.reference_pose.shape == (1, 3, HEIGHT, WIDTH)
    for picture in (conditions.pose, conditions.reference_pose):
        assert 0.0 <= float(picture.min()) < 0.1
        assert 0.9 < float(picture.max()) <= 1.0
    expected = encode_frames(pipeline.vae, pictures["image"][None])[:, 0]
    assert conditions.reference_latents[0].equal(expected)
    assert conditions.face_latents is not None
    assert conditions.face_latents.shape == (1, 4, 4, 4)


def test_sizes_that_the_network_cannot_halve_are_refused(
    make_pipeline: MakePipeline, pictures: dict[str, Any]
) -> None:
    image = pictures["image"][:-4]
    with pytest.raises(InputError, match="multiples of 8 for this network, got 28 x 16"):
        make_pipeline()(**{**pictures, "image": image})


@pytest.mark.parametrize("poses", [np.ones((2, 32, 16, 3)), np.zeros((2, 32, 16), np.uint8)])
def test_poses_that_are_no_pictures_are_refused(
    make_pipeline: MakePipeline, pictures: dict[str, Any], poses: NDArray[Any]
) -> None:
    with pytest.raises(InputError, match="A picture must be"):
        make_pipeline()(**{**pictures, "pose": poses})


def test_the_schedule_is_that_of_the_scheduler_folder(
    make_pipeline: MakePipeline, schedule: NoiseSchedule
) -> None:
    assert make_pipeline().schedule.alphas.equal(schedule.alphas)
    assert make_pipeline().schedule.sigmas.equal(schedule.sigmas)


# --- the model folder ---


def test_a_loaded_model_is_the_saved_one(
    make_pipeline: MakePipeline, pictures: dict[str, Any], tmp_path: Path
) -> None:
    saved = make_pipeline()
    saved.save_pretrained(tmp_path)
    loaded = load_pipeline(tmp_path)
    for part in ("unet", "vae"):
        tensors = getattr(loaded, part).state_dict()
        for name, tensor in getattr(saved, part).state_dict().items():
            assert tensors[name].equal(tensor), name
    assert loaded.config.num_segments == 2
    assert loaded.config.grid_size == 40
    assert loaded.config.noise_offset == 0.05
    # Not to the bit: kernels round by where weights lie in memory, and a file's lie elsewhere.
    before, after = saved(**pictures), loaded(**pictures)
    torch.testing.assert_close(after.latents, before.latents, rtol=0, atol=1e-4)


def test_a_copy_of_a_model_animates_exactly_alike(
    make_pipeline: MakePipeline, pictures: dict[str, Any], tmp_path: Path
) -> None:
    make_pipeline().save_pretrained(tmp_path / "first")
    first = load_pipeline(tmp_path / "first")
    first.save_pretrained(tmp_path / "second")
    second = load_pipeline(tmp_path / "second")
    one, other = first(**pictures), second(**pictures)
    assert one.latents.equal(other.latents)
    assert (one.frames == other.frames).all()


def test_a_loaded_model_is_ready_for_inference(make_pipeline: MakePipeline, tmp_path: Path) -> None:
    make_pipeline().save_pretrained(tmp_path)
    loaded = load_pipeline(tmp_path)
    for part in (loaded.unet, loaded.vae):
        assert not part.training
        assert not any(parameter.requires_grad for parameter in part.parameters())


def test_a_model_saved_in_half_precision_loads_in_full(
    make_pipeline: MakePipeline, tmp_path: Path
) -> None:
    make_pipeline().to(torch.float16).save_pretrained(tmp_path)
    loaded = load_pipeline(tmp_path)
    assert loaded.unet.dtype == loaded.vae.dtype == torch.float32
    assert load_vae(tmp_path).dtype == torch.float32


def test_a_model_that_was_loaded_and_saved_again_does_not_tell_from_where(
    make_pipeline: MakePipeline, tmp_path: Path
) -> None:
    make_pipeline().save_pretrained(tmp_path / "first")
    load_pipeline(tmp_path / "first").save_pretrained(tmp_path / "second")
    configs = [path.read_text() for path in (tmp_path / "second").rglob("*.json")]
    assert configs and not any(str(tmp_path) in config for config in configs)


def test_a_model_folder_holds_safetensors_only(make_pipeline: MakePipeline, tmp_path: Path) -> None:
    make_pipeline().save_pretrained(tmp_path)
    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {
        "model_index.json",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    }


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 0, None])
def test_an_unknown_format_version_is_refused(
    make_pipeline: MakePipeline, tmp_path: Path, version: int | None
) -> None:
    make_pipeline().save_pretrained(tmp_path)
    index = tmp_path / "model_index.json"
    content = json.loads(index.read_text()) | {"format_version": version}
    index.write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"must be {FORMAT_VERSION}, got {version}") as refusal:
        load_pipeline(tmp_path)
    assert refusal.value.hint


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_index_or_autoencoder_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "vae").mkdir()
    for name in ("model_index.json", "vae/config.json"):
        (tmp_path / name).write_text(content)
    for load in (load_pipeline, load_vae):
        with pytest.raises(InputError, match="must be a JSON object"):
            load(tmp_path)


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no model_index\.json") as refusal:
        load_pipeline(tmp_path)
    assert "dancelcm train" in refusal.value.hint


def test_the_autoencoder_of_a_model_folder_loads_alone(
    make_pipeline: MakePipeline, pictures: dict[str, Any], tmp_path: Path
) -> None:
    pipeline = make_pipeline()
    pipeline.save_pretrained(tmp_path)
    vae = load_vae(tmp_path)
    expected = encode_frames(pipeline.vae, pictures["pose"])
    assert encode_frames(vae, pictures["pose"]).equal(expected)
    assert not any(parameter.requires_grad for parameter in vae.parameters())


def test_the_autoencoder_of_a_large_model_is_diffusers_own(tmp_path: Path) -> None:
    saved = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, scaling_factor=0.25)
    saved.save_pretrained(tmp_path / "vae")
    loaded = load_vae(tmp_path)
    assert isinstance(loaded, AutoencoderKL)
    assert loaded.config.scaling_factor == 0.25
    assert not loaded.training


def test_a_folder_without_an_autoencoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no vae/config\.json"):
        load_vae(tmp_path)
