"""`oneshot train`: a supernet, by a preset and whatever departs from it, on arrays or on a folder of images.

A folder has train/CLASS/ and valid/CLASS/: `oneshot train --preset fairnas --dataset FOLDER --out runs/folder`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oneshot.cli.configuration import add_configuration, configuration_of
from oneshot.cli.options import add_machine, device, parser

EXAMPLE = "oneshot train --preset paper --dataset cifar10 --seed 1 --out runs/paper-1"


def main(argv: Sequence[str]) -> None:
    args = _arguments(argv)
    from oneshot.base import distributed
    from oneshot.base.progress import Progress
    from oneshot.evaluators.feedback import feedback_of
    from oneshot.runs.folder import RunFolder
    from oneshot.runs.run import build, initialise, recorded
    from oneshot.training.course import Course
    from oneshot.training.loop import train

    config, recipe = configuration_of(args)
    where = distributed.local_device(device(args))
    with distributed.joined(where):
        run = build(config, recipe, args.data_dir, where)
        if RunFolder(args.out).commit is None:
            initialise(run)
        first = distributed.rank() == 0
        if first:
            RunFolder.create(args.out, recorded(config, recipe))
        distributed.barrier()
        folder = RunFolder(args.out)
        commit = folder.commit
        done = commit["epoch"] if commit else 0
        epochs = Course.of(run.method.phases(recipe)).epochs
        with Progress("train", epochs, "epochs", quiet=not first) as progress:
            progress.begin(done)

            def on_epoch(row: Mapping[str, Any]) -> None:
                progress.advance(1, loss=row["loss"], images_s=row["images_per_second"])
                if first and "sampler_best" in row:
                    print(_round(row), flush=True)

            feedback = feedback_of(run, on_chunk=lambda n, of: progress.advance(0, evaluated=f"{n}/{of}"))
            train(run.net, run.method, run.train, run.valid, recipe, config.seed, folder, on_epoch, feedback)
    if first:
        if run.sampler.learned() is not None:
            run.sampler.save(args.out / f"{config.sampler.name}.safetensors")
        run.method.report(run.net, run.valid, args.out)
        found = run.method.derive()
        if found is not None:
            print(f"derived architecture: {run.space.format(found)}")
        print(f"{args.out}: {epochs} epochs; `oneshot predict {args.out} --sample 10` predicts")


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
    add_machine(to)
    return to.parse_args(list(argv))
