"""What the service writes to stderr: what is wrong, and of one kind no more than a line a minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

AGAIN = 60.0
"""Seconds until a message of the same kind is written again, with the number that was left out."""
KINDS = 64
"""Kinds that are told apart; what comes beyond is of one kind."""
LONGEST = 4000
"""Characters of a message with its traceback."""


class Rarely(logging.Filter):
    """Lets a kind of message, told by its logger, template and exception, pass once in `again` seconds.

    So whatever clients do, at most `KINDS` messages a minute of at most `LONGEST` characters are written.
    """

    def __init__(self, again: float = AGAIN, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.again, self.clock = again, clock
        self._kinds: dict[tuple[Any, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[0] if record.exc_info else None
        kind = (record.name, record.levelno, str(record.msg)[:200], error)
        if kind not in self._kinds and len(self._kinds) >= KINDS:
            kind = ()
        now = self.clock()
        due, left_out = self._kinds.get(kind, (now, 0))
        if now < due:
            self._kinds[kind] = due, left_out + 1
            return False
        self._kinds[kind] = now + self.again, 0
        record.__dict__["left_out"] = left_out
        return True


class Short(logging.Formatter):
    """A line with its time; of a long one the beginning and the end, where a traceback says what it is about."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if len(text) > LONGEST:
            text = f"{text[: LONGEST // 2]}\n...\n{text[-LONGEST // 2 :]}"
        left_out = getattr(record, "left_out", 0)
        return f"{text} ({left_out} more of this kind since the last)" if left_out else text


def configuration() -> dict[str, Any]:
    """For `logging.config.dictConfig`, and so for uvicorn: warnings of the service and what it stands on, to stderr."""
    handler = {"class": "logging.StreamHandler", "filters": ["rarely"], "formatter": "short"}
    logger = {"handlers": ["stderr"], "level": "WARNING", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"rarely": {"()": Rarely}},
        "formatters": {"short": {"()": Short}},
        "handlers": {"stderr": handler},
        "loggers": {name: logger for name in ("uvicorn", "asyncio", "oneshot")},
    }
