from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dancelcm_cli.data.images import list_pictures, natural_key, read_image
from dancelcm_cli.errors import InputError


def test_a_lossless_picture_comes_back_exactly(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == picture).all()


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (6, 3), (3, 2), (8, 1)])
def test_the_camera_orientation_is_applied(tmp_path: Path, orientation: int, turns: int) -> None:
    stored = np.zeros((4, 6, 3), np.uint8)
    stored[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    assert (read_image(tmp_path / "a.png") == np.rot90(stored, turns)).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_white(tmp_path: Path, mode: str) -> None:
    layer = Image.new("RGBA", (2, 1), (0, 0, 0, 255))
    layer.putpixel((1, 0), (90, 0, 0, 0))
    layer.convert(mode).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == [[[0, 0, 0], [255, 255, 255]]]


def test_a_transparent_palette_entry_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=1)
    assert read_image(tmp_path / "a.png").tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - (255, 0, 0)).max() < 8


def test_sixteen_bit_grey_keeps_its_brightness(tmp_path: Path) -> None:
    levels = np.array([[0, 0x80FF, 0xFFFF]], np.uint16)
    Image.fromarray(levels).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[0, :, 1].tolist() == [0, 0x80, 0xFF]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bit_colours_keep_their_brightness(tmp_path: Path, name: str) -> None:
    levels = np.array([[[0x80FF, 0xFFFF, 0], [0, 0, 0x40FF]]], np.uint16)
    cv2.imwrite(str(tmp_path / name), levels[..., ::-1])
    assert read_image(tmp_path / name).tolist() == [[[0x80, 0xFF, 0], [0, 0, 0x40]]]


def test_sixteen_bit_transparency_is_white(tmp_path: Path) -> None:
    levels = np.zeros((1, 2, 4), np.uint16)
    levels[0, 0, 3] = 0xFFFF
    cv2.imwrite(str(tmp_path / "a.png"), levels)
    assert read_image(tmp_path / "a.png").tolist() == [[[0, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize("orientation", [2, 4, 5, 7])
def test_a_mirrored_photo_is_mirrored_back(tmp_path: Path, orientation: int) -> None:
    stored = np.zeros((4, 6, 3), np.uint8)
    stored[0, 0], stored[0, 5] = 255, 99
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    turned = {
        2: stored[:, ::-1],
        4: stored[::-1],
        5: stored.swapaxes(0, 1),
        7: stored[::-1, ::-1].swapaxes(0, 1),
    }
    assert (read_image(tmp_path / "a.png") == turned[orientation]).all()


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.webp", "a.bmp", "a.tif", "a.gif", "a.ppm"])
def test_every_common_format_is_read(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (16, 8), (10, 100, 200)).save(tmp_path / name)
    picture = read_image(tmp_path / name)
    assert picture.shape == (8, 16, 3)
    assert np.abs(picture.astype(int) - (10, 100, 200)).max() <= 3


def test_pictures_are_listed_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = ["a.png", "frame2.png", "frame10.png", "frame100.JPG"]
    for name in reversed([*names, ".hidden.png"]):
        Image.new("L", (2, 2)).save(tmp_path / name)
    (tmp_path / "notes.png").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_pictures(tmp_path)] == names


def test_a_hundred_megapixels_are_refused_without_being_decoded(tmp_path: Path) -> None:
    Image.new("1", (10_000, 10_000)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"at most 89 million pixels") as caught:
        read_image(tmp_path / "a.png")
    assert "Scale the picture down" in caught.value.hint


def test_a_huge_picture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (3000, 1001)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3_000_000)
    with pytest.raises(InputError, match="at most 3 million pixels"):
        read_image(tmp_path / "a.png")


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "a.txt").write_text("hello")
    Image.new("L", (64, 64)).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:60])
    Image.new("L", (2, 2)).save(
        tmp_path / "a.gif", save_all=True, append_images=[Image.new("L", (2, 2), 9)]
    )
    found = {
        "nowhere.png": "does not exist",
        "": "a folder",
        "a.mp4": "a video",
        "a.txt": "a file that is none",
        "cut.png": "a damaged one",
        "a.gif": "an animation",
    }
    for name, reason in found.items():
        with pytest.raises(InputError, match=reason):
            read_image(tmp_path / name)


def test_names_are_sorted_by_the_numbers_in_them_and_numbers_before_text() -> None:
    names = ["1.png", "2.png", "02.png", "5\u00b27.png", "10.png", "cover.png"]
    assert sorted(names, key=natural_key) == ["1.png", "02.png", "2.png", *names[3:]]
