"""What every method keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from oneshot.data.source import Images
from oneshot.methods.base import Batch, Method
from oneshot.runs.run import METHODS
from oneshot.samplers.fair import StrictlyFair
from oneshot.spaces.nasbench201 import ALL
from oneshot.supernets.nasbench201 import NasBench201Net


def batch(few: tuple[Images, Images], seed: int = 0) -> Batch:
    train, valid = (part.subset(slice(0, 16)) for part in few)
    held = (valid.normalised(valid.pixels), valid.labels)
    return Batch(
        train.normalised(train.pixels), train.labels, lambda: held, np.random.default_rng(seed), F.cross_entropy
    )


@pytest.mark.parametrize("name", METHODS)
class TestMethod:
    def method(self, name: str) -> Method:
        return METHODS[name](ALL, StrictlyFair(ALL))

    def test_each_loss_owns_its_graph(self, name: str, few: tuple[Images, Images]) -> None:
        net = NasBench201Net(ALL, 4, 1)
        for loss in self.method(name).losses(net, batch(few), 0.0):
            assert loss.shape == ()
            loss.backward()  # frees its graph; the next one must not need it

    def test_some_loss_reaches_the_weights_and_some_every_arch_parameter(
        self, name: str, few: tuple[Images, Images]
    ) -> None:
        net, method = NasBench201Net(ALL, 4, 1), self.method(name)
        for loss in method.losses(net, batch(few), 0.5):
            loss.backward()
        assert all(p.grad is not None for p in net.classifier.parameters())
        assert all(p.grad is not None for p in method.arch_parameters())
        assert all(p.requires_grad for p in net.parameters())

    def test_same_random_numbers_same_losses(self, name: str, few: tuple[Images, Images]) -> None:
        def losses(seed: int) -> list[float]:
            torch.manual_seed(0)
            net = NasBench201Net(ALL, 4, 1)
            return [float(loss.detach()) for loss in self.method(name).losses(net, batch(few, seed), 0.0)]

        assert losses(1) == losses(1)

    def test_derives_an_architecture_or_nothing(self, name: str) -> None:
        found = self.method(name).derive()
        assert found is None or ALL.allows(found)
