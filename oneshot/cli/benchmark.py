"""`oneshot benchmark create|import|show|query`: tables of ground truth."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from oneshot.cli.configuration import add_configuration, configuration_of
from oneshot.cli.machine import add_cluster, add_machine
from oneshot.cli.options import add_data_dir, parser, print_table

if TYPE_CHECKING:
    from oneshot.benchmarks.table import Benchmark
    from oneshot.evaluators.standalone import Standalone
    from oneshot.space import Arch

COLUMNS = "only these columns; all: also those of single trainings"

ACTIONS = {
    "create": "train architectures from scratch and write a table; continues after any stop",
    "import": "convert an official file, or a CSV or Parquet table",
    "show": "columns, counts and extremes of a table",
    "query": "what was measured of some architectures",
}

USAGE = """usage: oneshot benchmark ACTION [OPTION ...]

Tables of ground truth.

actions:
{actions}

example:
  oneshot benchmark query nasbench201-digits \
'|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|' --json
"""


def main(argv: Sequence[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE.format(actions="\n".join(f"  {name:8} {what}" for name, what in ACTIONS.items())), end="")
        return 0 if argv else 2
    action = {"create": create, "import": import_, "show": show, "query": query}.get(argv[0])
    if action is None:
        raise ValueError(f"no action {argv[0]!r}; there are {', '.join(ACTIONS)}")
    action(argv[1:])
    return 0


def create(argv: Sequence[str]) -> None:
    example = (
        "oneshot benchmark create mine.parquet --space nasbench201-conv --dataset digits --sample 20 --seeds 0 1 2"
    )
    to = parser("benchmark create", "Train architectures from scratch and write a table of their accuracies.", example)
    to.add_argument("target", type=Path, help="the .parquet file to write")
    to.add_argument("--config-file", action="config", help="a YAML or JSON file of these options")
    to.add_argument("--sample", type=int, default=300, help="this many different random architectures")
    to.add_argument("--all", action="store_true", help="every architecture of the space")
    files = "these architectures: a text file with a string a line, or a table with the column arch"
    to.add_argument("--from", dest="source", type=Path | None, default=None, help=files)
    to.add_argument("--sample-seed", type=int, default=0, help="of --sample")
    to.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="training seeds")
    of_supernets = ("method", "sampler", "context", "seed", "arch", "init_from")
    add_configuration(to, argv, "standalone", parts=("space",), skip=of_supernets)
    kept = "folder in which every training keeps its weights, as a run that `oneshot export` takes; '' for none"
    to.add_argument("--keep", type=str, default="", help=kept)
    add_cluster(to, "parallel processes, of one CPU thread each; or")
    add_machine(to)
    args = to.parse_args(list(argv))
    import numpy as np

    from oneshot.base.progress import Progress
    from oneshot.base.provenance import environment
    from oneshot.benchmarks.custom import create as create_table
    from oneshot.benchmarks.scoring.predictions import read_archs
    from oneshot.cli.machine import joined
    from oneshot.evaluators.standalone import Standalone
    from oneshot.samplers.uniform import distinct, every

    if args.target.suffix != ".parquet":
        raise ValueError(f"a table is written as .parquet, got {args.target.name!r}")
    if args.sample < 1 and not args.all:
        raise ValueError(f"--sample must be at least 1, got {args.sample}")
    config, recipe = configuration_of(args)
    space = config.search_space
    if args.source is not None and args.all:
        raise ValueError("say which architectures: --all, or --from FILE (one of these)")
    if args.source is not None:
        archs = list(dict.fromkeys(space.parse(text) for text in read_archs(args.source)))
    else:
        archs = every(space) if args.all else distinct(space, args.sample, np.random.default_rng(args.sample_seed))
    seeds = list(dict.fromkeys(args.seeds))
    command = "oneshot benchmark create " + " ".join(argv)
    prefix = Path(config.dataset).stem
    with joined(args) as machine, Progress("train", len(archs) * len(seeds), "trainings") as progress:
        workers = machine.cluster or args.workers or 1
        standalone = Standalone(config, recipe, args.data_dir, machine.device, args.keep)
        standalone.check()
        table = create_table(
            args.target, space, archs, seeds, partial(_measured, standalone), prefix,
            standalone.protocol, {"command": command, "environment": environment()}, workers,
            on_start=progress.begin, on_result=progress.advance,
        )  # fmt: skip
    print(f"{args.target}: {len(table)} architectures, columns {', '.join(table.columns)}")


def _measured(standalone: Standalone, arch: Arch, seed: int) -> dict[str, float]:
    """In a process that is the command line's own."""
    from oneshot.base.memory import keep_freed_memory

    keep_freed_memory()
    return standalone.measure(arch, seed)


def import_(argv: Sequence[str]) -> None:
    to = parser(
        "benchmark import",
        "Convert an official file of NAS-Bench-201 (.pth), NATS-Bench (.pickle.pbz2 or the -simple folder) or "
        "NAS-Bench-101 (.tfrecord, or Parquet with hash, graph and values), or a table (.csv, .tsv, .json, .jsonl, "
        "also .gz, .parquet) with the column arch; nothing in it is executed.",
        "oneshot benchmark import nasbench201 NAS-Bench-201-v1_1-096897.pth",
    )
    to.add_argument("name", type=str, help="name of the table, made in the data folder, or a .parquet file to write")
    to.add_argument("source", type=Path, help="the file or folder to convert")
    to.add_argument("--space", type=str, default="", help="search space of a CSV; by default that of its strings")
    joined = "tables whose columns are added, such as latencies, by arch, hash or arch_index; one column a seed"
    to.add_argument("--join", type=Path, nargs="+", default=[], help=joined)
    truth = "column of the truth, of several test accuracies the one that scores and searches take"
    to.add_argument("--truth", type=str | None, default=None, help=truth)
    ceiling = "column of a second measurement of the same networks, such as their validation accuracy"
    to.add_argument("--ceiling", type=str | None, default=None, help=ceiling)
    seeds = "columns of single trainings of the truth, as a name in which {seed} is a number: 'cifar10_test_{seed}'"
    to.add_argument("--seeds", type=str | None, default=None, help=seeds)
    called = "what the column of architectures is called in the source, if not arch"
    to.add_argument("--arch-column", type=str | None, default=None, help=called)
    add_data_dir(to)
    args = to.parse_args(list(argv))
    from oneshot.base.lookup import data_folder
    from oneshot.base.progress import Progress
    from oneshot.benchmarks.importing.files import import_any
    from oneshot.benchmarks.importing.roles import Roles
    from oneshot.registry import SPACES

    target = Path(args.name)
    if target.name == args.name and target.suffix != ".parquet":
        target = data_folder(args.data_dir) / f"{args.name}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix != ".parquet":
        raise ValueError(f"a table is written as .parquet, got {target.name!r}")
    if target.exists() and any(target.samefile(path) for path in (args.source, *args.join) if path.exists()):
        raise ValueError(f"{target} would be written over what it is made of; choose another name")
    space, roles = SPACES[args.space] if args.space else None, Roles(args.truth, args.ceiling, args.seeds)
    with Progress("import", 0, "") as progress:
        how = (args.join, roles, args.arch_column, progress.expect, progress.advance)
        table = import_any(args.source, target, space, *how)
    print(f"{target}: {len(table):,} architectures of {table.space.name}, {len(table.columns)} columns, {_few(table)}")
    print(_roles(table))


def show(argv: Sequence[str]) -> None:
    to = parser("benchmark show", "What a table holds.", "oneshot benchmark show nasbench201-digits")
    to.add_argument("benchmark", type=str, help="name or file of a table")
    to.add_argument("--columns", type=str, nargs="+", default=[], help=COLUMNS)
    to.add_argument("--json", action="store_true", help="print one JSON document")
    add_data_dir(to)
    args = to.parse_args(list(argv))
    from oneshot.benchmarks.reporting.summary import BARS, summary
    from oneshot.benchmarks.table import find_table

    table = find_table(args.benchmark, args.data_dir)
    columns = {name: summary(table, name) for name in _wanted(table, args.columns)}
    if args.json:
        document = {"name": table.name, "path": str(table.path), "space": table.space.name, "rows": len(table)}
        document |= {"truth": table.truth, "truth_candidates": table.truth_candidates, "columns": columns}
        print(json.dumps({**document, "metadata": table.metadata}, indent=2))
        return
    rows = [
        (name, f"{c['count']:,}", *(_text(c[key]) for key in ("min", "mean", "max")), "".join(_bars(c, BARS)))
        for name, c in columns.items()
    ]
    title = f"{table.name}: {len(table):,} architectures of {table.space.name} ({table.path})"
    print_table(title, ("column", "measured", "min", "mean", "max", "min to max"), rows)
    print(_roles(table))
    if (truth := _truth(table)) in columns:
        print(f"largest {truth}: {columns[truth]['best']}")
    if len(columns) < len(table.columns):
        print(f"{len(table.columns) - len(columns)} columns of single trainings: --columns NAME shows them")


def query(argv: Sequence[str]) -> None:
    to = parser(
        "benchmark query",
        "What was measured of some architectures.",
        "oneshot benchmark query nasbench201-digits "
        "'|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|' --json",
    )
    to.add_argument("benchmark", type=str, help="name or file of a table")
    to.add_argument("arch", type=str, nargs="+", help="architecture strings")
    to.add_argument("--columns", type=str, nargs="+", default=[], help=COLUMNS)
    to.add_argument("--json", action="store_true", help="print one JSON document")
    add_data_dir(to)
    args = to.parse_args(list(argv))
    from oneshot.benchmarks.table import find_table

    table = find_table(args.benchmark, args.data_dir)
    wanted = _wanted(table, args.columns)
    results = [{"arch": arch, **table.row(arch, wanted)} for arch in args.arch]
    if args.json:
        json.dump([{k: _finite(v) for k, v in result.items()} for result in results], sys.stdout, indent=2)
        print()
    else:
        head = ["arch", *wanted]
        print_table(table.name, head, [[_text(result[name]) for name in head] for result in results])


def _wanted(table: Benchmark, columns: Sequence[str]) -> list[str]:
    """These columns, all, or by default all but those of single trainings."""
    if list(columns) == ["all"]:
        return list(table.columns)
    unknown = [column for column in columns if column not in table.columns]
    if unknown:
        raise ValueError(f"{table.name} has no column {', '.join(unknown)}; its columns are {', '.join(table.columns)}")
    single = set(table.truth_seeds.values())
    return list(columns) or [n for n in table.columns if n not in single and not re.search(r"_(seed|run)\d+$", n)]


def _truth(table: Benchmark) -> str | None:
    """The declared truth, or the only candidate."""
    return table.truth or (table.truth_candidates[0] if len(table.truth_candidates) == 1 else None)


def _roles(table: Benchmark) -> str:
    """What the table says of its truth, or what that could be."""
    truth = _truth(table)
    if truth is None:
        could = f"; it could be {', '.join(table.truth_candidates)}" if table.truth_candidates else ""
        return f"no truth is declared{could}: --truth COLUMN of `oneshot benchmark import` does"
    ceiling, seeds = table.default_ceiling(truth), table.seed_columns(truth)
    parts = [f"truth {truth}", *([f"ceiling {ceiling}"] if ceiling else [])]
    return ", ".join([*parts, *([f"seeds {' '.join(map(str, sorted(seeds)))}"] if seeds else [])])


def _few(table: Benchmark) -> str:
    return f"the first {', '.join(table.columns[:8])}"


def _bars(column: dict, bars: str) -> list[str]:
    most = max(column["histogram"])
    return [bars[round((len(bars) - 1) * count / most)] if most else bars[0] for count in column["histogram"]]


def _finite(value: str | float) -> str | float | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: str | float | None) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.4f}".rstrip("0").rstrip(".")
