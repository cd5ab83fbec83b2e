"""One-shot neural architecture search: spaces, supernets, training, predictions, scores. Imports lazily."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneshot.base.memory import keep_freed_memory
    from oneshot.benchmarks.reporting.plots import plot_improvement, plot_pruning, plot_ranks
    from oneshot.benchmarks.scoring.compare import compare
    from oneshot.benchmarks.scoring.score import score, score_all
    from oneshot.benchmarks.table import find_table as table
    from oneshot.data.load import load
    from oneshot.evaluators.fit import fit
    from oneshot.evaluators.predict import predict
    from oneshot.evaluators.searching import run_search
    from oneshot.export.extract import extract, load_network
    from oneshot.gates import fixed, mixture
    from oneshot.latency.networks import measure as measure_latency
    from oneshot.latency.table import OperationTable
    from oneshot.latency.timing import Timing
    from oneshot.registry import SPACES, register_space, skeleton, use_plugin
    from oneshot.runs.config import Config
    from oneshot.runs.figures import plot_training
    from oneshot.runs.presets import preset
    from oneshot.runs.run import Run, build, open_run
    from oneshot.samplers.uniform import distinct as sample
    from oneshot.search.evolution import Evolution
    from oneshot.search.figures import plot_front, plot_progress
    from oneshot.search.nsga2 import Nsga2
    from oneshot.search.random import Random as RandomSearch
    from oneshot.space import Arch, Decision, Space
    from oneshot.spaces.architecture import Architecture
    from oneshot.spaces.drawing import plot_cell
    from oneshot.supernets.choices import Choice, register_network, space_of
    from oneshot.training.loop import train
    from oneshot.training.recipe import Recipe

_HOMES = {
    "oneshot.base.memory": ("keep_freed_memory",),
    "oneshot.runs.run": ("Run", "build", "open_run"),
    "oneshot.data.load": ("load",),
    "oneshot.export.extract": ("extract", "load_network"),
    "oneshot.gates": ("fixed", "mixture"),
    "oneshot.latency.networks": ("measure_latency",),
    "oneshot.latency.table": ("OperationTable",),
    "oneshot.latency.timing": ("Timing",),
    "oneshot.runs.presets": ("preset",),
    "oneshot.runs.config": ("Config",),
    "oneshot.runs.figures": ("plot_training",),
    "oneshot.samplers.uniform": ("sample",),
    "oneshot.search.evolution": ("Evolution",),
    "oneshot.search.figures": ("plot_front", "plot_progress"),
    "oneshot.search.nsga2": ("Nsga2",),
    "oneshot.search.random": ("RandomSearch",),
    "oneshot.training.recipe": ("Recipe",),
    "oneshot.space": ("Arch", "Decision", "Space"),
    "oneshot.spaces.architecture": ("Architecture",),
    "oneshot.spaces.drawing": ("plot_cell",),
    "oneshot.registry": ("SPACES", "register_space", "skeleton", "use_plugin"),
    "oneshot.supernets.choices": ("Choice", "register_network", "space_of"),
    "oneshot.training.loop": ("train",),
    "oneshot.benchmarks.reporting.plots": ("plot_improvement", "plot_pruning", "plot_ranks"),
    "oneshot.benchmarks.scoring.compare": ("compare",),
    "oneshot.benchmarks.scoring.score": ("score", "score_all"),
    "oneshot.benchmarks.table": ("table",),
    "oneshot.evaluators.fit": ("fit",),
    "oneshot.evaluators.predict": ("predict",),
    "oneshot.evaluators.searching": ("run_search",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_AT_HOME = {"table": "find_table", "sample": "distinct", "measure_latency": "measure", "RandomSearch": "Random"}
"""Names that are others at home."""

__all__ = [
    "SPACES", "Arch", "Architecture", "Choice", "Config", "Decision", "Evolution", "Nsga2", "OperationTable",
    "RandomSearch", "Recipe", "Run", "Space", "Timing", "build", "compare", "extract", "fit", "fixed",
    "keep_freed_memory", "load", "load_network", "measure_latency", "mixture", "open_run", "plot_cell",
    "plot_front", "plot_improvement", "plot_progress", "plot_pruning", "plot_ranks", "plot_training", "predict",
    "preset", "register_network", "register_space", "run_search", "sample", "score", "score_all", "skeleton",
    "space_of", "table", "train", "use_plugin",
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
