"""The configuration of a whole run: the components that it chooses, each with its own settings. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

from oneshot.base.bounds import IMAGE_SIDE, check_least, check_most
from oneshot.base.settings import document as plain
from oneshot.base.settings import made
from oneshot.data.split import RULES
from oneshot.registry import CONTEXTS, METHODS, SAMPLERS, SPACES, nearest, skeleton_of
from oneshot.space import Space
from oneshot.training.recipe import Recipe

PARTS = ("space", "method", "sampler", "context")
"""What a run chooses by name."""
BESIDE = ("plugins", "threads")
"""What a run folder also says of a run: a change is told, not refused."""


def settings_type(part: str, name: str) -> type:
    """The settings of a component; ValueError lists the names."""
    if part == "space":
        return skeleton_of(name)
    return {"method": METHODS, "sampler": SAMPLERS, "context": CONTEXTS}[part][name]


@dataclass(frozen=True)
class Chosen:
    """A component by its name, the settings that differ from its defaults, and the part that it plays in a run."""

    name: str
    given: Mapping[str, Any] = field(default_factory=dict)
    part: str = field(default="", compare=False)

    @property
    def kind(self) -> type:
        """The type of its settings; ValueError lists the names."""
        return settings_type(self.part, self.name)

    @cached_property
    def settings(self) -> Any:
        """Its settings, checked, whose `make` makes it; ValueError names what is unknown or out of bounds."""
        return made(self.kind, self.given, f"{self.part} {self.name}")

    def __getstate__(self) -> dict[str, Any]:
        """Without the settings, whose type may be a plugin's that another process has yet to import."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def reduced(self) -> Chosen:
        """The same with nothing given that is the default anyway; ValueError as `settings`."""
        usual = self.kind()
        differing = {f.name for f in fields(self.settings) if getattr(self.settings, f.name) != getattr(usual, f.name)}
        return replace(self, given={name: getattr(self.settings, name) for name in differing})

    def document(self) -> dict[str, Any]:
        return {"name": self.name, **plain(self.settings)}


def chosen(value: Chosen | str | Mapping[str, Any], part: str) -> Chosen:
    """A component that is given as its name, or as a mapping of its name and settings, for a part of a run."""
    if isinstance(value, Chosen):
        return replace(value, part=part)
    if isinstance(value, str):
        return Chosen(value, part=part)
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise ValueError(f"expected the name of a component, or a mapping with its name, got {value!r}")
    return Chosen(value["name"], {key: v for key, v in value.items() if key != "name"}, part)


@dataclass(frozen=True)
class Config:
    """What a training was asked for, besides its recipe.

    Args:
        space: search space, see `oneshot spaces`; its settings are those of its network
        method: what a step trains, and what is derived
        sampler: which architectures a step trains, for methods that draw them
        context: weights that depend on earlier choices
        dataset: digits, cifar10, cifar100, an .npz file, or a folder of images with train/CLASS/ or CLASS/ alone
        split: standard (90% train, 10% validate), half, given or valid-is-test (its own images validate), auto
        split_by: image (each one's name or content decides, whatever the others are) or position (earlier versions)
        image_size: resize the images to this size; 0 keeps that of arrays, and is 224 for folders
        seed: of the weights, the paths and the order of the images
        arch: string of the one architecture that is trained, as a network of its own; '' for the whole space
        init_from: run folder whose weights the training begins with, whatever their context; '' for random ones
    """

    space: Chosen = Chosen("nasbench201")
    method: Chosen = Chosen("single-path")
    sampler: Chosen = Chosen("uniform")
    context: Chosen = Chosen("none")
    dataset: str = "cifar10"
    split: str = "auto"
    split_by: str = "image"
    image_size: int = 0
    seed: int = 0
    arch: str = ""
    init_from: str = ""

    def __post_init__(self) -> None:
        for part in PARTS:
            object.__setattr__(self, part, chosen(getattr(self, part), part))
        check_least(self, seed=0, image_size=0)
        check_most(self, image_size=IMAGE_SIDE)
        if self.split_by not in RULES:
            raise ValueError(f"split_by must be {' or '.join(RULES)}, got {self.split_by!r}")

    @classmethod
    def of(cls, **values: Any) -> Self:
        """The configuration with these values; settings of what is chosen by their own names, too: `channels=8`."""
        config, _ = configured(values, recipe=False)
        return config  # pyright: ignore[reportReturnType]

    def but(self, **values: Any) -> Self:
        """This one with some values changed, as `of` takes them; another component begins with its defaults."""
        config, _ = configured({**{f.name: getattr(self, f.name) for f in fields(self)}, **values}, recipe=False)
        return config  # pyright: ignore[reportReturnType]

    @property
    def search_space(self) -> Space:
        """The space, or what `arch` leaves of it; ValueError where the space has no such architecture."""
        space = SPACES[self.space.name]
        return space.only(space.parse(self.arch)) if self.arch else space

    def document(self) -> dict[str, Any]:
        """All values as one JSON object."""
        rest = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in PARTS}
        if rest["split_by"] == "position":  # as it was written when there was nothing else
            del rest["split_by"]
        return {part: getattr(self, part).document() for part in PARTS} | rest


def configured(values: Mapping[str, Any], recipe: bool = True) -> tuple[Config, Recipe]:
    """The configuration and recipe with these values, all others at their defaults.

    Keys are fields of either, `PART.SETTING`, or a setting's own name where one chosen component alone has it.
    ValueError names what is unknown, with the nearest name.
    """
    rest = dict(values)
    parts = {part: chosen(rest.pop(part, getattr(Config(), part)), part) for part in PARTS}
    if "sampler" not in values:
        parts["sampler"] = Chosen(usual_sampler(parts["method"].name), part="sampler")
    given: dict[str, dict[str, Any]] = {part: dict(parts[part].given) for part in PARTS}
    own = {f.name for f in fields(Config)} - set(PARTS)
    of_recipe = {f.name for f in fields(Recipe)} if recipe else set()
    for key in list(rest):
        part, dot, name = key.partition(".")
        if key in own or key in of_recipe:
            continue
        if not dot or part not in PARTS:
            part, name = owner_of(key, {part: parts[part].name for part in PARTS}, [*own, *of_recipe]), key
        given[part][name] = rest.pop(key)
    made_parts = {part: replace(parts[part], given=given[part]).reduced() for part in PARTS}
    config = made(Config, {key: rest[key] for key in rest if key in own}, "the configuration")
    return replace(config, **made_parts), made(
        Recipe, {key: rest[key] for key in rest if key in of_recipe}, "the recipe"
    )


def usual_sampler(method: str) -> str:
    """The sampler that a method takes where none is chosen: what its settings' type names as `sampler`, or uniform."""
    return getattr(settings_type("method", method), "sampler", Config().sampler.name)


def owner_of(setting: str, names: Mapping[str, str], others: list[str]) -> str:
    """Which chosen component has a setting; ValueError where none has, or several have it."""
    types = {part: settings_type(part, name) for part, name in names.items()}
    having = {part: {f.name for f in fields(kind)} for part, kind in types.items()}
    owners = [part for part in having if setting in having[part]]
    if len(owners) == 1:
        return owners[0]
    if owners:
        words = " and ".join(f"{part} {names[part]} ({part}.{setting})" for part in owners)
        raise ValueError(f"{setting} is a setting of {words}: say which")
    elsewhere = next(elsewhere_of(setting, names), None)
    if elsewhere is not None:
        raise ValueError(
            f"{setting} is a setting of {elsewhere}, not of " + ", ".join(f"{p} {n}" for p, n in names.items())
        )
    every = [*others, *(name for each in having.values() for name in sorted(each))]
    raise ValueError(f"there is no setting {setting!r}{nearest(setting, every)}")


def elsewhere_of(setting: str, names: Mapping[str, str]) -> Iterator[str]:
    """Components that were not chosen and have this setting, in words."""
    for part, registry in (("method", METHODS), ("sampler", SAMPLERS), ("context", CONTEXTS), ("space", SPACES)):
        for name in registry:
            if name != names.get(part) and any(f.name == setting for f in fields(settings_type(part, name))):
                yield f"{part} {name}"


def document(config: Config, recipe: Recipe) -> dict[str, Any]:
    """The one JSON object that a run folder records."""
    return {**config.document(), "recipe": plain(recipe)}


def read(values: Mapping[str, Any]) -> tuple[Config, Recipe]:
    """The configuration that `document` wrote; ValueError names keys that are unknown or of another type."""
    rest = dict(values)
    for beside in BESIDE:
        rest.pop(beside, None)
    rest.setdefault("split_by", "position")
    recipe = rest.pop("recipe", None)
    if not isinstance(recipe, Mapping):
        raise ValueError(f"a configuration must hold a recipe, got {recipe!r}")
    if odd := sorted(set(rest) - {f.name for f in fields(Config)}):
        raise ValueError(f"this configuration is not of this version: unknown {', '.join(odd)}")
    parts = {part: chosen(rest.pop(part), part).reduced() for part in PARTS if part in rest}
    return replace(made(Config, rest, "the configuration"), **parts), made(Recipe, recipe, "the recipe")
