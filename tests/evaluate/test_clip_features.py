from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.clip_features import clip_features, num_clips
from dancelcm_cli.evaluate.frechet import frechet_distance
from dancelcm_cli.evaluate.i3d import I3D
from dancelcm_cli.evaluate.networks import open_i3d
from dancelcm_cli.evaluate.protocol import DISCO_256, Protocol

Frame = NDArray[np.uint8]


class Recorder(I3D):
    """In place of I3D: remembers its input and gives each clip its first and its mean value."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        self.seen += list(clips)
        return torch.stack([clips[:, 0, 0, 0, 0], clips.mean(dim=(1, 2, 3, 4))], dim=1).repeat(
            1, 200
        )


def grey(count: int, side: int = 32) -> list[Frame]:
    """Frames whose level is their index."""
    return [np.full((side, side, 3), index, np.uint8) for index in range(count)]


def moving_noise(count: int, blur: float) -> list[Frame]:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    return [
        np.asarray(
            Image.fromarray(np.roll(noise, 2 * i, axis=1)).filter(ImageFilter.GaussianBlur(blur))
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("stride", [1, 3, 16])
@pytest.mark.parametrize("count", [15, 16, 17, 40])
def test_every_strideth_frame_with_fifteen_successors_starts_a_clip(
    count: int, stride: int
) -> None:
    protocol = replace(DISCO_256, fvd_stride=stride)
    features = clip_features(Recorder(), grey(count), protocol, batch_size=4)
    first_levels = (features[:, 0] + 1) * 127.5
    assert first_levels == pytest.approx(np.arange(0, count - 15, stride), abs=1e-3)
    assert features.shape == (num_clips(count, protocol), 400)


def test_clips_keep_the_order_of_their_frames_in_the_range_of_the_network() -> None:
    network = Recorder()
    clip_features(network, [frame + 239 for frame in grey(17)], DISCO_256)
    assert [clip.shape for clip in network.seen] == [(3, 16, 224, 224)] * 2
    levels = [(clip[0, :, 0, 0] + 1) * 127.5 for clip in network.seen]
    torch.testing.assert_close(levels[1], torch.arange(240.0, 256.0))


def test_the_default_kernel_is_pillows_bicubic_without_rounding() -> None:
    network, (frame,) = Recorder(), moving_noise(1, blur=0)
    clip_features(network, [frame] * 16, DISCO_256)
    red = Image.fromarray(frame[..., 0]).convert("F")
    expected = np.asarray(red.resize((224, 224), Image.Resampling.BICUBIC))
    assert (network.seen[0][0, 0].numpy() + 1) * 127.5 == pytest.approx(expected, abs=1e-3)
    assert expected.max() > 255  # overshoot is kept


def test_the_other_kernel_is_bilinear_without_antialiasing() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (448, 448, 3), dtype=np.uint8)
    network = Recorder()
    clip_features(network, [frame] * 16, replace(DISCO_256, fvd_resize="bilinear"))
    mean_of_four = F.avg_pool2d(torch.from_numpy(frame).float().movedim(-1, 0), 2)
    torch.testing.assert_close((network.seen[0][:, 0] + 1) * 127.5, mean_of_four, atol=1e-3, rtol=0)


def test_the_codec_costs_quality_clip_by_clip() -> None:
    frames = moving_noise(17, blur=1)
    clips = []
    for codec in ("none", "h264"):
        network = Recorder()
        clip_features(network, frames, replace(DISCO_256, fvd_codec=codec))
        clips.append(torch.stack(network.seen))
    error = (clips[1] - clips[0]).abs().mean(dim=(1, 2, 3, 4)) * 127.5
    assert (error > 1).all() and (error < 12).all()
    # Frame 1 is in both clips, but in each of them it was compressed with other neighbours.
    assert torch.equal(clips[0][0, :, 1], clips[0][1, :, 0])
    assert not torch.equal(clips[1][0, :, 1], clips[1][1, :, 0])


@pytest.mark.parametrize(
    "odd",
    [
        np.full((32, 32, 3), np.nan, np.float32),
        np.zeros((32, 32, 1), np.uint8),
        np.zeros((16, 32, 3), np.uint8),
    ],
)
def test_one_frame_that_is_no_picture_of_the_same_size_is_refused(odd: NDArray) -> None:
    frames = [*grey(10), odd, *grey(10)]
    with pytest.raises(InputError, match="must be uint8 of one shape"):
        clip_features(Recorder(), frames, DISCO_256)


@pytest.mark.weights
@pytest.mark.slow
def test_each_step_of_blur_is_further_away_whatever_the_batch() -> None:
    network, _ = open_i3d("", torch.device("cpu"))

    def features(blur: float, batch_size: int = 2, protocol: Protocol = DISCO_256) -> NDArray:
        return clip_features(network, moving_noise(17, blur), protocol, batch_size)

    truth = features(1)
    distances = [frechet_distance(truth, features(blur)) for blur in (1, 1.5, 3)]
    assert distances[0] == pytest.approx(0, abs=1e-3)
    assert distances == sorted(distances) and distances[1] > 1
    alone = features(3, batch_size=1)
    assert frechet_distance(truth, alone) == pytest.approx(distances[2], rel=1e-3)
