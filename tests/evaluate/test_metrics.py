from typing import get_args

from dancelcm_cli.config.schema import MetricName
from dancelcm_cli.evaluate.metrics import METRICS, select_metrics


def test_every_metric_that_a_recipe_can_name_is_described() -> None:
    assert {metric.name for metric in METRICS} == set(get_args(MetricName))


def test_metrics_are_selected_in_the_order_asked_for() -> None:
    assert [metric.name for metric in select_metrics(("ssim", "mae"))] == ["ssim", "mae"]


def test_headings_point_to_better_values() -> None:
    assert [metric.heading for metric in select_metrics(("l1", "psnr"))] == ["L1 ↓", "PSNR ↑"]
