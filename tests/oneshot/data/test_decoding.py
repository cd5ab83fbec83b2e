"""Pictures of every kind, as a viewer shows them: of each, the same scene in eight bits is the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oneshot.data.decoding import decoded, unreadable
from oneshot.data.folder import load_folder

GREY = np.random.default_rng(0).integers(0, 256, (6, 9), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def read(path: Path) -> np.ndarray:
    image = decoded(path)
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bits_are_scaled_not_clipped(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(GREY.astype(np.uint16) * 257).save(path)
    assert np.array_equal(read(path), np.repeat(GREY[..., None], 3, 2))
    Image.fromarray(np.array([[0, 128, 129, 65535]], np.uint16)).save(path)
    assert read(path)[0, :, 0].tolist() == [0, 0, 1, 255]


def test_floats_from_0_to_1_are_scaled_and_others_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(GREY.astype(np.float32) / 255).save(path)
    assert np.array_equal(read(path), np.repeat(GREY[..., None], 3, 2))
    for odd in (255.0, -0.1, np.nan, np.inf):
        Image.fromarray(np.array([[0.0, odd]], np.float32)).save(path)
        with pytest.raises(ValueError, match=r"a\.tif is no readable image: expected floats from 0 to 1, got"):
            decoded(path)


def test_integers_of_32_bits_have_no_white(tmp_path: Path) -> None:
    Image.fromarray(GREY.astype(np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="expected 8 or 16 bits a channel, or floats from 0 to 1, got integers of 32"):
        decoded(tmp_path / "a.tif")


TURNED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: lambda x: np.rot90(x, -1),
}
"""What lies in the file so that the EXIF orientation turns it upright."""


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_exif_says_how_a_picture_is_turned(orientation: int, suffix: str, tmp_path: Path) -> None:
    exif, path = Image.Exif(), tmp_path / f"a{suffix}"
    exif[0x0112] = orientation
    lying = Image.fromarray(np.ascontiguousarray(TURNED[orientation](COLOUR)))
    lying.save(path, exif=exif, lossless=True)  # of WebP; the others have nothing else
    assert np.array_equal(read(path), COLOUR)


def test_sixteen_bits_are_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(np.ascontiguousarray(GREY[::-1, ::-1]).astype(np.uint16) * 257).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read(tmp_path / "a.png")[..., 0], GREY)


def test_palettes_are_colours(tmp_path: Path) -> None:
    few = Image.fromarray(COLOUR).quantize(16)
    few.save(tmp_path / "a.png")
    few.save(tmp_path / "a.gif")
    for suffix in (".png", ".gif"):
        assert np.array_equal(read(tmp_path / f"a{suffix}"), np.asarray(few.convert("RGB")))


def test_what_is_transparent_lies_on_black(tmp_path: Path) -> None:
    clear = np.dstack([COLOUR, np.tile([0, 128, 255], (6, 3)).astype(np.uint8)])
    Image.fromarray(clear).save(tmp_path / "a.png")
    found = read(tmp_path / "a.png").astype(int)
    assert (found[:, ::3] == 0).all()
    assert np.abs(found[:, 1::3] - COLOUR[:, 1::3] * (128 / 255)).max() <= 1
    assert np.array_equal(found[:, 2::3], COLOUR[:, 2::3])
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    palette.putpalette([200, 0, 0, 0, 200, 0])
    palette.save(tmp_path / "p.png", transparency=0)
    assert read(tmp_path / "p.png").tolist() == [[[0, 0, 0], [0, 200, 0]]]


def test_the_colours_of_print_are_those_of_a_screen(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    assert np.abs(read(tmp_path / "a.jpg").astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".gif", ".bmp", ".webp"])
def test_what_cannot_be_read_is_listed_whatever_it_is(suffix: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}{suffix}" for name in ("whole", "cut", "empty", "text", "other")]
    for path in (paths[0], paths[4]):
        Image.fromarray(np.repeat(np.repeat(COLOUR, 9, 0), 9, 1)).save(path)
    paths[1].write_bytes(paths[0].read_bytes()[: paths[0].stat().st_size // 2])
    paths[2].touch()
    paths[3].write_text("no image")
    seen = []
    found = unreadable([str(path) for path in paths], lambda: seen.append(1), threads=2)
    assert [line.split(": ")[0] for line in found] == [str(path) for path in paths[1:4]]
    assert "an empty file" in found[1]
    assert len(seen) == 5
    for path in paths[1:4]:
        with pytest.raises(ValueError, match=rf"{path.name} is no readable image"):
            decoded(path)


def test_a_folder_converted_to_another_format_is_the_same_images_on_the_same_sides(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in "ab":
        for i in range(30):
            grey = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            for folder, suffix, picture in (
                ("eight", ".png", grey),
                ("sixteen", ".png", grey.astype(np.uint16) * 257),
                ("floats", ".tif", grey.astype(np.float32) / 255),
            ):
                path = tmp_path / folder / "train" / name / f"{i}{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(path)
    parts = [load_folder(tmp_path / name, 8, workers=0).split("half") for name in ("eight", "sixteen", "floats")]
    for side in range(2):
        pixels = [each[side].in_memory().pixels for each in parts]
        assert pixels[0].equal(pixels[1])
        assert pixels[0].equal(pixels[2])
