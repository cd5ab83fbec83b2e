"""A run knows its data: what is recorded of it, and what is said where it is no longer that.

data.json of a run folder holds the fingerprint of the data that the run was made with, and what was accepted since.
Runs of earlier versions have none: they open as they did, and get one when they are trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from oneshot.base.files import read_json, write_json
from oneshot.data.fingerprint import Fingerprint, differences, in_words
from oneshot.data.source import Dataset

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


def protocol(known: Known | None, found: Fingerprint, accepted: list[str]) -> dict[str, Any]:
    """What predictions say of their data."""
    said = found.summary()
    if known is not None and known.changes:
        said["changed"] = [asdict(change) | {"differences": list(change.differences)} for change in known.changes]
    if known is not None and known.since_epoch:
        said["recorded_since_epoch"] = known.since_epoch
    return said | ({"accepted": accepted} if accepted else {})


def settle(folder: Path, found: Fingerprint, epoch: int, accept: bool = False) -> Known:
    """What the folder of a run that trains (on) after `epoch` says of its data from now on.

    ValueError where it has trained on other data, unless that is accepted.
    """
    known = Known.read(folder)
    if known is None:
        settled = Known(found, epoch)
    elif odd := known.check(folder, found, accept):
        settled = Known(found, known.since_epoch, (*known.changes, Change(epoch, tuple(odd))))
    else:
        return known
    settled.write(folder)
    return settled


def check_readable(dataset: Dataset, on_image: Callable[[], object] = lambda: None) -> None:
    """ValueError names the images that cannot be read; each is tried."""
    damaged = [line for part in dataset.parts().values() for line in part.unreadable(on_image)]
    if damaged:
        more = f"; and {len(damaged) - NAMED} more" if len(damaged) > NAMED else ""
        raise ValueError(
            f"{dataset.name}: {len(damaged)} of {len(dataset):,} images cannot be read: "
            f"{'; '.join(damaged[:NAMED])}{more}; mend or delete them (`oneshot data check` names all)"
        )
