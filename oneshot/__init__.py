"""One-shot neural architecture search: spaces, supernets, training, predictions, scores. Imports lazily."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneshot.base.memory import keep_freed_memory
    from oneshot.benchmarks.scoring.score import score
    from oneshot.benchmarks.table import find_table as table
    from oneshot.data.load import load
    from oneshot.evaluators.predict import predict
    from oneshot.export.extract import extract, load_network
    from oneshot.gates import fixed, mixture
    from oneshot.registry import SPACES, register_space, skeleton, use_plugin
    from oneshot.runs.config import Config
    from oneshot.runs.presets import preset
    from oneshot.runs.run import Run, build, open_run
    from oneshot.space import Arch, Decision, Space
    from oneshot.supernets.choices import Choice, register_network, space_of
    from oneshot.training.loop import train
    from oneshot.training.recipe import Recipe

_HOMES = {
    "oneshot.base.memory": ("keep_freed_memory",),
    "oneshot.runs.run": ("Run", "build", "open_run"),
    "oneshot.data.load": ("load",),
    "oneshot.export.extract": ("extract", "load_network"),
    "oneshot.gates": ("fixed", "mixture"),
    "oneshot.runs.presets": ("preset",),
    "oneshot.runs.config": ("Config",),
    "oneshot.training.recipe": ("Recipe",),
    "oneshot.space": ("Arch", "Decision", "Space"),
    "oneshot.registry": ("SPACES", "register_space", "skeleton", "use_plugin"),
    "oneshot.supernets.choices": ("Choice", "register_network", "space_of"),
    "oneshot.training.loop": ("train",),
    "oneshot.benchmarks.scoring.score": ("score",),
    "oneshot.benchmarks.table": ("table",),
    "oneshot.evaluators.predict": ("predict",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_AT_HOME = {"table": "find_table"}
"""Names that are others at home."""

__all__ = [
    "SPACES", "Arch", "Choice", "Config", "Decision", "Recipe", "Run", "Space", "build", "extract", "fixed",
    "keep_freed_memory", "load", "load_network", "mixture", "open_run", "predict", "preset", "register_network",
    "register_space", "score", "skeleton", "space_of", "table", "train",
    "use_plugin",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from oneshot.base.provenance import version

        return version("oneshot-nas")
    if name not in _HOME:
        raise AttributeError(f"module 'oneshot' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), _AT_HOME.get(name, name))


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
