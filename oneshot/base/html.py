"""How results show themselves in a notebook: tables and small drawings, in the page's own ink, light or dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """A table for a notebook, its caption below; what follows the first line of a cell is small."""
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>" for row in rows)
    top = f"<thead><tr>{cells}</tr></thead>" if head else ""
    below = f'<p style="overflow-wrap:anywhere"><small>{escape(caption)}</small></p>'
    return f"<table>{top}<tbody>{body}</tbody></table>{below}"


def beside(*parts: str) -> str:
    """Parts next to each other, below each other where the page is narrow."""
    each = "".join(f'<div style="max-width:100%;overflow-x:auto">{part}</div>' for part in parts if part)
    return f'<div style="display:flex;flex-wrap:wrap;gap:0 2.5em;align-items:flex-start">{each}</div>'


def curve(values: Sequence[float], title: str, width: int = 280, height: int = 84) -> str:
    """A small SVG of a curve, its first and last value written at its ends."""
    low, high = min(values), max(values)
    left, right, top, bottom = 52, width - 52, 28, height - 8
    steps = max(len(values) - 1, 1)
    points = [
        (left + (right - left) * i / steps, bottom - (bottom - top) * (value - low) / ((high - low) or 1))
        for i, value in enumerate(values)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    words = text(0, 11, title, anchor="start", opacity=0.7)
    words += text(left - 6, points[0][1] + 4, f"{values[0]:.3g}", anchor="end")
    words += text(right + 6, points[-1][1] + 4, f"{values[-1]:.3g}", anchor="start")
    drawn = f'<polyline points="{line}" fill="none" stroke="#0072B2" stroke-width="2" stroke-linejoin="round"/>'
    return svg(width, height, drawn + words, title)


def svg(width: float, height: float, content: str, title: str) -> str:
    """A drawing as wide as it says, or as its page."""
    box = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
    style = "max-width:100%;height:auto;font:12px system-ui,sans-serif"
    told = f'role="img" aria-label="{escape(title)}" style="{style}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box} {told}>{content}</svg>'


def text(
    x: float,
    y: float,
    words: str,
    anchor: str = "middle",
    colour: str = "currentColor",
    opacity: float = 1.0,
    halo: str = "",
) -> str:
    """Words of a drawing; a halo keeps them readable across lines."""
    look = f' opacity="{opacity:g}"' if opacity < 1 else ""
    look += f' stroke="{halo}" stroke-width="4" stroke-linejoin="round" paint-order="stroke"' if halo else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{look}>{escape(words)}</text>'


def _cell(words: str) -> str:
    first, line, rest = words.partition("\n")
    return escape(first) + (f"<br><small>{escape(rest)}</small>" if line else "")
