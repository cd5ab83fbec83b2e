"""Progress as lines where no terminal shows a bar."""

from __future__ import annotations

import io

import pytest

from oneshot.base import progress
from oneshot.base.progress import Progress
from tests.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_silent_below_two_seconds(clock: Clock) -> None:
    out = io.StringIO()
    with Progress("train", 3, "epochs", out) as shown:
        for _ in range(3):
            clock.now += 0.5
            shown.advance()
    assert out.getvalue() == ""


def test_lines_with_rate_and_remaining_time(clock: Clock) -> None:
    out = io.StringIO()
    with Progress("train", 100, "epochs", out) as shown:
        shown.begin(50)
        for _ in range(10):
            clock.now += 1.0
            shown.advance(2, loss=0.5)
    lines = out.getvalue().splitlines()
    assert lines[0] == "train 54/100 epochs  2/s  23 s left  loss 0.5"
    assert lines[-1] == "train 70/100 epochs  2/s  15 s left"
    assert len(lines) == 2


def test_quiet_says_nothing(clock: Clock) -> None:
    out = io.StringIO()
    with Progress("train", 10, "epochs", out, quiet=True) as shown:
        clock.now += 100
        shown.advance()
    assert out.getvalue() == ""


def test_a_terminal_gets_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    with Progress("predict", 4, "architectures", out) as shown:
        shown.advance(4, best="x")
    assert "predict" in out.getvalue()
    assert "4/4" in out.getvalue()


def test_work_that_becomes_known_late(clock: Clock) -> None:
    out = io.StringIO()
    with Progress("import", 0, "", out) as shown:
        clock.now += 3
        shown.expect(8, "bytes")
        shown.advance(4)
    assert out.getvalue().startswith("import 4/8 bytes  1.33/s  3 s left")
    with Progress("import", 0, "", out := io.StringIO()):
        clock.now += 3
    assert out.getvalue() == ""


def test_one_within_another_is_told_in_lines() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    outer, inner = Terminal(), Terminal()
    for _ in range(2):  # the place is given back
        with Progress("outer", 2, "things", outer) as first:
            with Progress("inner", 2, "parts", inner) as second:
                second.advance(2)
            first.advance(2)
    assert "outer" in outer.getvalue()
    assert "\x1b" not in inner.getvalue()
