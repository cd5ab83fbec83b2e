"""`oneshot derive`: what a run has found: its string, cells and costs, and its true accuracy if a table knows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.cli.machine import add_machine, device
from oneshot.cli.options import add_accept_data, parser, print_json

if TYPE_CHECKING:
    from oneshot.benchmarks.table import Benchmark
    from oneshot.runs.run import Run

EXAMPLE = "oneshot derive runs/darts-1 --draw found.svg"


def main(argv: Sequence[str]) -> None:
    to = parser("derive", __doc__ or "", EXAMPLE)
    to.add_argument("run", type=str, help="run folder of `oneshot train`")
    known = "table that may know its true accuracy; by default one of the space in the data folder, or what ships"
    to.add_argument("--benchmark", type=str, default="", help=known)
    to.add_argument("--truth", type=str | None, default=None, help="its column, by default that of the run's data set")
    to.add_argument("--draw", type=Path | None, default=None, help="write a picture: .svg, .png or .pdf")
    to.add_argument("--json", action="store_true", help="print one JSON document")
    add_accept_data(to)
    add_machine(to)
    args = to.parse_args(list(argv))
    found = _found(args)
    if args.json:
        print_json(found)
        return
    print(found["arch"])
    if "genotype" in found:
        print(found["genotype"])
    cost, truth = found["cost"], found.get("truth")
    print(f"{cost['params']:,} parameters, {cost['mflops']:.2f} M multiply-adds of an image, in the run's own size")
    if truth is not None:
        print(f"{truth['column']} of {truth['benchmark']}: {truth['accuracy']:.2f}")
    if args.draw is not None:
        print(f"{args.draw}: its cells")


def _found(args: Any) -> dict[str, Any]:
    from dataclasses import asdict

    from oneshot.export.extract import wanted
    from oneshot.registry import SPACES
    from oneshot.runs.run import open_run

    if args.draw is not None and not args.draw.parent.is_dir():
        raise ValueError(f"--draw: {args.draw.parent} is no folder")
    run = open_run(args.run, args.data_dir, device(args), args.accept_data)
    space = SPACES[run.config.space.name]
    arch = space.parse(run.space.format(wanted(run, None)))
    size = space.sizes(run.config.space.settings)
    size |= {"classes": run.dataset.classes, "image_size": next(run.valid.batches(1))[0].shape[-1]}
    found = {"run": args.run, "space": space.name, "arch": space.format(arch), "options": list(arch)}
    genotype = getattr(space, "genotype", None)
    if genotype is not None:
        found["genotype"] = genotype(arch)
    found |= {"cost": {**asdict(space.cost(arch, **size)), "size": size}}
    truth = _truth(args, run, found["arch"])
    if args.draw is not None:
        from oneshot.spaces.drawing import draw  # pyright: ignore[reportMissingImports]

        draw(space, arch, args.draw)
        found["picture"] = str(args.draw)
    return found | {"truth": truth, "protocol": run.provenance()}


def _truth(args: Any, run: Run, arch: str) -> dict[str, Any] | None:
    """What a table knows; ValueError where the one that is named knows nothing."""
    from oneshot.benchmarks.table import find_table

    dataset = Path(run.config.dataset).stem
    if args.benchmark:
        table = find_table(args.benchmark, args.data_dir)
        if arch not in table:
            raise ValueError(f"{table.name} does not know {arch}")
        return _accuracy(table, arch, args.truth, dataset)
    words = run.config.space.name.split("-")
    for name in ("-".join(words[:n]) for n in range(len(words), 0, -1)):
        for table in _tables((f"{name}-{dataset}", name), args.data_dir):
            if arch in table and (args.truth or any(c.startswith(dataset) for c in table.truth_candidates)):
                return _accuracy(table, arch, args.truth, dataset)
    return None


def _tables(names: Sequence[str], data_dir: str | None) -> list[Benchmark]:
    """Those that there are."""
    from oneshot.benchmarks.table import find_table

    found = []
    for name in names:
        try:
            found.append(find_table(name, data_dir))
        except ValueError:
            continue
    return found


def _accuracy(table: Benchmark, arch: str, truth: str | None, dataset: str) -> dict[str, Any]:
    own = [column for column in table.truth_candidates if column.startswith(dataset)]
    column = truth or (own[0] if own else table.default_truth())
    row = table.row(arch, [column])
    return {"benchmark": table.name, "sha256": table.sha256, "column": column, "accuracy": row[column]}
