"""What each stage of HM-NAS keeps: a table (Table 3), its figure with the histograms of Fig. 4, and the network."""

from __future__ import annotations

import copy
import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from oneshot.base.figures import METHOD, OTHERS, new_panels
from oneshot.base.files import replacing
from oneshot.data.source import ImageSource
from oneshot.gates import Gates
from oneshot.methods.masks import Masks, maskable
from oneshot.nn.chance import at_progress
from oneshot.nn.choice import ChoiceBlock
from oneshot.nn.norm import still
from oneshot.nn.operations import Zero

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLE, FIGURE = "stages.csv", "stages"
"""Names of the files in a run folder; the figure is there as .png and .svg."""


class Masked(Protocol):
    """What a search with masks says of itself, HM-NAS's: see there."""

    settings: Any
    masks: Masks | None
    inherited: nn.Module
    nodes: tuple[tuple[int, ...], ...]

    def gates(self) -> Gates: ...
    def searched(self) -> Gates: ...


@dataclass(frozen=True)
class Stage:
    """A network as a stage leaves it.

    Args:
        stage: supernet, searched or fine-tuned
        parameters: weights that it uses, without those that are masked
        reduction: of the parameters against the supernet's, in percent
        operations: options that run, over all sites
        edges: sites where something runs
        accuracy: in percent, BatchNorm with the statistics of each batch
        images: on how many images, and whether the masks or the fine-tuning have seen them
    """

    stage: str
    parameters: int
    reduction: float
    operations: int
    edges: int
    accuracy: float
    images: str


def stages(method: Masked, net: nn.Module, images: ImageSource, batch_size: int = 256) -> list[Stage]:
    """Of a trained network; ValueError for a run without masks. The network stays as it is."""
    if method.masks is None:
        raise ValueError("stages are those of a search with masks: mask_epochs must be at least 1, got 0")
    names, old = {p: name for name, p in net.named_parameters()}, list(method.inherited.buffers())
    masks = {names[p]: mask for p, mask in zip(maskable(net), method.masks.kept_weights(), strict=True)}
    is_tuned = any(bool(value.any()) for value in old)
    trained = {name: value if is_tuned else p.detach() for (p, name), value in zip(names.items(), old, strict=True)}
    masked = trained | {name: trained[name] * mask for name, mask in masks.items()}
    with torch.no_grad():
        whole, part = method.gates(), method.searched()
    found = [("supernet", trained, whole, False), ("searched", masked, part, True)]
    found += [("fine-tuned", {}, part, True)] if is_tuned else []
    x, _ = next(images.batches(2))
    counts = [_parameters(net, gates, x, masks if is_masked else {}) for _, _, gates, is_masked in found]
    seen = (
        f"{len(images)} validation images, {'' if method.settings.all_images else 'not '}trained on after the supernet"
    )
    return [
        Stage(
            name, count, 100 * (1 - count / counts[0]), sum(map(len, gates)), sum(bool(gate) for gate in gates),
            _accuracy(net, values, gates, images, batch_size), seen,
        )
        for (name, values, gates, _), count in zip(found, counts, strict=True)
    ]  # fmt: skip


def write(method: Masked, net: nn.Module, images: ImageSource, folder: Path) -> list[Stage]:
    """The table and the figure into a run folder, each file whole or not at all."""
    rows = stages(method, net, images)
    with replacing(folder / TABLE) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(vars(rows[0])))
        writer.writeheader()
        writer.writerows(vars(row) for row in rows)
    drawn = figure(rows, method.searched(), method.nodes)
    for kind in ("png", "svg"):
        with replacing(folder / f"{FIGURE}.{kind}") as temporary:
            drawn.savefig(temporary, format=kind, dpi=160)
    return rows


def figure(rows: Sequence[Stage], gates: Gates, nodes: Sequence[Sequence[int]]) -> Figure:
    """Parameters and accuracy of each stage; inputs of each node, and edges by their number of operations (Fig. 4)."""
    made, (size, accuracy, inputs, edges) = new_panels(2, 2, 9.0, 6.4)
    names = [row.stage for row in rows]
    for axes, values, words in (
        (size, [row.parameters / 1e6 for row in rows], "parameters (millions)"),
        (accuracy, [row.accuracy for row in rows], "accuracy, %"),
    ):
        bars = axes.bar(names, values, color=[OTHERS, *[METHOD] * (len(rows) - 1)])
        axes.bar_label(bars, fmt="%.3g" if axes is size else "%.2f")
        axes.set_ylabel(words)
    leading = [sum(bool(gates[site]) for site in sites) for sites in nodes]
    inputs.bar([str(number + 1) for number in range(len(nodes))], leading, color=METHOD)
    inputs.set_xlabel("node")
    inputs.set_ylabel("input edges")
    counts = Counter(len(gate) for gate in gates)
    most = range(max(counts, default=0) + 1)
    edges.bar([str(number) for number in most], [counts[number] for number in most], color=METHOD)
    edges.set_xlabel("operations on an edge")
    edges.set_ylabel("edges")
    return made


class Searched(nn.Module):
    """What masks have left of a network, with its mixing weights: logits [B, classes] of images [B, 3, H, W]."""

    def __init__(self, net: nn.Module, gates: Gates, images: Tensor) -> None:
        super().__init__()
        self.net, self.gates = copy.deepcopy(net), gates
        names = _used(self.net, gates, images)
        used = {p for name, p in self.net.named_parameters() if name in names}
        for block in self.net.modules():
            if isinstance(block, ChoiceBlock):
                for number, option in enumerate(block.options):
                    if not used & set(option.parameters()) and next(option.parameters(), None) is not None:
                        block.options[number] = Zero()

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images, self.gates)


def _parameters(net: nn.Module, gates: Gates, x: Tensor, masks: Mapping[str, Tensor]) -> int:
    """Of those that the network uses, all or what their masks leave."""
    sizes = {name: p.numel() for name, p in net.named_parameters()}
    return sum(int(masks[name].sum()) if name in masks else sizes[name] for name in _used(net, gates, x))


def _used(net: nn.Module, gates: Gates, x: Tensor) -> set[str]:
    """The names of the parameters on which the logits depend."""
    was_training, named = net.training, dict(net.named_parameters())
    net.eval()
    with torch.enable_grad():
        found = torch.autograd.grad(net(x, gates).sum(), list(named.values()), allow_unused=True)
    net.train(was_training)
    return {name for name, gradient in zip(named, found, strict=True) if gradient is not None}


@torch.no_grad()
def _accuracy(
    net: nn.Module, values: Mapping[str, Tensor], gates: Gates, images: ImageSource, batch_size: int
) -> float:
    """In percent, with other values for some parameters, and each batch's own statistics."""
    was_training, right = net.training, 0
    net.train()
    at_progress(net, 0.0)
    with still(net):
        for x, labels in images.batches(batch_size):
            logits = functional_call(net, dict(values), (x, gates))
            right += int((logits.argmax(1) == labels).sum())
    net.train(was_training)
    return 100 * right / len(images)
