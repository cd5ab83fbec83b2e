"""`oneshot score`: predictions against ground truth, with baselines, ceiling and intervals; several are compared.

With --self against each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.cli import consistency
from oneshot.cli.consistency import ranked_by
from oneshot.cli.options import parser, print_json, print_rich

if TYPE_CHECKING:
    from oneshot.benchmarks.scoring.features import Given
    from oneshot.benchmarks.scoring.predictions import Predicted
    from oneshot.benchmarks.scoring.result import Report
    from oneshot.benchmarks.table import Benchmark

EXAMPLE = "oneshot score predictions.parquet --benchmark nasbench201 --truth cifar10_test_200 --out report"


def main(argv: Sequence[str]) -> None:
    shown(argv)


def shown(argv: Sequence[str]) -> list[Report]:
    """What the command does; returns the reports of single predictions that it has shown."""
    args = _arguments(argv)
    from oneshot.base.files import writing_in

    with writing_in(args.out) if args.out is not None else nullcontext():
        if not args.consistency:
            return _score(args)
        consistency.main(args)
        return []


def _score(args: Any) -> list[Report]:
    if args.benchmark is None:
        raise ValueError("expected --benchmark with the name or file of a table, or --self to compare runs alone")
    from oneshot.benchmarks.scoring.predictions import read_methods
    from oneshot.benchmarks.scoring.protocols import protocol_named, seed_column
    from oneshot.benchmarks.table import find_table

    benchmark = find_table(args.benchmark, args.data_dir)
    protocol = protocol_named(args.protocol, args.protocol_seed)
    truth = args.truth or benchmark.default_truth()
    if args.truth_seed is not None:
        truth = seed_column(benchmark, truth, args.truth_seed)
    if args.list is not None:
        _list(benchmark, protocol.rows(benchmark, benchmark.values(truth)), args.list)
        return []
    methods = read_methods(args.predictions, ranked_by(args), args.arch_column)
    if not methods:
        raise ValueError("expected at least one file of predictions, or --list FILE to write what to predict")
    methods, origins = _with_processed(methods, args.post, benchmark, _given(args, benchmark, truth))
    how = {"protocol": protocol, "truth": truth, "ceiling": args.ceiling, "seed": args.seed}
    reports = _scored(methods, benchmark, bootstraps=args.bootstraps, baselines=not args.no_baselines, **how)
    if args.compare or sum(map(len, reports.values())) > 1:
        _show_comparison(reports, origins, args)
    else:
        _show_report(next(iter(reports.values()))[0], args)
    return [report for runs in reports.values() for report in runs]


def _arguments(argv: Sequence[str]) -> Any:
    to = parser("score", __doc__ or "", EXAMPLE)
    files = (
        "[NAME=]FILE[,FILE...]: files of `oneshot predict`, or tables (.csv, .tsv, .json, .jsonl, also .gz, .parquet) "
        "with the columns arch and accuracy; several files of one NAME are training seeds of one method, as are "
        "files without a name that differ in the seed alone; several methods are compared"
    )
    to.add_argument("predictions", type=str, nargs="*", help=files)
    to.add_argument("--benchmark", type=str | None, default=None, help="name or file of a table")
    truth = "column of the table, by default the one it declares; any in which more is better"
    to.add_argument("--truth", type=str | None, default=None, help=truth)
    to.add_argument("--truth-seed", type=int | None, default=None, help="take the column of this single seed or run")
    to.add_argument("--ceiling", type=str | None, default=None, help="column that shows what is attainable")
    chosen = "which architectures: predicted, full, random-N, unique, unique-N or stratified-N"
    to.add_argument("--protocol", type=str, default="predicted", help=chosen)
    to.add_argument("--protocol-seed", type=int, default=0, help="of random-N and stratified-N")
    to.add_argument("--list", type=Path | None, default=None, help="only write the architectures of --protocol")
    by = "column of the predictions to rank by; of loss, less is better"
    to.add_argument("--by", type=str, default="accuracy", help=by)
    called = "what the column of accuracies is called in the files; the same as --by"
    to.add_argument("--accuracy-column", type=str | None, default=None, help=called)
    called = "what the column of architectures is called in the files, if not arch"
    to.add_argument("--arch-column", type=str | None, default=None, help=called)
    post = (
        "also score these post-processings: isomorphs, ensemble, loss, fuse:live_parameters, ranks:accuracy=2,loss "
        "(weighted mean of ranks), correct:50 (a regression on so many truths, which are not scored), or several "
        "joined by +; what is recommended is shown anyhow"
    )
    to.add_argument("--post", type=str, nargs="+", default=[], help=post)
    scores = "NAME=FILE: scores of other evaluators that ranks: and correct: may use, files like those of predictions"
    to.add_argument("--scores", type=str, nargs="+", default=[], help=scores)
    to.add_argument("--compare", action="store_true", help="paired differences, for a single method to the baselines")
    to.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    to.add_argument("--bootstraps", type=int, default=1000, help="resamples of the bootstrap")
    to.add_argument("--no-baselines", action="store_true", help="without the trivial predictors")
    to.add_argument("--out", type=Path | None, default=None, help="folder for the report: JSON, HTML and figures")
    to.add_argument("--json", action="store_true", help="print one JSON document")
    consistency.add_options(to)
    return to.parse_args(list(argv))


def _list(benchmark: Benchmark, rows: Any, path: Path) -> None:
    from oneshot.base.files import write_text, writing

    if rows is None:
        raise ValueError("--list needs a --protocol other than predicted")
    with writing(path):
        write_text(path, "".join(f"{benchmark.strings[row]}\n" for row in rows))
    print(f"{path}: {len(rows):,} architectures")


def _given(args: Any, benchmark: Benchmark, truth: str) -> Given:
    """What post-processings may use: scores from files, and the table's truth."""
    from oneshot.benchmarks.scoring.features import Given, read_scores

    def known(strings: Sequence[str]) -> Any:
        return benchmark.values(truth)[benchmark.rows_of(strings)]

    return Given(read_scores(args.scores, args.arch_column), known, args.seed)


def _with_processed(
    methods: dict[str, list[Predicted]], posts: Sequence[str], benchmark: Benchmark, given: Given
) -> tuple[dict[str, list[Predicted]], dict[str, str]]:
    """The methods, each followed by its post-processings, and of which method each of these was made."""
    from dataclasses import replace

    from oneshot.benchmarks.scoring.postprocess import post_named
    from oneshot.registry import SPACES

    found: dict[str, list[Predicted]] = {}
    origins: dict[str, str] = {}
    for name, runs in methods.items():
        found[name] = runs
        space = SPACES[runs[0].space] if runs[0].space else benchmark.space
        for post in posts:
            title = f"{name} + {post}"
            processed = post_named(post, given)(runs, space)
            found[title] = [replace(processed[0], name=title)] if len(processed) == 1 else processed
            origins[title] = name
    return found, origins


def _scored(methods: dict[str, list[Predicted]], benchmark: Benchmark, **how: Any) -> dict[str, list[Report]]:
    from oneshot.base.progress import Progress
    from oneshot.benchmarks.scoring.score import score_all

    runs = [run for each in methods.values() for run in each]
    facts = benchmark.space.facts(benchmark.space.parse(benchmark.strings[0])) if how["baselines"] else ()
    with Progress("score", 2 * len(runs) + len(facts) + 1, "predictors") as progress:
        reports = iter(score_all(runs, benchmark, on_scores=lambda name: progress.advance(), **how))
    return {name: [next(reports) for _ in each] for name, each in methods.items()}


def _show_report(report: Report, args: Any) -> None:
    from oneshot.benchmarks.reporting.report import headline, rich_table, write_report

    page = write_report(report, args.out) if args.out is not None else None
    if args.json:
        print_json(report.to_dict())
        return
    print_rich(rich_table(report))
    print(headline(report))
    if page is not None:
        print(page)


def _show_comparison(reports: dict[str, list[Report]], origins: dict[str, str], args: Any) -> None:
    from oneshot.benchmarks.reporting.comparison import difference_table, method_table, write_comparison
    from oneshot.benchmarks.scoring.compare import compare

    comparison = compare(reports, origins)
    page = write_comparison(comparison, args.out) if args.out is not None else None
    if args.json:
        print_json(comparison.to_dict())
        return
    print_rich(method_table(comparison))
    print_rich(difference_table(comparison))
    if page is not None:
        print(page)
