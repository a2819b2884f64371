from __future__ import annotations

import re

import pytest

from dancelcm_cli.data.weight_table import WEIGHTS, HuggingFace, ModelScope, weight_file
from dancelcm_cli.errors import ConfigError

every_file = pytest.mark.parametrize("file", WEIGHTS, ids=lambda file: file.name)


def test_names_are_unique() -> None:
    assert len({file.name for file in WEIGHTS}) == len(WEIGHTS)


@every_file
def test_a_row_is_complete(file) -> None:
    assert file.size > 0
    assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    assert re.fullmatch(r"[\w.-]+", file.name) and re.fullmatch(r"[\w.-]+", file.file_name)
    assert file.purpose and file.licence.name and file.mirrors


@every_file
def test_every_address_is_https(file) -> None:
    for url in (file.licence.url, *(mirror.url for mirror in file.mirrors)):
        assert url.startswith("https://")


def test_hubs_have_their_addresses() -> None:
    hub = HuggingFace("yzd-v/DWPose", "yolox_l.onnx", "f7c16a3")
    assert hub.url == "https://huggingface.co/yzd-v/DWPose/resolve/f7c16a3/yolox_l.onnx"
    scope = ModelScope("iic/unianimate", "yolox_l.onnx")
    assert (
        scope.url == "https://www.modelscope.cn/models/iic/unianimate/resolve/master/yolox_l.onnx"
    )


def test_an_unknown_name_gets_the_nearest_one() -> None:
    assert weight_file("i3d").name == "i3d"
    with pytest.raises(ConfigError, match="must be one of unianimate, ") as caught:
        weight_file("lpips")
    assert "lpips-vgg" in caught.value.hint
