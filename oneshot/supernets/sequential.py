"""The skeleton of sequential spaces: a stem, a choice block for each layer, a head."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from oneshot.gates import Gates
from oneshot.nn.choice import ChoiceBlock, Feature
from oneshot.nn.operations import Operations
from oneshot.spaces.sequential import Layer, Sequential


class SequentialNet(nn.Module):
    """A supernet of a sequential space, or of one architecture alone (`space.only(arch)`).

    `stem` takes images to the first layer's channels, `head` the last layer's channels to logits.
    """

    def __init__(
        self, space: Sequential, operations: Operations, layers: Sequence[Layer], stem: nn.Module, head: nn.Module
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
        decisions = zip(space.decisions, layers, strict=True)
        self.blocks = nn.ModuleList(ChoiceBlock(d.options, operations, *layer) for d, layer in decisions)

    def forward(self, x: Tensor, gates: Gates) -> Tensor:
        """Logits [B, classes] of images [B, 3, H, W], float, normalised."""
        return self.features(Feature(x), gates).whole()

    def features(self, x: Feature, gates: Gates) -> Feature:
        """`forward` as steps of which architectures that begin alike may share the results."""
        x = x.through(self.stem)
        for block, gate in zip(self.blocks, gates, strict=True):
            x = block.lazy(x, gate)  # pyright: ignore[reportCallIssue]
        return x.through(self.head)
