"""`oneshot score`: predictions against ground truth, with baselines, ceiling and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oneshot.cli.options import add_data_dir, parser, print_json, print_table

EXAMPLE = "oneshot score predictions.parquet --benchmark nasbench201 --truth cifar10_test_200 --out report"


def main(argv: Sequence[str]) -> None:
    to = parser("score", __doc__ or "", EXAMPLE)
    files = "a file of `oneshot predict`, or any CSV or Parquet file with the columns arch and accuracy"
    to.add_argument("predictions", type=Path, help=files)
    to.add_argument("--benchmark", type=str, required=True, help="name or file of a table")
    to.add_argument(
        "--truth", type=str | None, default=None, help="column of the table, by default the one it declares"
    )
    to.add_argument("--ceiling", type=str | None, default=None, help="column that shows what is attainable")
    by = "column of the predictions to rank by; of loss, less is better"
    to.add_argument("--by", type=str, default="accuracy", help=by)
    to.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    to.add_argument("--out", type=Path | None, default=None, help="folder for report.json, report.html and figures")
    to.add_argument("--json", action="store_true", help="print one JSON document")
    add_data_dir(to)
    args = to.parse_args(list(argv))
    from benchmarks.predictions import read_predictions
    from benchmarks.report import table_rows, write_report
    from benchmarks.scoring import score
    from benchmarks.table import find
    from oneshot.progress import Progress

    benchmark = find(args.benchmark, args.data_dir)
    predictions = read_predictions(args.predictions, args.by)
    predictors = 2 + len(benchmark.space.facts(benchmark.space.parse(benchmark.strings[0])))
    columns = {"truth": args.truth, "ceiling": args.ceiling}
    with Progress("score", predictors, "predictors") as progress:
        report = score(predictions, benchmark, **columns, seed=args.seed, on_scores=lambda name: progress.advance())
    if args.out is not None:
        write_report(report, args.out)
    if args.json:
        print_json(report.to_dict())
        return
    header, *rows = [[cell.replace(" [", "\n[") for cell in row] for row in table_rows(report)]
    print_table(f"{args.predictions} against {benchmark.name}, {report.protocol['truth']}", header, rows)
    if args.out is not None:
        print(f"{args.out}/report.html")
