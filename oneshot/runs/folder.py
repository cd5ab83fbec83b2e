"""Run folders: what a training was asked for, what it reported, and the state from which it continues.

config.json                  written first, never changed
data.json                    the fingerprint of the data, see `oneshot.runs.data`
metrics.jsonl                one line an epoch
checkpoint.json              names the current state file, its SHA-256 and its epoch: the commit point
state-EPOCH.safetensors      weights, BatchNorm statistics, optimiser state, what the sampler learned
within.safetensors           the same in the middle of an epoch, while one lasts long; the header says where
vae.safetensors              of a finished training with sampler vae: that sampler, without the rest
tensorboard/, metrics.csv    the metrics once more, as trackers have them, see `oneshot.runs.trackers`
tracker-NAME.json            which run of another program is this one's

One process writes at a time (`oneshot.base.files.writing_in`); any number may read meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from oneshot.base.files import append_line, clear, read_json, replacing, vacant, write_json
from oneshot.base.provenance import differences
from oneshot.registry import changed_plugins, loaded_plugins
from oneshot.runs.config import BESIDE, Config, document, read
from oneshot.runs.recording import Recorder
from oneshot.runs.upgrade import renamed, upgraded
from oneshot.space import Space
from oneshot.training.place import Place
from oneshot.training.recipe import Recipe

EPOCH = "epoch"
"""In the header of a state: after how many epochs it was saved."""
WITHIN = "within.safetensors"
FILES = ("config.json", "metrics.jsonl", "checkpoint.json", "*.safetensors", "metrics.csv", "tracker-*.json")


class RunFolder:
    """One training on disk; every write is atomic, and no pickle is ever read."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @classmethod
    def create(cls, path: str | Path, config: Mapping[str, Any]) -> RunFolder:
        """A new folder, or an existing one of exactly this configuration, to be continued.

        ValueError names the differences to the configuration that is there, or says that the folder is another's.
        """
        folder = cls(path)
        if folder.is_begun:
            there, asked = folder.config, json.loads(json.dumps(config))
            changed = "; ".join(differences(_compared(there), _compared(asked)))
            if changed:
                raise ValueError(f"{path} holds a run of another configuration: {changed}; choose another folder")
        elif not vacant(folder.path):
            raise ValueError(f"{path} is not empty and holds no run; choose another folder")
        else:
            folder.path.mkdir(parents=True, exist_ok=True)
            write_json(folder.path / "config.json", dict(config))
        clear(folder.path, *FILES)
        return folder

    @property
    def is_begun(self) -> bool:
        return (self.path / "config.json").exists()

    @property
    def config(self) -> dict[str, Any]:
        path = self.path / "config.json"
        if not path.exists():
            raise FileNotFoundError(f"{self.path} is no run folder: it has no config.json; `oneshot train` makes one")
        config = read_json(path)
        if not isinstance(config, dict):
            raise ValueError(f"{path} must hold a JSON object, got {type(config).__name__}")
        return upgraded(config)

    def configuration(self) -> tuple[Config, Recipe]:
        """What the run was asked for; a changed plugin is a warning, a missing one a ValueError."""
        try:
            changed = changed_plugins(self.plugins)
        except ValueError as error:
            raise ValueError(f"{self.path} was {error}") from None
        for words in changed:
            warnings.warn(f"{self.path}: the plugin {words}", stacklevel=2)
        return read(self.config)

    @property
    def space(self) -> Space:
        """What the run searches."""
        return self.configuration()[0].search_space

    @property
    def plugins(self) -> dict[str, str]:
        """The plugins that the run was made with, and what they were."""
        found = self.config.get("plugins", {})
        return found if isinstance(found, dict) else {}

    def record(self, finished: int, epochs: int, facts: Mapping[str, Any]) -> Recorder:
        """Writes the rows and states of a training that continues after `finished` of its `epochs`."""
        return Recorder(self, finished, epochs, facts)

    def save(self, state: Mapping[str, Tensor], epoch: int, facts: Mapping[str, Any]) -> None:
        """Commit a state; the one before is removed only afterwards."""
        target = self.path / f"state-{epoch}.safetensors"
        content = save_safetensors({key: _plain(value) for key, value in state.items()}, {EPOCH: str(epoch)})
        with replacing(target) as temporary:
            temporary.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        commit = {"file": target.name, "sha256": digest, "epoch": epoch, "facts": dict(facts)}
        write_json(self.path / "checkpoint.json", commit)
        for old in (*self.path.glob("state-*.safetensors"), self.path / WITHIN):
            if old != target:
                old.unlink(missing_ok=True)

    def save_within(self, state: Mapping[str, Tensor], epoch: int, place: Place, facts: Mapping[str, Any]) -> None:
        """Keep a state in the middle of the epoch that follows so many, in place of the one before."""
        header = {EPOCH: str(epoch), "place": json.dumps(place.document()), "facts": json.dumps(dict(facts))}
        content = save_safetensors({key: _plain(value) for key, value in state.items()}, header)
        with replacing(self.path / WITHIN) as temporary:
            temporary.write_bytes(content)

    def load_within(self, epoch: int) -> tuple[dict[str, Tensor], Place, dict[str, Any]] | None:
        """What `save_within` kept in the epoch that follows so many, if it did; a damaged one is a warning."""
        path = self.path / WITHIN
        if not path.exists():
            return None
        try:
            content = path.read_bytes()
            state, header = load_safetensors(content), _header(content)
            if header[EPOCH] != str(epoch):  # an epoch was finished since
                return None
            return state, Place.read(json.loads(header["place"])), dict(json.loads(header["facts"]))
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            warnings.warn(f"{path} cannot be read ({error}): the epoch is begun again", stacklevel=2)
            return None

    @property
    def commit(self) -> dict[str, Any] | None:
        """The content of checkpoint.json; None before the first checkpoint."""
        path = self.path / "checkpoint.json"
        if not path.exists():
            return None
        commit = read_json(path)
        expected = {"file": str, "sha256": str, "epoch": int, "facts": dict}
        if not isinstance(commit, dict) or not all(isinstance(commit.get(k), t) for k, t in expected.items()):
            raise ValueError(f"{path} must hold {', '.join(expected)}")
        if Path(commit["file"]).name != commit["file"]:
            raise ValueError(f"{path} must name a file of the run folder, got {commit['file']!r}")
        if commit["epoch"] < 1 or commit["file"] != f"state-{commit['epoch']}.safetensors":
            raise ValueError(f"{path} contradicts itself: epoch {commit['epoch']} in the file {commit['file']!r}")
        return commit

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The committed state and its commit record; None before the first checkpoint.

        Whole also while a training saves. ValueError where the file is missing, truncated, not the one that was
        committed, or of another epoch.
        """
        commit = self.commit
        while commit is not None:
            try:
                return self._state(commit), commit
            except ValueError:
                newer = self.commit  # the next state was committed, and this one removed
                if newer == commit:
                    raise
                commit = newer
        return None

    def _state(self, commit: Mapping[str, Any]) -> dict[str, Tensor]:
        path = self.path / commit["file"]
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ValueError(f"{path} is missing, although checkpoint.json names it") from None
        digest = hashlib.sha256(content).hexdigest()
        if digest != commit["sha256"]:
            raise ValueError(f"{path} was changed or cut short: SHA-256 {commit['sha256']} expected, got {digest}")
        try:
            state = renamed(load_safetensors(content))
        except SafetensorError as error:
            raise ValueError(f"{path} is no safetensors file: {error}") from error
        of = _epoch_of(content)
        if of not in (None, str(commit["epoch"])):
            where = self.path / "checkpoint.json"
            raise ValueError(f"{where} says epoch {commit['epoch']} of {path.name}, which is of epoch {of}")
        return state

    def log(self, row: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl."""
        append_line(self.path / "metrics.jsonl", json.dumps(dict(row)))

    def rewind(self, epoch: int) -> None:
        """Drop what metrics.jsonl says beyond the first `epoch` epochs, half-written lines included."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["epoch"] <= epoch:
                    kept.append(line + "\n")
            except (ValueError, KeyError, TypeError):
                continue
        with replacing(path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The rows that are whole: a training may be about to write the next."""
        path = self.path / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]


def recorded(config: Config, recipe: Recipe) -> dict[str, Any]:
    """What a run folder says of a run as it begins: also its number of threads, and its plugins, if any."""
    plugins = loaded_plugins()
    return document(config, recipe) | {"threads": torch.get_num_threads()} | ({"plugins": plugins} if plugins else {})


def _compared(config: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal for a run to be continued."""
    return {key: value for key, value in config.items() if key not in BESIDE}


def _epoch_of(content: bytes) -> str | None:
    """States of earlier versions say nothing."""
    return _header(content).get(EPOCH)


def _header(content: bytes) -> dict[str, str]:
    """What the header of a valid safetensors file says."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]).get("__metadata__") or {}


def _plain(value: Tensor) -> Tensor:
    """A contiguous copy on the CPU: what the file holds does not depend on memory format or device."""
    return value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
