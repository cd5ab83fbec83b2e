"""Names find files: where tables and data sets are looked for."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder(data_dir: str | Path | None = None) -> Path:
    """The folder of tables and data sets: the argument, else ONESHOT_DATA, else the user cache; it may be missing."""
    if data_dir:
        return Path(data_dir).expanduser()
    if chosen := os.environ.get("ONESHOT_DATA"):
        return Path(chosen).expanduser()
    return cache_folder()


def cache_folder() -> Path:
    """The user's own, of this program; it may be missing."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "oneshot"


def find_file(
    name: str | Path, suffix: str, data_dir: str | Path | None = None, shipped: Path | None = None, hint: str = ""
) -> Path:
    """The file that a path or a name stands for; a name is `NAME + suffix` in the data folder, then in `shipped`.

    ValueError lists where it looked, and ends with `hint`: what would make the file.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    places = [path]
    if path.name == str(name):
        folders = [data_folder(data_dir), *([shipped] if shipped else [])]
        places = [folder / f"{path.name.removesuffix(suffix)}{suffix}" for folder in folders]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(str(place) for place in places)
    raise ValueError(f"found no {suffix} file for {str(name)!r}; looked for {looked}" + (f"; {hint}" if hint else ""))
