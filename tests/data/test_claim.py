from __future__ import annotations

from pathlib import Path

import pytest

from dancelcm_cli.data.claim import claimed
from dancelcm_cli.errors import InputError


def test_a_claimed_folder_is_there_and_refuses_another_writer(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with claimed(folder):
        assert folder.is_dir()
        with pytest.raises(InputError, match="must not be in use"), claimed(folder):
            pass


def test_a_claim_ends_with_its_block_however_that_ends(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), claimed(tmp_path):
        raise ZeroDivisionError
    with claimed(tmp_path):
        pass
