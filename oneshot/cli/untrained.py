"""Evaluators that need no run: `--evaluator NAME --space NAME`, each with its own settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.base.lookup import cache_folder
from oneshot.base.settings import document, made, nearest
from oneshot.cli.configuration import asked, help_of, types_of
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
TOGETHER = 16
"""Architectures that are kept together, and lost by a stop."""


def add_evaluator(to: Parser, argv: Sequence[str]) -> None:
    """What is asked in place of a run, with the settings of what `argv` chooses."""
    given = asked(argv, ("evaluator", "space"))
    group = to.add_argument_group("without a run")
    names = f"score untrained networks of --space: {', '.join(EVALUATORS)}"
    group.add_argument("--evaluator.name", type=str, default="", help=names)
    spaces = "whose networks, small unless its settings say otherwise; see `oneshot spaces`"
    group.add_argument("--space.name", type=str, default="", help=spaces)
    to.aliases |= {"--evaluator": "--evaluator.name", "--space": "--space.name"}
    kinds = _kinds(given)
    for part, (name, kind, defaults) in kinds.items():
        group = to.add_argument_group(f"settings of {part} {name}")
        for field in fields(kind):
            text, default = help_of(kind).get(field.name, ""), document(defaults)[field.name]
            group.add_argument(f"--{part}.{field.name}", type=types_of(kind)[field.name], default=default, help=text)
    if kinds:
        to.owner = partial(_owner, to, kinds)


def _kinds(given: Mapping[str, str]) -> dict[str, tuple[str, Any, Any]]:
    """Name, type and defaults of the settings that are chosen."""
    found: dict[str, tuple[str, Any, Any]] = {}
    if name := given.get("evaluator"):
        found["evaluator"] = name, EVALUATORS[name], EVALUATORS[name]()
    if name := given.get("space"):
        from oneshot.evaluators.training_free.subject import small

        kind = skeleton_of(name)
        found["space"] = name, kind, kind(**small(name))
    return found


def _owner(to: Parser, kinds: Mapping[str, tuple[str, Any, Any]], word: str) -> str:
    """The option that a setting's own name stands for."""
    owners = [part for part, (_, kind, _) in kinds.items() if word in {field.name for field in fields(kind)}]
    if len(owners) != 1:
        known = [option[2:] for option in to._option_string_actions if option.startswith("--")]
        several = f"; say which: {', '.join(f'--{part}.{word}' for part in owners)}" if owners else nearest(word, known)
        raise ValueError(f"no option --{word.replace('_', '-')}{several}")
    return f"{owners[0]}.{word}"


def is_chosen(args: Any, argv: Sequence[str]) -> bool:
    """Whether an evaluator is asked in place of a run; ValueError where it is half said, or has a run's options."""
    name, space = args.evaluator.name, args.space.name
    if not name:
        if space:
            raise ValueError(f"--space {space} needs --evaluator: one of {', '.join(EVALUATORS)}")
        return False
    if not space:
        raise ValueError(f"--evaluator {name} needs --space: one of {', '.join(SPACES)}")
    for word in argv:
        option = word.partition("=")[0].replace("_", "-")
        if option in OF_RUNS:
            raise ValueError(f"{option} is for a run folder or a service, not for --evaluator {name}")
    return True


def space_of(args: Any) -> Space:
    return SPACES[args.space.name]


def evaluator_of(args: Any, machine: Machine) -> Evaluator:
    """What is chosen, where the machine computes."""
    own = {part: {key: value for key, value in getattr(args, part).as_dict().items() if key != "name"}
           for part in ("evaluator", "space")}  # fmt: skip
    where = args.data_dir, machine.device
    make = partial(_make, args.evaluator.name, own["evaluator"], args.space.name, own["space"], *where)
    return machine.spread(make, TOGETHER)


def _make(
    name: str, settings: Mapping[str, Any], space: str, given: Mapping[str, Any], data_dir: str | None, device: str
) -> Evaluator:
    return made(EVALUATORS[name], settings, f"evaluator {name}").make(space, given, data_dir, device)


def store_of(args: Any) -> Path:
    """The file in which scores are kept: the user's own where none is named."""
    if args.store is not None:
        return args.store
    cache_folder().mkdir(parents=True, exist_ok=True)
    return cache_folder() / "scores.sqlite"
