"""What `oneshot score --self` does: how far runs agree with each other on the same architectures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.cli.machine import add_machine, device
from oneshot.cli.options import add_accept_data, print_json, print_rich

if TYPE_CHECKING:
    from oneshot.benchmarks.scoring.predictions import Predicted
    from oneshot.space import Arch, Space

SAMPLE = 1000


def add_options(to: Any) -> None:
    group = to.add_argument_group("agreement of runs (--self)")
    what = "how far two or more run folders or files of predictions agree with each other, without ground truth"
    group.add_argument("--self", dest="consistency", action="store_true", help=what)
    sample = f"predict run folders on this many common architectures, 0 for {SAMPLE:,} or all if the space has fewer"
    group.add_argument("--sample", type=int, default=0, help=sample)
    group.add_argument("--sample-seed", type=int, default=0, help="of --sample")
    modes = "of run folders: inherit, batch, ema-N, reset-ema-N or reset-cumulative-N"
    group.add_argument("--batch-norm", type=str, default="ema-20", help=modes)
    group.add_argument("--batch-size", type=int, default=256, help="of recalibration and validation")
    add_accept_data(group)
    add_machine(group)


def ranked_by(args: Any) -> str:
    """The column of the predictions, by either of its options."""
    if args.accuracy_column is None:
        return args.by
    if args.by not in ("accuracy", args.accuracy_column):
        raise ValueError(f"--by {args.by} and --accuracy-column {args.accuracy_column} name two columns; say one")
    return args.accuracy_column


def main(args: Any) -> None:
    from oneshot.benchmarks.reporting.consistency import consistency_table, write_consistency
    from oneshot.benchmarks.scoring.consistency import check_spaces, consistency
    from oneshot.benchmarks.scoring.predictions import read_predictions
    from oneshot.runs.folder import RunFolder

    if args.benchmark is not None:
        raise ValueError("--self compares runs with each other: it takes no --benchmark")
    if len(args.predictions) < 2:
        raise ValueError(f"--self needs at least two run folders or files, got {len(args.predictions)}")
    if args.sample < 0:
        raise ValueError(f"--sample must be at least 0, got {args.sample}")
    words = list(args.predictions)
    by = ranked_by(args)
    files = {word: read_predictions(word, by, args.arch_column) for word in words if not Path(word).is_dir()}
    spaces = {word: files[word].space if word in files else RunFolder(word).space.name for word in words}
    check_spaces(spaces)
    found = files if len(files) == len(set(words)) else files | _predicted(words, files, args)
    result = consistency([found[word] for word in words], args.bootstraps, args.seed)
    if args.out is not None:
        write_consistency(result, args.out)
    if args.json:
        print_json(result.to_dict())
        return
    print_rich(consistency_table(result))
    if args.out is not None:
        print(args.out / "consistency.json")


def _predicted(words: Sequence[str], files: dict[str, Predicted], args: Any) -> dict[str, Predicted]:
    """The run folders' predictions, on the architectures of the files if there are any, kept in each folder."""
    import numpy as np

    from oneshot.base.progress import Progress
    from oneshot.benchmarks.scoring.predictions import Predicted
    from oneshot.evaluators.store import Stored
    from oneshot.evaluators.supernet import of_run
    from oneshot.runs.run import open_run

    if args.by not in ("accuracy", "loss"):
        raise ValueError(f"run folders are compared by accuracy or loss, got --by {args.by}")
    found, archs = {}, None
    folders = [word for word in dict.fromkeys(words) if word not in files]
    with Progress("predict", 0, "architectures") as progress:
        for word in folders:
            run = open_run(word, args.data_dir, device(args), args.accept_data)
            if archs is None:
                archs = _common(run.space, list(files.values()), args)
                progress.expect(len(archs) * len(folders), "architectures")
            stored = Stored(of_run(run, args.batch_norm, args.batch_size), Path(word) / "predictions.sqlite")
            made = stored(list(archs.values()), on_chunk=lambda part, values: progress.advance(len(part)))
            ranked = {
                text: value.accuracy if args.by == "accuracy" else -value.loss
                for text, value in zip(archs, made.values, strict=True)
                if value.error is None
            }
            left_out = len(made) - len(ranked)
            notes = [f"{word}: {left_out} of {len(made)} architectures without a prediction were left out"]
            found[word] = Predicted(
                list(ranked), np.array(list(ranked.values())), run.space.name, made.protocol, word,
                notes if left_out else (),
            )  # fmt: skip
    return found


def _common(space: Space, files: list[Predicted], args: Any) -> dict[str, Arch]:
    """The architectures to predict, by string."""
    import numpy as np

    from oneshot.benchmarks.scoring.consistency import common_archs
    from oneshot.samplers.uniform import distinct

    rng = np.random.default_rng(args.sample_seed)
    if not files:
        archs = distinct(space, args.sample or min(SAMPLE, space.size), rng)
        return {space.format(arch): arch for arch in archs}
    texts = common_archs(files)
    count = min(args.sample or SAMPLE, len(texts))
    return {texts[i]: space.parse(texts[i]) for i in sorted(rng.choice(len(texts), count, replace=False))}
