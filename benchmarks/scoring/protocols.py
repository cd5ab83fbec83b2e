"""Scoring protocols by name: on which architectures of a table predictions are scored, and with which truth.

| name | architectures |
|---|---|
| `predicted` | those that the file covers; of several files, those that all cover |
| `full` | every architecture of the table |
| `random-N` | N drawn at random, all of a table that has fewer (`random-1000`: arXiv 2104.11522, section 4) |
| `unique` | one of each class that computes the same function, the first by its string |
| `unique-N` | the same by the rule of the space that finds N classes (`unique-6466`: NAS-Bench-201's published one) |
| `stratified-N` | N spread evenly over the range of the truth |

Architectures without a measured truth do not take part. All but `predicted` depend on the table alone, not on the order
of its rows, so that two files scored by one name and seed are scored on the same architectures.

`stratified-N` cuts the range from the lowest to the highest truth into 20 strata of equal width and takes equally many
of each, at random; what a stratum lacks is shared by the others. Papers that say "stratified" seldom say how; this is
one way. Bad architectures are rare in a search space, and here as frequent as good ones, so that the correlations are
others than on the whole space: on NAS-Bench-201, Kendall's tau rises from .594 to about .87 for the validation accuracy
after 12 epochs, and falls from .578 to about .49 for the number of parameters. Compare it with nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from oneshot.benchmarks.columns import Array, first_few
from oneshot.benchmarks.table import Benchmark

from oneshot.space import Arch, Space

STRATA = 20
NAMES = "predicted, full, random-N, unique, unique-N or stratified-N"

Choice = Callable[[Benchmark, Array, np.ndarray], np.ndarray]
"""(table, truth of its rows, its rows with a truth in the order of their strings) to the rows that are scored."""


@runtime_checkable
class PublishedClasses(Protocol):
    """A space whose benchmark published a rule of its own for architectures that are the same."""

    def published_class(self, arch: Arch) -> Hashable: ...


@dataclass(frozen=True)
class ScoringProtocol:
    """How the scored architectures are chosen; without a `choice` they are those predicted."""

    name: str
    rule: str
    choice: Choice | None = None
    seed: int | None = None

    def rows(self, table: Benchmark, truth: Array) -> np.ndarray | None:
        """The rows to score, rising; None where the predictions decide."""
        if self.choice is None:
            return None
        measured = np.flatnonzero(np.isfinite(truth))
        strings = table.strings
        return np.sort(self.choice(table, truth, np.array(sorted(measured, key=lambda row: strings[row]), np.intp)))


PREDICTED = ScoringProtocol("predicted", "those predicted")
FULL = ScoringProtocol("full", "every architecture of the table", lambda table, truth, rows: rows)


def random_sample(count: int, seed: int = 0) -> ScoringProtocol:
    """`count` architectures, every set of them equally likely; all where there are not more."""

    def choice(table: Benchmark, truth: Array, rows: np.ndarray) -> np.ndarray:
        return np.random.default_rng(seed).choice(rows, min(count, len(rows)), replace=False)

    return ScoringProtocol(f"random-{count}", f"{count} at random, or all there are", choice, seed)


def unique(count: int | None = None) -> ScoringProtocol:
    """One architecture a class; with a count by the rule that finds so many classes, else by the space's own form."""

    def choice(table: Benchmark, truth: Array, rows: np.ndarray) -> np.ndarray:
        archs = [table.space.parse(table.strings[row]) for row in rows]
        found: dict[str, int] = {}
        for name, rule in equivalences(table.space).items():
            first: dict[Hashable, int] = {}
            for row, arch in zip(rows, archs, strict=True):
                first.setdefault(rule(arch), int(row))
            if count in (None, len(first)):
                return np.array(list(first.values()), np.intp)
            found[name] = len(first)
        classes = ", ".join(f"{n} by the {name} rule" for name, n in found.items())
        raise ValueError(
            f"expected {count} classes among the {len(rows)} architectures of {table.name}, found {classes}"
        )

    name = "unique" if count is None else f"unique-{count}"
    return ScoringProtocol(name, "one a class of equal architectures, the first by its string", choice)


def stratified(count: int, seed: int = 0) -> ScoringProtocol:
    """`count` architectures, equally many of each stratum of the truth as far as it goes."""

    def choice(table: Benchmark, truth: Array, rows: np.ndarray) -> np.ndarray:
        if count > len(rows):
            raise ValueError(f"stratified-{count} needs as many architectures, {table.name} has {len(rows)}")
        rng = np.random.default_rng(seed)
        low, high = truth[rows].min(), truth[rows].max()
        stratum = np.minimum((truth[rows] - low) / ((high - low) or 1) * STRATA, STRATA - 1).astype(int)
        quotas = _equal_quotas(np.bincount(stratum, minlength=STRATA), count)
        parts = [rng.choice(rows[stratum == i], quota, replace=False) for i, quota in enumerate(quotas)]
        return np.concatenate(parts)

    rule = f"{count} at random, equally many in each of {STRATA} strata of equal width over the truth as far as they go"
    return ScoringProtocol(f"stratified-{count}", rule, choice, seed)


def protocol_named(name: str, seed: int = 0) -> ScoringProtocol:
    """The protocol of that name; `seed` is that of a random choice."""
    fixed = {protocol.name: protocol for protocol in (PREDICTED, FULL, unique())}
    if name in fixed:
        return fixed[name]
    match = re.fullmatch(r"(random|stratified|unique)-([1-9]\d*)", name)
    if not match:
        raise ValueError(f"unknown scoring protocol {name!r}; expected {NAMES}")
    kind, count = match[1], int(match[2])
    if kind == "unique":
        return unique(count)
    return random_sample(count, seed) if kind == "random" else stratified(count, seed)


def equivalences(space: Space) -> dict[str, Callable[[Arch], Hashable]]:
    """The rules by which architectures count as the same: the space's canonical form, and the published one if any."""
    rules: dict[str, Callable[[Arch], Hashable]] = {"canonical": space.canonical}
    return {**rules, "published": space.published_class} if isinstance(space, PublishedClasses) else rules


def seed_column(table: Benchmark, truth: str, seed: int) -> str:
    """The column that holds the truth of a single training seed (`Benchmark.seed_columns`)."""
    columns = table.seed_columns(truth)
    if seed in columns:
        return columns[seed]
    there = f"it has {first_few(list(columns.values()), 8)}" if columns else "it has none of single seeds"
    raise ValueError(f"{table.name} has no column {truth + f'_seed{seed}'!r}; of {truth!r} {there}")


def _equal_quotas(sizes: np.ndarray, count: int) -> np.ndarray:
    """As equal shares of `count` as the sizes allow; the larger strata take what does not divide."""
    quotas = np.zeros(len(sizes), int)
    for place, i in enumerate(np.argsort(sizes, kind="stable")):
        quotas[i] = min(sizes[i], (count - quotas.sum()) // (len(sizes) - place))
    return quotas
