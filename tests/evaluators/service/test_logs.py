"""However often something is wrong, the log says it rarely."""

from __future__ import annotations

import io
import logging

from oneshot.evaluators.service.logs import KINDS, LONGEST, Rarely, Short


def writing(again: float = 60.0) -> tuple[logging.Logger, io.StringIO, list[float]]:
    """A logger, what it wrote, and the time as it sees it."""
    now, stream = [0.0], io.StringIO()
    logger, handler = logging.Logger("oneshot.test"), logging.StreamHandler(stream)
    handler.addFilter(Rarely(again, lambda: now[0]))
    handler.setFormatter(Short())
    logger.addHandler(handler)
    return logger, stream, now


def test_of_one_kind_a_line_a_minute_with_what_was_left_out() -> None:
    logger, stream, now = writing()
    for _ in range(1000):
        logger.warning("no HTTP from %s", "somebody")
        logger.warning("something else")
        now[0] += 0.1
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert [("no HTTP" in line, "(599 more of this kind" in line) for line in lines] == [
        (True, False), (False, False), (True, True), (False, True),
    ]  # fmt: skip


def test_exceptions_are_kinds_and_kinds_are_bounded() -> None:
    logger, stream, _ = writing()
    for error in (ValueError("a"), KeyError("b"), ValueError("c")):
        try:
            raise error
        except Exception:
            logger.exception("failed")
    assert stream.getvalue().count("Traceback") == 2
    for i in range(10_000):
        logger.warning(f"message {i}")
    assert len(stream.getvalue().splitlines()) < KINDS + 20


def test_a_message_is_bounded() -> None:
    logger, stream, _ = writing()
    logger.warning("x" * 100_000 + "the end")
    assert len(stream.getvalue()) < LONGEST + 100
    assert stream.getvalue().endswith("the end\n")
