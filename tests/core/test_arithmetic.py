from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dancelcm_cli.core.arithmetic import count_flops, peak_rate


def test_a_product_of_matrices_is_counted() -> None:
    left, right = torch.ones(3, 5), torch.ones(5, 7)
    assert count_flops(lambda: left @ right) == 2 * 3 * 5 * 7


def test_attention_is_counted_as_the_two_products_that_it_is() -> None:
    queries, keys = torch.ones(2, 4, 6, 8), torch.ones(2, 4, 5, 8)
    flops = count_flops(lambda: F.scaled_dot_product_attention(queries, keys, keys))
    assert flops == 2 * (2 * (2 * 4) * 6 * 5 * 8)


@pytest.mark.slow
def test_the_peak_rate_is_one_that_a_computer_has() -> None:
    assert 1e8 < peak_rate(torch.device("cpu"), torch.float32) < 1e15
