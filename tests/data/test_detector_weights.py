from __future__ import annotations

from pathlib import Path

import pytest

from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.detector_weights import (
    FETCHED,
    detector_folder,
    detector_of,
    detector_sha256,
)
from dancelcm_cli.data.weight_files import CACHE_VARIABLE, weights_folder, weights_path
from dancelcm_cli.data.weight_table import weight_file
from dancelcm_cli.errors import InputError, WeightsMissingError


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))


def put_empty_files(detector: str) -> None:
    for name in FETCHED[detector]:
        path = weights_path(weight_file(name), weights_folder())
        path.parent.mkdir(parents=True)
        path.touch()


def test_dwpose_is_chosen_once_it_is_there() -> None:
    assert detector_of("auto") == detector_of("annotation") == "blazepose"
    put_empty_files("dwpose")
    assert detector_of("auto") == "dwpose"
    assert detector_of("blazepose") == "blazepose"


@pytest.mark.parametrize("detector", FETCHED)
def test_what_is_not_there_is_named_and_what_is_damaged_too(detector: str) -> None:
    with pytest.raises(WeightsMissingError) as caught:
        detector_folder(detector)
    assert caught.value.hint == f"Type: dancelcm models fetch {FETCHED[detector][0]}"
    put_empty_files(detector)
    with pytest.raises(InputError, match="sha256"):
        detector_folder(detector)


def test_the_bundled_detector_is_always_there() -> None:
    assert detector_folder("blazepose") == bundled("blazepose")


def test_every_detector_has_a_hash_of_its_own() -> None:
    names = ("blazepose", "dwpose", "openpose")
    assert len({detector_sha256(name) for name in names}) == 3
    assert detector_sha256("dwpose") == detector_sha256("dwpose")
