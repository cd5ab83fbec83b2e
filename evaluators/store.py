"""Predictions kept in SQLite as they are made, so that nothing is evaluated twice and nothing reported is lost."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from oneshot.evaluators.base import Evaluator, Prediction, Predictions

from oneshot.base.provenance import fingerprint
from oneshot.space import Arch

SCHEMA = """
CREATE TABLE IF NOT EXISTS protocols (key TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS predictions (
    key TEXT NOT NULL REFERENCES protocols, arch TEXT NOT NULL,
    accuracy REAL NOT NULL, loss REAL NOT NULL, images INTEGER NOT NULL, balanced_accuracy REAL,
    PRIMARY KEY (key, arch)
) WITHOUT ROWID;
"""


class Stored:
    """An evaluator that asks another one only for what the file does not hold; predictions are kept by protocol.

    Every `chunk` predictions are committed together, or as many of those still to be made as a function says, or every
    part of an evaluator that has `stream`. Several processes may share the file, and wait `timeout` seconds for each
    other at most. ValueError where the file is damaged or no such database; OSError where it cannot be written.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        path: str | Path,
        chunk: int | Callable[[Sequence[Arch]], int] = 1,
        timeout: float = 60.0,
    ) -> None:
        self.evaluator, self.path, self.chunk, self.timeout = evaluator, Path(path), chunk, timeout
        self.space = evaluator.space
        document = json.dumps({"space": self.space.name, "protocol": evaluator.protocol}, sort_keys=True)
        self._key = fingerprint(document)
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(SCHEMA)
            if "balanced_accuracy" not in {row[1] for row in connection.execute("PRAGMA table_info(predictions)")}:
                with suppress(sqlite3.OperationalError):  # another process was faster
                    connection.execute("ALTER TABLE predictions ADD COLUMN balanced_accuracy REAL")
            connection.execute("INSERT OR IGNORE INTO protocols VALUES (?, ?)", (self._key, document))

    @property
    def protocol(self) -> dict[str, Any]:
        return self.evaluator.protocol

    def __call__(
        self, archs: Sequence[Arch], on_chunk: Callable[[Sequence[Arch], Sequence[Prediction]], None] | None = None
    ) -> Predictions:
        """`on_chunk` is told of the predictions found in the file first, then of each chunk once it is committed."""
        archs = [self.space.check(arch) for arch in archs]
        wanted = list(dict.fromkeys(archs))
        known = self.known(wanted)
        if on_chunk is not None and known:
            on_chunk(list(known), list(known.values()))
        missing = [arch for arch in wanted if arch not in known]
        if self.chunk != 1:
            missing.sort()  # neighbours have much in common, which an evaluator may share
        for part, values in self._made(missing):
            self.keep(part, values)
            known.update(zip(part, values, strict=True))
            if on_chunk is not None:
                on_chunk(part, values)
        return Predictions(self.space, tuple(archs), tuple(known[arch] for arch in archs), self.protocol)

    def _made(self, archs: Sequence[Arch]) -> Iterator[tuple[Sequence[Arch], Sequence[Prediction]]]:
        """Predictions as they come: in the evaluator's own parts if it streams, or `chunk` after `chunk`."""
        stream = getattr(self.evaluator, "stream", None)
        if stream is not None:
            yield from stream(archs)
            return
        while archs:
            size = self.chunk if isinstance(self.chunk, int) else self.chunk(archs)
            part, archs = archs[:size], archs[size:]
            yield part, self.evaluator(part).values

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within the block SQLite's log stays beside the file: clearing it takes longer than writing to it."""
        with self._connection() as connection:
            connection.execute("SELECT key FROM protocols LIMIT 1").fetchall()
            yield

    def count(self) -> int:
        """How many predictions of this protocol the file holds."""
        with self._connection() as connection:
            return connection.execute("SELECT COUNT(*) FROM predictions WHERE key = ?", (self._key,)).fetchone()[0]

    def everything(self) -> dict[str, Prediction]:
        """Every prediction of this protocol, another process's too, by the string of its architecture."""
        return self._read("")

    def _read(self, condition: str, *values: str) -> dict[str, Prediction]:
        query = f"SELECT arch, accuracy, loss, images, balanced_accuracy FROM predictions WHERE key = ?{condition}"
        with self._connection() as connection:
            rows = connection.execute(query, (self._key, *values)).fetchall()
        return {text: Prediction(*numbers) for text, *numbers in rows}

    def known(self, archs: Sequence[Arch]) -> dict[Arch, Prediction]:
        """Those that the file holds; looked up one by one, because a few must not read a large file."""
        names = {arch: self.space.format(arch) for arch in archs}
        stored = self._read(" AND arch IN (SELECT value FROM json_each(?))", json.dumps(list(names.values())))
        return {arch: stored[name] for arch, name in names.items() if name in stored}

    def keep(self, archs: Sequence[Arch], values: Sequence[Prediction]) -> None:
        """Commit what the evaluator says of these, or would say."""
        rows = [
            (self._key, self.space.format(arch), value.accuracy, value.loss, value.images, value.balanced)
            for arch, value in zip(archs, values, strict=True)
        ]
        with self._connection() as connection:
            connection.executemany("INSERT OR IGNORE INTO predictions VALUES (?, ?, ?, ?, ?, ?)", rows)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are committed at the end of the block."""
        try:
            with closing(sqlite3.connect(self.path, timeout=self.timeout)) as connection, connection:
                yield connection
        except sqlite3.OperationalError as error:
            raise OSError(f"{self.path} cannot be used: {error}") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{self.path} is no intact database of predictions: {error}") from error
