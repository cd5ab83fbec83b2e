"""Many architectures in one pass: what several of them have in common is made once a batch.

Every value in a network has a name, which says how it is made: the operation, and the names of what goes in. Two
architectures share a value where it has the same name for both: the stem, the first cell's operations on it, in
sequential networks the whole common beginning. BatchNorm statistics belong to names too, because batch by batch the
same inputs give the same statistics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence

import torch
from torch import Tensor, nn

from oneshot.gates import Gates
from oneshot.nn.cpu import RELU, Clamp, Running
from oneshot.nn.feature import Feature, Key, added
from oneshot.nn.norm import batch_norms, statistics, with_statistics
from oneshot.nn.operations import Skip
from oneshot.nn.sums import Wanted, make


class Sharing:
    """Runs all architectures of a group, given by their gates, on one batch after another.

    `memory` bounds, in bytes, the values that are kept for another architecture; what does not fit is made again.
    Networks with a method `features` are shared step by step, others only by architectures whose gates are equal.
    The modules' modes are the caller's: while BatchNorm trains, each batch moves the statistics once a name.
    `peak` is how much of a boundless memory was of use so far.
    """

    def __init__(self, net: nn.Module, gates: Sequence[Gates], memory: int) -> None:
        self.net, self.gates, self.memory = net, gates, memory
        self._names: dict[Hashable, int] = {}
        self._uses: Counter[int] = Counter()
        self._taken: set[int] = set()
        self._rectified: set[int] = set()
        self._statistics: dict[tuple[nn.Module, int], Running] = {}
        self._norms: dict[nn.Module, list[nn.BatchNorm2d]] = {}
        self._kept: dict[int, Shared] = {}
        self._left: Counter[int] = Counter()
        self._moved: set[int] = set()
        self._paths: list[list[tuple[nn.Module, int]]] = []
        self.peak = 0
        self.planning = True
        for _ in self._run(torch.empty(0)):
            pass
        self.planning = False

    def __call__(self, images: Tensor) -> Iterator[Tensor]:
        """The logits of each architecture, in order."""
        self._left = self._uses.copy()
        self._kept.clear()
        self._moved.clear()
        yield from self._run(images)

    def statistics(self) -> list[Tensor]:
        """Means and variances of every BatchNorm on its way, one vector [S] an architecture, once a batch was run."""
        each = [[*self._tracked(path)] for path in self._paths]
        return [torch.cat(buffers) if buffers else torch.empty(0) for buffers in each]

    def restore(self, statistics: Sequence[Tensor]) -> None:
        """Take the statistics that these architectures had in another group."""
        for path, vector in zip(self._paths, statistics, strict=True):
            buffers = list(self._tracked(path))
            for buffer, values in zip(buffers, vector.split([len(buffer) for buffer in buffers]), strict=True):
                buffer.copy_(values)

    def _tracked(self, path: Sequence[tuple[nn.Module, int]]) -> Iterator[Tensor]:
        for operation, name in path:
            for norm in self._norms_of(operation):
                running = self._statistics[norm, name]
                yield from (running.mean, running.variance)

    def _norms_of(self, operation: nn.Module) -> list[nn.BatchNorm2d]:
        if operation not in self._norms:
            self._norms[operation] = [norm for norm in batch_norms(operation) if statistics(norm) is not None]
        return self._norms[operation]

    def _run(self, images: Tensor) -> Iterator[Tensor]:
        features = getattr(self.net, "features", None)
        for gates in self.gates:
            if self.planning:
                self._paths.append([])
            x = Shared(self, self._name("images"), Feature(images))
            if features is None:
                y = x.through(self.net, lambda net, x, gates=gates: Feature(net(x.value, gates)), key=gates)
            else:
                y = features(x, gates)
            yield y.value

    def once(self, key: Hashable, make: Callable[[], Feature], operation: nn.Module | None = None) -> Shared:
        """The value with this key: kept, or made now with the statistics that the operation has for it."""
        name = self._name(key)
        if self.planning:
            self._uses[name] += 1
            if operation is not None:
                self._paths[-1].append((operation, name))
                for norm in self._norms_of(operation):  # now, or memory between images would be theirs for long
                    own = statistics(norm)
                    assert own is not None
                    self._statistics.setdefault((norm, name), _copy(own))
            return Shared(self, name, Feature(torch.empty(0)))
        found = self._kept.get(name)
        if found is None:
            found = Shared(self, name, make() if operation is None else self._with_statistics(operation, name, make))
            if self._left[name] > 1:
                needed = self._size(found) + sum(map(self._size, self._kept.values()))
                self.peak = max(self.peak, needed)
                if needed <= self.memory:
                    self._kept[name] = found
        self._left[name] -= 1
        if not self._left[name]:
            self._kept.pop(name, None)
        return found

    def note(self, name: int, value: bool, relu: bool) -> None:
        """While planning: that some architecture takes these of a feature."""
        if relu:
            self._rectified.add(name)
        if value:
            self._taken.add(name)

    def takes_both(self, name: int) -> bool:
        return name in self._rectified and name in self._taken

    def _name(self, key: Hashable) -> int:
        return self._names.setdefault(key, len(self._names))

    @staticmethod
    def _size(x: Shared) -> int:
        """Bytes of a value, as if nobody else held its parts."""
        return sum(part.numel() * part.element_size() for part in x.tensors())

    def _with_statistics(self, operation: nn.Module, name: int, make: Callable[[], Feature]) -> Feature:
        norms = self._norms_of(operation)
        kept = [self._statistics[norm, name] for norm in norms]
        again = name in self._moved
        self._moved.add(name)
        with with_statistics(norms, [_copy(each) for each in kept] if again else kept):
            return make()


class Shared(Feature):
    """A feature with a name, whose every successor is made once."""

    def __init__(self, sharing: Sharing, name: int, made: Feature) -> None:
        super().__init__(*made.terms, shift=made.shift, images=made.images)
        self._sharing, self.name = sharing, name

    def successor(self, key: Key, make: Callable[[], Feature], operation: nn.Module | None = None) -> Feature:
        named = [*map(_named, key)]
        if isinstance(operation, Skip) and all(part is None for part in named[1:]):
            if not self._sharing.planning:
                _ = self.value  # or the order of additions would depend on who else needs it
            return self  # with all that was prepared from it
        return self._sharing.once((self.name, *named), make, operation)

    def foresee(self, values: int, shifts: Sequence[Tensor | None]) -> None:
        """Nothing in advance, for another architecture may have made it; but what is taken is noted."""
        if self._sharing.planning:
            self._sharing.note(self.name, bool(values), None in shifts)

    @property
    def value(self) -> Tensor:
        self._make_what_is_taken()
        return super().value

    def rectified(self, shift: Tensor | None = None, clamp: Clamp = RELU) -> Tensor:
        if shift is not None:  # one architecture's alone, not kept
            return make(self.terms, [Wanted(added(self.shift, shift), clamp)])[0]
        self._make_what_is_taken()
        return super().rectified(None, clamp)

    def _make_what_is_taken(self) -> None:
        if self._sharing.takes_both(self.name):
            self.make_both()


def _copy(running: Running) -> Running:
    return Running(*(value.clone() for value in running))


def _named(part: Hashable) -> Hashable:
    """A part of a key, so that equal ones are one."""
    if isinstance(part, Feature):
        assert isinstance(part, Shared)
        return part.name
    return part.detach().float().cpu().numpy().tobytes() if isinstance(part, Tensor) else part
