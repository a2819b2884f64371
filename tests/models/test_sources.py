from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dancelcm_cli.data.weight_files import weights_folder
from dancelcm_cli.errors import InputError, WeightsMissingError
from dancelcm_cli.models.sources import Sources, find_sources
from tests.models.published import AUTOENCODER, CLIP, NETWORK


def test_a_folder_of_checkpoints_is_known_by_its_names(published: Path) -> None:
    clip = published / CLIP
    assert find_sources(published) == Sources(
        published / NETWORK, published / AUTOENCODER, clip, clip
    )


def test_the_other_parts_may_lie_beside_the_network(published: Path) -> None:
    assert find_sources(published / NETWORK) == find_sources(published)


def test_a_folder_that_was_fetched_into_is_known(published: Path, tmp_path: Path) -> None:
    for name, file in (("unianimate", NETWORK), ("sd21", AUTOENCODER), ("clip-vit-h-14", CLIP)):
        (tmp_path / name).mkdir()
        shutil.copy(published / file, tmp_path / name)
    found = find_sources(tmp_path)
    assert found.network == tmp_path / "unianimate" / NETWORK
    assert found.autoencoder == tmp_path / "sd21" / AUTOENCODER
    assert found.image_encoder == tmp_path / "clip-vit-h-14" / CLIP


def test_what_is_named_is_taken(published: Path, tmp_path: Path) -> None:
    for name in ("vae", "images", "text"):
        (tmp_path / name).mkdir()
    named = find_sources(published, tmp_path / "vae", tmp_path / "images", tmp_path / "text")
    assert named == Sources(
        published / NETWORK, tmp_path / "vae", tmp_path / "images", tmp_path / "text"
    )


def test_the_text_tower_is_that_of_the_image_encoder(published: Path, tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    assert (
        find_sources(published, image_encoder=tmp_path / "clip").text_encoder == tmp_path / "clip"
    )


def test_what_was_fetched_is_taken_last(published: Path) -> None:
    fetched = weights_folder() / "unianimate" / NETWORK
    fetched.parent.mkdir(parents=True)
    shutil.copy(published / NETWORK, fetched)
    assert find_sources(published).network == published / NETWORK
    found = find_sources(autoencoder=published / AUTOENCODER, image_encoder=published / CLIP)
    assert found.network == fetched


@pytest.mark.parametrize(
    ("lost", "hints"),
    [
        (NETWORK, ("models fetch unianimate",)),
        (AUTOENCODER, ("models fetch sd-vae-ft-mse", "--vae")),
        (CLIP, ("models fetch clip-vit-h-14", "--image-encoder")),
    ],
)
def test_a_part_that_is_nowhere_is_missing_weights(
    published: Path, tmp_path: Path, lost: str, hints: tuple[str, ...]
) -> None:
    folder = tmp_path / "checkpoints"
    shutil.copytree(published, folder, ignore=lambda *_: {lost})
    with pytest.raises(WeightsMissingError) as refusal:
        find_sources(folder)
    assert refusal.value.exit_code == 3
    assert all(hint in refusal.value.hint for hint in hints)


def test_what_is_named_must_be_there(published: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is none"):
        find_sources(published, autoencoder=tmp_path / "vae")
