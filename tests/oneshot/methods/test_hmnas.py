"""HM-NAS: mixing weights and masks against their equations, and what its phases keep still."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from oneshot.evaluators.supernet import SupernetEvaluator
from torch import Tensor, nn

from oneshot.data.source import Images
from oneshot.methods.hmnas import HmNas, HmNasSettings
from oneshot.methods.masks import Masks, maskable, nodes_of
from oneshot.nn.norm import batch_norms
from oneshot.registry import SPACES
from oneshot.spaces.fairnas import ALL as FAIRNAS
from oneshot.spaces.nasbench201 import ALL, NO_ZERO
from oneshot.spaces.sequential import sequential
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.testing.methods import same
from oneshot.training.loop import Training
from oneshot.training.recipe import Recipe
from oneshot.training.step import Step
from oneshot.training.weights import Weights
from tests.oneshot.methods.stepping import PLAIN, Watched, prepared

Few = tuple[Images, Images]
SUBSETS = SPACES["nasbench201-subsets"]
FAST = HmNasSettings(
    warm_start=1, mask_epochs=2, mask_decay_epochs=1, fine_tune_epochs=2, mask_learning_rate=2e-3,
    arch_mask_learning_rate=2e-3, arch_learning_rate=0.05,
)  # fmt: skip
TOY = sequential("toy", ("linear", "tanh"), 1)


def batches(few: Few) -> Any:
    return tuple((part.normalised(part.pixels[:32]), part.labels[:32]) for part in few)


def drawn(method: HmNas, scale: float = 1.0) -> HmNas:
    with torch.no_grad():
        for p in (*method.alphas, *method.betas):
            p.normal_(std=scale)
    return method


def training(few: Few, settings: HmNasSettings = FAST, space: Any = SUBSETS, epochs: int = 2, **of_recipe: Any) -> Any:
    torch.manual_seed(0)
    net = NasBench201Net(space, 4, 1).train()
    recipe = Recipe(
        epochs=epochs, batch_size=16, learning_rate=0.05, shift=0, flip=False, precision="float32", **of_recipe
    )
    return Training(net, HmNas(space, net, settings), *few, recipe)


def test_sites_are_grouped_by_the_node_that_they_lead_into() -> None:
    assert nodes_of(ALL) == nodes_of(SUBSETS) == ((0,), (1, 2), (3, 4, 5))
    darts = nodes_of(SPACES["darts-subsets"])
    assert [len(sites) for sites in darts] == [2, 3, 4, 5] * 2
    assert sorted(site for sites in darts for site in sites) == list(range(28))
    assert nodes_of(FAIRNAS) == tuple((site,) for site in range(19))


@pytest.mark.parametrize("space", [ALL, SUBSETS, NO_ZERO], ids=lambda space: space.name)
def test_mixing_weights_by_hand(space: Any) -> None:
    """Equations 1 and 2, over operations but zero; those into a node sum to 1."""
    method = drawn(HmNas(space, NasBench201Net(space, 2, 1), FAST))
    strengths = method.strengths()
    for sites, beta in zip(method.nodes, method.betas, strict=True):
        for k, site in enumerate(sites):
            powers, edges = method.alphas[site].exp(), beta.exp()
            assert torch.allclose(strengths[site], powers / powers.sum() * edges[k] / edges.sum(), atol=1e-6)
        assert float(sum(strengths[site].sum() for site in sites)) == pytest.approx(1, abs=1e-6)
    for gate, options, vector in zip(method.gates(), space.site_options, strengths, strict=True):
        assert [options[option] for option, _ in gate] == [o for o in options if o != "none"]
        assert torch.equal(torch.stack([torch.as_tensor(w) for _, w in gate]), vector)


def test_one_level_has_no_weights_of_edges() -> None:
    method = HmNas(ALL, NasBench201Net(ALL, 2, 1), replace(FAST, edges=False))
    assert all(float(v.sum()) == pytest.approx(1) for v in method.strengths())
    assert not list(method.betas)
    assert method.masks is not None
    assert not list(method.masks.edges)


def test_architecture_parameters_begin_small_normal_and_by_the_seed() -> None:
    made = [HmNas(SPACES["darts-subsets"], nn.Linear(1, 1), seed=seed) for seed in (0, 0, 1)]
    first, again, other = (torch.cat([*m.alphas, *m.betas]).detach() for m in made)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert float(first.std()) == pytest.approx(1e-3, rel=0.2)
    (group,) = made[0].architecture.optimizer.param_groups
    assert (group["lr"], group["weight_decay"], group["betas"]) == (3e-4, 1e-3, (0.5, 0.999))


class TestMasks:
    def masks(self, threshold: float = 0.5, **numbers: Any) -> Masks:
        """Two options at each of three sites; the first leads into one node, the others into another."""
        made = Masks([2, 2, 2], ((0,), (1, 2)), [torch.zeros(2, 3)], threshold, 1.0)
        with torch.no_grad():
            for name, values in numbers.items():
                for p, value in zip(getattr(made, name), values, strict=True):
                    p.copy_(torch.tensor(value))
        return made

    def test_binary_masks_pass_gradients_as_they_are(self) -> None:
        """Equation 4, straight through; what is at the threshold is masked."""
        real = torch.tensor([0.2, 0.5, 0.7], dtype=torch.float64, requires_grad=True)
        binary, slopes = self.masks().binary(real), torch.tensor([3.0, -1.0, 2.0], dtype=torch.float64)
        assert binary.tolist() == [0, 0, 1]
        (found,) = torch.autograd.grad((binary * slopes).sum(), real)
        assert torch.equal(found, slopes)

    def test_what_is_kept(self) -> None:
        made = self.masks(operations=[[0.1, 0.9], [0.9, 0.9], [0.9, 0.1]], edges=[[0.9], [0.9, 0.1]])
        operations, edges = made.of_sites()
        assert [o.tolist() for o in operations] == [[0, 1], [1, 1], [1, 0]]
        assert [float(e) for e in edges] == [1, 1, 0]

    @pytest.mark.parametrize(
        ("numbers", "operations", "edges"),
        [
            (dict(operations=[[0.1, 0.2]] * 3, edges=[[0.9], [0.9, 0.8]]), [[0, 1], [0, 1], [0, 0]], [1, 1, 1]),
            (dict(operations=[[0.9, 0.8]] * 3, edges=[[0.1], [0.1, 0.3]]), [[1, 1], [1, 1], [1, 1]], [1, 0, 1]),
            (
                dict(operations=[[0.9, 0.9], [0.4, 0.1], [0.9, 0.2]], edges=[[0.9], [0.9, 0.1]]),
                [[1, 1], [1, 0], [1, 0]], [1, 1, 0],
            ),
        ],
        ids=["no operations", "no edges", "an edge without an operation"],
    )  # fmt: skip
    def test_something_leads_into_every_node(self, numbers: Any, operations: Any, edges: Any) -> None:
        """The strongest edge keeps its strongest option, whose masks have gradients all the same."""
        made = self.masks(**numbers)
        found, sites = made.of_sites()
        assert [o.tolist() for o in found] == operations
        assert [float(e) for e in sites] == edges
        total = sum(o.sum() for o in found) + sum(sites)
        assert isinstance(total, Tensor)
        for gradient in torch.autograd.grad(total, [*made.operations, *made.edges]):
            assert bool((gradient == 1).all())

    def test_layers_that_are_masked(self) -> None:
        net = NasBench201Net(ALL, 2, 1, affine=True)
        assert {p.dim() for p in maskable(net)} == {2, 4}
        count = sum(m.weight.numel() for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear))
        assert sum(p.numel() for p in maskable(net)) == count


class ToyNet(nn.Module):
    """Two options over one input, in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4, dtype=torch.float64)
        self.squashed = nn.Linear(3, 4, dtype=torch.float64)

    def forward(self, x: Tensor, gates: Any) -> Tensor:
        options = self.linear(x), torch.tanh(self.squashed(x))
        return sum((weight * options[i] for i, weight in gates[0]), torch.zeros(len(x), 4, dtype=torch.float64))


def test_masks_learn_by_the_derivative_of_the_masked_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equation 3 in float64: of the loss by the binary masks, at which it is differentiated; weights stay."""
    monkeypatch.setattr(Step, "_cross_entropy", lambda _, logits, labels: nn.functional.cross_entropy(logits, labels))
    net = ToyNet()
    method = drawn(HmNas(TOY, net, FAST)).double()
    assert method.masks is not None
    with torch.no_grad():
        method.masks.weights[0][1, 2] = 0.0
        method.masks.operations[0][1] = 0.0
    x, y = torch.randn(8, 3, dtype=torch.float64), torch.arange(8) % 4
    targets = [method.architecture, method.masking]
    step = Step(Weights(net, PLAIN), targets, (x, y), lambda: (x, y), (0, 0, 0), 0.0)
    before = [p.detach().clone() for p in net.parameters()]
    method.begin("masks")
    method.step(step)
    assert all(p.grad is None for p in (*net.parameters(), *method.alphas, *method.betas))
    alpha, ones = method.alphas[0].detach().softmax(0), [torch.ones_like(w) for w in method.masks.weights]
    ones[0][1, 2] = 0.0
    points = [*ones, torch.tensor([1.0, 0.0], dtype=torch.float64), torch.ones(1, dtype=torch.float64)]

    def loss(linear: Tensor, squashed: Tensor, operations: Tensor, edge: Tensor) -> Tensor:
        first = x @ (net.linear.weight * linear).T + net.linear.bias
        second = torch.tanh(x @ (net.squashed.weight * squashed).T + net.squashed.bias)
        mixed = (alpha[0] * operations[0] * first + alpha[1] * operations[1] * second) * edge[0]
        return nn.functional.cross_entropy(mixed, y)

    reals = [*method.masks.weights, method.masks.operations[0], method.masks.edges[0]]
    assert float(step.losses["loss"][0]) == pytest.approx(float(loss(*points)), rel=1e-9)
    for number, real in enumerate(reals):
        numeric = torch.zeros_like(real)
        for i in range(real.numel()):
            sides = []
            for by in (1e-6, -1e-6):
                moved = [p.clone() for p in points]
                moved[number].view(-1)[i] += by
                sides.append(float(loss(*moved)))
            numeric.view(-1)[i] = (sides[0] - sides[1]) / 2e-6
        assert real.grad is not None
        assert torch.allclose(real.grad, numeric, atol=1e-8)
    step.finish()
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert bool((method.masks.weights[0][0] != 1e-2).all())
    assert bool((method.masks.operations[0] != torch.tensor([1e-2, 0.0])).all())


def test_rates_of_masks_and_when_they_fall() -> None:
    method = HmNas(SUBSETS, NasBench201Net(SUBSETS, 2, 1))
    assert isinstance(method.masking.optimizer, torch.optim.Adam)
    empty = torch.zeros(2, 3, 8, 8), torch.zeros(2, dtype=torch.long)
    method.begin("masks")
    for epoch, factor in ((0, 1.0), (9, 1.0), (10, 0.1), (19, 0.1)):
        step = prepared(NasBench201Net(SUBSETS, 2, 1).train(), method, empty, empty, progress=epoch / 20)
        method.step(step)
        rates = [group["lr"] for group in method.masking.optimizer.param_groups]
        assert rates == pytest.approx([1e-4 * factor, 1e-5 * factor])
    s = method.settings
    assert (s.mask_threshold, s.mask_start) == (5e-3, 1e-2)
    assert (s.warm_start, s.mask_epochs, s.fine_tune_epochs) == (10, 20, 200)
    masks = HmNas(SUBSETS, nn.Linear(2, 2)).masks
    assert masks is not None
    assert all(bool((m == torch.tensor(1e-2)).all()) for m in masks.parameters())


def test_the_architecture_learns_ever_more_seldom_and_not_at_first(few: Few) -> None:
    assert [HmNasSettings().probability(p) for p in (0.0, 0.5, 1.0)] == [1, 0.5, 0]
    assert HmNasSettings(last_probability=0.4).probability(1.0) == pytest.approx(0.4)
    method = HmNas(SUBSETS, NasBench201Net(SUBSETS, 2, 1), replace(FAST, warm_start=3))
    images, held_out = batches(few)
    took: dict[int, int] = {}
    net = NasBench201Net(SUBSETS, 2, 1)
    for epoch in (2, 3, 5):
        for number in range(40):
            few_images, numbers = (images[0][:4], images[1][:4]), (0, epoch, number)
            step = prepared(net, method, few_images, held_out, numbers=numbers, progress=0.2 * epoch)
            step.held_out = lambda: (_ for _ in ()).throw(LookupError)
            try:
                method.step(step)
            except LookupError:
                took[epoch] = took.get(epoch, 0) + 1
    assert 2 not in took
    assert took[3] == pytest.approx(40 * 0.4, abs=10)
    assert 5 not in took


@pytest.mark.parametrize("order", ["first", "second", "exact"])
def test_both_levels_learn_from_held_out_images(order: str, few: Few) -> None:
    images, held_out = batches(few)
    net = NasBench201Net(SUBSETS, 4, 1).train()
    method = drawn(HmNas(SUBSETS, net, replace(FAST, order=order, warm_start=0)), 0.1)
    expected = torch.autograd.grad(
        nn.functional.cross_entropy(net(held_out[0], method.gates()), held_out[1]), [*method.alphas, *method.betas]
    )
    given: list[Tensor] = []
    method.architecture.optimizer.register_step_pre_hook(
        lambda *_: given.extend(p.grad.clone() for p in (*method.alphas, *method.betas) if p.grad is not None)  # pyright: ignore
    )
    step = prepared(net, method, images, held_out)
    for group in step.weights.optimizer.param_groups:
        group["lr"] = 0.0
    method.step(step)
    assert len(given) == len(expected) == 9
    for gradient, wanted in zip(given, expected, strict=True):
        assert torch.allclose(gradient, wanted, rtol=1e-3, atol=1e-6)
    assert any(float(g.abs().max()) > 1e-3 for g in given[6:])


def test_each_phase_moves_what_it_should_and_nothing_else(few: Few) -> None:
    one = training(few, momentum=0.9, weight_decay=0.01)
    method: HmNas = one.method
    masks = method.masks
    assert masks is not None

    def now() -> dict[str, list[Tensor]]:
        parts = {
            "net": one.net.parameters(), "masks": masks.parameters(), "inherited": method.inherited.buffers(),
            "norms": [b for norm in batch_norms(one.net) for b in norm.buffers()],
            "architecture": [*method.alphas, *method.betas],
        }  # fmt: skip
        return {name: [t.detach().clone() for t in tensors] for name, tensors in parts.items()}

    phases, moved, before = [], [], now()
    for epoch in range(one.course.epochs):
        phases.append(one.epoch(epoch)["phase"])
        after = now()
        moved.append({n for n in before if not all(map(torch.equal, before[n], after[n]))})
        before = after
    assert phases == ["supernet"] * 2 + ["masks"] * 2 + ["fine-tune"] * 2
    assert moved == [
        {"net", "norms"}, {"net", "norms", "architecture"}, {"masks"}, {"masks"}, {"net", "norms", "inherited"},
        {"net", "norms"},
    ]  # fmt: skip


@pytest.mark.parametrize("optimizer", ["sgd", "muon"])
def test_masked_weights_stay_zero_through_momentum_and_decay(optimizer: str, few: Few) -> None:
    one = training(few, optimizer=optimizer, momentum=0.9, nesterov=True, weight_decay=0.1, gradient_clip=1.0)
    for epoch in range(one.course.epochs):
        one.epoch(epoch)
        if one.method.phase != "fine-tune":
            continue
        kept = one.method.masks.kept_weights()
        share = [float(mask.float().mean()) for mask in kept]
        assert min(share) > 0.05
        assert max(share) < 0.95
        for p, mask in zip(maskable(one.net), kept, strict=True):
            assert not p[~mask].any()
            assert bool(p[mask].all())
    old = dict(zip(one.net.parameters(), one.method.inherited.buffers(), strict=True))
    weights, inherited = maskable(one.net), [old[p] for p in maskable(one.net)]
    kept = one.method.masks.kept_weights()
    assert all(bool(old[~mask].all()) for old, mask in zip(inherited, kept, strict=True))
    triples = zip(weights, inherited, kept, strict=True)
    moved = [float((p - old)[mask].norm() / old[mask].norm()) for p, old, mask in triples]
    assert 0 < sum(moved) / len(moved) < max(moved) < 1  # from their inherited values; masked operations not at all


def test_a_stop_in_any_phase_changes_nothing(few: Few) -> None:
    whole, states = training(few), []
    for epoch in range(6):
        whole.epoch(epoch)
        states.append({key: value.clone() for key, value in whole.state().items()})
    for stop in range(1, 6):
        after = training(few)
        after.load(states[stop - 1], stop)
        for epoch in range(stop, 6):
            after.epoch(epoch)
        assert same(whole.net, after.net)
        assert same(whole.method, after.method)


def test_only_what_is_unmasked_runs_in_fine_tuning_with_its_mixing_weights(few: Few) -> None:
    images, held_out = batches(few)
    net = Watched(NasBench201Net(SUBSETS, 4, 1).train())
    method = drawn(HmNas(SUBSETS, net.net, FAST))
    assert method.masks is not None
    with torch.no_grad():
        method.masks.operations[0][:2] = method.masks.operations[3][1:] = 0.0
        method.masks.edges[1][1] = 0.0
    method.begin("fine-tune")
    method.step(prepared(net, method, images, held_out))
    ((_, gates),) = net.seen
    strengths = method.strengths()
    every, ran = [0, 1, 2, 3], [[option for option, _ in gate] for gate in gates]  # pyright: ignore
    assert ran == [[2, 3], every, [], [0], every, every]
    for gate, vector in zip(gates, strengths, strict=True):
        assert all(float(weight) == pytest.approx(float(vector[option])) for option, weight in gate)  # pyright: ignore
    found = method.derive()
    assert found is not None
    on = SUBSETS.options_on(found)
    options = SUBSETS.sites_of[0]
    assert on == (options[2:], options, (), options[:1], options, options)
    assert method.facts() == {"operations": 15.0, "edges": 5.0, "weights_kept": 1.0}


def test_a_space_of_single_options_derives_the_strongest_or_zero() -> None:
    method = drawn(HmNas(ALL, NasBench201Net(ALL, 2, 1), FAST))
    assert method.masks is not None
    with torch.no_grad():
        method.masks.edges[1][0] = 0.0
        strongest = [1 + int(alpha.argmax()) for alpha in method.alphas]
        method.masks.operations[5][strongest[5] - 1] = 0.0
        left = method.alphas[5].detach().clone()
        left[strongest[5] - 1] = -100.0
    assert method.derive() == (strongest[0], 0, *strongest[2:5], 1 + int(left.argmax()))
    plain = drawn(HmNas(ALL, NasBench201Net(ALL, 2, 1), replace(FAST, mask_epochs=0, fine_tune_epochs=0)))
    assert plain.derive() == tuple(1 + int(alpha.argmax()) for alpha in plain.alphas)
    assert plain.facts() == {}
    assert [phase.name for phase in plain.phases(Recipe(epochs=5))] == ["supernet"]


def test_what_is_masked_is_not_read_also_where_nothing_is_fine_tuned(few: tuple[Images, Images]) -> None:
    """Predictions are those of a network whose masked weights are zero; the run's own are left as the masks learn."""
    net = NasBench201Net(SUBSETS, 2, 1)
    method = drawn(HmNas(SUBSETS, net, replace(FAST, fine_tune_epochs=0)))
    assert method.masks is not None
    assert method.reading(net) is net
    with torch.no_grad():
        for mask in method.masks.weights:
            mask.flatten()[::2] = 0.0
    before = [p.clone() for p in net.parameters()]
    read = method.reading(net)
    assert all(torch.equal(p, old) for p, old in zip(net.parameters(), before, strict=True))
    for p, whole in zip(maskable(read), maskable(net), strict=True):
        assert not p.flatten()[::2].any()
        assert torch.equal(p.flatten()[1::2], whole.flatten()[1::2])
    by_hand = deepcopy(net)
    for p in maskable(by_hand):
        p.data.flatten()[::2] = 0.0
    arch = method.derive()
    assert arch is not None
    predicted = SupernetEvaluator(read, SUBSETS, *few, "ema-1", 32)([arch]).values
    assert predicted == SupernetEvaluator(by_hand, SUBSETS, *few, "ema-1", 32)([arch]).values
    assert predicted != SupernetEvaluator(net, SUBSETS, *few, "ema-1", 32)([arch]).values


def test_the_phases_of_the_paper() -> None:
    settings = HmNasSettings(fine_tune_cutout=16, all_images=True)
    recipe = Recipe(epochs=100, learning_rate=0.1, warmup_epochs=2.0)
    phases = HmNas(SUBSETS, nn.Linear(1, 1), settings).phases(recipe)
    assert [(p.name, p.recipe.epochs, p.images, p.recipe.cutout) for p in phases] == [
        ("supernet", 100, "train", 0), ("masks", 20, "all", 0), ("fine-tune", 200, "all", 16),
    ]  # fmt: skip
    assert phases[0].recipe == recipe
    assert (phases[2].recipe.rate(0.0), phases[2].recipe.warmup_epochs) == (1e-2, 0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: HmNasSettings(mask_epochs=0), "mask_epochs must be at least 1 before 200 fine_tune_epochs, got 0"),
        (lambda: HmNasSettings(order="third"), "order must be one of first, second, exact, got 'third'"),
        (lambda: HmNasSettings(last_probability=1.5), "last_probability must be from 0 to 1, got 1.5"),
        (lambda: HmNasSettings(mask_start=5e-3), "mask_start must be above the mask_threshold of 0.005, .* got 0.005"),
        (lambda: HmNasSettings(mask_learning_rate=-1.0), "mask_learning_rate must be a finite number of at least 0"),
        (
            lambda: HmNas(SUBSETS, nn.Linear(1, 1)).phases(Recipe(epochs=10)),
            "warm_start must be below the 10 epochs, after which an architecture is known, got 10",
        ),
    ],
)
def test_bad_settings(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
