"""The official files of NAS-Bench-201 (arXiv 2001.00326) and NATS-Bench topology (2009.00437) as a table.

Three forms: `NAS-Bench-201-v1_*.pth`; `NATS-tss-*.pickle.pbz2`; the folder `NATS-tss-*-simple`, which alone is read
with little memory, an architecture at a time (the single files take what their official API takes). They are read as
plain data (`untrusted`), and interpreted by the official classes, those of `nats-bench` for all forms: it maintains
what `nas-bench-201` began, and knows the few trainings that were recorded with another network's size.

Columns, each the value after the last epoch of one official data set and split:

    PART_BUDGET              accuracy in percent, mean over the training seeds
    PART_BUDGET_loss         cross-entropy
    PART_BUDGET_seconds      of the whole training where the part is a training set, else of one evaluation
    ..._seedN                the same of one training; NaN where that seed was not trained
    NETWORK_params, NETWORK_mflops, NETWORK_latency_seconds     NETWORK is cifar10, cifar100 or imagenet16

BUDGET is 12 or 200 epochs; the two have their own learning rate schedule, a 12 is no early stop of a 200. PART is a
key of `PARTS`. Losses and seconds are NaN where the file has none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from oneshot.benchmarks.importing.untrusted import load_bz2_pickle, load_torch
from oneshot.benchmarks.origin import origin_of
from oneshot.benchmarks.table import Benchmark, write

from oneshot.cost import Cost
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL, cost

if TYPE_CHECKING:
    from nats_bench import ResultsCount

PARTS = {
    "cifar10_test": ("cifar10", "ori-test"),
    "cifar10_valid": ("cifar10-valid", "x-valid"),
    "cifar100_test": ("cifar100", "x-test"),
    "cifar100_valid": ("cifar100", "x-valid"),
    "imagenet16_test": ("ImageNet16-120", "x-test"),
    "imagenet16_valid": ("ImageNet16-120", "x-valid"),
    "cifar10_half_test": ("cifar10-valid", "ori-test"),
    "cifar100_valtest": ("cifar100", "ori-test"),
    "imagenet16_valtest": ("ImageNet16-120", "ori-test"),
    "cifar10_train": ("cifar10", "train"),
    "cifar10_half_train": ("cifar10-valid", "train"),
    "cifar100_train": ("cifar100", "train"),
    "imagenet16_train": ("ImageNet16-120", "train"),
}
"""Our part: official data set and split. `cifar10_test` is of networks trained on all 50,000 images; `cifar10_valid`
and `cifar10_half_*` are of those trained on one half, the other being for validation; `valtest` is valid and test."""

NETWORKS = {
    "cifar10": ("cifar10", 10, 32),
    "cifar100": ("cifar100", 100, 32),
    "ImageNet16-120": ("imagenet16", 120, 16),
}
"""Official data set: our network, classes, image size."""

PTH_BUDGETS = {"full": 200, "less": 12}
NATS_BUDGETS = {"200": 200, "12": 12}
TRUTH, CEILING = "cifar10_test_200", "cifar10_valid_200"
PICKLE = ".pickle.pbz2"

_SIZES = (
    "{} is the size space of NATS-Bench (sss, channels such as 64:64:64:64:64), of which there is no search space "
    "here: expected the topology space, NATS-tss-*"
)

States = Iterable[tuple[int, Any]]
Row = dict[str, float]


def is_official(source: str | Path) -> bool:
    """Whether a path looks like one of the three forms."""
    source = Path(source)
    return source.name.endswith((".pth", PICKLE)) or (source / f"meta{PICKLE}").is_file()


def import_official(
    source: str | Path,
    target: str | Path,
    on_start: Callable[[int], None] = lambda architectures: None,
    on_result: Callable[[], None] = lambda: None,
) -> Benchmark:
    """Converts an official file or `-simple` folder into the table `target`, whole or not at all.

    `on_start` is told the number of architectures as soon as it is known, `on_result` is called after each. ValueError
    names the file, the architecture's index and what is wrong, or what the file asked for that is not data.
    """
    source, target = Path(source), Path(target)
    if not target.parent.is_dir():
        raise ValueError(f"there is no folder {target.parent} to write {target.name} in")
    strings, states, count, budgets = _opened(source)
    on_start(count)
    archs: list[Arch] = []
    first: Row = {}
    columns: dict[str, np.ndarray] = {}
    for index, state in states:
        where = f"architecture {index} of {source}"
        if not 0 <= index < len(strings):
            raise ValueError(f"{where} is none of its {len(strings)} strings")
        with _flaws(where):
            archs.append(ALL.parse(strings[index]))
        row = _row(state, budgets, archs[-1], where)
        first = first or row
        _check_same(first, row, where)
        for name, value in row.items():
            if name not in columns:
                columns[name] = np.full(count, np.nan)
            columns[name][len(archs) - 1] = value
        on_result()
    if TRUTH not in first:
        raise ValueError(f"{source} has no test results of 'cifar10' after 200 epochs")
    return write(target, archs, _ordered(columns), ALL, _metadata(source, columns))


def _opened(source: Path) -> tuple[list[str], States, int, Mapping[str, int]]:
    """Architecture strings, (index, state) one by one, how many, and the budgets by the form's own names."""
    if re.match(r"NATS-sss", source.name, re.IGNORECASE):
        raise ValueError(_SIZES.format(source))
    if source.is_dir():
        strings = _strings(load_bz2_pickle(source / f"meta{PICKLE}"), source)
        return strings, _folder(source, len(strings)), len(strings), NATS_BUDGETS
    if not source.name.endswith((".pth", PICKLE)):
        raise ValueError(f"expected a .pth file, a {PICKLE} file or a NATS-Bench folder '-simple', got {source}")
    by_torch = source.name.endswith(".pth")
    document = load_torch(source) if by_torch else load_bz2_pickle(source)
    strings = _strings(document, source)
    infos, evaluated = _entry(document, "arch2infos", dict, source), document.get("evaluated_indexes")
    if (
        not isinstance(evaluated, list | set | tuple)
        or not all(type(index) is int for index in evaluated)
        or set(evaluated) != set(infos)
    ):
        raise ValueError(f"the 'evaluated_indexes' of {source} are not the numbers by which its 'arch2infos' go")
    states = ((index, infos.pop(index)) for index in sorted(infos))  # what was read makes room
    return strings, states, len(infos), PTH_BUDGETS if by_torch else NATS_BUDGETS


def _folder(source: Path, count: int) -> Iterator[tuple[int, Any]]:
    for index in range(count):
        names = (f"{index:06d}{PICKLE}", f"{index}{PICKLE}")
        found = [source / name for name in names if (source / name).is_file()]
        if not found:
            raise ValueError(f"architecture {index} of {source} is missing: there is no file {names[0]}")
        yield index, load_bz2_pickle(found[0])


def _row(state: Any, budgets: Mapping[str, int], arch: Arch, where: str) -> Row:
    """All measurements of one architecture, by column."""
    row: Row = {}
    for key, budget in budgets.items():
        at = f"{budget} epochs of {where}"
        trials = _trials(_entry(state, key, dict, where), ALL.format(arch), budget, at)
        for part, (dataset, split) in PARTS.items():
            if dataset in trials:
                with _flaws(f"{dataset!r} {split!r}, {at}"):
                    _add_part(row, trials[dataset], split, f"{part}_{budget}")
        for dataset, (network, classes, size) in NETWORKS.items():
            if dataset in trials and f"{network}_params" not in row:
                with _flaws(f"{dataset!r}, {at}"):
                    own = cost(ALL.operations(arch), classes=classes, image_size=size)
                    _add_network(row, trials[dataset].values(), own, network)
    return row


def _add_part(row: Row, trials: Mapping[int, ResultsCount], split: str, column: str) -> None:
    """Mean and single trainings of one data set and split, where the file has the split at all."""
    measured = [split == "train" or split in trial.eval_names for trial in trials.values()]
    if not any(measured):
        return
    if not all(measured):
        raise ValueError("only some trainings have results")
    found: dict[str, list[float]] = {column: [], f"{column}_loss": [], f"{column}_seconds": []}
    for seed, trial in trials.items():
        one = trial.get_train() if split == "train" else trial.get_eval(split)
        passes = 1 if split == "train" else trial.epochs
        found[column].append(_number(one["accuracy"], f"an accuracy with seed {seed}", 100))
        found[f"{column}_loss"].append(_number_or_nan(one["loss"], f"a loss with seed {seed}"))
        found[f"{column}_seconds"].append(_number_or_nan(one["all_time"], f"a time with seed {seed}") / passes)
    for name, values in found.items():
        row[name] = sum(values) / len(values)
        row |= {f"{name}_seed{seed}": value for seed, value in zip(trials, values, strict=True)}


def _add_network(row: Row, trials: Iterable[ResultsCount], own: Cost, network: str) -> None:
    """The network's size and latency.

    Some published trainings carry the parameters of another network; where they disagree, the cell's own count decides
    between them.
    """
    params = [_number(trial.params, "millions of parameters", 1e6) * 1e6 for trial in trials]
    mflops = [_number(trial.flop, "millions of FLOPs", 1e9) for trial in trials]
    row[f"{network}_params"] = round(min(params, key=lambda value: abs(value - own.params)))
    row[f"{network}_mflops"] = min(mflops, key=lambda value: abs(value - own.mflops))
    latencies = [latency for latency in (trial.get_latency() for trial in trials) if latency > 0]
    row[f"{network}_latency_seconds"] = sum(latencies) / len(latencies) if latencies else math.nan


def _trials(state: Mapping[str, Any], arch: str, budget: int, at: str) -> dict[str, dict[int, ResultsCount]]:
    """The official objects by data set and seed, of states that hold no fields but the official ones.

    The loader of a whole `ArchResults` would open a further pickle where a state is text, and take any field for one
    of its own, methods included.
    """
    from nats_bench import ResultsCount

    if state.get("arch_str") != arch:
        raise ValueError(f"{at}: expected results of {arch}, got those of {state.get('arch_str')!r}")
    states = _entry(state, "all_results", dict, at)
    trials: dict[str, dict[int, ResultsCount]] = {}
    for dataset, seeds in _entry(state, "dataset_seed", dict, at).items():
        trials[dataset] = {}
        if not isinstance(seeds, list) or not seeds or not all(type(seed) is int for seed in seeds):
            raise ValueError(f"{at}: expected a list of seeds for {dataset!r}, got {seeds!r:.60}")
        for seed in seeds:
            trial = ResultsCount(*[None] * 10)
            fields = states.get((dataset, seed))
            if type(fields) is not dict or fields.get("epochs") != budget:
                raise ValueError(f"{at}: there is no result of {dataset!r}, seed {seed}, after {budget} epochs")
            trial.load_state_dict({name: fields[name] for name in vars(trial) if name in fields})
            trials[dataset][seed] = trial
    return trials


def _entry(document: Any, key: str, kind: type, where: str | Path) -> Any:
    if not isinstance(document, dict) or not isinstance(document.get(key), kind):
        found = type(document.get(key)).__name__ if isinstance(document, dict) else type(document).__name__
        raise ValueError(f"{where}: expected a dictionary with the {kind.__name__} {key!r}, got {found}")
    return document[key]


def _strings(document: Any, source: Path) -> list[str]:
    strings = _entry(document, "meta_archs", list, source)
    if strings and all(isinstance(text, str) and re.fullmatch(r"\d+(:\d+)+", text) for text in strings[:10]):
        raise ValueError(_SIZES.format(source))
    if not all(isinstance(text, str) for text in strings) or len(set(strings)) != len(strings):
        raise ValueError(f"the 'meta_archs' of {source} are not all text, each another")
    return strings


@contextmanager
def _flaws(where: str) -> Iterator[None]:
    """Whatever reading stumbles over, the official code included, is a flaw of the file in this place."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    except Exception as error:
        raise ValueError(f"{where}: {type(error).__name__} {error}") from None


def _number(value: Any, what: str, most: float) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"expected {what} between 0 and {most:g}, got {value!r:.60}")
    return float(value)


def _number_or_nan(value: Any, what: str) -> float:
    if value is not None and not isinstance(value, int | float):
        raise ValueError(f"expected {what} or nothing, got {value!r:.60}")
    return math.nan if value is None else float(value)


def _check_same(first: Row, row: Row, where: str) -> None:
    """Every architecture has the same measurements, if not of the same seeds."""
    for one, other, verb in ((first, row, "lacks"), (row, first, "has, unlike the first,")):
        if missing := [name for name in one if name not in other and "_seed" not in name]:
            raise ValueError(f"{where} {verb} {missing[0]}")


def _ordered(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Means before single seeds; what was measured nowhere is left out."""
    names = sorted(columns, key=lambda name: "_seed" in name)
    kept = {name: columns[name] for name in names if not np.isnan(columns[name]).all()}
    return {name: values.astype(np.int32) if name.endswith("_params") else values for name, values in kept.items()}


def _metadata(source: Path, columns: Iterable[str]) -> dict[str, Any]:
    seeds = {int(name.rpartition("_seed")[2]) for name in columns if "_seed" in name}
    protocol = {"epochs": [12, 200], "seeds": sorted(seeds), "accuracy": "percent after the last epoch, mean of seeds"}
    roles = {"truth": TRUTH, "ceiling": CEILING} if CEILING in columns else {"truth": TRUTH}
    return {**roles, "protocol": protocol, "source": origin_of(source, "nats-bench")}
