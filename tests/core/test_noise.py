import pytest
import torch

from dancelcm_cli.core.noise import batch_noise, frame_noise, generator, sample_streams, with_offset

SHAPE = (4, 6, 5)


@pytest.mark.parametrize("offset_strength", [0.0, 0.1])
def test_a_frames_noise_does_not_depend_on_the_window(offset_strength: float) -> None:
    whole = frame_noise(SHAPE, range(0, 8), offset_strength, 0, "initial")
    part = frame_noise(SHAPE, range(4, 8), offset_strength, 0, "initial")
    assert whole.shape == (4, 8, 6, 5)
    assert whole[:, 4:].equal(part)


def test_drawing_noise_neither_reads_nor_moves_the_global_stream() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = frame_noise(SHAPE, range(2), 0.1, 0, "initial")
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(1)
    assert frame_noise(SHAPE, range(2), 0.1, 0, "initial").equal(first)


@pytest.mark.parametrize(("seed", "name"), [(1, ("step", 0)), (0, ("step", 1)), (0, ("initial",))])
def test_streams_of_another_seed_or_name_are_unrelated(
    seed: int, name: tuple[str | int, ...]
) -> None:
    one = torch.randn(10_000, generator=generator(0, "step", 0))
    assert one.equal(torch.randn(10_000, generator=generator(0, "step", 0)))
    other = torch.randn(10_000, generator=generator(seed, *name))
    assert abs(float((one * other).mean())) < 0.05  # five standard errors


def test_frames_of_one_stream_are_unrelated() -> None:
    noise = frame_noise((4, 50, 50), range(3), 0.0, 0, "initial")
    assert abs(float((noise[:, 0] * noise[:, 1]).mean())) < 0.05
    assert float(noise.std()) == pytest.approx(1.0, abs=0.02)


def test_offset_noise_is_constant_over_a_channel_of_a_frame() -> None:
    plain = frame_noise(SHAPE, range(3), 0.0, 0, "initial")
    offset = frame_noise(SHAPE, range(3), 0.1, 0, "initial") - plain
    torch.testing.assert_close(offset, offset[..., :1, :1].expand_as(offset), rtol=0, atol=1e-6)
    per_channel = offset[..., 0, 0]
    assert len(per_channel.unique()) == per_channel.numel()


def test_offset_noise_adds_the_square_of_its_strength_to_the_variance() -> None:
    stream = torch.Generator().manual_seed(0)
    noise = torch.randn(20_000, 1, 4, 4, generator=stream)
    offset = torch.randn(20_000, 1, 1, 1, generator=stream)
    variance = float(with_offset(noise, offset, 0.5).var())
    assert variance == pytest.approx(1.25, abs=0.02)


def test_a_samples_noise_is_that_of_its_number_whatever_the_batch() -> None:
    latents = torch.zeros(3, 4, 3, 6, 5)
    whole = batch_noise(latents, 0.1, sample_streams(0, "noise", [7, 8, 9]))
    assert whole.shape == latents.shape
    for i, number in enumerate([7, 8, 9]):
        alone = batch_noise(latents[:1], 0.1, sample_streams(0, "noise", [number]))
        assert alone[0].equal(whole[i])
    assert len({float(noise.sum()) for noise in whole}) == 3


def test_training_noise_is_offset_frame_by_frame() -> None:
    latents = torch.zeros(2, 4, 3, 6, 5)
    plain = batch_noise(latents, 0.0, sample_streams(0, "noise", range(2)))
    offset = batch_noise(latents, 0.1, sample_streams(0, "noise", range(2))) - plain
    torch.testing.assert_close(offset, offset[..., :1, :1].expand_as(offset), rtol=0, atol=1e-6)
    assert len(offset[..., 0, 0].unique()) == 2 * 4 * 3
