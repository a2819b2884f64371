from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.frechet import frechet_distance
from dancelcm_cli.evaluate.i3d import SamePool, Unit
from dancelcm_cli.evaluate.i3d_weights import fold_batch_norms, make_i3d
from dancelcm_cli.evaluate.metric_weights import I3D_PACKAGE, load_published, tensors_sha256
from dancelcm_cli.evaluate.networks import open_i3d
from dancelcm_cli.evaluate.precision import exact_float32
from tests.evaluate.plain_i3d import plain_i3d, random_published_tensors, tensorflow_same

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def random_tensors() -> dict[str, Tensor]:
    return random_published_tensors()


@pytest.mark.parametrize("length", [8, 9])
@pytest.mark.parametrize(("size", "stride"), [(1, 1), (3, 1), (7, 2), (3, 2), (2, 2)])
def test_convolutions_and_pools_pad_as_tensorflow_does(size: int, stride: int, length: int) -> None:
    features = torch.rand(2, 3, length, length, length)
    unit = Unit(3, 4, size, stride)
    padded = tensorflow_same(features, (size,) * 3, (stride,) * 3)
    expected = F.relu(F.conv3d(padded, unit.weight, unit.bias, stride))
    torch.testing.assert_close(unit(features), expected)
    pool = SamePool((size,) * 3, (stride,) * 3)
    assert torch.equal(pool(features), F.max_pool3d(padded, size, stride))


def test_a_folded_batch_norm_gives_what_it_gave_after_its_convolution() -> None:
    convolution, norm = nn.Conv3d(3, 4, 1, bias=False), nn.BatchNorm3d(4, eps=1e-3).eval()
    norm.running_mean = torch.randn(4)
    norm.running_var = torch.rand(4)
    norm.weight, norm.bias = (nn.Parameter(torch.randn(4)) for _ in range(2))
    tensors = {"a.conv3d.weight": convolution.weight} | {
        f"a.bn.{name}": tensor for name, tensor in norm.state_dict().items()
    }
    folded = fold_batch_norms(tensors)
    features = torch.randn(2, 3, 4, 5, 6)
    found = F.conv3d(features, folded["a.weight"], folded["a.bias"])
    torch.testing.assert_close(found, norm(convolution(features)))


def test_the_network_has_the_size_of_the_published_one(random_tensors: dict[str, Tensor]) -> None:
    assert len(random_tensors) == 287
    assert sum(tensor.numel() for tensor in random_tensors.values()) == 12_711_824
    assert random_tensors["logits.conv3d.weight"].shape == (400, 1024, 1, 1, 1)
    assert random_tensors["Mixed_5c.b2b.conv3d.weight"].shape == (128, 48, 3, 3, 3)


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize("num_frames", [9, 18])
def test_logits_are_those_of_the_plain_network_whatever_the_batch(
    random_tensors: dict[str, Tensor], num_frames: int
) -> None:
    network = make_i3d(random_tensors, "random")
    random = torch.Generator().manual_seed(1)
    clips = torch.rand(2, 3, num_frames, 224, 224, generator=random) * 2 - 1
    together, alone = network(clips), network(clips[1:])
    expected = plain_i3d(random_tensors, clips)
    assert expected.shape == (2, 400) and float(expected.std()) > 0.1
    torch.testing.assert_close(together, expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(alone, expected[1:], rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
@torch.inference_mode()
def test_a_gpu_gives_the_logits_of_the_cpu(random_tensors: dict[str, Tensor]) -> None:
    network = make_i3d(random_tensors, "random")
    clips = torch.rand(2, 3, 16, 224, 224, generator=torch.Generator().manual_seed(1)) * 2 - 1
    expected = network(clips)
    with exact_float32():
        found = network.cuda()(clips.cuda()).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_another_training_with_the_same_names_is_refused(
    random_tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    save_file(random_tensors, tmp_path / "rgb_imagenet.safetensors")
    with pytest.raises(InputError, match="got another training: logits") as caught:
        open_i3d(str(tmp_path / "rgb_imagenet.safetensors"), CPU)
    assert "dancelcm models fetch i3d" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tensors: tensors.pop("logits.conv3d.bias"), "missing logits.bias"),
        (lambda tensors: tensors.pop("Mixed_3b.b0.bn.bias"), "missing Mixed_3b.b0.bias"),
        (lambda tensors: tensors.update({"x.conv3d.weight": torch.zeros(1)}), "unknown x.weight"),
        (
            lambda tensors: tensors.update({"logits.conv3d.bias": torch.zeros(157)}),
            r"misshapen logits.bias: \(157,\)",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    random_tensors: dict[str, Tensor],
    change: Callable[[dict[str, Tensor]], object],
    reason: str,
) -> None:
    tensors = dict(random_tensors)
    change(tensors)
    with pytest.raises(InputError, match=reason):
        make_i3d(tensors, "file")


@pytest.mark.weights
@torch.inference_mode()
def test_published_weights_give_tensorflows_distance_of_black_and_white() -> None:
    network, sha256 = open_i3d("", CPU)
    assert sha256 == tensors_sha256(load_published(I3D_PACKAGE))
    black, white = (
        network(torch.full((1, 3, 30, 224, 224), level)).repeat(8, 1).numpy()
        for level in (-1.0, 1.0)
    )
    assert frechet_distance(black, white) == pytest.approx(151.39244, abs=1e-3)


@pytest.mark.weights
@torch.inference_mode()
def test_published_weights_give_the_logits_of_the_original() -> None:
    network, _ = open_i3d("", CPU)
    black, white = (network(torch.full((1, 3, 16, 224, 224), level))[0] for level in (-1.0, 1.0))
    assert float((black - white).square().sum()) == pytest.approx(152.9015, abs=2e-3)
    assert (float(black.norm()), float(white.norm())) == pytest.approx((23.661, 25.015), abs=1e-3)
    assert (int(black.argmax()), int(white.argmax())) == (244, 248)
    assert black[:3].tolist() == pytest.approx([1.09353, 2.83724, 0.40168], abs=1e-4)


@pytest.mark.weights
def test_a_file_of_the_published_weights_is_taken(tmp_path: Path) -> None:
    tensors = load_published(I3D_PACKAGE)
    save_file(tensors, tmp_path / "mine.safetensors")
    _, sha256 = open_i3d(str(tmp_path / "mine.safetensors"), CPU)
    assert sha256 == I3D_PACKAGE.sha256
    worse = {name: tensor * 1.001 for name, tensor in tensors.items()}
    save_file(worse, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="another training"):
        open_i3d(str(tmp_path / "other.safetensors"), CPU)
