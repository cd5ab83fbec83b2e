"""`oneshot predict`: accuracies of architectures, read out of a trained supernet or asked of a service.

Or scores of untrained networks: `oneshot predict --evaluator az-nas --space nasbench201 --sample 1000`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from oneshot.cli import advice, untrained
from oneshot.cli.address import add_token, connected
from oneshot.cli.evaluator import TOGETHER
from oneshot.cli.machine import add_cluster, add_machine, joined
from oneshot.cli.options import add_accept_data, parser, print_json, print_table

if TYPE_CHECKING:
    from oneshot.cli.machine import Machine
    from oneshot.evaluators.base import Evaluator, Prediction, Predictions
    from oneshot.evaluators.remote import RemoteEvaluator
    from oneshot.evaluators.store import Stored
    from oneshot.space import Arch, Space

EXAMPLE = "oneshot predict runs/paper-1 --sample 1000 --out predictions.parquet"


def main(argv: Sequence[str]) -> None:
    args = _arguments(argv)
    from oneshot.base.files import writing

    service = connected(args, argv)
    with writing(args.out) if args.out is not None else nullcontext():
        predictions, told = _predicted(args, service)
        if args.out is not None:
            predictions.save(args.out)
    if args.json:
        print_json({**predictions.document(), **told.document()})
    elif told.table is not None:
        print_table(*told.table)
        if args.out is not None:
            print(f"{args.out}: {len(predictions) - len(predictions.failures)} predictions")
    else:
        _show(predictions, args)
    predictions.check()  # after all was written


def _predicted(args: Any, service: RemoteEvaluator | None) -> tuple[Predictions, advice.Told]:
    """The predictions, and what is said of them together."""
    archs = _wanted(args, service.space if service else _space(args))
    with joined(args) as machine:
        evaluator = service or (_of_run(args, machine) if args.run else untrained.evaluator_of(args, machine))
        kept = _kept(args, evaluator)
        found = _best(args, evaluator, kept, archs) if args.top else _all(evaluator, kept, archs)
        return advice.of(args, found, lambda: kept)


def _space(args: Any) -> Space:
    from oneshot.runs.folder import RunFolder

    return RunFolder(args.run).space if args.run else untrained.space_of(args)


def _of_run(args: Any, machine: Machine) -> Evaluator:
    from oneshot.evaluators.supernet import of_folder

    together = None if args.together == "auto" else args.together
    settings = {"norm": args.batch_norm, "batch_size": args.batch_size, "images": args.images}
    settings |= {"memory": args.memory, "together": together, "accept_data": args.accept_data}
    make = partial(of_folder, args.run, args.data_dir, machine.device, **settings)
    return machine.spread(make, together or TOGETHER)


def _all(evaluator: Evaluator, kept: Stored | RemoteEvaluator, archs: Sequence[Arch]) -> Predictions:
    from oneshot.base.progress import Progress
    from oneshot.evaluators.supernet import SupernetEvaluator

    with Progress("predict", len(set(archs)), "architectures") as progress:
        settled = 0

        def settle(part: Sequence[Arch], values: Any) -> None:
            """Those in the file are news; the others may have been counted while they were made."""
            nonlocal settled
            settled += len(part)
            progress.advance(settled - progress.done)

        if isinstance(evaluator, SupernetEvaluator):
            evaluator.on_progress = progress.advance
        return kept(archs, on_chunk=settle)


def _best(args: Any, evaluator: Evaluator, stored: Stored | RemoteEvaluator, archs: Sequence[Arch]) -> Predictions:
    """The --top best; all that saw every image are kept, as predictions like any other."""
    from oneshot.base.progress import Progress
    from oneshot.evaluators.base import Seen
    from oneshot.evaluators.racing import race, ranked, ranked_with
    from oneshot.evaluators.store import Stored
    from oneshot.evaluators.supernet import Slices, SupernetEvaluator

    if not isinstance(evaluator, SupernetEvaluator) or not isinstance(stored, Stored):
        raise TypeError(f"--top needs the network of a run folder, got {type(evaluator).__name__}")
    space, slices, found = evaluator.space, Slices(evaluator), stored.known(archs)
    counts = advice.counts(args, space, archs)
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
    ran = "run folder of `oneshot train`, or address of a service; none for --evaluator"
    to.add_argument("run", type=str, nargs="?", default="", help=ran)
    to.add_argument("arch", type=str, nargs="*", help="architecture strings")
    to.add_argument("--sample", type=int, default=0, help="this many different random architectures, by --seed")
    to.add_argument("--seed", type=int, default=0, help="of --sample")
    to.add_argument("--all", action="store_true", help="every architecture of the space")
    files = "a text file with a string a line, or a CSV or Parquet file with the column arch"
    to.add_argument("--from", dest="source", type=Path | None, default=None, help=files)
    modes = "inherit, batch, ema-N, reset-ema-N or reset-cumulative-N"
    to.add_argument("--batch-norm", type=str, default="ema-20", help=modes)
    to.add_argument("--batch-size", type=int, default=256, help="of recalibration and validation")
    to.add_argument("--images", type=int, default=0, help="validate on the first so many validation images, 0 for all")
    top = "only so many, the best; the others are dropped as soon as they cannot be among them; 0 for all"
    to.add_argument("--top", type=int, default=0, help=top)
    surely = "probability that each of the --top best sees every image, as if all were validated on every image"
    to.add_argument("--confidence", type=float, default=0.95, help=surely)
    together = "architectures in one pass, which share common work; auto: up to 128, as --memory allows"
    to.add_argument("--together", type=int | Literal["auto"], default="auto", help=together)
    to.add_argument("--memory", type=int, default=2048, help="MiB of what they share that is kept at most")
    kept = "SQLite file of predictions, by default in the run folder; of scores in the user's cache"
    to.add_argument("--store", type=Path | None, default=None, help=kept)
    to.add_argument("--out", type=Path | None, default=None, help="write .parquet, .json or .csv")
    to.add_argument("--json", action="store_true", help="print one JSON document")
    to.add_argument("--show", type=int, default=20, help="rows of the printed table")
    advice.add_options(to)
    untrained.add_evaluator(to, argv)
    add_token(to)
    add_cluster(to)
    add_accept_data(to)
    add_machine(to)
    args = to.parse_args(list(argv))
    if args.top < 0:
        raise ValueError(f"--top must be at least 1, or 0 for all, got {args.top}")
    scores = untrained.is_chosen(args, argv)
    if scores and args.run:  # the first of the architectures
        args.run, args.arch = "", [args.run, *args.arch]
    if not scores and not args.run:
        raise ValueError("say what predicts: a run folder, the address of a service, or --evaluator NAME --space NAME")
    if args.top and (args.cluster or scores):
        raise ValueError("--top needs the network of a run folder here, without --cluster")
    advice.check(args)
    if args.out is not None and not args.out.parent.is_dir():
        raise FileNotFoundError(f"--out: {args.out.parent} is no folder")
    return args


def _show(predictions: Predictions, args: Any) -> None:
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
    print_table(f"{len(rows)} predictions, the best first", ("architecture", of.title, *rest), rows[: args.show])
    if args.out is not None:
        print(f"{args.out}: {len(rows)} predictions")


def _kept(args: Any, evaluator: Evaluator) -> Stored | RemoteEvaluator:
    """A run's predictions are kept in its folder; a service keeps its own, and --store also keeps them here."""
    from oneshot.evaluators.remote import RemoteEvaluator
    from oneshot.evaluators.store import Stored

    if isinstance(evaluator, RemoteEvaluator):
        return Stored(evaluator, args.store, chunk=evaluator.batch) if args.store else evaluator
    path = (args.store or Path(args.run) / "predictions.sqlite") if args.run else untrained.store_of(args)
    return Stored(evaluator, path, getattr(evaluator, "fitting", TOGETHER))


def _wanted(args: Any, space: Space) -> list[Arch]:
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
