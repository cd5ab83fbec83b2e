"""`oneshot demo`: the whole loop on what ships: train a supernet on digits, predict, score, plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote

from oneshot.cli.options import parser

EXAMPLE = "oneshot demo --out my-demo"
TABLE = "nasbench201-digits"


def main(argv: Sequence[str]) -> None:
    to = parser("demo", __doc__ or "", EXAMPLE)
    to.add_argument("--out", type=Path, default=Path("oneshot-demo"), help="folder for the run, predictions and report")
    to.add_argument("--seed", type=int, default=0, help="of the training")
    to.add_argument("--epochs", type=int, default=0, help="fewer epochs than the preset's, for a quick look")
    args = to.parse_args(list(argv))
    from oneshot.benchmarks.reporting.verdict import not_won
    from oneshot.benchmarks.table import SHIPPED
    from oneshot.cli import predict, score, train

    def step(text: str) -> None:
        print(f"\n$ oneshot {text}", flush=True)

    run, predictions, table = args.out / "run", args.out / "predictions.parquet", str(SHIPPED / f"{TABLE}.parquet")
    training = ["--preset", "demo", "--seed", str(args.seed), "--out", str(run)]
    if args.epochs:
        training += ["--epochs", str(args.epochs)]
    step("train " + " ".join(training))
    train.main(training)
    step(f"predict {run} --from {TABLE} --out {predictions}")
    predict.main([str(run), "--from", table, "--out", str(predictions), "--show", "5"])
    step(f"score {predictions} --benchmark {TABLE} --out {args.out / 'report'}")
    (report,) = score.shown([str(predictions), "--benchmark", TABLE, "--out", str(args.out / "report")])
    print(f"\n{not_won(report)}\n\nTo try next:")
    for what, command in _next(run, predictions):
        print(f"  {command}\n      {what}")


def _next(run: Path, predictions: Path) -> Iterator[tuple[str, str]]:
    """What for, and a command on what was made."""
    at, best = quote(str(run)), quote(str(predictions))
    yield "searches architectures that are good and small", f"oneshot search {at} --algorithm nsga2"
    yield "shows predictions, costs and their front on a page", f"oneshot serve {at}"
    shows = "whether a correction by 50 truths helps"
    yield shows, f"oneshot score {best} --benchmark {TABLE} --post correct:50"
