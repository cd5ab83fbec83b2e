"""`oneshot train`: a supernet, by a preset and whatever departs from it, on arrays or on a folder of images.

A folder has train/CLASS/ and valid/CLASS/: `oneshot train --preset fairnas --dataset FOLDER --out runs/folder`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.cli.configuration import add_configuration, configuration_of
from oneshot.cli.machine import add_machine, device
from oneshot.cli.options import add_accept_data, parser

if TYPE_CHECKING:
    from oneshot.runs.config import Config
    from oneshot.runs.run import Run
    from oneshot.training.recipe import Recipe

EXAMPLE = "oneshot train --preset paper --dataset cifar10 --seed 1 --out runs/paper-1"


def main(argv: Sequence[str]) -> None:
    args = _arguments(argv)
    trained(*configuration_of(args), args, _report)


def trained(config: Config, recipe: Recipe, args: Any, after: Callable[[Run], None]) -> None:
    """Train to the end, or on from where the folder is; `after` says in the first process what came of it.

    `args` say where: --out and the machine.
    """
    from oneshot.base import distributed
    from oneshot.base.files import writing_in

    with writing_in(args.out) if distributed.is_first() else nullcontext():
        _train(config, recipe, args, after)


def _train(config: Config, recipe: Recipe, args: Any, after: Callable[[Run], None]) -> None:
    from oneshot.base import distributed
    from oneshot.base.progress import Progress
    from oneshot.evaluators.feedback import feedback_of
    from oneshot.runs.begin import begun
    from oneshot.runs.folder import RunFolder
    from oneshot.training.loop import train

    folder, where = RunFolder(args.out), distributed.local_device(device(args))
    with distributed.joined(where):
        run, first = begun(config, recipe, folder, args.data_dir, where, args.accept_data), distributed.rank() == 0
        with Progress("train", run.epochs, "epochs", quiet=not first) as progress:
            progress.begin(run.epoch)

            def on_epoch(row: Mapping[str, Any]) -> None:
                progress.advance(1, loss=row["loss"], images_s=row["images_per_second"])
                if first and "sampler_best" in row:
                    print(_round(row), flush=True)

            feedback = feedback_of(run, on_chunk=lambda n, of: progress.advance(0, evaluated=f"{n}/{of}"))
            train(run.net, run.method, run.train, run.valid, recipe, config.seed, folder, on_epoch, feedback)
    if first:
        after(run.kept_in(folder))


def _report(run: Run) -> None:
    """Keep and say what a training has found."""
    assert run.folder is not None
    out = run.folder.path
    if run.sampler.learned() is not None:
        run.sampler.save(out / f"{run.config.sampler.name}.safetensors")
    run.method.report(run.net, run.valid, out)
    found = run.method.derive()
    if found is not None:
        print(f"derived architecture: {run.space.format(found)}")
    print(f"{out}: {run.epochs} epochs; `oneshot predict {out} --sample 10` predicts")


def _round(row: Mapping[str, Any]) -> str:
    """What an epoch's metrics say of a sampler that learns."""
    accuracies = f"accuracies best {row['sampler_best']:.2f} %, mean {row['sampler_mean']:.2f} %"
    told = f"sampler after epoch {row['epoch']}: {accuracies}, "
    return told + (f"bound {row['sampler_bound']:.3f}" if "sampler_bound" in row else "all equal: nothing learned")


def _arguments(argv: Sequence[str]):
    to = parser("train", __doc__ or "", EXAMPLE)
    to.add_argument("--config", action="config", help="a YAML or JSON file of these options")
    to.add_argument("--out", type=Path, required=True, help="run folder; an unfinished run in it is continued")
    add_configuration(to, argv)
    add_accept_data(to)
    add_machine(to)
    return to.parse_args(list(argv))
