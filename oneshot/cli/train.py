"""`oneshot train`: a supernet, by a preset and whatever departs from it, on arrays or on a folder of images.

A folder has train/CLASS/ and valid/CLASS/: `oneshot train --preset fairnas --dataset FOLDER --out runs/folder`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.cli.configuration import add_configuration, configuration_of, words_for
from oneshot.cli.machine import add_machine, device
from oneshot.cli.options import add_accept_data, parser
from oneshot.cli.tracking import add_trackers, trackers_of
from oneshot.runs.config import PARTS

if TYPE_CHECKING:
    from oneshot.runs.config import Config
    from oneshot.runs.run import Run
    from oneshot.training.callbacks import Callback
    from oneshot.training.recipe import Recipe

COMMON = (
    "out", "preset", "space.name", "method.name", "sampler.name", "context.name", "dataset", "image_size", "seed",
    "epochs", "batch_size", "learning_rate", "tracker.names", "device", "threads", "help",
)  # fmt: skip
"""What `--help` shows, with the settings of components that are named."""

EXAMPLE = "oneshot train --preset paper --dataset cifar10 --seed 1 --out runs/paper-1"


def main(argv: Sequence[str]) -> None:
    args = _arguments(argv)
    trained(*configuration_of(args), args, _report, args.watch)


def trained(config: Config, recipe: Recipe, args: Any, after: Callable[[Run], None], watched: int = 0) -> None:
    """Train to the end, or on from where the folder is; `after` says in the first process what came of it.

    `args` say where: --out and the machine. So many architectures are validated now and then.
    """
    from oneshot.base import distributed
    from oneshot.base.files import writing_in

    with writing_in(args.out) if distributed.is_first() else nullcontext():
        _train(config, recipe, args, after, watched)


def _train(config: Config, recipe: Recipe, args: Any, after: Callable[[Run], None], watched: int) -> None:
    from oneshot.base import distributed
    from oneshot.cli.forecast import Forecast, advice
    from oneshot.evaluators.fit import finish
    from oneshot.evaluators.watch import Watch
    from oneshot.runs.begin import begun
    from oneshot.runs.folder import RunFolder
    from oneshot.runs.presets import SMALLER
    from oneshot.runs.trackers.base import Tracked

    trackers = trackers_of(args)
    folder, where = RunFolder(args.out), distributed.local_device(device(args))
    with distributed.joined(where):
        run, first = begun(config, recipe, folder, args.data_dir, where, args.accept_data), distributed.rank() == 0
        callbacks: list[Callback] = [Watch(run, watched)] if watched else []
        if first:
            callbacks += [Tracked(name, tracker, folder, run.epochs) for name, tracker in trackers.items()]
            callbacks.append(Forecast(advice(SMALLER.get(args.preset), str(where))))
        finish(run, folder, callbacks, quiet=not first)
    if first:
        after(run.kept_in(folder))


def _report(run: Run) -> None:
    """Keep and say what a training has found."""
    from oneshot.base.progress import span

    assert run.folder is not None
    out = run.folder.path
    if run.sampler.learned() is not None:
        run.sampler.save(out / f"{run.config.sampler.name}.safetensors")
    run.method.report(run.net, run.valid, out)
    found = run.method.derive()
    if found is not None:
        print(f"derived architecture: {run.space.format(found)}")
    took = f" in {span(run.folder.metrics[-1]['seconds'])}" if run.folder.metrics else ""
    print(f"{out}: {run.epochs} epochs{took}; `oneshot predict {out} --sample 10` predicts")


def _arguments(argv: Sequence[str]):
    to = parser("train", __doc__ or "", EXAMPLE)
    to.add_argument("--config", action="config", help="a YAML or JSON file of these options")
    to.add_argument("--out", type=Path, required=True, help="run folder; an unfinished run in it is continued")
    add_configuration(to, argv)
    watch = "random architectures, always the same, that a training of 20 epochs or more validates ten times"
    to.add_argument("--watch", type=int, default=8, help=watch)
    add_trackers(to, argv)
    add_accept_data(to)
    add_machine(to)
    named = {f"{part}." for part in words_for(argv, (*PARTS, "tracker"))}
    to.common = {*COMMON, *named}
    return to.parse_args(list(argv))
