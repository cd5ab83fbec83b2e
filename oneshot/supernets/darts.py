"""The networks of DARTS (arXiv 1806.09055), and what EnTranNAS's search adds (arXiv 2101.11342)."""

from __future__ import annotations

from dataclasses import dataclass

from oneshot.supernets.nasnet import NasNetSkeleton


@dataclass(frozen=True)
class DartsSkeleton(NasNetSkeleton):
    """DARTS's network: two cells a stage are the 8 of its search, six the 20 and four the 14 of its evaluation.

    Args:
        channels: width of the first stage
        cells: normal cells a stage
        sharing: operations belong to the node that they read, and are made once for all nodes behind it (eq. 6 of
            EnTranNAS)
        bottleneck: a cell's operations run at this part of its width, between two 1x1 convolutions (EnTranNAS: 4)
        auxiliary: a second classifier behind the second reduction cell while training
        drop_path: probability at the end of the training that an edge's result is dropped for an image
        stem: cifar (one convolution) or imagenet (three that halve the image)
        pool_norm: BatchNorm behind pooling in supernets, never in networks of one architecture
    """

    pool_norm: bool = True
