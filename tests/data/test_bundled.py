from __future__ import annotations

import pytest

from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.errors import WeightsMissingError


def test_a_bundled_folder_and_a_file_in_it_are_found() -> None:
    folder = bundled("blazepose")
    name = next(path.name for path in folder.iterdir() if path.is_file())
    assert bundled(f"blazepose/{name}") == folder / name


def test_a_missing_asset_is_named_with_what_to_do_about_it() -> None:
    with pytest.raises(WeightsMissingError, match="assets/no/such/model") as caught:
        bundled("no/such/model")
    assert "--model" in caught.value.hint
