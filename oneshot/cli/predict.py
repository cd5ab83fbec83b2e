"""`oneshot predict`: accuracies of architectures, read out of a trained supernet or asked of a service.

Or scores of untrained networks: `oneshot predict --evaluator az-nas --space nasbench201 --sample 1000`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from oneshot.cli import advice
from oneshot.cli.asking import Asking
from oneshot.cli.machine import add_cluster, add_machine, joined
from oneshot.cli.options import parser, print_json, print_table

if TYPE_CHECKING:
    from oneshot.cli.advice import Advice, Told
    from oneshot.cli.opened import Opened
    from oneshot.evaluators.base import Prediction, Predictions
    from oneshot.space import Arch, Space

EXAMPLE = "oneshot predict runs/paper-1 --sample 1000 --out predictions.parquet"
ASKING = Asking(service=True)


def main(argv: Sequence[str]) -> None:
    args = _arguments(argv)
    from oneshot.base.files import writing

    together = None if args.together == "auto" else args.together
    asked, wanted = ASKING.asked(args, argv, memory=args.memory, together=together), advice.asked(args)
    if args.top and (args.cluster or args.evaluator.name):
        raise ValueError("--top needs the network of a run folder here, without --cluster")
    with writing(args.out) if args.out is not None else nullcontext():
        archs = _architectures(args, asked.space)
        with joined(args) as machine:
            predictions, told = _predicted(args, asked.open(machine), archs, wanted)
        if args.out is not None:
            predictions.save(args.out)
    _show(args, predictions, told)
    predictions.check()  # after all was written


def _predicted(args: Any, opened: Opened, archs: Sequence[Arch], wanted: Advice) -> tuple[Predictions, Told]:
    """The predictions, and what is said of them together."""
    if not args.top:
        return wanted.of(_all(opened, archs), opened.evaluator if opened.path is None else opened.stored())
    return wanted.of(_best(args, opened, archs, wanted.counts(opened.space, archs)), opened.evaluator)


def _all(opened: Opened, archs: Sequence[Arch]) -> Predictions:
    from oneshot.base.progress import Progress
    from oneshot.evaluators.remote import RemoteEvaluator
    from oneshot.evaluators.supernet import SupernetEvaluator

    with Progress("predict", len(set(archs)), "architectures") as progress:
        settled = 0

        def settle(part: Sequence[Arch], values: Any) -> None:
            """Those in the file are news; the others may have been counted while they were made."""
            nonlocal settled
            settled += len(part)
            progress.advance(settled - progress.done)

        evaluator = opened.evaluator
        if isinstance(evaluator, SupernetEvaluator):
            evaluator.on_progress = progress.advance
        if opened.path is None and isinstance(evaluator, RemoteEvaluator):
            return evaluator(archs, on_chunk=settle)  # it keeps them itself
        return opened.stored()(archs, on_chunk=settle)


def _best(args: Any, opened: Opened, archs: Sequence[Arch], counts: Mapping[Arch, float] | None) -> Predictions:
    """The --top best; all that saw every image are kept, as predictions like any other."""
    from oneshot.base.progress import Progress
    from oneshot.evaluators.base import Seen
    from oneshot.evaluators.racing import race, ranked, ranked_with
    from oneshot.evaluators.supernet import Slices, SupernetEvaluator

    evaluator, stored = opened.evaluator, opened.stored()
    if not isinstance(evaluator, SupernetEvaluator):
        raise TypeError(f"--top needs the network of a run folder, got {type(evaluator).__name__}")
    space, slices, found = evaluator.space, Slices(evaluator), stored.known(archs)
    if len(found) == len(set(archs)):  # all were predicted before
        order = ranked(space, found) if counts is None else ranked_with(space, found, counts)
        return _of_best(space, order[: args.top], found, evaluator.protocol)

    def look(part: Sequence[Arch], images: slice) -> Seen:
        with Progress(f"images {images.start} to {images.stop}", len(part), "architectures") as progress:
            evaluator.on_progress = progress.advance
            return slices(part, images)

    images, labels = len(evaluator.valid), evaluator.labels
    run = race(look, space, archs, args.top, images, args.batch_size, args.confidence, labels, counts)
    stored.keep(list(run.finished), list(run.finished.values()))
    rounds = [{"images": images, "architectures": count} for images, count in run.rounds]
    protocol = {"top": args.top, "of": len(set(archs)), "confidence": args.confidence, "rounds": rounds}
    protocol |= {} if counts is None else {"by": "recommended"}
    return _of_best(space, run.best, run.finished, {**evaluator.protocol, "race": protocol})


def _of_best(
    space: Space, best: Sequence[Arch], found: Mapping[Arch, Prediction], protocol: Mapping[str, Any]
) -> Predictions:
    """Those of the best that have a prediction; a warning says of how many there is none."""
    from oneshot.evaluators.base import Predictions

    failed = sum(value.error is not None for value in found.values())
    if failed:
        warnings.warn(
            f"{failed} of {len(found)} architectures have no prediction, and are none of the best", stacklevel=2
        )
    kept = tuple(arch for arch in best if found[arch].error is None)
    if not kept:
        raise FloatingPointError(f"none of {len(found)} architectures has a prediction: their logits are not finite")
    return Predictions(space, kept, tuple(found[arch] for arch in kept), dict(protocol))


def _arguments(argv: Sequence[str]) -> Any:
    to = parser("predict", __doc__ or "", EXAMPLE)
    ASKING.add(to, argv)
    to.add_argument("arch", type=str, nargs="*", help="architecture strings")
    to.add_argument("--sample", type=int, default=0, help="this many different random architectures, by --seed")
    to.add_argument("--seed", type=int, default=0, help="of --sample")
    to.add_argument("--all", action="store_true", help="every architecture of the space")
    files = "a text file with a string a line, or a CSV or Parquet file with the column arch"
    to.add_argument("--from", dest="source", type=Path | None, default=None, help=files)
    top = "only so many, the best; the others are dropped as soon as they cannot be among them; 0 for all"
    to.add_argument("--top", type=int, default=0, help=top)
    surely = "probability that each of the --top best sees every image, as if all were validated on every image"
    to.add_argument("--confidence", type=float, default=0.95, help=surely)
    together = "architectures in one pass, which share common work; auto: up to 128, as --memory allows"
    to.add_argument("--together", type=int | Literal["auto"], default="auto", help=together)
    to.add_argument("--memory", type=int, default=2048, help="MiB of what they share that is kept at most")
    to.add_argument("--out", type=Path | None, default=None, help="write .parquet, .json or .csv")
    to.add_argument("--json", action="store_true", help="print one JSON document")
    to.add_argument("--show", type=int, default=20, help="rows of the printed table")
    advice.add_options(to)
    add_cluster(to)
    add_machine(to)
    args = to.parse_args(list(argv))
    if args.top < 0:
        raise ValueError(f"--top must be at least 1, or 0 for all, got {args.top}")
    if args.evaluator.name and args.run:  # the first of the architectures
        args.run, args.arch = "", [args.run, *args.arch]
    if args.out is not None and not args.out.parent.is_dir():
        raise FileNotFoundError(f"--out: {args.out.parent} is no folder")
    return args


def _show(args: Any, predictions: Predictions, told: Told) -> None:
    if args.json:
        print_json({**predictions.document(), **told.document()})
        return
    print_table(*(told.table or _table(predictions, args.show)))
    if args.out is not None:
        print(f"{args.out}: {len(predictions) - len(predictions.failures)} predictions")


def _table(predictions: Predictions, show: int) -> advice.Table:
    """The predictions, the best first."""
    of, balanced = predictions.quantity, "balanced_accuracy" in predictions.columns
    made = [record for record in predictions.records() if record[of.column] is not None]
    rows: list[tuple[str, ...]] = []
    for r in sorted(made, key=lambda record: -record[of.column]):
        value = of.text(r[of.column])
        if not of.is_accuracy:
            rows.append((r["arch"], value))
            continue
        mean = ["" if r["balanced_accuracy"] is None else f"{r['balanced_accuracy']:.2f}"] if balanced else []
        rows.append((r["arch"], f"{value} ± {r['standard_error']:.2f}", *mean, f"{r['loss']:.4f}"))
    rest = [*(["balanced %"] if balanced else []), "loss"] if of.is_accuracy else []
    return f"{len(rows)} predictions, the best first", ("architecture", of.title, *rest), rows[:show]


def _architectures(args: Any, space: Space) -> list[Arch]:
    """The architectures that the arguments name; ValueError where they name none, or in two ways."""
    ways = [bool(args.arch), args.sample > 0, args.all, args.source is not None]
    if sum(ways) != 1:
        raise ValueError("say which architectures: strings, --sample N, --all, or --from FILE (one of these)")
    if args.arch:
        return [space.parse(text) for text in args.arch]
    if args.source is not None:
        from oneshot.benchmarks.scoring.predictions import read_archs

        return [space.parse(text) for text in read_archs(args.source)]
    import numpy as np

    from oneshot.samplers.uniform import distinct, every

    if args.all:
        return every(space)
    return distinct(space, args.sample, np.random.default_rng(args.seed))
