"""The images of a run, which knows them: what is recorded of them, and what is said where they are no longer that.

data.json of a run folder holds the fingerprint of the data that the run was made with, and what was accepted since.
Runs of earlier versions have none: they open as they did, and get one when they are trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from oneshot.base import distributed
from oneshot.base.files import read_json, write_json
from oneshot.base.progress import Progress
from oneshot.data.fingerprint import Fingerprint, differences, in_words
from oneshot.data.load import load
from oneshot.data.source import Dataset, ImageSource, check_batch
from oneshot.data.split import OWN_SPLITS
from oneshot.methods.phases import Phase
from oneshot.runs.config import Config
from oneshot.runs.folder import RunFolder

FILE = "data.json"
NAMED = 10
"""Damaged images that a sentence names at most."""


@dataclass(frozen=True)
class Change:
    """Data that was accepted although it differed from what the run had seen until an epoch."""

    epoch: int
    differences: tuple[str, ...]


@dataclass(frozen=True)
class Known:
    """What a run folder says of its data: as it was last, since which epoch, and how it had changed before."""

    fingerprint: Fingerprint
    since_epoch: int = 0
    changes: tuple[Change, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Known | None:
        """None for a run of an earlier version; ValueError where the file is something else."""
        path = folder / FILE
        if not path.exists():
            return None
        content = read_json(path)
        try:
            changes = [Change(change["epoch"], tuple(change["differences"])) for change in content["changes"]]
            return cls(Fingerprint.read(content["fingerprint"]), content["since_epoch"], tuple(changes))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path} does not say what a run's data was: {error}") from error

    def write(self, folder: Path) -> None:
        changes = [{"epoch": c.epoch, "differences": list(c.differences)} for c in self.changes]
        content = {"fingerprint": self.fingerprint.document(), "since_epoch": self.since_epoch, "changes": changes}
        write_json(folder / FILE, content)

    def check(self, where: Path, found: Fingerprint, accept: bool) -> list[str]:
        """What differs from the data found, accepted; ValueError says it where it is not accepted."""
        odd = differences(self.fingerprint, found)
        if odd and not accept:
            raise ValueError(
                f"{where}: the data is not what this run was made with: {in_words(odd)}; --accept-data goes on all "
                f"the same, and the protocol says so"
            )
        return odd


@dataclass(frozen=True, eq=False)
class RunData:
    """A data set, the images of it that train and that validate, and the fingerprint of all that."""

    dataset: Dataset
    train: ImageSource
    valid: ImageSource
    fingerprint: Fingerprint

    @classmethod
    def of(cls, config: Config, data_dir: str | Path | None = None, device: str | torch.device = "cpu") -> RunData:
        """What a configuration names, on a device."""
        dataset = load(config.dataset, data_dir, config.image_size or None, device)
        fingerprint = dataset.fingerprint(config.split, config.split_by)
        return cls(dataset, *dataset.split(config.split, config.split_by), fingerprint)

    def check_phases(self, phases: Sequence[Phase]) -> None:
        """ValueError where a phase cannot train on these images, or would train on those that also test."""
        for phase in phases:
            self.train.check(phase.recipe.augmentation)
            images = len(self.train) + (len(self.valid) if phase.images == "all" else 0)
            check_batch(images, phase.recipe.batch_size, distributed.world())
        split = self.fingerprint.split.name
        if any(p.images == "all" for p in phases) and split in OWN_SPLITS and self.dataset.valid is self.dataset.test:
            raise ValueError(f"images must be train with split {split}, whose validation images also test")

    def check_readable(self) -> None:
        """ValueError names the images that cannot be read; each is tried."""
        with Progress("check", len(self.dataset), "images") as progress:
            parts = self.dataset.parts().values()
            damaged = [line for part in parts for line in part.unreadable(progress.advance)]
        if damaged:
            more = f"; and {len(damaged) - NAMED} more" if len(damaged) > NAMED else ""
            raise ValueError(
                f"{self.dataset.name}: {len(damaged)} of {len(self.dataset):,} images cannot be read: "
                f"{'; '.join(damaged[:NAMED])}{more}; mend or delete them (`oneshot data check` names all)"
            )

    def settle(self, folder: Path, epoch: int, accept: bool = False) -> Known:
        """What the folder of a run that trains (on) after `epoch` says of its data from now on.

        ValueError where it has trained on other data, unless that is accepted.
        """
        known = Known.read(folder)
        if known is None:
            settled = Known(self.fingerprint, epoch)
        elif odd := known.check(folder, self.fingerprint, accept):
            settled = Known(self.fingerprint, known.since_epoch, (*known.changes, Change(epoch, tuple(odd))))
        else:
            return known
        settled.write(folder)
        return settled

    def protocol(self, folder: RunFolder | None = None, accept: bool = False) -> dict[str, Any] | None:
        """What a run's protocol says of its data; None for a run of an earlier version, which has not recorded it.

        ValueError where it is not what the folder has recorded, unless that is accepted.
        """
        if folder is None:
            return self._said(None)
        if folder.commit is None:
            return self._said(self.settle(folder.path, 0, accept))
        known = Known.read(folder.path)
        return None if known is None else self._said(known, known.check(folder.path, self.fingerprint, accept))

    def _said(self, known: Known | None, accepted: Sequence[str] = ()) -> dict[str, Any]:
        said = self.fingerprint.summary()
        if known is not None and known.changes:
            said["changed"] = [asdict(change) | {"differences": list(change.differences)} for change in known.changes]
        if known is not None and known.since_epoch:
            said["recorded_since_epoch"] = known.since_epoch
        return said | ({"accepted": list(accepted)} if accepted else {})
