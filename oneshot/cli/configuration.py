"""What a training is asked for, as options: components, each with its own settings, and a recipe."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any, get_type_hints

import docstring_parser

from oneshot.base.settings import document as plain
from oneshot.cli.options import Parser, offer
from oneshot.runs.config import PARTS, Chosen, Config, configured, owner_of, usual_sampler
from oneshot.runs.presets import PRESETS, preset_values
from oneshot.training.recipe import Recipe

LISTED = 12
"""Names of components that help lists at most."""


def add_configuration(
    to: Parser, words: Sequence[str], default: str = "paper", parts: Sequence[str] = PARTS, skip: Collection[str] = (),
    presets: Collection[str] = PRESETS.keys(), values_of: Callable[[str], dict[str, Any]] = preset_values,
) -> None:  # fmt: skip
    """A preset, the components with the settings of those that `words` choose, and all of the recipe but `skip`.

    Defaults are those of the preset; its settings of a component hold as long as another choice has them, too.
    """
    text = f"one of {', '.join(presets)}; options given beside it win"
    offer(to.add_argument("--preset", type=str, default=default, help=text), presets)
    given = {name: value for name, value in words_for(words, ("preset", *parts)).items() if value}
    config, recipe = configured(values_of(given.get("preset", default)))
    names = {part: given.get(part) or getattr(config, part).name for part in PARTS}
    if names["method"] != config.method.name and "sampler" not in given:  # it may draw its architectures itself
        names["sampler"] = usual_sampler(names["method"])
    for kind, made in ((Config, config), (Recipe, recipe)):
        group = to.add_argument_group({Config: "what runs", Recipe: "recipe"}[kind])
        for name in (f.name for f in fields(kind) if f.name not in skip):
            if name in parts:
                known = _registry(name)
                text = help_of(Config)[name] + (f": {', '.join(known)}" if len(known) <= LISTED else "")
                offer(group.add_argument(f"--{name}.name", type=str, default=names[name], help=text), known)
            elif name not in PARTS:
                group.add_argument(
                    f"--{name}", type=types_of(kind)[name], default=_default(made, name), help=help_of(kind)[name]
                )
    for part in parts:
        _add_settings(to, Chosen(names[part], part=part), getattr(config, part))
    to.aliases |= {f"--{part}": f"--{part}.name" for part in parts}
    to.owner = lambda word: f"{owner_of(word, {part: names[part] for part in parts}, _others(to))}.{word}"


def configuration_of(args: Any, parts: Sequence[str] = PARTS) -> tuple[Config, Recipe]:
    """The configuration that the arguments ask for."""
    values: Mapping[str, Any] = args.as_dict()
    given = {f.name: values[f.name] for kind in (Config, Recipe) for f in fields(kind) if f.name in values}
    return configured(given)


def _add_settings(to: Parser, of: Chosen, of_preset: Chosen) -> None:
    """The settings of a chosen component."""
    own = {f.name for f in fields(of.kind)}
    given = of_preset.given.items() if of_preset.kind is of.kind else ()
    add_settings(to, of.part, f"{of.part} {of.name}", of.kind(**{k: v for k, v in given if k in own}))


def add_settings(to: Parser, prefix: str, what: str, defaults: Any) -> None:
    """The fields of a dataclass of settings, as options behind a prefix."""
    kind = type(defaults)
    if not fields(kind):
        return
    group = to.add_argument_group(f"settings of {what}")
    for f in fields(kind):
        text = help_of(kind).get(f.name, "")
        group.add_argument(
            f"--{prefix}.{f.name}", type=types_of(kind)[f.name], default=_default(defaults, f.name), help=text
        )


def words_for(words: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """What the words say of these options; the last one counts."""
    found: dict[str, str] = {}
    for word, after in pairwise([*words, ""]):
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--").removesuffix(".name")
        if flag.startswith("--") and name in names:
            found[name] = value if equals else after
    return found


def _registry(part: str) -> list[str]:
    from oneshot.registry import CONTEXTS, METHODS, SAMPLERS, SPACES

    return list({"space": SPACES, "method": METHODS, "sampler": SAMPLERS, "context": CONTEXTS}[part])


def _others(to: Parser) -> list[str]:
    return [option[2:] for option in to._option_string_actions if option.startswith("--")]


def types_of(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def help_of(kind: type) -> dict[str, str]:
    """What the docstrings of a dataclass, and of those that it derives from, say of its fields."""
    found = [p for base in reversed(kind.__mro__) for p in docstring_parser.parse(base.__doc__ or "").params]
    return {p.arg_name: " ".join((p.description or "").split()) for p in found}


def _default(made: Any, name: str) -> Any:
    return plain(made).get(name) if name not in PARTS else None
