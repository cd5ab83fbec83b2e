"""ONNX and torch.export programs answer what the network answers, for any number of images."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from oneshot.evaluators.supernet import of_run
from torch import nn

from oneshot.export import formats
from oneshot.export.extract import extract, plain
from oneshot.export.formats import runs, save
from oneshot.registry import SPACES, registered_for_a_while
from oneshot.runs.config import Config
from oneshot.runs.run import build
from oneshot.samplers.uniform import distinct
from oneshot.supernets.choices import Choice, register_network
from oneshot.training.recipe import Recipe
from tests.oneshot.export.test_extract import ALL, NORM, right, small

CLOSE = 1e-5
LARGE = {
    (space, "none"): pytest.param(space, "none", marks=pytest.mark.long)
    for space in ("darts-subsets", "darts-extended-subsets")
}
"""Programs of thousands of operations: half a minute each."""


def close(path: Path, module: nn.Module) -> None:
    """Equal to 1e-5 of the largest logit, for one image and for several."""
    run = runs(path)
    module.requires_grad_(False)
    for batch in (1, 5):
        x = torch.randn(batch, 3, 8, 8)
        with torch.no_grad():
            expected = module(x)
        assert float((run(x) - expected).abs().max()) <= CLOSE * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize(("space", "context"), [LARGE.get(each, each) for each in ALL])
def test_every_space_and_context(space: str, context: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both files are of one graph, which takes long to be traced."""
    run = small(space, context)
    module = extract(run, distinct(run.space, 1, np.random.default_rng(3))[0], **NORM)
    traced = formats.program(plain(module))
    monkeypatch.setattr(formats, "program", lambda _: traced)
    for ending in (".pt2", ".onnx"):
        if ending == ".onnx":
            pytest.importorskip("onnxruntime", reason='needs the extra: pip install -e ".[export]"')
        save(module, tmp_path / f"found{ending}")
        close(tmp_path / f"found{ending}", module)


@pytest.mark.long
@pytest.mark.parametrize("space", SPACES)
def test_twenty_architectures_in_onnxruntime_are_as_accurate_as_predicted(space: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason='needs the extra: pip install -e ".[export]"')
    run = small(space)
    archs = distinct(run.space, 20, np.random.default_rng(0))
    predicted = of_run(run, **NORM)(archs).accuracy
    for arch, accuracy in zip(archs, predicted, strict=True):
        module = extract(run, arch, **NORM)
        save(module, tmp_path / "found.onnx")
        close(tmp_path / "found.onnx", module)
        assert right(runs(tmp_path / "found.onnx"), run) == pytest.approx(accuracy, abs=1e-9)  # pyright: ignore


def test_nothing_gets_through() -> None:
    """Zeros stand for a batch whose size the program does not know."""
    run = small("nasbench201", "bias")
    module = extract(run, "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|avg_pool_3x3~1|none~2|", **NORM)
    program = formats.program(module).module()
    for batch in (1, 2, 7):
        assert torch.allclose(program(torch.ones(batch, 3, 8, 8)), module(torch.ones(batch, 3, 8, 8)), atol=1e-5)


def test_a_network_of_ones_own(tmp_path: Path) -> None:
    def make(classes: int) -> nn.Module:
        layers = {f"k{k}": nn.Sequential(nn.Conv2d(3, 3, k, padding=k // 2), nn.BatchNorm2d(3)) for k in (1, 3)}
        return nn.Sequential(Choice("layer", layers), nn.Flatten(), nn.Linear(3 * 64, classes))

    with registered_for_a_while():
        register_network("mine", make, image_size=8)
        run = build(Config.of(space="mine", dataset="digits", split="half"), Recipe(precision="float32"))
        module = extract(run, "layer:k3", **NORM)
        for ending in (".safetensors", ".pt2"):
            save(module, tmp_path / f"mine{ending}")
            close(tmp_path / f"mine{ending}", module)
        assert len([m for m in module.modules() if isinstance(m, nn.Conv2d)]) == 1


def test_a_program_says_what_it_is(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason='needs the extra: pip install -e ".[export]"')
    module = extract(small("nasbench201"), (3,) * 6, **NORM)
    save(module, tmp_path / "found.onnx")
    model = onnx.load(str(tmp_path / "found.onnx"))
    assert json.loads({p.key: p.value for p in model.metadata_props}["oneshot"]) == json.loads(json.dumps(module.facts))
    assert [i.name for i in model.graph.input] == ["images"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    more = {"oneshot": ""}
    save(module, tmp_path / "found.pt2")
    torch.export.load(tmp_path / "found.pt2", extra_files=more)
    assert json.loads(more["oneshot"])["arch"] == module.facts["arch"]


def test_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = extract(small("nasbench201"), (3,) * 6, **NORM)
    with pytest.raises(ValueError, match=r"expected a file ending with .safetensors, .onnx, .pt2, got 'found.pth'"):
        save(module, tmp_path / "found.pth")
    with pytest.raises(ValueError, match="is no folder"):
        save(module, tmp_path / "gone" / "found.pt2")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)
    with pytest.raises(
        ValueError, match=r"needs onnx and onnxscript and onnxruntime: pip install 'oneshot-nas\[export"
    ):
        save(module, tmp_path / "found.onnx")
    monkeypatch.undo()
    with monkeypatch.context() as odd:
        wrong = lambda path, threads: lambda images: torch.ones(len(images), 10)  # noqa: E731
        odd.setattr(formats, "FORMATS", {".pt2": (*formats.FORMATS[".pt2"][:2], wrong)})
        with pytest.raises(ValueError, match=r"logits differ by .*; nothing was written"):
            save(module, tmp_path / "found.pt2")
    monkeypatch.setattr(formats, "program", lambda module: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save(module, tmp_path / "found.pt2")
    assert not list(tmp_path.iterdir())
