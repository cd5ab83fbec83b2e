"""The skeleton of sequential spaces: a stem, a choice block for each layer, a head."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from oneshot.gates import Gates, of_cells
from oneshot.nn.auxiliary import AuxiliaryHead
from oneshot.nn.blocks import block_output
from oneshot.nn.choice import ChoiceBlock, Feature
from oneshot.nn.contexts.base import ALONE, ContextWeights, Dependence
from oneshot.nn.operations import Operations
from oneshot.spaces.sequential import Layer, Sequential


class SequentialNet(nn.Module):
    """A supernet of a sequential space, or of one architecture alone (`space.only(arch)`).

    `stem` takes images to the first layer's channels, `head` the last layer's channels to logits. `dependence` makes
    weights depend on earlier layers' choices; what it adds, it adds to the input of the whole operation, shortcut
    included.
    """

    def __init__(
        self,
        space: Sequential,
        operations: Operations,
        layers: Sequence[Layer],
        stem: nn.Module,
        head: nn.Module,
        dependence: Dependence | None = None,
    ) -> None:
        super().__init__()
        if len(layers) != len(space.decisions):
            raise ValueError(f"{space.name} needs {len(space.decisions)} layers, got {len(layers)}")
        for i, (before, after) in enumerate(pairwise(layers)):
            if before.channels_out != after.channels_in:
                raise ValueError(
                    f"layer {i + 1} must take the {before.channels_out} channels of layer {i}, got {after.channels_in}"
                )
        self.space, self.stem, self.head = space, stem, head
        sites = zip(space.site_options, layers, strict=True)
        self.blocks = nn.ModuleList(ChoiceBlock(options, operations, *layer) for options, layer in sites)
        self.widths = [layer.channels_in for layer in layers]
        self._aside = 2 * len(layers) // 3
        self.aside_channels = layers[self._aside].channels_in
        self.auxiliary: AuxiliaryHead | None = None
        self.contexts: ContextWeights | None = None
        if dependence is not None:
            self.depend(dependence)

    def initialise(self, dependence: Dependence | None) -> None:
        """Draw the convolutions' weights (Kaiming, fan out), then `depend`."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
        if dependence is not None:
            self.depend(dependence)

    def depend(self, dependence: Dependence) -> None:
        """Make weights depend on earlier choices; last, so that the other weights are those of a network without."""
        sites = range(len(self.blocks))
        priors = dependence.priors([len(d.options) for d in self.space.decisions], [(i, i + 1) for i in sites])
        for block, copies in zip(self.blocks, dependence.copies(priors), strict=True):
            block.contexts = copies  # pyright: ignore[reportArgumentType]
        self.contexts = dependence.module(priors, [[width] for width in self.widths])

    def forward(self, x: Tensor, gates: Gates) -> Tensor:
        """Logits [B, classes] of images [B, 3, H, W], float, normalised."""
        return self.features(Feature(x), gates).whole()

    def features(self, x: Feature, gates: Gates) -> Feature:
        """`forward` as steps of which architectures that begin alike may share the results."""
        (gates,) = of_cells(gates, len(self.blocks), 1)
        told = {} if self.contexts is None else self.contexts(gates)[0]
        x = x.through(self.stem)
        for site, (block, gate) in enumerate(zip(self.blocks, gates, strict=True)):
            if self.auxiliary is not None and self.training and site == self._aside:
                self.auxiliary(x.whole())
            x = block_output(block.lazy(x, gate, told.get(site, ALONE)))  # pyright: ignore[reportCallIssue]
        return x.through(self.head)


def check_sizes(channels: int, classes: int, dropout: float) -> None:
    """ValueError where no network has them."""
    if min(channels, classes) < 1 or not 0 <= dropout < 1:
        raise ValueError(
            f"channels and classes must be positive and dropout in [0, 1), got {channels}, {classes}, {dropout}"
        )
