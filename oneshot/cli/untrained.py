"""Evaluators that need no run: `--evaluator NAME --space NAME`, each with its own settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.base.lookup import cache_folder
from oneshot.base.settings import made, nearest
from oneshot.cli.configuration import add_settings, words_for
from oneshot.cli.opened import TOGETHER, Opened
from oneshot.cli.options import Parser
from oneshot.registry import EVALUATORS, SPACES, skeleton_of

if TYPE_CHECKING:
    from oneshot.cli.machine import Machine
    from oneshot.evaluators.base import Evaluator
    from oneshot.space import Space

OF_RUNS = (
    "--standalone", "--batch-norm", "--batch-size", "--images", "--together", "--memory", "--confidence",
    "--accept-data", "--token-file",
)  # fmt: skip
"""Options that mean nothing without a run."""


def add_evaluator(to: Parser, argv: Sequence[str]) -> None:
    """What is asked in place of a run, with the settings of what `argv` chooses."""
    given = words_for(argv, ("evaluator", "space"))
    group = to.add_argument_group("without a run")
    names = f"score untrained networks of --space: {', '.join(EVALUATORS)}"
    group.add_argument("--evaluator.name", type=str, default="", help=names)
    spaces = "whose networks, small unless its settings say otherwise; see `oneshot spaces`"
    group.add_argument("--space.name", type=str, default="", help=spaces)
    to.aliases |= {"--evaluator": "--evaluator.name", "--space": "--space.name"}
    settings = _chosen(given)
    for part, defaults in settings.items():
        add_settings(to, part, f"{part} {given[part]}", defaults)
    if settings:
        to.owner = partial(_owner, to, settings)


def _chosen(given: Mapping[str, str]) -> dict[str, Any]:
    """The settings, with their defaults, of what is chosen."""
    found: dict[str, Any] = {}
    if name := given.get("evaluator"):
        found["evaluator"] = EVALUATORS[name]()
    if name := given.get("space"):
        from oneshot.evaluators.training_free.subject import small

        found["space"] = skeleton_of(name)(**small(name))
    return found


def _owner(to: Parser, settings: Mapping[str, Any], word: str) -> str:
    """The option that a setting's own name stands for."""
    owners = [part for part, of in settings.items() if word in {field.name for field in fields(of)}]
    if len(owners) != 1:
        known = [option[2:] for option in to._option_string_actions if option.startswith("--")]
        several = f"; say which: {', '.join(f'--{part}.{word}' for part in owners)}" if owners else nearest(word, known)
        raise ValueError(f"no option --{word.replace('_', '-')}{several}")
    return f"{owners[0]}.{word}"


@dataclass(frozen=True)
class AskedScore:
    """A score of untrained networks, with its settings and those of their space."""

    title: str
    space_name: str
    settings: Mapping[str, Any]
    given: Mapping[str, Any]
    store: Path | None
    data_dir: str | None

    @property
    def space(self) -> Space:
        return SPACES[self.space_name]

    def open(self, machine: Machine) -> Opened:
        make = partial(_make, self.title, self.settings, self.space_name, self.given, self.data_dir, machine.device)
        return Opened(machine.spread(make, TOGETHER), self.store or _scores_file())


def asked(args: Any, given: Collection[str]) -> AskedScore | None:
    """What the arguments name, if they do; ValueError where it is half said, or `given` are options of a run."""
    name, space = args.evaluator.name, args.space.name
    if not name:
        if space:
            raise ValueError(f"--space {space} needs --evaluator: one of {', '.join(EVALUATORS)}")
        return None
    if not space:
        raise ValueError(f"--evaluator {name} needs --space: one of {', '.join(SPACES)}")
    for option in OF_RUNS:
        if option in given:
            raise ValueError(f"{option} is for a run folder or a service, not for --evaluator {name}")
    settings, sizes = (
        {key: value for key, value in part.as_dict().items() if key != "name"} for part in (args.evaluator, args.space)
    )
    return AskedScore(name, space, settings, sizes, args.store, args.data_dir)


def _make(
    name: str, settings: Mapping[str, Any], space: str, given: Mapping[str, Any], data_dir: str | None, device: str
) -> Evaluator:
    return made(EVALUATORS[name], settings, f"evaluator {name}").make(space, given, data_dir, device)


def _scores_file() -> Path:
    """The user's own."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    return cache_folder() / "scores.sqlite"
