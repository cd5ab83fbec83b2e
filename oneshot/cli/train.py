"""`oneshot train`: a supernet, by a preset and whatever departs from it, on arrays or on a folder of images.

A folder has train/CLASS/ and valid/CLASS/: `oneshot train --preset fairnas --dataset FOLDER --out runs/folder`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.cli.configuration import add_configuration, configuration_of
from oneshot.cli.options import add_accept_data, add_machine, device, parser

if TYPE_CHECKING:
    from oneshot.data.source import Dataset
    from oneshot.runs.config import Config
    from oneshot.runs.folder import RunFolder
    from oneshot.runs.run import Run
    from oneshot.training.recipe import Recipe

EXAMPLE = "oneshot train --preset paper --dataset cifar10 --seed 1 --out runs/paper-1"


def main(argv: Sequence[str]) -> None:
    args = _arguments(argv)
    trained(*configuration_of(args), args)


def trained(config: Config, recipe: Recipe, args: Any, after: Callable[[Run], None] | None = None) -> None:
    """Train to the end, or on from where the folder is, and say what came of it; `after` is told in the first process.

    `args` say where: --out and the machine.
    """
    from oneshot.base import distributed
    from oneshot.base.files import writing_in

    with writing_in(args.out) if distributed.is_first() else nullcontext():
        _train(config, recipe, args, after)


def _train(config: Config, recipe: Recipe, args: Any, after: Callable[[Run], None] | None) -> None:
    from oneshot.base import distributed
    from oneshot.base.progress import Progress
    from oneshot.evaluators.feedback import feedback_of
    from oneshot.runs.data import Known, settle
    from oneshot.runs.folder import RunFolder
    from oneshot.runs.inherit import initialise
    from oneshot.runs.run import build, recorded
    from oneshot.runs.upgrade import continued
    from oneshot.training.course import Course
    from oneshot.training.loop import train

    folder = RunFolder(args.out)
    if (args.out / "config.json").exists():
        config = continued(config, folder.config)
    where = distributed.local_device(device(args))
    with distributed.joined(where):
        run = build(config, recipe, args.data_dir, where)
        done, epochs = _epoch(folder), Course.of(run.method.phases(recipe)).epochs
        if folder.commit is None:
            initialise(run)
        first = distributed.rank() == 0
        if first and done < epochs and Known.read(args.out) is None:
            _check_images(run.dataset)
        if first:
            RunFolder.create(args.out, recorded(config, recipe))
        if first and done < epochs:
            settle(args.out, run.fingerprint, done, args.accept_data)
        distributed.barrier()
        with Progress("train", epochs, "epochs", quiet=not first) as progress:
            progress.begin(done)

            def on_epoch(row: Mapping[str, Any]) -> None:
                progress.advance(1, loss=row["loss"], images_s=row["images_per_second"])
                if first and "sampler_best" in row:
                    print(_round(row), flush=True)

            feedback = feedback_of(run, on_chunk=lambda n, of: progress.advance(0, evaluated=f"{n}/{of}"))
            train(run.net, run.method, run.train, run.valid, recipe, config.seed, folder, on_epoch, feedback)
    if first and after is not None:
        after(replace(run, folder=folder, commit=folder.commit))
    elif first:
        if run.sampler.learned() is not None:
            run.sampler.save(args.out / f"{config.sampler.name}.safetensors")
        run.method.report(run.net, run.valid, args.out)
        found = run.method.derive()
        if found is not None:
            print(f"derived architecture: {run.space.format(found)}")
        print(f"{args.out}: {epochs} epochs; `oneshot predict {args.out} --sample 10` predicts")


def _epoch(folder: RunFolder) -> int:
    commit = folder.commit
    return commit["epoch"] if commit else 0


def _check_images(dataset: Dataset) -> None:
    """All images of a data set on disk, once, before a network is trained on some of them."""
    from oneshot.base.progress import Progress
    from oneshot.runs.data import check_readable

    with Progress("check", len(dataset), "images") as progress:
        check_readable(dataset, progress.advance)


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
