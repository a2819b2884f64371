from pathlib import Path

import pytest

from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.foreign_names import read_lines, require_name


def test_a_line_is_a_name_with_the_spaces_in_it(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_bytes(b"\xef\xbb\xbf my dance \r\n\r\nother\n")
    assert read_lines(tmp_path / "ids.txt") == ["my dance", "other"]


def test_a_file_that_is_not_in_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("a\nb\n", encoding="utf-16")
    with pytest.raises(InputError, match="must be a text file in UTF-8"):
        read_lines(tmp_path / "ids.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read_lines(tmp_path / "gone.txt")


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "/a", "a/b", "a/", "a\0"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="that of a file or folder alone"):
        require_name(name, Path("truth"))


@pytest.mark.parametrize("name", ["00337", "A1F1j+kNaDS", "my dance", "..a", "<b>"])
def test_a_name_that_is_only_unusual_is_not(name: str) -> None:
    require_name(name, Path("truth"))
