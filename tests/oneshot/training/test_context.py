"""Training weights that depend on earlier choices: the split, resume, several processes, hygiene, conversion."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from oneshot.evaluators.supernet import SupernetEvaluator
from torch import Tensor, nn

from oneshot.data.source import Images
from oneshot.gates import fixed
from oneshot.methods.base import Method
from oneshot.methods.darts import Darts, DartsSettings
from oneshot.methods.single_path import SinglePath
from oneshot.nn.choice import ChoiceBlock, split
from oneshot.runs.config import Config, document
from oneshot.runs.folder import RunFolder
from oneshot.runs.inherit import initialise
from oneshot.runs.network import network
from oneshot.runs.run import build, open_run
from oneshot.samplers.balanced import Balanced
from oneshot.samplers.base import Sampler
from oneshot.samplers.fair import StrictlyFair
from oneshot.samplers.uniform import Uniform, distinct
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL, CONV
from oneshot.training.callbacks import OnEpoch
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe
from oneshot.training.state import load_network, network_state
from oneshot.training.weights import Weights

SHORT = Recipe(epochs=4, batch_size=48, shift=1, flip=False, learning_rate=0.05)
METHODS: dict[str, Callable[[], Method]] = {
    "uniform": lambda: SinglePath(ALL, Uniform(ALL)),
    "fair": lambda: SinglePath(ALL, StrictlyFair(ALL)),
    "balanced": lambda: SinglePath(ALL, Balanced(ALL)),
    "darts": lambda: Darts(ALL, DartsSettings(arch_learning_rate=0.01)),
}
MODES = ("inherit", "batch", "ema-3", "reset-ema-3", "reset-cumulative-3")
Few = tuple[Images, Images]


def supernet(context: str = "none", space: str = "nasbench201", **more: object) -> nn.Module:
    torch.manual_seed(1)
    more = {"split_epoch": 2} | more if context == "split" else more
    config = Config.of(space=space, channels=4, cells=1, context=context, **more)
    return network(config, 10).to(memory_format=torch.channels_last)  # pyright: ignore


def everything(net: nn.Module, method: Method) -> list[Tensor]:
    return [*net.state_dict().values(), *method.state_dict().values()]


class Stop(Exception):
    pass


CASES = {
    **{f"split {name}": ("split", SHORT, make) for name, make in METHODS.items()},
    **{f"bias {name}": ("bias", SHORT, make) for name, make in METHODS.items()},
    "shared-bias": ("shared-bias", SHORT, METHODS["uniform"]),
    "attention-2": ("attention-2", SHORT, METHODS["fair"]),
    "split muon": ("split", replace(SHORT, optimizer="muon", learning_rate=0.01), METHODS["uniform"]),
    "bias muon": ("bias", replace(SHORT, optimizer="muon", learning_rate=0.01), METHODS["uniform"]),
}


UNDISTURBED: dict[str, list[Tensor]] = {}


def undisturbed(case: str, few: Few) -> list[Tensor]:
    """What a case comes to without a stop, trained once for all stops."""
    if case not in UNDISTURBED:
        context, recipe, make = CASES[case]
        net, method = supernet(context), make()
        train(net, method, *few, recipe, seed=3)
        UNDISTURBED[case] = everything(net, method)
    return UNDISTURBED[case]


@pytest.mark.parametrize(("case", "stop"), [(c, s) for c in CASES for s in ((1, 2, 3) if "split" in c else (2,))])
def test_resume_is_bit_identical(
    case: str, stop: int, few: Few, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the split, at the epoch after which it comes, and after it."""
    context, recipe, make = CASES[case]
    straight = undisturbed(case, few)
    monkeypatch.setattr("oneshot.runs.recording.CHECKPOINT_SECONDS", 0.0)
    folder = RunFolder.create(tmp_path / "run", {})

    def interrupt(row) -> None:
        if row["epoch"] == stop:
            raise Stop

    with pytest.raises(Stop):
        train(supernet(context), make(), *few, recipe, 3, folder, callbacks=[OnEpoch(interrupt)])
    torch.manual_seed(99)
    resumed, other = supernet(context), make()
    train(resumed, other, *few, recipe, 3, folder)
    pairs = zip(straight, everything(resumed, other), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    train(
        resumed, other, *few, recipe, 3, folder, callbacks=[OnEpoch(lambda row: pytest.fail("trained beyond the end"))]
    )


@pytest.mark.parametrize("optimizer", ["sgd", "muon"])
def test_at_the_split_every_copy_is_the_weights_statistics_and_momentum(optimizer: str, few: Few) -> None:
    recipe = replace(SHORT, epochs=2, optimizer=optimizer, learning_rate=0.02)
    net, step = supernet("split"), {}
    train(net, METHODS["fair"](), *few, recipe)
    weights = Weights(net, recipe)
    for p in net.parameters():
        p.grad = torch.randn_like(p)
    weights.optimizer.step()
    weights.optimizer.zero_grad()
    before = {n: p for n, p in net.named_parameters()}
    momentum = {n: {k: v.clone() for k, v in weights.optimizer.state[p].items()} for n, p in before.items()}
    step = {n: b.clone() for n, b in net.state_dict().items()}
    origins = split(net)
    later = Weights(net, recipe)
    later.take_over(weights, origins)
    made = later.optimizer
    after, copies = dict(net.named_parameters()), 0
    for name, value in net.state_dict().items():
        assert torch.equal(value, step[first_copy(name)]), name
    for name, p in after.items():
        origin = first_copy(name)
        copies += origin != name
        assert [*made.state[p]] == [*momentum[origin]]
        for key, value in made.state[p].items():
            assert torch.equal(value, momentum[origin][key])
            assert origin == name or value.data_ptr() != made.state[after[origin]][key].data_ptr()
    assert copies == 3 * 5 * 4 * 2  # cells, edges with a prior, further contexts, convolutions


def first_copy(name: str) -> str:
    """The name of the same option in the first context; there are five options."""
    parts = name.split(".")
    if "options" in parts:
        place = parts.index("options") + 1
        parts[place] = str(int(parts[place]) % 5)
    return ".".join(parts)


SHORT_TRAINED: dict[tuple[Any, ...], nn.Module] = {}


def short_trained(context: str, method: str, few: Few, epochs: int = SHORT.epochs, **more: Any) -> nn.Module:
    """A copy of a network that is trained once for all tests."""
    key = (context, method, epochs, *more.items())
    if key not in SHORT_TRAINED:
        SHORT_TRAINED[key] = supernet(context, **more)
        train(SHORT_TRAINED[key], METHODS[method](), *few, replace(SHORT, epochs=epochs))
    return deepcopy(SHORT_TRAINED[key])


@pytest.mark.parametrize("mode", MODES)
def test_right_after_the_split_predictions_are_bit_identical(mode: str, few: Few) -> None:
    archs = distinct(ALL, 6, np.random.default_rng(0))
    net = short_trained("split", "fair", few, epochs=2)
    before = SupernetEvaluator(net, ALL, *few, norm=mode, batch_size=16)(archs)
    split(net)
    after = SupernetEvaluator(net, ALL, *few, norm=mode, batch_size=16)(archs)
    assert before.values == after.values


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_recalibrates_the_copies_that_run(mode: str, few: Few) -> None:
    """The same as a baseline into which the architecture's copies were put by hand."""
    net = short_trained("split", "fair", few)
    for arch in distinct(ALL, 4, np.random.default_rng(1)):
        base = supernet()
        state = {k: v for k, v in net.state_dict().items() if k in base.state_dict()}
        for name, value in net.state_dict().items():
            parts = name.split(".")
            if "edges" in parts:
                edge, option = int(parts[3]), int(parts[5])
                if option == 5 * (arch[edge - 1] if edge else 0) + arch[edge]:
                    state[first_copy(name)] = value
        base.load_state_dict(state)
        one, other = (SupernetEvaluator(n, ALL, *few, norm=mode, batch_size=16)([arch]) for n in (net, base))
        assert one.values == other.values


@pytest.mark.parametrize("context", ["bias", "shared-bias", "attention", "attention-2"])
@pytest.mark.parametrize("mode", MODES)
def test_evaluation_leaves_the_network_alone(context: str, mode: str, few: Few) -> None:
    net = short_trained(context, "uniform", few, depth=2)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    evaluator, archs = (
        SupernetEvaluator(net, ALL, *few, norm=mode, batch_size=16),
        [(0, 3, 2, 0, 3, 1), (3, 2, 1, 4, 3, 2)],
    )
    together = evaluator(archs)
    assert evaluator(archs[1:]).values == together.values[1:]
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in before.items())


class Paths(Sampler):
    """The given architectures one after another, the last one for ever."""

    def __init__(self, *archs: Arch) -> None:
        self.archs = list(archs)

    def draw(self, n: int, rng: np.random.Generator) -> list[Arch]:
        return [self.archs.pop(0) if len(self.archs) > 1 else self.archs[0]]


def test_an_unseen_copy_keeps_the_weights_at_the_split(few: Few) -> None:
    """One step before the split, and one after it in the context (1, 1)."""
    recipe = Recipe(epochs=2, batch_size=96, shift=0, flip=False, weight_decay=0.1)
    net, until = (supernet("split", "nasbench201-conv", split_epoch=1) for _ in range(2))
    train(net, SinglePath(CONV, Paths((0, 1, 0, 1, 0, 1), (1, 1, 1, 1, 1, 1))), *few, recipe)
    rate = recipe.rate(0.5)
    short = Recipe(epochs=1, batch_size=96, shift=0, flip=False, weight_decay=0.1, final_learning_rate=rate)
    train(until, SinglePath(CONV, Paths((0, 1, 0, 1, 0, 1))), *few, short)
    at_split = until.state_dict()
    for name, value in net.state_dict().items():
        parts = name.split(".")
        if "edges" in parts:
            edge, number = int(parts[3]), int(parts[5])
            origin = ".".join([*parts[:5], str(number % 2), *parts[6:]])
            seen = number == (3 if edge else 1)
            assert torch.equal(value, at_split[origin]) != seen, name


def test_biases_take_the_step_of_vectors_of_their_own(few: Few) -> None:
    """The table after three steps on two paths: rows in use as by plain SGD on each alone, the others zeros."""
    recipe = Recipe(epochs=3, batch_size=96, shift=0, flip=False, weight_decay=0.1, gradient_clip=0.5)
    paths = [(0, 1, 0, 1, 0, 1), (1, 1, 0, 1, 0, 1), (1, 1, 0, 1, 0, 1)]
    net, other = (supernet("bias", "nasbench201-conv") for _ in range(2))
    train(net, SinglePath(CONV, Paths(*paths)), *few, recipe)
    table: Tensor = other.contexts.tables[0].weight  # pyright: ignore
    buffers: dict[nn.Parameter, Tensor] = {}
    for epoch, arch in enumerate(paths):
        order = torch.from_numpy(np.random.default_rng((0, epoch, 0)).permutation(96))
        images = few[0].normalised(few[0].pixels[order])
        nn.functional.cross_entropy(other(images, fixed(CONV, arch)), few[0].labels[order]).backward()
        used = {p: p.grad.to_dense() for p in other.parameters() if p.grad is not None}
        total = torch.stack([grad.norm() for grad in used.values()]).norm()
        norms = {p for m in other.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
        for p, grad in used.items():
            rows = grad.abs().sum(1) > 0 if p is table else ...
            grad = grad * min(1.0, 0.5 / (float(total) + 1e-6)) + (0.0 if p in norms else 0.1) * p.detach()
            buffer = buffers.setdefault(p, torch.zeros_like(p))
            with torch.no_grad():
                buffer[rows] = 0.9 * buffer[rows] + grad[rows]
                p[rows] -= recipe.rate(epoch / 3) * buffer[rows]
            p.grad = None
    for (name, p), q in zip(net.named_parameters(), other.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-3, atol=1e-5 * max(1.0, float(q.detach().abs().max()))), name
    assert int((net.contexts.tables[0].weight != 0).any(1).sum()) == 6  # pyright: ignore # edge 1 has two contexts


def test_until_the_split_it_is_the_baseline_and_then_more(few: Few) -> None:
    """Trained to the end of the same schedule: the baseline goes on, the split supernet differs from it."""
    base, net, states, recipe = supernet(), supernet("split"), [], replace(SHORT, batch_size=32)
    train(
        base,
        METHODS["uniform"](),
        *few,
        recipe,
        callbacks=[
            OnEpoch(
                lambda row: states.append(network_state(base)["net.stem.0.weight"].clone()),
            )
        ],
    )
    train(
        net,
        METHODS["uniform"](),
        *few,
        recipe,
        callbacks=[
            OnEpoch(
                lambda row: states.append(network_state(net)["net.stem.0.weight"].clone()),
            )
        ],
    )
    assert torch.equal(states[1], states[5])
    assert not torch.equal(states[3], states[7])
    blocks = [m for m in net.modules() if isinstance(m, ChoiceBlock) and m.contexts > 1]
    assert all(block.is_split for block in blocks)
    assert any(not torch.equal(b.options[3].conv.weight, b.options[8].conv.weight) for b in blocks)  # pyright: ignore


def test_a_second_split_is_refused() -> None:
    net = supernet("split")
    split(net)
    with pytest.raises(ValueError, match="the weights are split already, into 5 contexts"):
        split(net)
    with pytest.raises(ValueError, match="no weights to split"):
        split(supernet())


@pytest.mark.parametrize(("context", "name"), [("bias", "context weights"), ("split", "copies of split weights")])
def test_a_checkpoint_of_another_context_is_named(context: str, name: str) -> None:
    base, net = supernet(), supernet(context)
    if context == "split":
        split(net)
    with pytest.raises(ValueError, match=f"the network has {name}.* that the checkpoint lacks; --init-from converts"):
        load_network(net, network_state(base))
    with pytest.raises(ValueError, match=f"the checkpoint has {name}.* that the network lacks"):
        load_network(base, network_state(net))


DIGITS = Config.of(dataset="digits", split="half", channels=2, cells=1)
ONCE = Recipe(epochs=2, batch_size=324, shift=0, flip=False)


def trained(path: Path, config: Config, recipe: Recipe) -> RunFolder:
    folder = RunFolder.create(path, document(config, recipe))
    run = build(config, recipe, folder=folder)
    initialise(run)
    train(run.net, run.method, run.train, run.valid, recipe, config.seed, folder)
    return folder


def test_init_from_converts_deliberately(tmp_path: Path) -> None:
    """Into biases of zero, into what is yet to split, back without the biases; but not out of a split."""
    base = trained(tmp_path / "base", DIGITS, ONCE)
    state = open_run(base.path).net.state_dict()
    for context in ("bias", "attention", {"name": "split", "split_epoch": 1}):
        run = build(DIGITS.but(context=context, init_from=str(base.path)), ONCE)
        initialise(run)
        own = run.net.state_dict()
        assert all(torch.equal(value, own[name]) for name, value in state.items())
        assert all(name.startswith("contexts.") for name in own.keys() - state.keys())
        assert context != "bias" or not any(own[name].any() for name in own.keys() - state.keys())
    biased = trained(tmp_path / "bias", DIGITS.but(context="bias", init_from=str(base.path)), ONCE)
    back = build(DIGITS.but(init_from=str(biased.path)), ONCE)
    initialise(back)
    shared = open_run(biased.path).net.state_dict()
    assert all(torch.equal(value, shared[name]) for name, value in back.net.state_dict().items())
    apart = trained(tmp_path / "split", DIGITS.but(context="split", split_epoch=1), ONCE)
    with pytest.raises(ValueError, match="the checkpoint has copies of split weights that the network lacks"):
        initialise(build(DIGITS.but(init_from=str(apart.path)), ONCE))
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        initialise(build(DIGITS.but(init_from=str(tmp_path / "nothing")), ONCE))
    with pytest.raises(ValueError, match="is a run of space nasbench201, this one is of nasbench201-conv"):
        initialise(build(DIGITS.but(space="nasbench201-conv", init_from=str(base.path)), ONCE))


@pytest.mark.parametrize("split_epoch", [1, 2])
def test_a_run_is_opened_as_it_was_when_it_was_saved(
    split_epoch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after two of three epochs: with a split before the second it has its copies, after the second not yet."""
    monkeypatch.setattr("oneshot.runs.recording.CHECKPOINT_SECONDS", 0.0)
    config, recipe = DIGITS.but(context="split", split_epoch=split_epoch), replace(ONCE, epochs=3)
    folder = RunFolder.create(tmp_path / "run", document(config, recipe))
    run = build(config, recipe, folder=folder)

    def stop(row) -> None:
        if row["epoch"] == 2:
            raise Stop

    with pytest.raises(Stop):
        train(run.net, run.method, run.train, run.valid, recipe, 0, folder, callbacks=[OnEpoch(stop)])
    opened = open_run(folder.path)
    assert any(isinstance(m, ChoiceBlock) and m.is_split for m in opened.net.modules()) == (split_epoch == 1)
    x, arch = torch.randn(2, 3, 8, 8), (2, 3, 1, 4, 2, 3)
    assert torch.equal(opened.net(x, fixed(ALL, arch)), run.net.eval()(x, fixed(ALL, arch)))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"context": "split"}, "split_epoch must lie inside the 4 epochs, from 1 to 3, got 125"),
        ({"context": "split", "split_epoch": 4}, "split_epoch must lie inside the 4 epochs, from 1 to 3, got 4"),
        ({"context": "split", "split_epoch": 0}, "split_epoch must be at least 1, got 0"),
        ({"context": "bias", "split_epoch": 2}, "split_epoch is a setting of context split"),
        ({"split_epoch": 2}, "split_epoch is a setting of context split"),
        ({"context": "split", "depth": 2}, "depth is a setting of context bias"),
        (
            {"context": "biass"},
            "no context 'biass'; there are none, bias, shared-bias, attention, .*; did",
        ),
        ({"context": "bias", "depth": 6}, "depth must be from 1 to 5 for 6 choices, got 6"),
        ({"context": "bias", "depth": 0}, "depth must be at least 1, got 0"),
        ({"context": "bias", "priors": "chain"}, "priors must be order or graph, got 'chain'"),
        ({"context": "bias", "space": "nasbench101"}, "context must be none for nasbench101, got bias"),
    ],
)
def test_bad_configurations(config: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build(DIGITS.but(**config), SHORT)


def test_a_stand_alone_network_has_no_contexts() -> None:
    arch = (3, 1, 2, 4, 3, 2)
    nets = [network(DIGITS.but(context=c), 10, arch) for c in ("none", "bias", "split")]
    assert len({sum(p.numel() for p in net.parameters()) for net in nets}) == 1


WORKER = """
import sys, torch
from oneshot.base import distributed
from oneshot.runs.network import network
from oneshot.data.load import load
from oneshot.methods.single_path import SinglePath
from oneshot.runs.config import Config
from oneshot.training.recipe import Recipe
from oneshot.samplers.fair import StrictlyFair
from oneshot.spaces.nasbench201 import ALL, NO_ZERO
from oneshot.training.loop import train
torch.set_num_threads(1)
with distributed.joined(torch.device("cpu")):
    single = torch.Tensor.float
    images, valid = load("digits").split("half")
    CASES = ("bias", 0), ("bias64", 0), ("split", 1), ("attention", 0)
    for name, epoch in CASES:
        torch.manual_seed(1)
        space = NO_ZERO if name == "bias" else ALL
        context = name.removesuffix("64")
        more = {"split_epoch": epoch} if epoch else {}
        config = Config.of(space=space.name, channels=4, cells=1, context=context, **more)
        net = network(config, 10).to(memory_format=torch.channels_last)
        torch.Tensor.float = torch.Tensor.double if name == "bias64" else single
        net = net.double() if name == "bias64" else net
        recipe = Recipe(epochs=2, batch_size=48, shift=1, flip=False, gradient_clip=1.0)
        method = SinglePath(space, StrictlyFair(space))
        train(net, method, images.subset(slice(0, 96)), valid.subset(slice(0, 64)), recipe, seed=2)
        if distributed.rank() == 0:
            torch.save(list(net.state_dict().values()), f"{sys.argv[1]}-{name}-{distributed.world()}.pt")
"""


def test_two_processes_equal_one_with_the_summed_batch(alone_and_together: Callable) -> None:
    """torchrun with gloo. A bias on zeros that are no input is ill-conditioned: there BatchNorm divides what the bias
    alone makes by sqrt(eps), and rounding decides at relu(0 + b) whether a gradient passes. So with `none` in float64.
    """
    for one, both in alone_and_together(WORKER, ("bias", "bias64", "split", "attention")):
        allowed = 1e-10 if one.dtype == torch.float64 else 1e-4
        assert torch.allclose(one.double(), both.double(), rtol=10 * allowed, atol=allowed)
