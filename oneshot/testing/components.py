"""What every sampler, operation table, context, data format and tracker keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from oneshot.nn.contexts.base import ContextWeights, Dependence
from oneshot.nn.operations import Operations, Zero
from oneshot.samplers.base import Sampler
from oneshot.space import Space


class SamplerContract:
    """Of what `make(space)` makes."""

    def test_draws_allowed_architectures_of_python_ints(self, make: Callable[[Space], Sampler], space: Space) -> None:
        sampler = make(space)
        archs = sampler.draw(4 * sampler.group, np.random.default_rng(0))
        assert len(archs) == 4 * sampler.group
        assert all(space.allows(arch) and all(type(i) is int for i in arch) for arch in archs)

    def test_all_randomness_is_the_generators(self, make: Callable[[Space], Sampler], space: Space) -> None:
        sampler = make(space)
        n = 30 * sampler.group
        first = sampler.draw(n, np.random.default_rng(7))
        assert sampler.draw(n, np.random.default_rng(7)) == first
        assert make(space).draw(n, np.random.default_rng(7)) == first
        assert sampler.draw(n, np.random.default_rng(8)) != first

    def test_small_draws_continue_a_large_one(self, make: Callable[[Space], Sampler], space: Space) -> None:
        """The same distribution whether drawn step by step or at once: every option of every site turns up.

        But for a zero that no architecture of the space has there. Of one that learns, among its candidates.
        """
        sampler, rng = make(space), np.random.default_rng(0)
        archs = [arch for _ in range(200) for arch in sampler.candidates(sampler.group, rng)]
        for decision, column in zip(space.decisions, zip(*archs, strict=True), strict=True):
            assert set(column) >= {i for i, option in enumerate(decision.options) if option != space.zero}
        zeros = [(k, d.options.index(space.zero)) for k, d in enumerate(space.decisions) if space.zero in d.options]
        drawn = [space.propose(rng) for _ in range(200)]
        for k, zero in zeros:
            assert any(arch[k] == zero for arch in archs) or all(arch[k] != zero for arch in drawn)

    def test_state_is_taken_over(self, make: Callable[[Space], Sampler], space: Space) -> None:
        """What is learned is all in the state; one that learns is told accuracies of its own draws."""
        one, other = make(space), make(space)
        if one.plan is not None:
            archs = one.draw(one.plan.samples, np.random.default_rng(0))
            assert one.learned() is None
            one.learn(archs, np.random.default_rng(1).random(len(archs)))
            one.advance()
            assert one.learned() is not None
        other.load_state_dict(one.state_dict())
        n = 8 * one.group
        assert other.draw(n, np.random.default_rng(3)) == one.draw(n, np.random.default_rng(3))
        assert other.facts() == one.facts()


class OperationsContract:
    """Of an operation table; those that cannot halve or widen an image are given the sizes that they take."""

    def test_shapes_and_gradients(self, operations: Operations) -> None:
        taken = 0
        for name, operation in operations.items():
            for channels_in, channels_out, stride in ((8, 8, 1), (8, 8, 2), (8, 16, 2)):
                torch.manual_seed(0)
                try:
                    module = operation(channels_in, channels_out, stride)
                except ValueError:
                    continue
                if isinstance(module, Zero):
                    continue
                x = torch.randn(2, channels_in, 8, 8, requires_grad=True)
                y = module(x)
                if y.shape[1:] != (channels_out, 8 // stride, 8 // stride):
                    assert (channels_in, stride) != (channels_out, 1), f"{name} keeps no shape at stride 1"
                    continue
                y.sum().backward()
                assert x.grad is not None
                assert x.grad.isfinite().all()
                taken += 1
        assert taken >= sum(1 for _ in operations) - 1


class ContextContract:
    """Of what the settings of a context make, which may be None."""

    def test_tells_every_dependent_block_of_every_cell(self, context: Any) -> None:
        dependence = context.make()
        if dependence is None:
            return
        assert isinstance(dependence, Dependence)
        priors = dependence.priors([3, 2, 4, 3], [(0, 1), (0, 2), (1, 2), (2, 3)])
        weights = dependence.module(priors, [[4, 8]] * 4)
        assert isinstance(weights, ContextWeights)
        told = weights(tuple(((1, 1.0),) for _ in range(4)))
        assert len(told) == 2
        for width, cell in zip((4, 8), told, strict=True):
            assert set(cell) == set(priors.dependent)
            for given in cell.values():
                assert all(vector.shape == (width,) for vector in (*given.shift, *given.scale))

    def test_copies_are_as_many_as_contexts(self, context: Any) -> None:
        dependence = context.make()
        if dependence is not None:
            priors = dependence.priors([3, 2, 4], [(0, 1), (0, 2), (1, 2)])
            copies = dependence.copies(priors)
            assert copies == ([priors.contexts(s) for s in range(3)] if dependence.split_epoch else [1, 1, 1])


class FormatContract:
    """Of a data format, given a data set of it at `path`."""

    def test_finds_its_own_and_nothing_else(self, form: Any, path: str, tmp_path: Path) -> None:
        assert form.find(path, None) is not None
        other = tmp_path / "something.else"
        other.write_text("nothing")
        with suppress(ValueError):  # the last format says where it looked
            assert form.find(str(other), None) in (None, other)

    def test_batches_are_images_and_labels(self, form: Any, path: str) -> None:
        dataset = form.load(form.find(path, None), None, "cpu")
        train, valid = dataset.split("half")
        x, y = next(train.batches(4))
        assert x.dim() == 4
        assert x.shape[:2] == (4, 3)
        assert y.dtype == torch.int64
        assert 0 <= int(y.min()) <= int(y.max()) < dataset.classes
        assert x.shape[2:] == train.shape
        assert len(train) + len(valid) == len(dataset.pool)
        assert torch.equal(next(train.batches(4))[0], x)
        with pytest.raises(ValueError, match="split"):
            dataset.split("nonsense")

    def test_every_image_is_known_by_itself(self, form: Any, path: str) -> None:
        """So a split moves no image because another one comes or goes."""
        images = form.load(form.find(path, None), None, "cpu").pool
        keys, sizes = images.keys(), images.sizes()
        assert (keys.dtype, keys.shape, sizes.shape) == (np.dtype(np.uint64), (len(images),), (len(images),))
        part = torch.arange(1, len(images), 2)
        assert np.array_equal(images.subset(part).keys(), keys[part])
        assert len(np.unique(keys)) > len(images) // 2
        assert images.unreadable() == []

    def test_its_fingerprint_is_that_of_what_is_there(self, form: Any, path: str) -> None:
        first, again = (form.load(form.find(path, None), None, "cpu").fingerprint("half") for _ in range(2))
        assert first == again == type(first).read(json.loads(json.dumps(first.document())))
        assert first.parts["train"].images == first.split.train + first.split.valid


class TrackerContract:
    """Of what the settings of a tracker make for a run folder."""

    def test_goes_on_in_the_same_run(self, tracker: Any, tmp_path: Path) -> None:
        rows = [{"epoch": epoch, "loss": 1 / epoch, "phase": "one", "seconds": 2.0 * epoch} for epoch in (1, 2, 3)]
        configuration = {"space": {"name": "some", "channels": 4}, "seed": 0, "steps": [1, 2]}
        first = tracker.make(tmp_path)
        assert first.begin(configuration) == 0
        first.log(rows[:1])
        assert first.begin(configuration) in (0, 1)
        first.end(False)
        second = tracker.make(tmp_path)
        has = second.begin(configuration)
        assert has in (0, 1)
        second.log(rows[has:])
        second.end(True)

    def test_nothing_is_made_before_it_begins(self, tracker: Any, tmp_path: Path) -> None:
        tracker.make(tmp_path / "missing")
        assert not list(tmp_path.iterdir())
