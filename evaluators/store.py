"""Predictions kept in SQLite as they are made, so that nothing is evaluated twice and nothing reported is lost."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneshot.evaluators.base import Evaluator, Prediction, Predictions

from oneshot.base.provenance import fingerprint
from oneshot.base.quantity import quantity
from oneshot.space import Arch

SCHEMA = """
CREATE TABLE IF NOT EXISTS protocols (key TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS predictions (
    key TEXT NOT NULL REFERENCES protocols, arch TEXT NOT NULL,
    accuracy REAL NOT NULL, loss REAL NOT NULL, images INTEGER NOT NULL, balanced_accuracy REAL,
    PRIMARY KEY (key, arch)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (
    key TEXT NOT NULL REFERENCES protocols, arch TEXT NOT NULL, score REAL NOT NULL, images INTEGER NOT NULL,
    PRIMARY KEY (key, arch)
) WITHOUT ROWID;
"""
UNWRITABLE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}
WAYS = (
    ("", "PRAGMA query_only=1"),
    ("", "PRAGMA locking_mode=EXCLUSIVE"),
    ("?mode=ro", "PRAGMA query_only=1"),
    ("?immutable=1", "PRAGMA query_only=1"),
)
"""To read a file, the usual one first: the second needs no shared index beside it, the last not even its log."""


class Stored:
    """An evaluator that asks another one only for what the file does not hold; predictions are kept by protocol.

    What failed is not kept.

    Every `chunk` predictions are committed together, or as many of those still to be made as a function says, or every
    part of an evaluator that has `stream`. Several processes may share the file, and wait `timeout` seconds for each
    other at most. Where it cannot be written, as on a full disk, what it holds is read all the same, and a warning says
    that new predictions are not kept; where they `must_be_kept`, as a service promises, that is an OSError. ValueError
    where the file is damaged or no such database; OSError where there is no folder for it, or others keep it busy.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        path: str | Path,
        chunk: int | Callable[[Sequence[Arch]], int] = 1,
        timeout: float = 60.0,
        must_be_kept: bool = False,
    ) -> None:
        self.evaluator, self.path, self.chunk, self.timeout = evaluator, Path(path), chunk, timeout
        self.space = evaluator.space
        self._document = json.dumps({"space": self.space.name, "protocol": evaluator.protocol}, sort_keys=True)
        self._key, self._rows = fingerprint(self._document), _rows_of(evaluator.protocol)
        self._must_be_kept, self._warned = must_be_kept, False
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"{self.path} cannot be used: there is no folder {self.path.parent}")
        self._write(())

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
        with self._reading():
            yield

    def count(self) -> int:
        """How many predictions of this protocol the file holds."""
        with self._reading() as connection:
            if not self._rows.are_in(connection):
                return 0
            sql = f"SELECT COUNT(*) FROM {self._rows.table} WHERE key = ?"
            return connection.execute(sql, (self._key,)).fetchone()[0]

    def everything(self) -> dict[str, Prediction]:
        """Every prediction of this protocol, another process's too, by the string of its architecture."""
        return self._read("")

    def _read(self, condition: str, *values: str) -> dict[str, Prediction]:
        with self._reading() as connection:
            if not self._rows.are_in(connection):
                return {}
            # the last column is the youngest: files of earlier versions that cannot be written lack it
            sql = f"SELECT * FROM {self._rows.table} WHERE key = ?{condition}"
            found = [row[1:] for row in connection.execute(sql, (self._key, *values))]
        return {text: self._believed(text, numbers) for text, *numbers in found}

    def _believed(self, arch: Any, numbers: Sequence[Any]) -> Prediction:
        """A row as a prediction; ValueError where the file holds something else."""
        try:
            if not isinstance(arch, str):
                raise ValueError("an architecture is a string")
            return self._rows.read(*numbers)
        except (ValueError, TypeError):
            told = [f"{name} {number!r:.40}" for name, number in zip(self._rows.columns, numbers, strict=False)]
            row = ", ".join([f"{arch!r:.100}", *told])
            raise ValueError(f"{self.path} holds what is no prediction: {row}") from None

    def known(self, archs: Sequence[Arch]) -> dict[Arch, Prediction]:
        """Those that the file holds; looked up one by one, because a few must not read a large file."""
        names = {arch: self.space.format(arch) for arch in archs}
        stored = self._read(" AND arch IN (SELECT value FROM json_each(?))", json.dumps(list(names.values())))
        return {arch: stored[name] for arch, name in names.items() if name in stored}

    def keep(self, archs: Sequence[Arch], values: Sequence[Prediction]) -> None:
        """Commit what the evaluator says of these, or would say, but for what failed."""
        rows = [
            (self._key, self.space.format(arch), *self._rows.write(value))
            for arch, value in zip(archs, values, strict=True)
            if value.error is None
        ]
        self._write(rows)

    def _write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Commit rows, and the protocol and the tables where they are missing; a warning where there is no room."""
        try:
            with closing(sqlite3.connect(self.path, timeout=self.timeout)) as connection, connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.executescript(SCHEMA)
                if "balanced_accuracy" not in {row[1] for row in connection.execute("PRAGMA table_info(predictions)")}:
                    with suppress(sqlite3.OperationalError):  # another process was faster
                        connection.execute("ALTER TABLE predictions ADD COLUMN balanced_accuracy REAL")
                connection.execute("INSERT OR IGNORE INTO protocols VALUES (?, ?)", (self._key, self._document))
                if rows:
                    places = ", ".join("?" for _ in rows[0])
                    connection.executemany(f"INSERT OR IGNORE INTO {self._rows.table} VALUES ({places})", rows)
        except sqlite3.DatabaseError as error:
            if self._must_be_kept or not _unwritable(error):
                raise self._told(error) from error
            if not self._warned:
                warnings.warn(f"{self.path} cannot be written, so predictions are not kept: {error}", stacklevel=2)
            self._warned = True

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that finds what is in the file, even where nothing more can be written beside it."""
        with closing(self._opened()) as connection:
            try:
                yield connection
            except sqlite3.DatabaseError as error:
                raise self._told(error) from error

    def _opened(self) -> sqlite3.Connection:
        """In the first of the ways that works; an empty one where the file could not even be begun."""
        failed: sqlite3.DatabaseError | None = None
        if self._must_be_kept and not self.path.exists():
            raise FileNotFoundError(f"{self.path} cannot be used: it is gone")
        for options, pragma in WAYS if self.path.exists() else ():
            connection = sqlite3.connect(self.path.resolve().as_uri() + options, uri=True, timeout=self.timeout)
            try:
                connection.execute(pragma)
                connection.execute("SELECT key FROM predictions LIMIT 1").fetchall()
                return connection
            except sqlite3.DatabaseError as error:
                connection.close()
                failed = error
                if not _unwritable(error):
                    break
        if failed is not None and "no such table" not in str(failed):
            raise self._told(failed) from failed
        connection = sqlite3.connect(":memory:")
        connection.executescript(SCHEMA)
        return connection

    def _told(self, error: sqlite3.DatabaseError) -> Exception:
        if isinstance(error, sqlite3.OperationalError):
            return OSError(f"{self.path} cannot be used: {error}")
        return ValueError(f"{self.path} is no intact database of predictions: {error}")


@dataclass(frozen=True)
class _Rows:
    """How predictions of one quantity lie in a table of their own."""

    table: str
    columns: tuple[str, ...]
    write: Callable[[Prediction], tuple[Any, ...]]
    read: Callable[..., Prediction]

    def are_in(self, connection: sqlite3.Connection) -> bool:
        """Files of earlier versions that cannot be written lack a table."""
        sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return connection.execute(sql, (self.table,)).fetchone() is not None


def _rows_of(protocol: Mapping[str, Any]) -> _Rows:
    if quantity(protocol).is_accuracy:
        columns = ("accuracy", "loss", "images", "balanced_accuracy")
        return _Rows("predictions", columns, lambda v: (v.accuracy, v.loss, v.images, v.balanced), _accuracy)
    return _Rows("scores", ("score", "images"), lambda v: (v.score, v.images), _score)


def _accuracy(accuracy: Any, loss: Any, images: Any, balanced: Any = None) -> Prediction:
    numbers = isinstance(accuracy, int | float) and isinstance(loss, int | float) and isinstance(images, int)
    numbers &= balanced is None or (isinstance(balanced, int | float) and 0 <= balanced <= 100)
    if not numbers or images < 1:
        raise ValueError("expected an accuracy, a loss, a number of images, and perhaps a balanced accuracy")
    return Prediction(float(accuracy), float(loss), images, balanced=balanced)


def _score(score: Any, images: Any) -> Prediction:
    if not isinstance(score, int | float) or not isinstance(images, int) or images < 1:
        raise ValueError("expected a score and a number of images")
    return Prediction.scored(float(score), images)


def _unwritable(error: sqlite3.DatabaseError) -> bool:
    """Whether the place is at fault: full, read-only, or without room for what SQLite keeps beside a file."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in UNWRITABLE
