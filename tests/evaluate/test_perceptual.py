from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor
from torchmetrics.functional.image.lpips import _LPIPS

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.metric_weights import LPIPS_PACKAGE, load_published
from dancelcm_cli.evaluate.networks import open_lpips
from dancelcm_cli.evaluate.perceptual import Lpips, PerceptualMeter, make_lpips
from dancelcm_cli.evaluate.self_check import ramps

Frame = NDArray[np.uint8]
CPU = torch.device("cpu")


def random_frames(count: int, seed: int = 0, side: int = 32) -> list[Frame]:
    random = np.random.default_rng(seed)
    return list(random.integers(0, 256, (count, side, side, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def random_tensors() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Lpips().state_dict().items()}
    tensors = {
        name: torch.randn(shape, generator=random) * (2 / shape[1:].numel()) ** 0.5
        for name, shape in shapes.items()
    }
    return {name: t.abs() if name.startswith("heads") else t for name, t in tensors.items()}


@pytest.fixture(scope="module")
def network(random_tensors: dict[str, Tensor]) -> Lpips:
    return make_lpips(random_tensors, "random")


def torchmetrics_lpips(tensors: dict[str, Tensor]) -> _LPIPS:
    """The architecture of torchmetrics with our tensors in it, one after the other."""
    with torch.device("meta"):
        oracle = _LPIPS(pretrained=False, net="vgg", pnet_rand=True)
    convolutions = [name for name in oracle.state_dict() if name.startswith("net.")]
    heads = [name for name in oracle.state_dict() if name.startswith("lins.")]
    ours = [name for name in tensors if name.startswith("convolutions.")]
    ours.sort(key=lambda name: (int(name.split(".")[1]), name.endswith("bias")))
    renamed = {theirs: tensors[name] for theirs, name in zip(convolutions, ours, strict=True)}
    for index, theirs in enumerate(heads):
        renamed[theirs] = tensors[f"heads.{index}"][None, :, None, None]
        renamed[f"lin{index}{theirs.removeprefix(f'lins.{index}')}"] = renamed[theirs]
    renamed |= {
        name: tensor for name, tensor in oracle.state_dict().items() if "scaling_layer" in name
    }
    oracle.load_state_dict(renamed, assign=True)
    return oracle.eval()


def signed(frames: Sequence[Frame]) -> Tensor:
    return torch.from_numpy(np.stack(frames)).movedim(-1, 1).float() / 127.5 - 1


@torch.inference_mode()
def test_it_is_the_network_of_torchmetrics(
    network: Lpips, random_tensors: dict[str, Tensor]
) -> None:
    first, second = signed(random_frames(2)), signed(random_frames(2, seed=1))
    expected = torchmetrics_lpips(random_tensors)(first, second).flatten()
    (found,) = network(first, second)
    assert float(expected.min()) > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_equal_frames_are_at_no_distance_and_order_does_not_matter(network: Lpips) -> None:
    meter = PerceptualMeter(network, "signed")
    first, second = random_frames(3), random_frames(3, seed=1)
    (same,), (there,), (back,) = (
        meter.compare(*pair) for pair in ((first, [first]), (first, [second]), (second, [first]))
    )
    assert same == [0, 0, 0]
    assert there == pytest.approx(back)


def test_values_do_not_depend_on_the_batch_or_on_what_else_is_compared(network: Lpips) -> None:
    meter = PerceptualMeter(network, "unit")
    truth, shown = random_frames(8), random_frames(8, seed=1)
    alone = [meter.compare([a], [[b]])[0][0] for a, b in zip(truth, shown, strict=True)]
    together = meter.compare(truth, [shown, truth])
    assert together[0] == pytest.approx(alone, rel=1e-4)
    assert together[1] == [0] * 8


@pytest.mark.gpu
def test_a_gpu_measures_what_the_cpu_does(random_tensors: dict[str, Tensor]) -> None:
    truth, shown = random_frames(2), [random_frames(2, seed=1)]
    expected, found = (
        PerceptualMeter(make_lpips(random_tensors, "").to(device), "unit").compare(truth, shown)[0]
        for device in ("cpu", "cuda")
    )
    assert found == pytest.approx(expected, rel=1e-3)


def test_a_still_is_compared_with_every_frame(network: Lpips) -> None:
    meter = PerceptualMeter(network, "signed")
    truth, (still,) = random_frames(3), random_frames(1, seed=1)
    copies = [still.copy() for _ in truth]
    assert meter.compare(truth, [[still] * 3])[0] == pytest.approx(
        meter.compare(truth, [copies])[0], rel=1e-5
    )


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        (np.full((32, 32, 3), np.nan), "float64"),
        (np.zeros((32, 32, 4), np.uint8), r"\(32, 32, 4\)"),
        (np.zeros((32, 32), np.uint8), r"\(32, 32\)"),
        (np.zeros((32, 16, 3), np.uint8), r"\(32, 16, 3\)"),
    ],
)
def test_frames_that_are_no_pictures_of_one_size_are_refused(
    network: Lpips, frame: NDArray, found: str
) -> None:
    truth = random_frames(2)
    with pytest.raises(InputError, match=found):
        PerceptualMeter(network, "unit").compare(truth, [[truth[0], frame]])


@pytest.mark.weights
def test_published_weights_give_the_values_of_the_lpips_package() -> None:
    first, second = ramps()
    for input_range, expected in (("unit", 0.255537), ("signed", 0.408122)):
        ((value,),) = PerceptualMeter(open_lpips(CPU), input_range).compare([first], [[second]])
        assert value == pytest.approx(expected, abs=1e-4)


@pytest.mark.weights
@torch.inference_mode()
def test_published_weights_do_the_same_in_torchmetrics() -> None:
    tensors = load_published(LPIPS_PACKAGE)
    pair = signed([ramps(64)[0]]), signed([ramps(64)[1]])
    expected = torchmetrics_lpips(tensors)(*pair).flatten()
    torch.testing.assert_close(make_lpips(tensors, "")(*pair)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.weights
@pytest.mark.parametrize("input_range", ["unit", "signed"])
def test_each_step_of_blur_is_further_away(input_range: str) -> None:
    (noise,) = random_frames(1, side=64)
    pictures = [
        np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(radius)))
        for radius in (1, 1.2, 1.6, 2.4, 4)
    ]
    meter = PerceptualMeter(open_lpips(CPU), input_range)
    distances = [meter.compare(pictures[:1], [[picture]])[0][0] for picture in pictures]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert len(set(distances)) == len(distances)
