"""What comes from outside: bounded before it is believed, and printed as it is."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from rich.table import Table

from oneshot.base.console import console
from oneshot.base.foreign import LONGEST, json_of, shortened
from oneshot.base.npz import arrays_of


def test_messages_end_and_steer_no_terminal() -> None:
    assert shortened("acc[/b]x ü\nnext") == "acc[/b]x ü\nnext"
    long = shortened("a" * 20_000 + "\x1b[31m" + "b" * 20_000)
    assert len(long) < LONGEST + 40
    assert long.startswith("aaa")
    assert "bbb (40,005 characters)" in long
    assert "\x1b" not in shortened("\x1b[2J\x07")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' * 50_000, "1" * 5000, "{", b"\xff", '{"a": 1, "a": 2}'])
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"^it is no JSON document"):
        json_of(text, "it")


def test_names_are_no_markup() -> None:
    stream = io.StringIO()
    table = Table(title="[red]t[/b]")
    table.add_column("acc[/b]x :smile:")
    table.add_row("[/i]")
    console(stream, 80).print(table)
    for text in ("[red]t[/b]", "acc[/b]x :smile:", "[/i]"):
        assert text in stream.getvalue()


def lying(path: Path, shape: tuple[int, ...], content: bytes) -> Path:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", header.getvalue() + content)
    return path


@pytest.mark.parametrize("shape", [(10**12, 3), (5,), (3,), (2**40, 2**40, 2**40), (-1,)])
def test_headers_that_lie_ask_for_no_memory(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"is no readable \.npz file: a of shape .* bytes, it has 4"):
        arrays_of(lying(tmp_path / "a.npz", shape, bytes(4)), ["a"])


def test_whole_arrays_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.arange(4), b=np.asfortranarray(np.ones((2, 3))))
    arrays, names = arrays_of(tmp_path / "a.npz", ["a", "b", "c"])
    assert (arrays["a"].tolist(), arrays["b"].shape, names) == ([0, 1, 2, 3], (2, 3), ["a", "b"])


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04" + bytes(40)])
def test_other_files_are_no_arrays(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"is no readable \.npz file"):
        arrays_of(tmp_path / "a.npz", ["a"])
