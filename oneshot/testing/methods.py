"""What every method keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from oneshot.methods.base import CannotSearch
from oneshot.registry import METHODS
from oneshot.runs.config import Chosen, Config
from oneshot.runs.folder import RunFolder, recorded
from oneshot.runs.run import Run, build, open_run
from oneshot.training.course import Course
from oneshot.training.feedback import Feedback
from oneshot.training.loop import Training, train
from oneshot.training.place import Place
from oneshot.training.recipe import Recipe

RECIPE = Recipe(epochs=2, batch_size=216, learning_rate=0.05, shift=0, flip=False, precision="float32")


class MethodContract:
    """Of the registered method called `name`, on two epochs of digits with a small network.

    It is of `space`, or of the first of `others` for a method that cannot search it.
    """

    space = Chosen("nasbench201", {"channels": 2, "cells": 1})
    others = (Chosen("nasbench201-subsets", {"channels": 2, "cells": 1}),)
    recipe = RECIPE
    brief: Mapping[str, Mapping[str, Any]] = {}
    """By a method's name, settings with which two epochs are enough for it."""

    def run(self, name: str, folder: RunFolder | None = None, **settings: Any) -> Run:
        own = {**self.brief.get(name, {}), **settings}
        for space in (self.space, *self.others):
            config = Config.of(space=space, method=Chosen(name, own), dataset="digits", split="half")
            with suppress(CannotSearch):
                return build(config, self.recipe, folder=folder)
        raise AssertionError(f"{name} can search none of {', '.join(s.name for s in (self.space, *self.others))}")

    def trained(self, run: Run, folder: RunFolder | None = None) -> None:
        seed, told = run.config.seed, self.feedback(run)
        train(run.net, run.method, run.train, run.valid, run.recipe, seed, folder, feedback=told)

    def training(self, run: Run) -> Training:
        return Training(run.net, run.method, run.train, run.valid, self.recipe, feedback=self.feedback(run))

    def feedback(self, run: Run) -> Feedback | None:
        """What a sampler that learns is told: accuracies that are larger the later the options are."""
        if run.sampler.plan is None:
            return None
        return Feedback(run.sampler, lambda archs: np.array([float(sum(arch)) for arch in archs]))

    def test_its_settings_refuse_what_cannot_be(self, name: str) -> None:
        with pytest.raises(ValueError, match="has no setting 'nonsense'"):
            self.run(name, nonsense=1)

    def test_the_weights_and_all_that_it_learns_move(self, name: str) -> None:
        run = self.run(name)
        classifier = [p.detach().clone() for p in run.net.parameters()]
        own = {key: value.clone() for key, value in run.method.state_dict().items()}
        self.trained(run)
        assert any(not torch.equal(a, b) for a, b in zip(classifier, run.net.parameters(), strict=True))
        learned = {id(p) for target in run.method.targets().values() for p in target.parameters}
        for key, p in run.method.named_parameters():
            assert id(p) in learned, f"{key} has no optimiser"
            assert not torch.equal(own[key], p), f"{key} did not move"
        assert all(p.requires_grad for p in run.net.parameters())
        assert all(p.grad is None for p in (*run.net.parameters(), *run.method.parameters()))

    def test_derives_an_architecture_or_nothing(self, name: str) -> None:
        run = self.run(name)
        found = run.method.derive()
        assert found is None or run.space.allows(found)

    def test_derives_what_the_space_allows_whatever_it_has_learned(self, name: str) -> None:
        run = self.run(name)
        for scale in (1e-3, 1.0, 30.0, 1000.0):
            with torch.no_grad():
                for p in run.method.parameters():
                    p.normal_(std=scale)
            found = run.method.derive()
            assert found is None or run.space.allows(found)

    def test_the_same_seed_gives_the_same(self, name: str) -> None:
        one, other = self.run(name), self.run(name)
        self.trained(one)
        self.trained(other)
        assert same(one.net, other.net)
        assert same(one.method, other.method)

    def test_a_stop_after_any_epoch_changes_nothing(self, name: str) -> None:
        whole = self.run(name)
        self.trained(whole)
        epochs = Course.of(whole.method.phases(self.recipe)).epochs
        before = self.training(self.run(name))
        for stop in range(1, epochs):
            one_epoch(before, stop - 1)
            second = self.run(name)
            after = self.training(second)
            after.load({key: value.clone() for key, value in before.state().items()}, stop)
            for epoch in range(stop, epochs):
                one_epoch(after, epoch)
            assert same(whole.net, second.net)
            assert same(whole.method, second.method)

    def test_a_stop_within_an_epoch_changes_nothing(self, name: str) -> None:
        """In the last epoch of every phase."""
        whole = self.run(name)
        self.trained(whole)
        course = Course.of(whole.method.phases(self.recipe))
        for stop in (epoch for epoch in range(course.epochs) if self._ends_a_phase(course, epoch)):
            first, second = self.run(name), self.run(name)
            before = self.training(first)
            for epoch in range(stop):
                one_epoch(before, epoch)
            next(before.steps(stop))
            after = self.training(second)
            place = Place.read(json.loads(json.dumps(before.place(0.0).document())))
            after.load({key: value.clone() for key, value in before.state().items()}, stop, place)
            for epoch in range(stop, course.epochs):
                one_epoch(after, epoch)
            assert same(whole.net, second.net)
            assert same(whole.method, second.method)

    @staticmethod
    def _ends_a_phase(course: Course, epoch: int) -> bool:
        return epoch + 1 == course.epochs or course.at(epoch)[0] is not course.at(epoch + 1)[0]

    def test_an_opened_run_derives_what_training_found(self, name: str, tmp_path: Path) -> None:
        run = self.run(name)
        folder = RunFolder.create(tmp_path / "run", recorded(run.config, run.recipe))
        self.trained(run, folder)
        opened = open_run(folder.path)
        assert opened.method.derive() == run.method.derive()
        assert same(opened.net, run.net)
        assert same(opened.method, run.method)

    def test_it_is_listed(self, name: str) -> None:
        assert name in METHODS


def one_epoch(training: Training, epoch: int) -> None:
    """As `train` does it."""
    training.epoch(epoch)
    if training.feedback is not None:
        training.feedback.after(epoch, training.seed)


def same(one: nn.Module, other: nn.Module) -> bool:
    """Bit by bit."""
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
