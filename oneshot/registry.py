"""What registers itself under a name, and the user's own files that do so. Imports no torch.

A component is registered beside its code: as an object, or, where that would import torch, by reference
(`"package.module:attribute"`), which is followed when somebody asks for it. Components with settings are registered as
their settings: a frozen dataclass that checks itself, with a method `make` that makes the component.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Generic, TypeVar

from oneshot.base.settings import nearest

PLUGINS = "ONESHOT_PLUGINS"
"""The environment variable that names files of plugins, which the processes that a command starts read, too."""
ENTRY_POINTS = "oneshot.plugins"

Component = TypeVar("Component")


class Registry(Generic[Component]):
    """Names of one kind of component; `home` is the package that registers what ships when it is imported."""

    def __init__(self, kind: str, home: str) -> None:
        self.kind, self.home = kind, home
        self._found: dict[str, Component | str] = {}
        self._owner: dict[str, str | None] = {}

    def register(self, name: str, component: Component | str | None = None) -> Any:
        """Give a component, or a reference to one, its name; without a component a decorator that does.

        ValueError where the name is taken.
        """
        if component is None:
            return lambda decorated: self.register(name, decorated) or decorated
        if not re.fullmatch(r"[^\s/:|]+", name):
            raise ValueError(f"the name of a {self.kind} must be one word without '/', ':' and '|', got {name!r}")
        if name in self._found:
            by = self._owner[name] or "what ships"
            raise ValueError(f"there is a {self.kind} {name!r} already, registered by {by}")
        self._found[name], self._owner[name] = component, _loading
        return None

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __contains__(self, name: object) -> bool:
        return name in self._all()

    def __getitem__(self, name: str) -> Component:
        """The component of that name; ValueError lists the names, the nearest first."""
        found = self._all()
        if name not in found:
            raise ValueError(f"no {self.kind} {name!r}; there are {', '.join(found)}{nearest(name, found)}{_hint()}")
        component = found[name]
        if isinstance(component, str):
            self._found[name] = component = resolved(component)
        return component  # pyright: ignore[reportReturnType]

    def values(self) -> list[Component]:
        return [self[name] for name in self]

    def items(self) -> list[tuple[str, Component]]:
        return [(name, self[name]) for name in self]

    def owner(self, name: str) -> str | None:
        """The plugin that registered the name; None for what ships."""
        return self._owner.get(name)

    def _all(self) -> dict[str, Component | str]:
        importlib.import_module(self.home)
        load_plugins()
        return self._found


SPACES: Registry[Any] = Registry("search space", "oneshot.spaces")
"""`oneshot.space.Space` objects; larger ones before their restrictions: the first that parses a string."""
SKELETONS: Registry[Any] = Registry("network skeleton", "oneshot.spaces")
"""Of the space of the same name: settings whose `make(space, classes, alone, dependence)` makes a network."""
OPERATIONS: Registry[Any] = Registry("operation table", "oneshot.nn")
"""Settings whose `make()` makes a table from option to `(channels_in, channels_out, stride) -> nn.Module`."""
SAMPLERS: Registry[Any] = Registry("sampler", "oneshot.samplers")
"""Settings whose `make(space, seed)` makes an `oneshot.samplers.base.Sampler`."""
METHODS: Registry[Any] = Registry("method", "oneshot.methods")
"""Settings whose `make(setup)` makes an `oneshot.methods.base.Method`."""
CONTEXTS: Registry[Any] = Registry("context", "oneshot.nn")
"""Settings whose `make()` makes an `oneshot.nn.context.Dependence`, or None."""
EVALUATORS: Registry[Any] = Registry("evaluator", "oneshot.evaluators")
"""Of networks of a space, without a run: settings whose `make(space, given, data_dir, device)` makes an evaluator.

`space` is its name, `given` are settings of its networks; the evaluator is one of `oneshot.evaluators.base`.
"""
FORMATS: Registry[Any] = Registry("data format", "oneshot.data")
"""An `oneshot.data.load.Format` each."""
TRACKERS: Registry[Any] = Registry("tracker", "oneshot.runs.trackers")
"""Settings whose `make(folder)` makes an `oneshot.runs.trackers.base.Tracker` of a run folder."""


REGISTRIES = (SPACES, SKELETONS, OPERATIONS, SAMPLERS, METHODS, CONTEXTS, EVALUATORS, FORMATS, TRACKERS)


def register_space(space: Any, skeleton: Any) -> Any:
    """Register a space under its own name, with the settings of its network skeleton, or a reference to them."""
    SPACES.register(space.name, space)
    try:
        SKELETONS.register(space.name, skeleton)
    except ValueError:
        SPACES._found.pop(space.name)
        raise
    return skeleton


def resolved(reference: str) -> Any:
    """What `"package.module:attribute"` names."""
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def skeleton(space: Any) -> Callable[[Any], Any]:
    """A decorator of a settings dataclass with `make(space, classes, alone)`: the network skeleton of a space."""
    return lambda settings: register_space(space, settings)


def skeleton_of(name: str) -> Any:
    """The settings of a space's network; ValueError for a space without a network."""
    space = SPACES[name]
    if name not in SKELETONS:
        by = f" (of {SPACES.owner(name)})" if SPACES.owner(name) else ""
        raise ValueError(
            f"the search space {space.name}{by} has no network: register it with `register_space(space, skeleton)`"
        )
    return SKELETONS[name]


# plugins


@dataclass(frozen=True)
class Plugin:
    """A file of the user's that registered something, or an installed package; `sha256` is of the file's bytes."""

    name: str
    sha256: str


_loading: str | None = None
_loaded: dict[str, Plugin] = {}
_is_looking = False


def use_plugin(path: str | Path) -> None:
    """Import a file of the user's, here and in the processes that this one starts.

    ValueError where it is missing, raises, or registers what it may not.
    """
    file = str(Path(path).expanduser().absolute())
    _load_file(file)
    known = [entry for entry in os.environ.get(PLUGINS, "").split(os.pathsep) if entry]
    if file not in known:
        os.environ[PLUGINS] = os.pathsep.join([*known, file])


def load_plugins() -> None:
    """Import what ONESHOT_PLUGINS and the installed packages' entry points name, once."""
    global _is_looking
    if _is_looking:  # a plugin that looks something up while it is loaded
        return
    _is_looking = True
    try:
        for entry in os.environ.get(PLUGINS, "").split(os.pathsep):
            if entry:
                _load_file(str(Path(entry).expanduser().absolute()))
        for point in _entry_points():
            if point.name not in _loaded:
                with _as_plugin(point.name):
                    point.load()
                version = point.dist.version if point.dist else "unknown"
                _loaded[point.name] = Plugin(point.name, f"version {version}")
    finally:
        _is_looking = False


_POINTS: list[Any] | None = None


def _entry_points() -> list[Any]:
    global _POINTS
    if _POINTS is None:
        _POINTS = list(metadata.entry_points(group=ENTRY_POINTS))
    return _POINTS


def loaded_plugins() -> dict[str, str]:
    """What each loaded plugin is: its file's name and SHA-256, or a package's version."""
    load_plugins()
    return {plugin.name: plugin.sha256 for plugin in _loaded.values()}


def module_name(path: str | Path) -> str:
    """The name under which a plugin's module is imported, the same in every process."""
    return "oneshot_plugin_" + re.sub(r"\W", "_", Path(path).stem)


def _load_file(file: str) -> None:
    if file in _loaded:
        return
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"--plugin: there is no file {file}")
    name = module_name(path)
    twin = next((known for known in _loaded if module_name(known) == name), None)
    if twin is not None:
        raise ValueError(f"two plugins are called {path.stem}: {twin} and {file}; rename one")
    content = path.read_bytes()
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"--plugin: expected a Python file (.py), got {file}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: its classes may be pickled, and its dataclasses look it up
    try:
        with _as_plugin(path.name):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    _loaded[file] = Plugin(path.name, hashlib.sha256(content).hexdigest())


@contextmanager
def _as_plugin(name: str) -> Iterator[None]:
    """What is registered inside is the plugin's; what it raises is its own fault, and takes its names back."""
    global _loading
    found, before = _all_found(), _loading
    try:
        _loading = name
        yield
    except Exception as error:
        _restore(found)
        places = traceback.extract_tb(error.__traceback__)
        place = next((one for one in reversed(places) if Path(one.filename).name == name), places[-1])
        where = f"{Path(place.filename).name}, line {place.lineno}"
        raise ValueError(f"the plugin {name} fails: {type(error).__name__}: {error} ({where})") from error
    finally:
        _loading = before


@contextmanager
def registered_for_a_while() -> Iterator[None]:
    """What is registered inside is forgotten at the end, plugins too, for tests."""
    found, plugins, named = _all_found(), dict(_loaded), os.environ.get(PLUGINS)
    try:
        yield
    finally:
        _restore(found)
        for file in _loaded.keys() - plugins.keys():
            sys.modules.pop(module_name(file), None)
            del _loaded[file]
        os.environ.pop(PLUGINS, None)
        if named is not None:
            os.environ[PLUGINS] = named


def _all_found() -> list[dict[str, Any]]:
    for registry in REGISTRIES:  # what ships comes first
        importlib.import_module(registry.home)
    return [dict(registry._found) for registry in REGISTRIES]


def _restore(found: list[dict[str, Any]]) -> None:
    for registry, names in zip(REGISTRIES, found, strict=True):
        registry._found = names


def _hint() -> str:
    """What may be missing where a name is not there."""
    return "" if _loaded else "; a plugin's names need --plugin FILE.py"


def changed_plugins(recorded: dict[str, str]) -> list[str]:
    """What is not as a run has recorded it, in words; ValueError where a plugin of the run is missing."""
    now = loaded_plugins()
    missing = [name for name in recorded if name not in now]
    if missing:
        raise ValueError(
            f"made with the plugin {missing[0]}, which is not loaded: name it with --plugin "
            f"{missing[0]}, in Python oneshot.use_plugin({missing[0]!r})"
        )
    return [f"{name} was {recorded[name]}, is {now[name]}" for name in recorded if recorded[name] != now[name]]
