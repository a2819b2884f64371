import logging

import pytest
import torch

from dancelcm_cli.core.device import inference_dtype, pick_device, place
from dancelcm_cli.errors import InputError
from tests.core.tiny_clip import tiny_clip_pipeline


def test_the_cpu_is_always_there() -> None:
    assert pick_device("cpu") == torch.device("cpu")


def test_auto_takes_a_gpu_where_there_is_one() -> None:
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_device_that_is_not_there_is_refused() -> None:
    if torch.backends.mps.is_available():
        pytest.skip("this machine has an Apple GPU")
    with pytest.raises(InputError, match="--device mps must be on this machine") as refusal:
        pick_device("mps")
    assert "--device cpu" in refusal.value.hint


def test_networks_that_do_not_learn_are_exact_on_a_cpu_unless_told_otherwise() -> None:
    cpu = torch.device("cpu")
    assert inference_dtype("auto", cpu) == torch.float32
    assert inference_dtype("bfloat16", cpu) == torch.bfloat16
    assert inference_dtype("float16", cpu) == torch.float16


@pytest.mark.gpu
def test_networks_that_do_not_learn_are_in_bfloat16_on_a_gpu_that_computes_in_it() -> None:
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    expected = torch.bfloat16 if native else torch.float32
    assert inference_dtype("auto", torch.device("cuda")) == expected


def test_every_network_of_a_pipeline_takes_the_precision_and_nothing_is_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("diffusers"), "propagate", True)
    pipeline = place(tiny_clip_pipeline(), torch.device("cpu"), torch.bfloat16)
    for network in (pipeline.unet, pipeline.vae, pipeline.image_encoder):
        assert {tensor.dtype for tensor in network.parameters()} == {torch.bfloat16}
    assert not caplog.records
