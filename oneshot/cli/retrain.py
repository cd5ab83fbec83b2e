"""`oneshot retrain`: one architecture as a network of its own, from scratch or from a supernet's weights; tested once.

The architecture comes first: its string, or the run folder that has found it. The same command continues a training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.cli.machine import add_machine
from oneshot.cli.options import add_accept_data, parser

if TYPE_CHECKING:
    from oneshot.runs.run import Run
    from oneshot.space import Space

EXAMPLE = "oneshot retrain runs/darts-1 --preset darts-cifar --out runs/darts-1-retrained"
NOT_CHOSEN = ("sampler", "context", "arch")


def main(argv: Sequence[str]) -> None:
    from oneshot.cli.configuration import add_configuration, configuration_of, words_for
    from oneshot.cli.tracking import add_trackers
    from oneshot.cli.train import trained
    from oneshot.runs.presets import RETRAINING, retraining, usual_retraining

    told = words_for(argv, ("space", "init_from", "init-from", "data-dir", "data_dir", "accept-data", "accept_data"))
    what = _first(argv)
    space, arch, given = _architecture(what, told) if what else (None, "", {})
    named = space.name if space else "darts"

    def values(name: str) -> dict[str, Any]:
        return {**retraining(name, named), **given}

    to = parser("retrain", __doc__ or "", EXAMPLE)
    to.add_argument("architecture", type=str, help="its string, or a run folder that has found one")
    to.add_argument("--out", type=Path, required=True, help="run folder, new or to be continued")
    add_configuration(to, argv, usual_retraining(named), ("space", "method"), NOT_CHOSEN, RETRAINING, values)
    add_trackers(to, argv)
    add_accept_data(to)
    add_machine(to)
    args = to.parse_args(list(argv))
    config, recipe = configuration_of(args)
    trained(replace(config, arch=arch), recipe, args, _tested)


def _tested(run: Run) -> None:
    from oneshot.runs.outcome import outcome

    found = outcome(run)
    images = found["protocol"]["test_images"]
    print(f"{run.config.arch}")
    print(f"test accuracy {found['test_accuracy']:.2f} % of {images:,} images, looked at once, after the last epoch")
    print(f"`oneshot export {run.folder.path if run.folder else ''} --out network.onnx` writes the network")


def _architecture(what: str, asked: dict[str, str]) -> tuple[Space, str, dict[str, Any]]:
    """Space and string of what is asked for, and what of a run's configuration goes on to hold."""
    from oneshot.registry import SPACES
    from oneshot.runs.folder import RunFolder

    given: dict[str, Any] = {}
    source = asked.get("init_from") or asked.get("init-from")
    if (Path(what) / "config.json").exists():
        from oneshot.export.extract import wanted
        from oneshot.runs.run import open_run

        accepts = "accept-data" in asked or "accept_data" in asked
        run = open_run(what, asked.get("data-dir") or asked.get("data_dir"), accept_data=accepts)
        space, arch = SPACES[run.config.space.name], run.space.format(wanted(run, None))
        given = {name: getattr(run.config, name) for name in ("dataset", "image_size")}
    else:
        space = SPACES[asked["space"]] if "space" in asked else _recognised(what, source)
        arch = space.format(space.parse(what))
    if source:  # whose sizes it must have
        there = RunFolder(source).configuration()[0]
        given |= {f"space.{name}": value for name, value in there.space.given.items()}
        given |= {name: getattr(there, name) for name in ("dataset", "image_size")}
    return space, arch, given


def _recognised(text: str, source: str | None) -> Space:
    from oneshot.benchmarks.table import recognised
    from oneshot.registry import SPACES
    from oneshot.runs.folder import RunFolder

    if Path(text).is_dir():
        raise ValueError(f"{text} is no run folder: it has no config.json")
    return SPACES[RunFolder(source).configuration()[0].space.name] if source else recognised(text)


def _first(argv: Sequence[str]) -> str:
    """The word that is no option and no option's value: every option but one has one."""
    words = iter(argv)
    for word in words:
        if word in ("-h", "--help"):
            return ""
        if not word.startswith("--"):
            return word
        if "=" not in word and word != "--accept-data":
            next(words, None)
    return ""
