"""A file of any kind that Pillow reads, as the eight-bit RGB picture that a viewer shows. Imports no torch.

Turned as its EXIF says; 16 bits and floats scaled by their type; transparent pixels on black, which most of them hide;
the first frame of several. What has no known range is refused, not clipped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

EXTENSIONS = (".jpg", ".jpeg", ".jfif", ".png", ".gif", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff")
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, UnidentifiedImageError, Image.DecompressionBombError)
TOGETHER = 4096
"""Files that wait for their turn at most: each costs some memory."""
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262
"""Tags of TIFF; a photometric interpretation of 0 says that 0 is white."""


class Packed(Protocol):
    """An encoded image that is a part of something larger; `str` says which."""

    def read(self) -> bytes: ...


Place = str | Path | Packed
"""Where an encoded image lies."""


def decoded(place: Place) -> Image.Image:
    """The picture there, mode RGB; ValueError names the place where it cannot be read."""
    try:
        with _opened(place) as file:
            return _rgb(_upright(file))
    except UNREADABLE as error:
        raise ValueError(f"{place} is no readable image: {_reason(error, place)}") from error


def _opened(place: Place) -> Image.Image:
    return Image.open(place if isinstance(place, str | Path) else BytesIO(place.read()))


def unreadable(
    places: Sequence[Place], on_image: Callable[[], object] = lambda: None, threads: int | None = None
) -> list[str]:
    """One line for each that cannot be read; all are decoded, several at a time."""

    def said(place: Place) -> str | None:
        try:
            with _opened(place) as file:
                file.draft("RGB", (1, 1))  # JPEG: every bit is read, but few pixels are made
                _rgb(_upright(file))
        except UNREADABLE as error:
            return f"{place}: {_reason(error, place)}"
        return None

    found = []
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(places), TOGETHER):
            for line in pool.map(said, places[first : first + TOGETHER]):
                found += [line] if line is not None else []
                on_image()
    return found


def _reason(error: Exception, place: Place) -> str:
    """What went wrong, in few words."""
    if isinstance(error, UnidentifiedImageError):
        empty = not (os.stat(place).st_size if isinstance(place, str | Path) else place.read())
        return "an empty file" if empty else "no kind of image that is known"
    return " ".join(str(error).split()) or type(error).__name__


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    with suppress(SyntaxError, ValueError, TypeError, KeyError, OverflowError):  # unreadable EXIF says nothing
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;"):
        return _grey(_levels(image))
    if image.mode == "F":
        return _grey(_floats(image))
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        return _on_black(image)
    return image.convert("RGB")


def _levels(image: Image.Image) -> np.ndarray:
    """Integers of more than eight bits as 0 to 255; ValueError for 32 bits, whose white may be anywhere."""
    tags = getattr(image, "tag_v2", {})
    bits = max(tags.get(BITS_PER_SAMPLE, (16,)))
    if image.mode == "I" and (image.format not in ("PNG", "PPM", None) or bits > 16):
        raise ValueError("expected 8 or 16 bits a channel, or floats from 0 to 1, got integers of 32 bits")
    most = 2**bits - 1
    levels = np.rint(np.asarray(image).astype(np.float64) * (255 / most))
    return 255 - levels if tags.get(PHOTOMETRIC) == 0 else levels


def _floats(image: Image.Image) -> np.ndarray:
    """Floats from 0 to 1 as 0 to 255; ValueError for any others."""
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        raise ValueError(f"expected floats from 0 to 1, got {low:g} to {high:g}")
    return np.rint(values * 255)


def _grey(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(levels.astype(np.uint8)).convert("RGB")


def _on_black(image: Image.Image) -> Image.Image:
    whole = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", whole.size, (0, 0, 0, 255)), whole).convert("RGB")
