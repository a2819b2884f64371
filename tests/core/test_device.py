import pytest
import torch

from dancelcm_cli.core.device import pick_device
from dancelcm_cli.errors import InputError


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
