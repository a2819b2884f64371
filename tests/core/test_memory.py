from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from dancelcm_cli.core.clip_predictor import ClipPredictor, Execution
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.memory import with_less_at_once
from dancelcm_cli.core.sampling import SamplingOptions
from dancelcm_cli.core.unet import DanceUNet
from dancelcm_cli.errors import OutOfMemoryError, ran_out_of_memory


def nothing_to_move() -> bool:
    return False


@pytest.mark.parametrize(
    ("room", "asked", "done"), [(9, 9, [9]), (2, 9, [9, 4, 2]), (1, 2, [2, 1])]
)
def test_the_size_is_halved_until_there_is_room(room: int, asked: int, done: list[int]) -> None:
    tried: list[int] = []

    def work(size: int) -> str:
        tried.append(size)
        if size > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "done"

    assert with_less_at_once(work, asked, nothing_to_move, "work") == ("done", done[-1])
    assert tried == done


def test_room_that_cannot_be_made_is_told_in_a_sentence() -> None:
    def work(size: int) -> None:
        raise MemoryError

    with pytest.raises(OutOfMemoryError, match="There must be memory for work") as caught:
        with_less_at_once(work, 4, nothing_to_move, "work")
    assert caught.value.exit_code == 4 and caught.value.hint


def test_torchs_own_refusal_on_the_cpu_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert ran_out_of_memory(caught.value)


def test_other_errors_are_let_through() -> None:
    def work(size: int) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        with_less_at_once(work, 4, nothing_to_move, "work")


@pytest.mark.gpu
@torch.no_grad()
def test_a_gpu_with_less_room_sees_fewer_windows_at_once(
    make_unet: Callable[..., DanceUNet], make_conditions: Callable[..., Conditions]
) -> None:
    unet = make_unet().cuda()
    conditions, options = make_conditions(0, num_frames=200), SamplingOptions(window=8, overlap=2)
    latents, timesteps = torch.randn(1, 4, 200, 8, 8).cuda(), torch.tensor([500]).cuda()

    def predict(at_once: int) -> torch.Tensor:
        predictor = ClipPredictor(unet, conditions, options, Execution(at_once))
        return predictor(latents, timesteps)

    whole = predict(1)
    taken = torch.cuda.max_memory_reserved()
    predict(32)
    needed = torch.cuda.max_memory_reserved()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((taken + needed) / 2 / total)
    try:
        torch.testing.assert_close(predict(32), whole, rtol=0, atol=1e-2)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
