"""Single-path one-shot training (SPOS, arXiv 1904.00420): each step trains the paths that a sampler draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from oneshot.gates import fixed
from oneshot.methods.base import Batch
from oneshot.samplers.base import Sampler
from oneshot.space import Arch, Space


class SinglePath:
    """One loss for each architecture of the sampler's group; derives nothing."""

    def __init__(self, space: Space, sampler: Sampler) -> None:
        self.space, self.sampler = space, sampler

    def arch_parameters(self) -> Sequence[nn.Parameter]:
        return ()

    def losses(self, net: nn.Module, batch: Batch, progress: float) -> Iterator[Tensor]:
        for arch in self.sampler.draw(self.sampler.group, batch.rng):
            yield batch.loss(net(batch.images, fixed(self.space, arch)), batch.labels)

    def derive(self) -> Arch | None:
        return None
