"""A file of any kind that Pillow reads, as the eight-bit RGB picture that a viewer shows. Imports no torch.

Turned as its EXIF says; 16 bits and floats scaled by their type; transparent pixels on black, which most of them hide;
the first frame of several. What has no known range is refused, not clipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

EXTENSIONS = (".jpg", ".jpeg", ".jfif", ".png", ".gif", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff")
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, UnidentifiedImageError, Image.DecompressionBombError)
TOGETHER = 4096
"""Files that wait for their turn at most: each costs some memory."""
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262
"""Tags of TIFF; a photometric interpretation of 0 says that 0 is white."""


def decoded(path: str | Path) -> Image.Image:
    """The picture in a file, mode RGB; ValueError names the file where it cannot be read."""
    try:
        with Image.open(path) as file:
            return _rgb(_upright(file))
    except UNREADABLE as error:
        raise ValueError(f"{path} is no readable image: {_reason(error, path)}") from error


def unreadable(
    paths: Sequence[str], on_image: Callable[[], object] = lambda: None, threads: int | None = None
) -> list[str]:
    """One line for each file that cannot be read; all are decoded, several at a time."""

    def said(path: str) -> str | None:
        try:
            with Image.open(path) as file:
                file.draft("RGB", (1, 1))  # JPEG: every bit is read, but few pixels are made
                _rgb(_upright(file))
        except UNREADABLE as error:
            return f"{path}: {_reason(error, path)}"
        return None

    found = []
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(paths), TOGETHER):
            for line in pool.map(said, paths[first : first + TOGETHER]):
                found += [line] if line is not None else []
                on_image()
    return found


def _reason(error: Exception, path: str | Path) -> str:
    """What went wrong, in few words."""
    if isinstance(error, UnidentifiedImageError):
        return "an empty file" if Path(path).stat().st_size == 0 else "no kind of image that is known"
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
