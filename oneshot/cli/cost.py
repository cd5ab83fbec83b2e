"""`oneshot cost`: parameters and multiply-adds of architectures, and with --measure how long they take on this machine.

Times are of exported networks. --table FILE.json measures operations once and sums them, for `oneshot search`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.cli.options import add_accept_data, add_data_dir, parser, print_json, print_table

if TYPE_CHECKING:
    from oneshot.export.extract import Extracted
    from oneshot.latency.timing import Timing
    from oneshot.runs.config import Config
    from oneshot.space import Arch, Space

EXAMPLE = "oneshot cost runs/paper-1 --sample 5 --measure --backends torch onnxruntime --batch-sizes 1 32"


def main(argv: Sequence[str]) -> None:
    args = _arguments(argv)
    from oneshot.latency.timing import Timing

    for path in (args.out, args.table):
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"{path.parent} is no folder")
    if args.out is not None and args.out.suffix != ".parquet":
        raise ValueError(f"--out writes a table of the space, .parquet, got {args.out.name!r}")
    timing = Timing(args.warmup, args.rounds, args.threads)
    config, size = _network(args)
    space = config.search_space
    archs = _wanted(args, space)
    found: dict[str, Any] = {"space": space.name, "size": size, "architectures": []}
    names = [space.format(arch) for arch in archs]
    networks = _networks(args, config, archs, size) if args.measure or args.table else {}
    for arch, name in zip(archs, names, strict=True):
        own = sum(p.numel() for p in networks[name].parameters()) if networks else None
        cost = asdict(space.cost(arch, **size))
        found["architectures"].append({"arch": name, **cost, **({} if own is None else {"exported_params": own})})
    if args.measure:
        found["latencies"] = _measured(args, networks, timing)
    if args.table is not None:
        found["table"] = _summed(args, networks, timing, found.get("latencies", []))
    if args.out is not None:
        _write(args.out, space, archs, found)
    print_json(found) if args.json else _show(args, found)


def _arguments(argv: Sequence[str]) -> Any:
    to = parser("cost", __doc__ or "", EXAMPLE)
    to.add_argument("source", type=str, help="run folder, or the name of a search space")
    to.add_argument("arch", type=str, nargs="*", help="architecture strings; by default what a run has found")
    to.add_argument("--sample", type=int, default=0, help="this many different random architectures, by --seed")
    to.add_argument("--seed", type=int, default=0, help="of --sample")
    for name in ("channels", "cells", "classes", "image-size"):
        to.add_argument(f"--{name}", type=int, default=0, help="of the network, 0 as the run has it, else as published")
    to.add_argument("--measure", action="store_true", help="time exported networks, too")
    backs = "torch (CPU), cuda, onnxruntime (CPU); by default what this machine has"
    to.add_argument("--backends", type=str, nargs="+", default=[], help=backs)
    to.add_argument("--batch-sizes", type=int, nargs="+", default=[1], help="images at once")
    to.add_argument("--threads", type=int, default=1, help="CPU threads of a network")
    to.add_argument("--warmup", type=int, default=10, help="calls before the first that counts")
    to.add_argument("--rounds", type=int, default=50, help="calls of each network that count, in turn with the others")
    sums = "JSON file of operations, each measured once, made or added to; networks are summed from it"
    to.add_argument("--table", type=Path | None, default=None, help=sums)
    out = "write a table of the space (.parquet), which `oneshot search --latency-of FILE:COLUMN` takes"
    to.add_argument("--out", type=Path | None, default=None, help=out)
    to.add_argument("--json", action="store_true", help="print one JSON document")
    add_data_dir(to)
    add_accept_data(to)
    return to.parse_args(list(argv))


def _network(args: Any) -> tuple[Config, dict[str, int]]:
    """The configuration of the networks, and their sizes."""
    from dataclasses import fields

    from oneshot.cost import SIZES
    from oneshot.registry import skeleton_of
    from oneshot.runs.config import Chosen, Config
    from oneshot.runs.folder import RunFolder

    given = {name: getattr(args, name) for name in SIZES if getattr(args, name)}
    for name, value in given.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if (Path(args.source) / "config.json").exists():
        from oneshot.data.load import load

        config = RunFolder(args.source).configuration()[0]
        dataset = load(config.dataset, args.data_dir, config.image_size or None)
        image = next(dataset.test.subset(slice(0, 1)).batches(1))[0]
        size = {"classes": dataset.classes, "image_size": image.shape[-1]}
    else:
        config, size = Config(space=Chosen(args.source)), {"classes": 10, "image_size": 32}
        size |= getattr(skeleton_of(args.source), "sizes", {})
    known = {f.name for f in fields(skeleton_of(config.space.name))}
    own = {name: value for name, value in given.items() if name in known}
    config = config.but(space={"name": config.space.name, **config.space.given, **own})
    size |= config.search_space.sizes(config.space.settings) | given
    return config, size


def _wanted(args: Any, space: Space) -> list[Arch]:
    if args.arch and args.sample:
        raise ValueError("say which architectures: strings, or --sample N (one of these)")
    if args.arch:
        return list(dict.fromkeys(space.parse(text) for text in args.arch))
    if args.sample > 0:
        import numpy as np

        from oneshot.samplers.uniform import distinct

        return distinct(space, args.sample, np.random.default_rng(args.seed))
    if not (Path(args.source) / "config.json").exists():
        raise ValueError("say which architectures: strings, or --sample N (one of these)")
    from oneshot.export.extract import wanted
    from oneshot.runs.run import open_run

    return [wanted(open_run(args.source, args.data_dir, accept_data=args.accept_data), None)]


def _networks(args: Any, config: Config, archs: Sequence[Arch], size: Mapping[str, int]) -> dict[str, Extracted]:
    """As they would be exported: a run's own, or with fresh weights, on which no time depends."""
    from oneshot.base.progress import Progress
    from oneshot.export.extract import extract, untrained
    from oneshot.registry import SPACES
    from oneshot.runs.run import open_run

    asked = any(getattr(args, name) for name in ("channels", "cells", "classes", "image_size"))
    run = None
    if args.source not in SPACES and not asked:
        run = open_run(args.source, args.data_dir, accept_data=args.accept_data)
    found = {}
    with Progress("build", len(archs), "networks") as progress:
        for arch in archs:
            if run is None:
                module = untrained(config, arch, size["classes"], size["image_size"])
            else:
                module = extract(run, arch, "inherit")
            found[config.search_space.format(arch)] = module
            progress.advance()
    return found


def _measured(args: Any, networks: Mapping[str, Extracted], timing: Timing) -> list[dict[str, Any]]:
    from oneshot.base.progress import Progress
    from oneshot.latency.networks import available, measure

    backends = args.backends or available()
    with Progress("measure", len(backends) * (timing.rounds + len(networks)), "steps") as progress:
        return [measure(networks, backend, args.batch_sizes, timing, progress.advance) for backend in backends]


def _summed(
    args: Any, networks: Mapping[str, Extracted], timing: Timing, whole: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Sums by the table, and how far they are from whole networks; of a new table the first half of them is fitted."""
    from oneshot.base.progress import Progress
    from oneshot.latency.networks import measure
    from oneshot.latency.table import OperationTable, compared

    is_new = not args.table.exists()
    table = OperationTable(args.batch_sizes[0], timing) if is_new else OperationTable.open(args.table)
    with Progress("operations", len(networks), "networks") as progress:
        for module in networks.values():
            table(module)
            progress.advance()
    own = [f for f in whole if f["protocol"]["backend"] == "torch" and f["protocol"]["threads"] == table.timing.threads]
    rows = [row for one in own for row in one["rows"] if row["batch_size"] == table.batch]
    rows = rows or measure(networks, "torch", [table.batch], table.timing)["rows"]
    fitted = (len(rows) + 1) // 2 if is_new else 0
    if fitted:
        table.fit([networks[row["name"]] for row in rows[:fitted]], [row["median"] for row in rows[:fitted]])
    table.save(args.table)
    sums = {name: table(module) for name, module in networks.items()}
    checked = rows[fitted:] or rows
    error = compared([sums[row["name"]] for row in checked], [row["median"] for row in checked])
    return {"file": str(args.table), "operations": len(table.times), "between": table.between, "fitted_on": fitted,
            "protocol": table.protocol, "batch_size": table.batch, "sums": sums, "error": error}  # fmt: skip


def _write(path: Path, space: Space, archs: Sequence[Arch], found: Mapping[str, Any]) -> None:
    import numpy as np

    from oneshot.benchmarks.table import write

    columns = {}
    for one in found.get("latencies", []):
        for row in one["rows"]:
            columns.setdefault(f"{one['protocol']['backend']}_batch{row['batch_size']}_ms", []).append(row["median"])
    if "table" in found:
        columns["summed_ms"] = list(found["table"]["sums"].values())
    for name in ("params", "mflops"):
        columns[name] = [row[name] for row in found["architectures"]]
    protocol = {"size": found["size"], "latencies": [one["protocol"] for one in found.get("latencies", [])]}
    write(path, archs, {name: np.asarray(values, float) for name, values in columns.items()}, space,
          {"protocol": protocol})  # fmt: skip


def _show(args: Any, found: Mapping[str, Any]) -> None:
    rows = [(row["arch"], f"{row['params']:,}", f"{row['mflops']:.2f}") for row in found["architectures"]]
    print_table(f"costs in {found['space']}", ("architecture", "params", "multiply-adds (M)"), rows)
    for one in found.get("latencies", []):
        told = one["protocol"]
        rows = [
            (r["name"], str(r["batch_size"]), f"{r['median']:.3f}", f"{r['low']:.3f} to {r['high']:.3f}")
            for r in one["rows"]
        ]
        title = f"{told['backend']} on {told['processor']}, {told['threads']} threads, {told['rounds']} rounds"
        print_table(title, ("architecture", "batch", "median ms", "95%"), rows)
    if "table" in found:
        table, error = found["table"], found["table"]["error"]
        tau = "" if error["kendall_tau"] is None else f", Kendall's tau {error['kendall_tau']:.3f}"
        far = f"{100 * error['median_error']:.1f} % in the median, {100 * error['largest_error']:.1f} % at most"
        whole = f"{error['networks']} whole networks differ by {far}{tau}"
        print(f"{table['file']}: {table['operations']} operations; {whole}")
    if args.out is not None:
        print(f"{args.out}: {len(found['architectures'])} architectures")
