"""HM-NAS (arXiv 1909.00122): mixing weights of operations and edges, then masks on both and on the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from oneshot.base.bounds import check_least
from oneshot.gates import Gates
from oneshot.methods import bilevel
from oneshot.methods.architecture import adam, refuse_forbidden
from oneshot.methods.base import Method, Setup, Step, Target
from oneshot.methods.masks import Masks, maskable, nodes_of
from oneshot.methods.phases import Phase
from oneshot.methods.stages import Searched, write
from oneshot.space import Arch, Space

if TYPE_CHECKING:
    from pathlib import Path

    from oneshot.data.source import ImageSource
    from oneshot.training.recipe import Recipe

START = 1e-3
"""The scale of the first architecture parameters, which are normal (section 4.2)."""


@dataclass(frozen=True)
class HmNasSettings:
    """A supernet of as many epochs as the recipe has; then masks of what is trained; then the training of the rest.

    Spaces with any number of options at a site derive all that is unmasked, others the strongest of each site.

    Args:
        order: first, second or exact, of the architecture's gradient, see darts
        warm_start: epochs of the supernet before the architecture learns
        last_probability: of an architecture step, to which it falls from 1 over the supernet's training
        edges: mixing weights and masks of edges, too; without them the encoding has one level (Table 5)
        arch_learning_rate: Adam's, of the architecture parameters
        arch_weight_decay: Adam's
        mask_epochs: epochs in which masks learn; without masks the supernet's strongest options are derived
        mask_learning_rate: Adam's, of the masks of weights
        arch_mask_learning_rate: Adam's, of the masks of operations and edges
        mask_decay_epochs: epochs after which both are divided by 10
        mask_threshold: what is masked is not above it (tau)
        mask_start: where masks begin
        fine_tune_epochs: epochs in which what is unmasked is trained on
        fine_tune_learning_rate: first learning rate of these (of CIFAR-10 not given; that of section 4.3)
        fine_tune_cutout: side of the square that is hidden then, in pixels
        all_images: masks and fine-tuning learn from the validation images, too, as published; then nothing that is
            validated on them is unseen
    """

    order: str = "first"
    warm_start: int = 10
    last_probability: float = 0.0
    edges: bool = True
    arch_learning_rate: float = 3e-4
    arch_weight_decay: float = 1e-3
    mask_epochs: int = 20
    mask_learning_rate: float = 1e-4
    arch_mask_learning_rate: float = 1e-5
    mask_decay_epochs: int = 10
    mask_threshold: float = 5e-3
    mask_start: float = 1e-2
    fine_tune_epochs: int = 200
    fine_tune_learning_rate: float = 1e-2
    fine_tune_cutout: int = 0
    all_images: bool = False

    def __post_init__(self) -> None:
        bilevel.check_order(self.order)
        check_least(self, warm_start=0, arch_learning_rate=0, arch_weight_decay=0, mask_epochs=0, mask_learning_rate=0)
        check_least(self, arch_mask_learning_rate=0, mask_decay_epochs=1, fine_tune_epochs=0, fine_tune_cutout=0)
        check_least(self, fine_tune_learning_rate=0)
        if not 0 <= self.last_probability <= 1:
            raise ValueError(f"last_probability must be from 0 to 1, got {self.last_probability}")
        if self.fine_tune_epochs and not self.mask_epochs:
            raise ValueError(
                f"fine-tuning trains what masks leave: mask_epochs must be at least 1 before {self.fine_tune_epochs} "
                f"fine_tune_epochs, got 0"
            )
        if not -math.inf < self.mask_threshold < self.mask_start < math.inf:
            raise ValueError(
                f"mask_start must be above the mask_threshold of {self.mask_threshold}, so that all is unmasked at "
                f"first, got {self.mask_start}"
            )

    def make(self, setup: Setup) -> HmNas:
        refuse_forbidden("hm-nas", setup)
        return HmNas(setup.space, setup.net, self, setup.seed)

    def probability(self, progress: float) -> float:
        """Of an architecture step, at the finished share of the supernet's training."""
        return 1 + (self.last_probability - 1) * progress


class HmNas(Method):
    """See `HmNasSettings`. A zero among the options takes no part: what is masked is nothing.

    From the first step of fine-tuning on, `inherited` are all weights as the masks have learned on them.
    """

    def __init__(self, space: Space, net: nn.Module, settings: HmNasSettings | None = None, seed: int = 0) -> None:
        super().__init__(space)
        self.settings = s = settings or HmNasSettings()
        self.wiring = [
            [(d, choice, option) for d, choice, option in site if space.decisions[d].options[choice] != space.zero]
            for site in space.wiring
        ]
        self.nodes, self.phase = nodes_of(space), "supernet"
        rng, sizes = torch.Generator().manual_seed(seed), [len(site) for site in self.wiring]
        self.alphas = nn.ParameterList(START * torch.randn(size, generator=rng) for size in sizes)
        self.betas = nn.ParameterList(START * torch.randn(len(sites), generator=rng) for sites in self.nodes if s.edges)
        self.architecture = adam([*self.alphas, *self.betas], s.arch_learning_rate, s.arch_weight_decay)
        self.masks: Masks | None = None
        self.inherited = nn.Module()
        if s.mask_epochs:
            weights = maskable(net)
            self.masks = Masks(sizes, self.nodes, weights, s.mask_threshold, s.mask_start, s.edges)
            own = [*self.masks.operations, *self.masks.edges]
            rates = (self.masks.weights, s.mask_learning_rate), (own, s.arch_mask_learning_rate)
            groups = [{"params": list(params), "lr": rate, "first": rate} for params, rate in rates]
            self.masking = Target(torch.optim.Adam(groups))
            for number, p in enumerate(net.parameters()):
                self.inherited.register_buffer(str(number), torch.zeros_like(p))

    def phases(self, recipe: Recipe) -> Sequence[Phase]:
        s = self.settings
        if s.warm_start >= recipe.epochs:
            raise ValueError(
                f"warm_start must be below the {recipe.epochs} epochs, after which an architecture is known, "
                f"got {s.warm_start}"
            )
        images = "all" if s.all_images else "train"
        phases = [Phase("supernet", recipe)]
        if s.mask_epochs:
            phases.append(Phase("masks", replace(recipe, epochs=s.mask_epochs, warmup_epochs=0.0), images))
        if s.fine_tune_epochs:
            tuning = replace(
                recipe, epochs=s.fine_tune_epochs, learning_rate=s.fine_tune_learning_rate, warmup_epochs=0.0,
                final_learning_rate=min(recipe.final_learning_rate, s.fine_tune_learning_rate),
                cutout=s.fine_tune_cutout,
            )  # fmt: skip
            phases.append(Phase("fine-tune", tuning, images))
        return phases

    def begin(self, phase: str) -> None:
        self.phase = phase

    def step(self, step: Step) -> None:
        {"supernet": self._train, "masks": self._mask, "fine-tune": self._tune}[self.phase](step)

    def strengths(self) -> list[Tensor]:
        """The mixing weight of every option at each site: equation 1's times equation 2's."""
        vectors = [alpha.softmax(0) for alpha in self.alphas]
        for sites, beta in zip(self.nodes, self.betas, strict=False):
            for site, edge in zip(sites, beta.softmax(0).unbind(), strict=True):
                vectors[site] = vectors[site] * edge
        return vectors

    def kept(self) -> list[Tensor]:
        """The mixing weight of every option at each site, zero for what is masked."""
        with torch.no_grad():
            if self.masks is None:
                return self.strengths()
            operations, edges = self.masks.of_sites()
            return [w * o * e for w, o, e in zip(self.strengths(), operations, edges, strict=True)]

    def gates(self) -> Gates:
        """Of the supernet."""
        return self._gates(self.strengths())

    def searched(self) -> Gates:
        """Of what is unmasked alone, with its mixing weights."""
        return tuple(
            tuple((option, weight) for option, weight in gate if float(weight) > 0) for gate in self._gates(self.kept())
        )

    def derive(self) -> Arch | None:
        """All options that are unmasked where the space takes them, else of each site the strongest, or zero."""
        vectors, known = [[0.0] * len(d.options) for d in self.space.decisions], set[int]()
        for site, strengths in zip(self.wiring, self.kept(), strict=True):
            for (d, choice, _), strength in zip(site, strengths.tolist(), strict=True):
                vectors[d][choice] = strength
                known |= {d} if strength else set()
        arch = self.space.strongest(vectors)
        empty = tuple(
            i if d in known or self.space.zero not in decision.options else decision.options.index(self.space.zero)
            for d, (i, decision) in enumerate(zip(arch, self.space.decisions, strict=True))
        )
        return empty if self.space.allows(empty) else arch

    def gates_of(self, arch: Arch) -> Gates:
        """Of what is unmasked its mixing weights, with which it was fine-tuned; any other architecture's are 1."""
        plain, found = self.space.gates(arch), self.searched()
        options = [tuple(option for option, _ in gate) for gate in found]
        if arch != self.derive() or [tuple(option for option, _ in gate) for gate in plain] != options:
            return plain
        return tuple(tuple((option, float(weight)) for option, weight in gate) for gate in found)

    def reading(self, net: nn.Module) -> nn.Module:
        """A copy whose masked weights are zero, which they are not before they are fine-tuned."""
        kept = [] if self.masks is None else self.masks.kept_weights()
        if all(bool(mask.all()) for mask in kept):
            return net
        masked = deepcopy(net)
        with torch.no_grad():
            for p, mask in zip(maskable(masked), kept, strict=True):
                p.mul_(mask)
        return masked

    def report(self, net: nn.Module, images: ImageSource, folder: Path) -> None:
        """What each stage keeps, see `oneshot.methods.stages`."""
        if self.masks is not None:
            write(self, net, images, folder)

    def network(self, net: nn.Module, images: Tensor) -> Searched:
        """What is unmasked of a network and nothing else; `images` are any that it takes."""
        return Searched(net, self.searched(), images)

    def facts(self) -> dict[str, float]:
        if self.masks is None:
            return {}
        kept, weights = [int((vector > 0).sum()) for vector in self.kept()], self.masks.kept_weights()
        share = sum(int(one.sum()) for one in weights) / max(sum(one.numel() for one in weights), 1)
        return {"operations": float(sum(kept)), "edges": float(sum(n > 0 for n in kept)), "weights_kept": share}

    def _gates(self, vectors: Sequence[Tensor]) -> Gates:
        sites = zip(self.wiring, vectors, strict=True)
        return tuple(
            tuple((option, weight) for (_, _, option), weight in zip(site, vector.unbind(), strict=True))
            for site, vector in sites
        )

    def _train(self, step: Step) -> None:
        """Section 3.2: the architecture learns now and then, and not before the weights are warm."""
        s = self.settings
        if step.epoch >= s.warm_start and step.rng.random() < s.probability(step.progress):
            bilevel.learn(s.order, step, self.architecture, self.gates)
            step.update(self.architecture)
        with torch.no_grad():
            gates = self.gates()
        step.learn(step.weights, step.loss(step.net(step.images, gates), step.labels))

    def _mask(self, step: Step) -> None:
        """Equation 3: masks learn on training images, through a network of which they are all that changes."""
        assert self.masks is not None
        falls = step.progress * self.settings.mask_epochs >= self.settings.mask_decay_epochs - 1e-6
        for group in self.masking.optimizer.param_groups:
            group["lr"] = group["first"] * (0.1 if falls else 1.0)
        with torch.no_grad():
            strengths = self.strengths()
        operations, edges = self.masks.of_sites()
        gates = self._gates([w * o * e for w, o, e in zip(strengths, operations, edges, strict=True)])
        masked = {p: p.detach() * self.masks.binary(m) for p, m in self._masked(step)}
        values = [masked[p] if p in masked else p.detach() for p in step.weights.parameters]
        step.learn(self.masking, step.loss(step.net(step.images, gates, at=values), step.labels))

    def _tune(self, step: Step) -> None:
        """What is masked is zero, and stays it whatever momentum and decay the optimiser has."""
        assert self.masks is not None
        kept = [(p, mask) for (p, _), mask in zip(self._masked(step), self.masks.kept_weights(), strict=True)]
        with torch.no_grad():
            if step.progress == 0:
                for p, inherited in zip(step.module.parameters(), self.inherited.buffers(), strict=True):
                    inherited.copy_(p)
            for p, mask in kept:
                p.mul_(mask)
        step.learn(step.weights, step.loss(step.net(step.images, self.searched()), step.labels))
        for p, mask in kept:
            if p.grad is not None:
                p.grad.mul_(mask)
        step.update(step.weights)
        with torch.no_grad():
            for p, mask in kept:
                p.mul_(mask)

    def _masked(self, step: Step) -> list[tuple[nn.Parameter, nn.Parameter]]:
        """Each maskable weight of the network with its mask."""
        assert self.masks is not None
        return list(zip(maskable(step.module), self.masks.weights, strict=True))
