"""What `oneshot predict` says of its predictions together: what is recommended, corrected, and to train next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from oneshot.evaluators.base import Evaluator, Predictions
    from oneshot.evaluators.corrected import CorrectedEvaluator
    from oneshot.space import Arch, Space

Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]


@dataclass(frozen=True)
class Told:
    """What goes beside the predictions into a JSON document, and the table for people; None where that is the plain."""

    entries: Mapping[str, Any] = field(default_factory=dict)
    table: Table | None = None

    def document(self) -> dict[str, Any]:
        from oneshot.benchmarks.display import jsonable

        return jsonable(dict(self.entries))


def add_options(to: Any) -> None:
    by = "what --top and the table rank by: accuracy's ranks averaged with those of the best count of the space, or it"
    to.add_argument("--by", type=Literal["recommended", "accuracy"], default="recommended", help=by)
    group = to.add_argument_group("a few truths")
    table = "names or files of tables with some true accuracies: predict the truth, with intervals, by a regression"
    group.add_argument("--correct-with", type=str, nargs="+", default=[], metavar="TABLE", help=table)
    group.add_argument("--truth", type=str | None, default=None, help="its column, by default the one it declares")
    scores = "NAME=FILE: scores of other evaluators, which the regression takes, too; files like those of predictions"
    group.add_argument("--scores", type=str, nargs="+", default=[], help=scores)
    level = "share of architectures whose truth lies in the interval"
    group.add_argument("--interval", type=float, default=0.9, help=level)
    following = "write so many architectures to train next to --next-out, one a line for `oneshot benchmark create`"
    group.add_argument("--next", type=int, default=0, help=following)
    chosen = "by the largest expected gain over the best truth, or the largest uncertainty"
    group.add_argument("--next-by", type=Literal["gain", "uncertainty"], default="gain", help=chosen)
    group.add_argument("--next-out", type=Path | None, default=None, help="text file of architectures to train next")


def asked(args: Any) -> Advice:
    """What the arguments ask for; ValueError for options that do not go together."""
    if args.correct_with and args.top:
        raise ValueError("--correct-with predicts all architectures: expected it without --top")
    for option in ("truth", "scores"):
        if getattr(args, option) and not args.correct_with:
            raise ValueError(f"--{option} needs --correct-with TABLE")
    if args.next < 0 or bool(args.next) != (args.next_out is not None):
        raise ValueError(f"expected --next N, at least 1, together with --next-out FILE, got {args.next}")
    return Advice(**{f.name: getattr(args, f.name) for f in fields(Advice)})


@dataclass(frozen=True)
class Advice:
    """What of it is asked for: the options of these names."""

    by: str
    top: int
    show: int
    correct_with: Sequence[str]
    truth: str | None
    scores: Sequence[str]
    interval: float
    next: int
    next_by: Literal["gain", "uncertainty"]
    next_out: Path
    data_dir: str | None

    def counts(self, space: Space, archs: Sequence[Arch]) -> dict[Arch, float] | None:
        """What accuracy's ranks are averaged with; None where accuracy alone is asked for, or there are no facts."""
        if self.by == "accuracy" or space.baseline not in space.facts(archs[0]):
            return None
        return {arch: space.facts(arch)[space.baseline] for arch in archs}

    def of(self, predictions: Predictions, evaluator: Evaluator) -> tuple[Predictions, Told]:
        """The predictions, or corrected ones, and what is said beside them; the next to train are written."""
        model = self._corrected(predictions, evaluator) if self.correct_with else None
        if self.next:
            self._write_next(predictions, model)
        if model is not None:
            return model(predictions.archs), self._of_corrected(predictions, model)
        if self.by == "accuracy" or not predictions.quantity.is_accuracy:  # what we recommend is known of accuracies
            return predictions, Told()
        return predictions, self._of_best(predictions) if self.top else self._of_recommended(predictions)

    def _write_next(self, predictions: Predictions, model: CorrectedEvaluator | None) -> None:
        from oneshot.base.files import write_text, writing
        from oneshot.evaluators.corrected import first_to_train

        space, archs, values = predictions.space, list(dict.fromkeys(predictions.archs)), predictions.predicted
        if model is None:
            values = values[[predictions.archs.index(arch) for arch in archs]]
            following = first_to_train(space, archs, values, self.next)
        else:
            following = model.next(archs, self.next, self.next_by)
        with writing(self.next_out):
            write_text(self.next_out, "".join(f"{space.format(arch)}\n" for arch in following))

    def _corrected(self, predictions: Predictions, evaluator: Evaluator) -> CorrectedEvaluator:
        from oneshot.benchmarks.scoring.features import read_scores
        from oneshot.benchmarks.table import find_table
        from oneshot.evaluators.corrected import CorrectedEvaluator, Truths
        from oneshot.evaluators.scores import FileScores

        tables = [find_table(name, self.data_dir) for name in self.correct_with]
        truths = Truths.joined([Truths.of(table, self.truth, predictions.space) for table in tables])
        scores = {n: FileScores(n, each, predictions.space) for n, each in read_scores(self.scores).items()}
        return CorrectedEvaluator(evaluator, truths, predictions.archs, scores, self.interval)

    def _of_corrected(self, predictions: Predictions, model: CorrectedEvaluator) -> Told:
        found, format, of = model.corrected(predictions.archs), predictions.space.format, predictions.quantity
        order = sorted(range(len(predictions)), key=lambda i: -found.mean[i] if found.mean[i] == found.mean[i] else 1)
        entries = [
            {
                "arch": format(predictions.archs[i]), "accuracy": float(found.mean[i]),
                "interval": [float(found.low[i]), float(found.high[i])], "gain": float(found.gain[i]),
            }
            for i in order
        ]  # fmt: skip
        rows = [
            (
                format(predictions.archs[i]), f"{found.mean[i]:.2f}", f"{found.low[i]:.2f} to {found.high[i]:.2f}",
                f"{found.gain[i]:.3f}", of.text(predictions.values[i].value),
            )
            for i in order[: self.show]
        ]  # fmt: skip
        how = model.model[0].protocol
        title = f"{len(rows)} of {len(order)}, the best first: corrected by {how['truths']} truths ({how['model']})"
        ranked = "supernet %" if of.is_accuracy else of.title
        heads = ("architecture", "true accuracy %", f"{100 * self.interval:g}% interval", "expected gain", ranked)
        return Told({"corrected": entries}, (title, heads, rows))

    def _of_best(self, predictions: Predictions) -> Told:
        """The best in their order, beside the two that it is made of."""
        from oneshot.benchmarks.display import label

        space = predictions.space
        known = self.counts(space, predictions.archs)
        if known is None:
            return Told()
        rows = [
            (space.format(arch), f"{known[arch]:,.0f}", f"{v.accuracy:.2f} ± {v.standard_error:.2f}", f"{v.loss:.4f}")
            for arch, v in predictions
        ][: self.show]
        entries = [{"arch": space.format(arch), space.baseline: known[arch]} for arch in predictions.archs]
        heads = ("architecture", label(space.baseline), "accuracy %", "loss")
        return Told({"recommended": {"ranking": entries}}, (f"the {len(predictions)} recommended", heads, rows))

    def _of_recommended(self, predictions: Predictions) -> Told:
        from oneshot.benchmarks.display import label
        from oneshot.evaluators.recommended import advise

        found = advise(predictions.space, predictions.archs, predictions.accuracy)
        if not found.weights:
            return Told()
        order = [i for i in found.order if predictions.values[i].error is None]
        entries = [
            {
                "arch": predictions.space.format(predictions.archs[i]), "value": float(found.value[i]),
                "parts": {f"{name}_rank": float(part[i]) for name, part in found.parts.items()},
            }
            for i in order
        ]  # fmt: skip
        balanced = "balanced_accuracy" in predictions.columns
        rows = [
            (
                entry["arch"], f"{entry['value']:.1f}", *(f"{part:.1f}" for part in entry["parts"].values()),
                f"{value.accuracy:.2f} ± {value.standard_error:.2f}",
                *(["" if value.balanced is None else f"{value.balanced:.2f}"] if balanced else []), f"{value.loss:.4f}",
            )
            for entry, value in ((entry, predictions.values[i]) for entry, i in zip(entries, order, strict=True))
        ][: self.show]  # fmt: skip
        parts = [f"{label(name)} rank" for name in found.parts]
        heads = ("architecture", "recommended", *parts, "accuracy %", *(["balanced %"] if balanced else []), "loss")
        title = f"{len(order)} predictions, the recommended first (ranks in percent of them)"
        weights = {f"{name}_rank": weight for name, weight in found.weights.items()}
        return Told({"recommended": {"weights": weights, "ranking": entries}}, (title, heads, rows))
