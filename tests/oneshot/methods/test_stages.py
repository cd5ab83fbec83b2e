"""What each stage of HM-NAS keeps, by counts and accuracies that are known otherwise."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from oneshot.data.source import Images
from oneshot.methods.hmnas import HmNas
from oneshot.methods.masks import maskable
from oneshot.methods.stages import stages
from oneshot.nn.choice import ChoiceBlock
from oneshot.nn.norm import batch_norms, still
from oneshot.nn.operations import Zero
from oneshot.spaces.nasbench201 import OPERATIONS
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.loop import Training
from tests.oneshot.methods.test_hmnas import FAST, SUBSETS, drawn, training

Few = tuple[Images, Images]


@pytest.fixture
def tuned(few: Few) -> tuple[Training, list[dict[str, torch.Tensor]]]:
    """A training through all phases, and the network's state before and behind fine-tuning."""
    one, kept = training(few), []
    for epoch in range(6):
        one.epoch(epoch)
        if epoch in (3, 5):
            kept.append({key: value.clone() for key, value in one.net.state_dict().items()})
    return one, kept


def accuracy(net: nn.Module, gates: Any, images: Images) -> float:
    with torch.no_grad(), still(net):
        net.train()
        found = net(images.normalised(images.pixels), gates).argmax(1)
    return 100 * float((found == images.labels).float().mean())


def test_each_stage_is_measured_with_its_own_weights(tuned: Any, few: Few) -> None:
    one, (before, after) = tuned
    method, net, (_, valid) = one.method, one.net, few
    rows = stages(method, net, valid)
    assert [row.stage for row in rows] == ["supernet", "searched", "fine-tuned"]
    assert all(torch.equal(after[key], value) for key, value in net.state_dict().items())
    twin = NasBench201Net(SUBSETS, 4, 1)
    twin.load_state_dict(before)
    assert rows[0].accuracy == pytest.approx(accuracy(twin, method.gates(), valid))
    with torch.no_grad():
        for p, mask in zip(maskable(twin), method.masks.kept_weights(), strict=True):
            p.mul_(mask)
    assert rows[1].accuracy == pytest.approx(accuracy(twin, method.searched(), valid))
    assert rows[2].accuracy == pytest.approx(accuracy(net, method.searched(), valid))
    assert {row.images for row in rows} == {"64 validation images, not trained on after the supernet"}


def test_parameters_are_those_of_what_runs_and_is_unmasked(few: Few) -> None:
    net = NasBench201Net(SUBSETS, 4, 1)
    method = drawn(HmNas(SUBSETS, net, FAST))
    assert method.masks is not None
    assert [row.stage for row in stages(method, net, few[1])] == ["supernet", "searched"]
    assert stages(method, net, few[1])[1].reduction == 0
    with torch.no_grad():
        method.masks.edges[2][0] = 0.0  # the edge from the input to the output
        method.masks.operations[0][SUBSETS.sites_of[0].index("nor_conv_3x3")] = 0.0
        stem = [p is net.stem.conv.weight for p in maskable(net)].index(True)
        method.masks.weights[stem][0, 0, 0, 0] = 0.0
    whole, part = stages(method, net, few[1])
    widths = (4, 8, 16)
    assert whole.parameters == sum(p.numel() for p in net.parameters())
    assert whole.parameters - part.parameters == sum(10 * w * w + 9 * w * w for w in widths) + 1
    assert part.reduction == pytest.approx(100 * (1 - part.parameters / whole.parameters))
    assert (whole.operations, part.operations, whole.edges, part.edges) == (24, 19, 6, 5)


def test_the_network_that_is_left_holds_what_is_unmasked_alone(tuned: Any, few: Few) -> None:
    one, _ = tuned
    method, net, valid = one.method, one.net, few[1]
    x = valid.normalised(valid.pixels[:16])
    with torch.no_grad():
        method.masks.edges[1][0] = 0.0
        method.masks.operations[3][SUBSETS.sites_of[3].index("nor_conv_1x1")] = 0.0
    left = method.network(net, x).eval()
    with torch.no_grad():
        assert torch.equal(left(x), net.eval()(x, method.searched()))
    gone = [
        (site, OPERATIONS[1:][number])
        for block in left.net.modules() if isinstance(block, nn.ModuleList) and isinstance(block[0], ChoiceBlock)
        for site, edge in enumerate(block)
        for number, option in enumerate(edge.options) if isinstance(option, Zero)  # pyright: ignore
    ]  # fmt: skip
    assert {(1, "nor_conv_3x3"), (1, "nor_conv_1x1"), (3, "nor_conv_1x1")} <= set(gone)
    assert sum(p.numel() for p in left.parameters()) < sum(p.numel() for p in net.parameters())
    assert len(batch_norms(left)) < len(batch_norms(net))


def test_a_run_folder_gets_a_table_and_a_figure(tuned: Any, few: Few, tmp_path: Path) -> None:
    one, _ = tuned
    one.method.report(one.net, few[1], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stages.csv", "stages.png", "stages.svg"]
    with (tmp_path / "stages.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    expected = stages(one.method, one.net, few[1])
    assert [int(row["parameters"]) for row in rows] == [stage.parameters for stage in expected]
    assert [float(row["accuracy"]) for row in rows] == [stage.accuracy for stage in expected]
    assert "fine-tuned" in (tmp_path / "stages.svg").read_text() or "<svg" in (tmp_path / "stages.svg").read_text()


def test_a_run_without_masks_has_no_stages(few: Few, tmp_path: Path) -> None:
    net = NasBench201Net(SUBSETS, 2, 1)
    method = HmNas(SUBSETS, net, replace(FAST, mask_epochs=0, fine_tune_epochs=0))
    method.report(net, few[1], tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="stages are those of a search with masks: mask_epochs must be at least 1"):
        stages(method, net, few[1])
