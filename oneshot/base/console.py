"""What rich prints, literally: text that comes from outside is never its markup, nor an emoji's name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def console(stream: TextIO | None = None, width: int | None = None) -> Console:
    """A console on a stream, by default the standard output; `width` counts where no terminal shows it."""
    from rich.console import Console

    stream = stream or sys.stdout or sys.__stdout__
    assert stream is not None
    return Console(file=stream, width=None if stream.isatty() else width, markup=False, emoji=False, highlight=False)
