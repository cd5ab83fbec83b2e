"""`oneshot benchmark create|import|show|query`: tables of ground truth."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from oneshot.cli.options import add_data_dir, add_machine, chosen, parser, print_table

ACTIONS = {
    "create": "train architectures from scratch and write a table; continues after any stop",
    "import": "convert a CSV or Parquet table",
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
    from oneshot.recipe import Config, Recipe, flat, unflat

    example = (
        "oneshot benchmark create mine.parquet --space nasbench201-conv --dataset digits --sample 20 --seeds 0 1 2"
    )
    to = parser("benchmark create", "Train architectures from scratch and write a table of their accuracies.", example)
    to.add_argument("target", type=Path, help="the .parquet file to write")
    to.add_argument("--config-file", action="config", help="a YAML or JSON file of these options")
    to.add_argument("--sample", type=int, default=300, help="this many different random architectures")
    to.add_argument("--all", action="store_true", help="every architecture of the space")
    to.add_argument("--sample-seed", type=int, default=0, help="of --sample")
    to.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="training seeds")
    to.add_argument("--workers", type=int, default=1, help="parallel processes, of one CPU thread each")
    to.add_class_arguments(Config, as_group=True, skip={"method", "sampler", "seed"})
    to.add_class_arguments(Recipe, as_group=True)
    add_machine(to)
    args = to.parse_args(list(argv))
    import numpy as np

    from benchmarks.custom import create as create_table
    from evaluators.standalone import Standalone
    from oneshot.cli.options import device
    from oneshot.progress import Progress
    from oneshot.provenance import environment
    from oneshot.samplers.uniform import distinct

    if args.target.suffix != ".parquet":
        raise ValueError(f"a table is written as .parquet, got {args.target.name!r}")
    if args.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {args.workers}")
    if args.sample < 1 and not args.all:
        raise ValueError(f"--sample must be at least 1, got {args.sample}")
    config, recipe = unflat({**flat(Config(), Recipe()), **chosen(args, Config, Recipe)})
    standalone = Standalone(config, recipe, args.data_dir, device(args))
    space = standalone.space
    archs = list(space) if args.all else distinct(space, args.sample, np.random.default_rng(args.sample_seed))
    seeds = list(dict.fromkeys(args.seeds))
    command = "oneshot benchmark create " + " ".join(argv)
    prefix = Path(config.dataset).stem
    with Progress("train", len(archs) * len(seeds), "trainings") as progress:
        table = create_table(
            args.target, space, archs, seeds, standalone.measure, prefix,
            standalone.protocol, {"command": command, "environment": environment()}, args.workers,
            on_start=progress.begin, on_result=progress.advance,
        )  # fmt: skip
    print(f"{args.target}: {len(table)} architectures, columns {', '.join(table.columns)}")


def import_(argv: Sequence[str]) -> None:
    to = parser(
        "benchmark import",
        "Convert a CSV or Parquet table with an architecture column.",
        "oneshot benchmark import results.csv mine.parquet --space nasbench201",
    )
    to.add_argument("source", type=Path, help="a .csv or .parquet file with the column arch and numeric columns")
    to.add_argument("target", type=Path, help="the .parquet file to write")
    to.add_argument("--space", type=str, default="", help="search space; by default the one whose strings it holds")
    args = to.parse_args(list(argv))
    from benchmarks.table import import_table
    from oneshot.spaces import space_named

    if args.target.suffix != ".parquet":
        raise ValueError(f"a table is written as .parquet, got {args.target.name!r}")
    table = import_table(args.source, args.target, space_named(args.space) if args.space else None)
    print(f"{args.target}: {len(table):,} architectures of {table.space.name}, columns {', '.join(table.columns)}")


def show(argv: Sequence[str]) -> None:
    to = parser("benchmark show", "What a table holds.", "oneshot benchmark show nasbench201-digits")
    to.add_argument("benchmark", type=str, help="name or file of a table")
    to.add_argument("--json", action="store_true", help="print one JSON document")
    add_data_dir(to)
    args = to.parse_args(list(argv))
    import numpy as np

    from benchmarks.table import find

    table = find(args.benchmark, args.data_dir)
    columns = {}
    for name in table.columns:
        values = table.values(name)
        best = table.strings[int(np.nanargmax(values))]
        low, mean, high = float(np.nanmin(values)), float(np.nanmean(values)), float(np.nanmax(values))
        columns[name] = {"min": low, "mean": mean, "max": high, "best": best}
    if args.json:
        document = {"name": table.name, "path": str(table.path), "space": table.space.name, "rows": len(table)}
        print(json.dumps({**document, "truth": table.truth, "columns": columns, "metadata": table.metadata}, indent=2))
        return
    rows = [(n, f"{c['min']:.3f}", f"{c['mean']:.3f}", f"{c['max']:.3f}", c["best"]) for n, c in columns.items()]
    title = f"{table.name}: {len(table):,} architectures of {table.space.name} ({table.path})"
    print_table(title, ("column", "min", "mean", "max", "largest at"), rows)


def query(argv: Sequence[str]) -> None:
    to = parser(
        "benchmark query",
        "What was measured of some architectures.",
        "oneshot benchmark query nasbench201-digits "
        "'|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|' --json",
    )
    to.add_argument("benchmark", type=str, help="name or file of a table")
    to.add_argument("arch", type=str, nargs="+", help="architecture strings")
    to.add_argument("--columns", type=str, nargs="+", default=[], help="only these columns")
    to.add_argument("--json", action="store_true", help="print one JSON document")
    add_data_dir(to)
    args = to.parse_args(list(argv))
    from benchmarks.table import find

    table = find(args.benchmark, args.data_dir)
    results = [{"arch": arch, **table.row(arch)} for arch in args.arch]
    unknown = [column for column in args.columns if column not in table.columns]
    if unknown:
        raise ValueError(f"{table.name} has no column {', '.join(unknown)}; its columns are {', '.join(table.columns)}")
    wanted = ["arch", *(args.columns or table.columns)]
    results = [{name: result[name] for name in wanted} for result in results]
    if args.json:
        json.dump(results, sys.stdout, indent=2)
        print()
    else:
        print_table(table.name, wanted, [[_text(result[name]) for name in wanted] for result in results])


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.4f}".rstrip("0").rstrip(".")
