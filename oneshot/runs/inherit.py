"""The network of one architecture with what it inherits from a trained supernet."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from oneshot.gates import Gates, weighed
from oneshot.nn.contexts.base import DependenceSettings, Told
from oneshot.nn.contexts.constant import Constant, vectors_of
from oneshot.nn.uses import take, used
from oneshot.runs.config import Config
from oneshot.runs.folder import RunFolder
from oneshot.runs.network import network
from oneshot.runs.run import Run
from oneshot.space import Arch, Space
from oneshot.supernets.base import Skeleton
from oneshot.training.state import convert_network, load_common, load_network

CLOSE = 1e-3
"""How far logits may differ, as a share of the largest, by the order of additions in a network that is cut out."""


def inherit(
    net: nn.Module,
    space: Space,
    arch: Arch,
    alone: nn.Module,
    own: Space,
    images: Tensor,
    gates: Gates | None = None,
) -> list[Tensor]:
    """Give `alone`, of the one-architecture space `own`, what the supernet uses for this architecture.

    `gates` are those with which the supernet runs it, where its options have weights other than 1.

    Weights of channels that are not used, of copies of other contexts, and what tells contexts apart are left behind;
    what a context says of this architecture becomes constant. Returns the tensors that `alone` uses. ValueError where
    its steps are not those of the supernet, or its logits of the images differ.
    """
    gates = space.gates(arch) if gates is None else gates
    only = weighed(own.gates((0,) * len(own.decisions)), gates)
    contexts, told = getattr(net, "contexts", None), list[Told]()
    watch = (
        None if contexts is None else contexts.register_forward_hook(lambda module, asked, given: told.append(given))
    )
    try:
        theirs, expected = used(net, gates, images)
    finally:
        if watch is not None:
            watch.remove()
    if not expected.isfinite().all():
        raise ValueError(f"the logits of {space.format(arch)} are not finite: there is no network to take out")
    constant = Constant({name: vector for given in told for name, vector in vectors_of(given)})
    if list(constant.parameters()):
        alone.contexts = constant
    ours, _ = used(alone, only, images)
    try:
        take(theirs, ours, aside=(constant,) if contexts is None else (constant, contexts))
        got = used(alone, only, images)[1]
        if not torch.allclose(got, expected, rtol=0, atol=CLOSE * max(1.0, float(expected.abs().max()))):
            raise ValueError(f"logits differ by {float((got - expected).abs().max()):.3g}")
    except ValueError as error:
        raise ValueError(
            f"the network of {own.name} alone is no part of its supernet, whose weights it could inherit: {error}"
        ) from error
    constant.keep(ours)
    if contexts is not None and not list(constant.parameters()):
        alone.contexts = None  # pyright: ignore[reportArgumentType]
    return ours


def initialise(run: Run) -> None:
    """Take the weights of the run that `init_from` names, converted to this run's context; nothing if it names none."""
    if not run.config.init_from:
        return
    folder = RunFolder(run.config.init_from)
    there, loaded = folder.configuration()[0], folder.load()
    if there.space.name != run.config.space.name:
        raise ValueError(
            f"init_from: {folder.path} is a run of space {there.space.name}, this one is of {run.config.space.name}"
        )
    if loaded is None:
        raise ValueError(f"init_from: {folder.path} holds no checkpoint yet")
    if run.config.arch != there.arch:
        _inherit(run, there, loaded[0])
    else:
        convert_network(run.net, loaded[0])


def _inherit(run: Run, there: Config, state: Mapping[str, Tensor]) -> None:
    """Take what the supernet of another run uses for this run's one architecture."""
    context: DependenceSettings = there.context.settings
    if there.arch or context.make() is not None:
        raise ValueError(
            f"init_from: one architecture inherits from a supernet without weights that depend on earlier choices, "
            f"got {f'a network of {there.arch}' if there.arch else f'context {there.context.name}'}"
        )
    ours, theirs = (config.space.document() for config in (run.config, there))
    sizes = [n for n in ours if ours[n] != theirs[n] and n not in ("auxiliary", "drop_path")]
    if sizes:
        words = ", ".join(f"{name} {ours[name]} here, {theirs[name]} there" for name in sizes)
        raise ValueError(f"init_from: inherited weights need a network of the supernet's own sizes, got {words}")
    like, classes = next(run.train.subset(slice(0, 2)).batches(2))[0], run.dataset.classes
    supernet, space = network(there, classes).to(like.device), there.search_space
    load_network(supernet, state)
    skeleton: Skeleton = there.space.settings
    alone = skeleton.make(run.space, classes).to(like.device)
    inherit(supernet, space, space.parse(run.config.arch), alone, run.space, like)
    if lost := load_common(run.net, alone):
        raise ValueError(f"init_from: the network of {run.config.space.name} alone has other weights: {lost[0]}")
