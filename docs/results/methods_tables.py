"""Tables and figures of methods.md, here and in docs, from methods.parquet; nothing is trained.

    ONESHOT_DATA=data python docs/results/methods_tables.py

Replaces what stands in them between `<!-- NAME -->` and `<!-- / -->`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from methods_plans import BUDGETS, METHODS, WHY
from oneshot.benchmarks.scoring.measures import kendall_tau
from oneshot.benchmarks.table import find_table

from oneshot.base.figures import METHOD, OTHERS, new_panels
from oneshot.registry import SPACES
from oneshot.spaces.drawing import draw
from oneshot.spaces.nasbench201 import ALL, SKIP

PAGE = Path(__file__).with_suffix("").with_name("methods.md")
DOCS = PAGE.parent.parent
PAGES = (PAGE, DOCS / "methods.md")
IMAGES = DOCS / "images"
TRUTHS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16": "ImageNet16-120"}
DRAWS = (1, 5, 10, 50, 100)
BLOCK = re.compile(r"(?<=<!-- )([a-z ]+)( -->\n).*?(?=<!-- / -->)", re.DOTALL)
Rows = list[list[str]]


def found() -> pd.DataFrame:
    """A row for each search, methods in the order of the study."""
    frame = pd.read_parquet(PAGE.with_suffix(".parquet"))
    order = {name: number for number, name in enumerate(METHODS)}
    if "variant" not in frame:
        frame["variant"] = ""
    return frame.sort_values(["budget", "method", "seed"], key=lambda c: c.map(order) if c.name == "method" else c)


def groups(frame: pd.DataFrame, budget: str, variant: str = "") -> Iterator[tuple[str, pd.DataFrame]]:
    """The searches of each method by its title."""
    for name, entry in METHODS.items():
        own = frame[(frame.budget == budget) & (frame.method == name) & (frame.variant == variant)]
        if len(own):
            yield entry.title, own


def spread(values: pd.Series, digits: int = 2) -> str:
    """Mean ± standard deviation."""
    known = values.dropna()
    if not len(known):
        return ""
    return f"{known.mean():.{digits}f}" + (f" ± {known.std():.{digits}f}" if len(known) > 1 else "")


def by_budget(frame: pd.DataFrame, budget: str) -> str:
    """What was found: true accuracies, rank, and what it cost."""
    published = {entry.title: entry.published for entry in METHODS.values()}
    rows = [
        [
            title, str(len(own)), *(spread(own[truth]) for truth in TRUTHS), published[title],
            f"{own['rank'].mean():,.0f}", f"{own.skips.mean():.1f}", f"{own.seconds.mean():.0f}",
            f"{own.images.mean():,.0f}",
        ]
        for title, own in groups(frame, budget)
    ]  # fmt: skip
    return markdown(
        ["method", "seeds", *TRUTHS.values(), "published, CIFAR-10", "rank of 15,625", "skips", "seconds", "images"],
        rows,
    )


def supernets(frame: pd.DataFrame, budget: str) -> str:
    """Accuracy of the supernet, of what was found in it without retraining, and how the supernet ranks."""
    rows = [
        [
            title, spread(own.supernet, 1), spread(own.child, 1), spread(own.child - own.supernet, 1),
            over_seeds(own), spread(own.tau, 3), spread(own.rho, 3), spread(own.precision5, 3),
        ]
        for title, own in groups(frame, budget)
    ]  # fmt: skip
    heads = ["supernet", "found, not retrained", "difference", "tau over seeds", "Kendall's tau", "Spearman's rho"]
    return markdown(["method", *heads, "precision@5%"], rows)


def over_seeds(own: pd.DataFrame) -> str:
    """Kendall's tau between the supernet's accuracy and the true one of what it found."""
    return f"{kendall_tau(own.supernet.to_numpy(), own.cifar10.to_numpy()):.2f}" if len(own) > 2 else ""


def courses(frame: pd.DataFrame, budget: str) -> str:
    """True accuracy and skips of what would be derived along the search."""
    rows = []
    for title, own in groups(frame, budget):
        pairs = zip(own.course, own.course_cifar10, strict=True)
        known = [[(a, c) for a, c in zip(*pair, strict=True) if a] for pair in pairs]
        if not all(known):
            continue
        at = [[[*one][min(int(share * len(one)), len(one) - 1)] for one in known] for share in (0, 0.5, 1)]
        best = np.mean([max(c for _, c in one) for one in known])
        words = [
            f"{np.mean([c for _, c in part]):.1f} / {np.mean([a.count(SKIP) for a, _ in part]):.1f}" for part in at
        ]
        rows.append([title, *words, f"{best:.1f}"])
    heads = ["after the first epoch", "half of them", "all", "best of any epoch"]
    return markdown(["accuracy / skips", *heads], rows)


def several(frame: pd.DataFrame) -> str:
    """How often an edge had several operations."""
    rows = []
    for name, own in frame[frame.method.isin(frame.method[frame.several > 0])].groupby("method"):
        needed = f"{(own.several > 0).sum()} of {len(own)}"
        rows.append([METHODS[str(name)].title, needed, f"{own.several.mean():.1f}"])
    return markdown(["method", "searches with such edges", "edges of six, mean"], rows)


def why(frame: pd.DataFrame) -> str:
    """True accuracy with one thing changed, beside that without, of the same seeds."""
    rows = []
    for variant in WHY:
        for title, own in groups(frame, "images", variant):
            name = own.method.iloc[0]
            plain = frame[(frame.budget == "images") & (frame.method == name) & (frame.variant == "")]
            before = plain[plain.seed.isin(own.seed)].cifar10
            changes = [spread(before), spread(own.cifar10), spread(own.skips, 1), spread(own.tau, 2), f"{len(own)}"]
            rows.append([title, variant, *changes])
    return markdown(["method", "changed", "before", "after", "skips", "Kendall's tau", "seeds"], rows)


def expected() -> str:
    """The best of so many random architectures, by the truth: without drawing."""
    table = find_table("nasbench201", None, ALL)
    rows = []
    for name, title in TRUTHS.items():
        values = np.sort(table.values(f"{name}_test_200"))
        below = np.arange(len(values) + 1) / len(values)
        rows.append([title, *(f"{values @ np.diff(below**n):.2f}" for n in DRAWS), f"{values.max():.2f}"])
    return markdown(["truly the best of", *map(str, DRAWS), "all"], rows)


def commands() -> str:
    """The papers' own settings."""
    lines = [f"oneshot train {entry.paper} --dataset cifar10 --seed 0 --out runs/{n}" for n, entry in METHODS.items()]
    return "```\n" + "\n".join(lines) + "\n```\n"


def gallery(frame: pd.DataFrame) -> str:
    """What the first seed of each method found, by images."""
    rows = []
    for title, own in groups(frame, "images"):
        one = own.iloc[0]
        rows.append([title, f"{one.cifar10:.2f}", f"{one['rank']:,}", f"![cell](images/{cell(one.method)})"])
    return markdown(["method", "true CIFAR-10 accuracy", "rank", "cell"], rows)


def cell(method: str) -> str:
    """The file of a picture."""
    return f"cell-{method}.svg"


def drawn(frame: pd.DataFrame, budget: str) -> Figure:
    """True accuracy of each search, and along it."""
    figure, (ends, along) = new_panels(1, 2, 11.0, 4.8)
    each = dict(groups(frame, budget))
    for place, (title, own) in enumerate(each.items()):
        ends.scatter(own.cifar10, [place] * len(own), color=METHOD, s=18)
        every = [np.asarray([np.nan if c is None else c for c in one], float) for one in own.course_cifar10]
        if all(len(one) == len(every[0]) for one in every) and np.isfinite(every[0]).all():
            share = np.arange(1, len(every[0]) + 1) / len(every[0])
            along.plot(share, np.mean(every, 0), color=f"C{place % 10}", label=title, linewidth=1.2)
    ends.set_yticks(range(len(each)), list(each))
    ends.invert_yaxis()
    ends.axvline(94.37, color=OTHERS, linewidth=0.8)
    ends.set_xlabel("true CIFAR-10 accuracy of what was found, %")
    along.set_xlabel("share of the search")
    along.set_ylabel("true accuracy of what would be derived, %")
    along.legend(fontsize=7)
    return figure


def markdown(heads: list[str], rows: Rows) -> str:
    if not rows:
        return "Nothing yet.\n"
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def blocks(frame: pd.DataFrame) -> dict[str, Callable[[], str]]:
    """By its name in the page what makes each table."""
    made: dict[str, Callable[[], str]] = {"expected": expected, "several": lambda: several(frame), "papers": commands}
    made |= {"why": lambda: why(frame), "cells": lambda: gallery(frame)}
    for budget in BUDGETS:
        for name, make in {"found": by_budget, "supernets": supernets, "courses": courses}.items():
            made[f"{name} by {budget}"] = lambda make=make, budget=budget: make(frame, budget)
    return made


def page(text: str, frame: pd.DataFrame) -> str:
    """The page with every table made anew."""
    made = blocks(frame)
    return BLOCK.sub(lambda block: f"{block[1]}{block[2]}{made[block[1]]()}", text)


def main() -> None:
    frame = found()
    for path in PAGES:
        path.write_text(page(path.read_text(), frame))
    for _, own in groups(frame, "images"):
        one = own.iloc[0]
        space = SPACES[json.loads(one.settings)["space"]]
        draw(space, space.parse(one.arch), IMAGES / cell(one.method))
    for budget in sorted(set(frame.budget)):
        drawn(frame, budget).savefig(IMAGES / f"methods-{budget}.png", dpi=110)
    print(f"{PAGE}: {len(frame)} searches")


if __name__ == "__main__":
    main()
