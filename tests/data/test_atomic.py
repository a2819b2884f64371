from pathlib import Path

import pytest

from dancelcm_cli.data.atomic import atomic_folder, atomic_path, write_json_atomic


def test_a_file_appears_whole_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "result.mp4"
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".mp4"
        temporary.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_earlier_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("earlier")
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "model"
    (path / "unet").mkdir(parents=True)
    with atomic_folder(path) as temporary:
        (temporary / "vae").mkdir()
        (temporary / "vae" / "weights").write_bytes(b"new")
    assert [entry.name for entry in path.iterdir()] == ["vae"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_earlier_folder(tmp_path: Path) -> None:
    path = tmp_path / "model"
    (path / "unet").mkdir(parents=True)
    with pytest.raises(ValueError, match="stop"), atomic_folder(path) as temporary:
        (temporary / "vae").mkdir()
        raise ValueError("stop")
    assert [entry.name for entry in path.iterdir()] == ["unet"]
    assert list(tmp_path.iterdir()) == [path]


def test_json_refuses_numbers_that_json_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json_atomic(tmp_path / "metrics.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []
