from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dancelcm_cli.config.schema import EvaluateConfig, MetricName
from dancelcm_cli.errors import InputError, WeightsMissingError
from dancelcm_cli.evaluate.datasets import TestVideo
from dancelcm_cli.evaluate.networks import open_networks, require_weights
from dancelcm_cli.evaluate.protocol import make_protocol
from dancelcm_cli.evaluate.sources import PictureFolder

CPU = torch.device("cpu")


def videos(*lengths: int) -> list[TestVideo]:
    pictures = [tuple(Path(f"{index}.png") for index in range(length)) for length in lengths]
    return [
        TestVideo(f"dance{index}", PictureFolder(Path(), of_video), Path())
        for index, of_video in enumerate(pictures)
    ]


def test_without_weights_metrics_are_skipped_and_say_how_to_get_them() -> None:
    config = EvaluateConfig(beyond=False)
    networks = open_networks(make_protocol(config, "squash"), config, videos(20, 20), CPU)
    assert (networks.clips, networks.weights) == (None, {})
    assert [set(meter.metrics) for meter in networks.meters] == [
        {"l1", "psnr", "ssim", "mae", "ssim_gaussian"}
    ]
    assert list(networks.skipped) == ["lpips", "fvd"]
    assert "dancelcm models fetch lpips-vgg" in networks.skipped["lpips"]
    assert "dancelcm models fetch i3d" in networks.skipped["fvd"]


@pytest.mark.parametrize(
    "config", [EvaluateConfig(strict=True, beyond=False), EvaluateConfig(metrics=("psnr", "lpips"))]
)
def test_what_is_strict_or_named_must_be_measured(config: EvaluateConfig) -> None:
    protocol = make_protocol(config, "squash")
    for check in (
        lambda: require_weights(protocol, config),
        lambda: open_networks(protocol, config, videos(20, 20), CPU),
    ):
        with pytest.raises(WeightsMissingError) as caught:
            check()
        assert caught.value.exit_code == 3
        assert caught.value.hint == "Type: dancelcm models fetch lpips-vgg"


@pytest.mark.parametrize("metrics", [("psnr",), ("l1", "mae")])
def test_metrics_without_networks_need_no_weights(metrics: tuple[MetricName, ...]) -> None:
    config = EvaluateConfig(metrics=metrics, strict=True)
    networks = open_networks(make_protocol(config, "squash"), config, videos(3), CPU)
    assert networks.skipped == {}


@pytest.mark.weights
def test_with_weights_the_rest_is_what_videos_are_too_short_for() -> None:
    config = EvaluateConfig(beyond=False)
    protocol = make_protocol(config, "squash")
    short = open_networks(protocol, config, videos(20, 15), CPU)
    assert "lpips" in short.meters[0].metrics and short.clips is None
    assert "at least 16 frames, got 15 of dance1" in short.skipped["fvd"]
    assert (
        "at least 2 clips, got 1" in open_networks(protocol, config, videos(16), CPU).skipped["fvd"]
    )
    whole = open_networks(protocol, config, videos(17), CPU)
    assert whole.clips is not None and whole.skipped == {}
    assert set(whole.weights) == {"lpips", "fvd"}
    with pytest.raises(InputError, match="at least 16 frames") as caught:
        open_networks(protocol, replace(config, strict=True), videos(20, 15), CPU)
    assert caught.value.exit_code == 2
    assert "--metrics" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"no tensors"])
def test_a_file_that_holds_no_weights_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "i3d.safetensors"
    file.write_bytes(content)
    config = EvaluateConfig(metrics=("fvd",), i3d=str(file))
    with pytest.raises(InputError, match=r"i3d\.safetensors"):
        open_networks(make_protocol(config, "squash"), config, videos(20), CPU)


def test_what_papers_do_not_measure_is_measured_unless_it_is_not_wanted() -> None:
    for beyond in (True, False):
        config = EvaluateConfig(beyond=beyond)
        networks = open_networks(make_protocol(config, "squash"), config, videos(20, 20), CPU)
        measured = {name for meter in networks.meters for name in meter.metrics}
        assert ({"sharpness_moving", "face_found"} <= measured) == beyond
        assert ("face_similarity" in networks.skipped) == beyond


def test_strictness_is_about_the_papers_metrics_and_the_named_ones() -> None:
    strict = EvaluateConfig(protocol="textbook", strict=True, i3d="there")
    named = EvaluateConfig(metrics=("face_similarity",))
    for config, missing in ((strict, "lpips-vgg"), (named, "facenet")):
        with pytest.raises(WeightsMissingError) as caught:
            require_weights(make_protocol(config, "squash"), config)
        assert caught.value.hint == f"Type: dancelcm models fetch {missing}"
    only_beyond = EvaluateConfig(strict=True, metrics=("mae",))
    protocol = replace(make_protocol(only_beyond, "squash"), metrics=("mae", "face_similarity"))
    require_weights(protocol, only_beyond)


def test_poses_are_measured_when_they_are_asked_for() -> None:
    config = EvaluateConfig(metrics=("mae",), pose=True)
    networks = open_networks(make_protocol(config, "squash"), config, videos(3), CPU)
    assert [tuple(meter.metrics) for meter in networks.meters] == [("mae",), ("akd", "pck")]
