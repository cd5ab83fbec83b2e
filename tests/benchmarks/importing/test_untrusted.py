"""Foreign pickles are data or they are refused; nothing that they name is run."""

from __future__ import annotations

import bz2
import codecs
import copyreg
import functools
import importlib
import operator
import os
import pickle
import random
import struct
import subprocess
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import nats_bench
import numpy as np
import pytest
import torch
from oneshot.benchmarks.importing.opcodes import check_memo
from oneshot.benchmarks.importing.untrusted import load_bz2_pickle, load_torch

DATA = {
    "text": ["a", "ü"],
    "numbers": (1, -(2**40), 0.1, True, None),
    "set": {3, 4},
    "ordered": OrderedDict([("b", 1), ("a", {"deep": 2.5})]),
    "numpy": [np.float64(0.1), np.float32(0.5), np.int64(-7), np.uint32(1), np.bool_(True)],
    "big endian": np.frombuffer(b"\x3f\xd0" + bytes(6), ">f8")[0],
}


class Call:
    """Pickles as a call of whatever it is given."""

    def __init__(self, function: Callable, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple:
        return self.call

    def __call__(self) -> None:
        """Only so that a call may stand for the function of another."""


LIVE: dict[str, Callable[[Path], Call]] = {
    "posix.system": lambda marker: Call(os.system, f"touch {marker}"),
    "check_call": lambda marker: Call(subprocess.check_call, ["touch", str(marker)]),
    "eval": lambda marker: Call(eval, f"open({str(marker)!r}, 'w').close()"),
    "exec": lambda marker: Call(exec, f"open({str(marker)!r}, 'w').close()"),
    "open": lambda marker: Call(open, str(marker), "w"),
    "getattr": lambda marker: Call(Call(getattr, Call(importlib.import_module, "os"), "system"), f"touch {marker}"),
    "attrgetter": lambda marker: Call(Call(operator.attrgetter("touch"), marker)),
    "functools.partial": lambda marker: Call(functools.partial(os.system, f"touch {marker}")),
    "nats_bench.api_utils.pickle_load": lambda marker: Call(
        nats_bench.pickle_load, str(bz2_file(marker.with_name("next.pbz2"), Call(os.system, f"touch {marker}")))
    ),
}
"""What an attack names, and the attack: loaded as pickles usually are, it makes the file `marker`."""

DEAD = {
    "_codecs.decode": Call(codecs.decode, b"x", "rot13"),
    "numpy.fromfile": Call(np.fromfile, "/etc/passwd"),
    "multiarray._reconstruct": np.array([1, 2]),
    "_reconstructor": Call(copyreg._reconstructor, dict, object, None),  # pyright: ignore[reportAttributeAccessIssue]
    "UserWarning": UserWarning("even the harmless"),
}


def bz2_file(path: Path, content: Any, protocol: int = 4) -> Path:
    path.write_bytes(bz2.compress(content if isinstance(content, bytes) else pickle.dumps(content, protocol)))
    return path


def torch_file(path: Path, content: Any, zipped: bool) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_comes_back(tmp_path: Path, protocol: int) -> None:
    loaded = load_bz2_pickle(bz2_file(tmp_path / "a", DATA, protocol))
    assert loaded == DATA
    assert {type(value) for value in loaded["numpy"]} == {float, int, bool}
    assert type(loaded["ordered"]) is dict


@pytest.mark.parametrize("zipped", [False, True])
def test_plain_data_comes_back_from_torch(tmp_path: Path, zipped: bool) -> None:
    loaded = load_torch(torch_file(tmp_path / "a", DATA, zipped))
    assert loaded == DATA
    assert {type(value) for value in loaded["numpy"]} == {float, int, bool}


def test_names_of_old_numpy_are_known(tmp_path: Path) -> None:
    content = pickle.dumps(np.float64(2.5), 2).replace(b"numpy._core", b"numpy.core")
    assert b"numpy.core.multiarray\nscalar" in content
    assert load_bz2_pickle(bz2_file(tmp_path / "a", content)) == 2.5


@pytest.mark.parametrize("name", LIVE)
def test_the_attacks_are_real(tmp_path: Path, name: str) -> None:
    pickle.loads(pickle.dumps([LIVE[name](tmp_path / "marker")]))
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("name", [*LIVE, *DEAD])
def test_attacks_are_refused(tmp_path: Path, name: str, protocol: int) -> None:
    attack = LIVE[name](tmp_path / "marker") if name in LIVE else DEAD[name]
    path = bz2_file(tmp_path / "attack", {"first": 1, "then": [attack]}, protocol)
    with pytest.raises(ValueError, match=f"attack is refused and nothing of it was run: it asks for .*{name}"):
        load_bz2_pickle(path)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", [*LIVE, *DEAD])
def test_attacks_are_refused_in_torch_files(tmp_path: Path, name: str, zipped: bool) -> None:
    attack = LIVE[name](tmp_path / "marker") if name in LIVE else DEAD[name]
    with pytest.raises(ValueError, match=f"attack is refused and nothing of it was run: it asks for .*{name}"):
        load_torch(torch_file(tmp_path / "attack", {"first": 1, "then": [attack]}, zipped))
    assert not (tmp_path / "marker").exists()


HAND_MADE = {
    b"cbuiltins\nset.__init__.__self__\n.": "asks for builtins.set.__init__.__self__",
    b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93.": "asks for collections.OrderedDict.fromkeys",
    b"cnumpy\ndtype.__class__\n.": "asks for numpy.dtype.__class__",
    b"Vstorage\nQ.": "asks for an object outside of the pickle",
    b"\x82\x01.": "unregistered extension code",
    b"\x97.": "out-of-band data",
    # stand-ins given a wrong use: objects inside of bytes, other encodings, changes to the stand-ins themselves
    b"cnumpy\ndtype\n(VO8\ntR.": "expected a numpy number of f4, f8, .* got 'O8'",
    b"cnumpy\ndtype\n(VV16\ntR.": "expected a numpy number",
    b"cnumpy\ndtype\n(Vf8\ntR(I3\nVx\ntb.": "expected a byte order, got 'x'",
    b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(Vf8\ntRC\x03abctR.": "unpack requires a buffer of 8 bytes",
    b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\nC\x08abcdefghtR.": "expected a data type and bytes, got type",
    b"c_codecs\nencode\n(Vabc\nVzip\ntR.": "expected text and 'latin1', got str and 'zip'",
    b"c_codecs\nencode\n}V__class__\nNsb.": "'Encode' object has no attribute '__dict__'",
    b"c_codecs\nencode\nN}V__class__\ncnumpy\ndtype\ns\x86b.": "__class__ assignment",
    b"cnumpy.core.multiarray\nscalar\nN}V__call__\nc_codecs\nencode\ns\x86b.": "'__call__' is read-only",
    b"cnumpy\ndtype\nN}V__init__\nc_codecs\nencode\ns\x86b.": "__setstate__",
    b"ccollections\nOrderedDict\nN}Vget\nc_codecs\nencode\ns\x86b.": "cannot set 'get'",
    b"ccollections\nOrderedDict\n)R}Vitems\nNsb.": "'dict' object has no attribute '__dict__'",
}


@pytest.mark.parametrize("content", HAND_MADE)
def test_tricks_with_allowed_names_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match=f"trick .*{HAND_MADE[content]}"):
        load_bz2_pickle(bz2_file(tmp_path / "trick", content))
    assert load_bz2_pickle(bz2_file(tmp_path / "good", DATA, 2)) == DATA, "the trick lives on"


def test_tensors_are_no_data_of_a_pickle(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"full is refused .* it asks for torch\._utils\._rebuild_tensor_v2"):
        load_bz2_pickle(bz2_file(tmp_path / "full", {"weights": torch.ones(2)}))


def test_files_that_unpack_to_too_much(tmp_path: Path) -> None:
    zeros = bytes(1 << 24)
    text = b"\x80\x04\x8d" + struct.pack("<Q", len(zeros)) + zeros + b"."
    path = bz2_file(tmp_path / "bomb", text)
    assert path.stat().st_size < 1000
    with pytest.raises(ValueError, match=r"bomb .*it unpacks to more than 100 times its size"):
        load_bz2_pickle(path)
    many = bz2_file(tmp_path / "many", b"(" + b"N" * (1 << 22) + b"l.")
    with pytest.raises(ValueError, match=r"many .*it unpacks to more than 100 times its size"):
        load_bz2_pickle(many)
    line = bz2_file(tmp_path / "line", b"V" + b"a" * (1 << 22) + b"\n.")
    with pytest.raises(ValueError, match=r"line .*it unpacks to more than 100 times its size"):
        load_bz2_pickle(line)
    with zipfile.ZipFile(tmp_path / "zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", text)
    with pytest.raises(ValueError, match=r"zip .*it unpacks to more than 100 times its size"):
        load_torch(tmp_path / "zip")


@pytest.mark.parametrize("opcode", [b"\x8d", b"\x8e", b"\x95", b"\x96"], ids=["text", "bytes", "frame", "bytearray"])
def test_claimed_sizes_are_not_believed(tmp_path: Path, opcode: bytes) -> None:
    for size in (1 << 40, 1 << 62, (1 << 64) - 1):
        with pytest.raises(ValueError, match="claim is no bz2-compressed pickle, or a damaged one"):
            load_bz2_pickle(bz2_file(tmp_path / "claim", b"\x80\x05" + opcode + struct.pack("<Q", size) + b"abc"))


@pytest.mark.parametrize("form", ["bz2", "torch", "zip"])
def test_damage_is_an_error_and_never_another(tmp_path: Path, form: str) -> None:
    path = tmp_path / "damaged"
    load = load_bz2_pickle if form == "bz2" else load_torch
    whole = (bz2_file(path, DATA) if form == "bz2" else torch_file(path, DATA, form == "zip")).read_bytes()
    chance = random.Random(0)
    for length in [0, 1, 2, *(chance.randrange(len(whole)) for _ in range(20)), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"damaged is (no|refused)"):
            load(path)
    for _ in range(100):
        changed = bytearray(whole)
        for _ in range(3):
            changed[chance.randrange(len(whole))] = chance.randrange(256)
        path.write_bytes(changed)
        with suppress(ValueError):  # but a changed number is still a number
            load(path)


@pytest.mark.parametrize("load", [load_bz2_pickle, load_torch])
def test_missing_files(tmp_path: Path, load: Callable[[Path], Any]) -> None:
    with pytest.raises(ValueError, match=r"there is no file .*gone"):
        load(tmp_path / "gone")


@pytest.mark.parametrize("zipped", [False, True])
def test_tensors_are_no_plain_data(tmp_path: Path, zipped: bool) -> None:
    for content in ({"w": torch.arange(3.0)}, {"c": Counter("aab")}):
        with pytest.raises(ValueError, match=r"a is refused and nothing of it was run: it asks for "):
            load_torch(torch_file(tmp_path / "a", content, zipped))


PLACES = {"long": b"r\x00\x00\x00\x08", "text": b"p134217728\n", "far": b"r\xff\xff\xff\xff"}


@pytest.mark.parametrize("framed", [False, True])
@pytest.mark.parametrize("form", ["bz2", "torch", "zip"])
@pytest.mark.parametrize("place", PLACES)
def test_a_place_in_the_memo_that_no_pickle_needs_is_refused(
    tmp_path: Path, place: str, form: str, framed: bool
) -> None:
    body = b"N" + PLACES[place] + b"."
    content = b"\x80\x04" + (b"\x95" + struct.pack("<Q", len(body)) if framed else b"") + body
    path = tmp_path / "small"
    if form == "bz2":
        path.write_bytes(bz2.compress(content))
    elif form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", content)
    else:
        path.write_bytes(b"".join(pickle.dumps(each, 2) for each in (0x1950A86A20F9469CFC6C, 1001, {})) + content)
    with pytest.raises(ValueError, match=r"a pickle of \d+ bytes asks for place [\d,]+ of its memo"):
        (load_bz2_pickle if form == "bz2" else load_torch)(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_picklers_write_keeps_its_places(protocol: int) -> None:
    rng = random.Random(protocol)
    data = [
        {"p114\n": [rng.random(), rng.randrange(2**40), "r" * i, b"r\xff\xff\xff\xff"], i: (i,) * 3} for i in range(400)
    ]
    check_memo(pickle.dumps(data, protocol))
    check_memo(pickle.dumps(data, protocol) * 3 + b"\xff\xff", 3)
    with pytest.raises(ValueError, match="asks for place"):
        check_memo(pickle.dumps(data, protocol)[:-1] + PLACES["far"] + b".")
