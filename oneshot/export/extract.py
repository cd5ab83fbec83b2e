"""One architecture of a trained supernet as a network of its own, with the weights that it inherits."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from oneshot.base.provenance import environment
from oneshot.gates import Gates, weighed
from oneshot.nn.contexts.constant import Constant
from oneshot.nn.cpu import without_loops
from oneshot.nn.norm import batch_norms
from oneshot.nn.recalibration import NormMode
from oneshot.nn.uses import prune, used
from oneshot.registry import changed_plugins, loaded_plugins
from oneshot.runs.config import Config, read
from oneshot.runs.inherit import inherit
from oneshot.runs.network import network
from oneshot.runs.run import Run, open_run
from oneshot.space import Arch, Space

CONTEXTS = "network.contexts."
METADATA = "oneshot"
"""The key of the JSON document in a safetensors file's header."""


class Extracted(nn.Module):
    """A network of one architecture: logits [B, classes] of images [B, 3, H, W], float, normalised.

    It holds what the architecture uses and nothing else, and runs on PyTorch alone. `facts` say what it is: space,
    architecture, classes, size and normalisation of its images, and how its weights came about.
    """

    def __init__(self, network: nn.Module, gates: Gates, facts: Mapping[str, Any]) -> None:
        super().__init__()
        self.network, self.gates, self.facts = network, gates, dict(facts)

    def forward(self, images: Tensor) -> Tensor:
        with without_loops():
            return self.network(images, self.gates)


def extract(
    run: Run | str | Path,
    arch: Arch | str | None = None,
    norm: str | None = None,
    batch_size: int = 256,
    data_dir: str | Path | None = None,
    device: str | torch.device = "cpu",
    accept_data: bool = False,
) -> Extracted:
    """An architecture of a run, or of the run in a folder, in evaluation mode; the run stays as it is.

    Without `arch` the one that the run derives, or was trained of. `norm` says how BatchNorm gets its statistics from
    training images, as in predictions: by default ema-20 for a supernet, inherit for a network that was trained alone.
    ValueError where there is no such architecture, or no fixed statistics.
    """
    run = run if isinstance(run, Run) else open_run(run, data_dir, device, accept_data)
    chosen, alone = wanted(run, arch), bool(run.config.arch)
    mode = NormMode.parse(norm or ("inherit" if alone else "ema-20"))
    if mode.kind == "batch":
        raise ValueError("a network of its own needs fixed statistics: batch_norm must be another than batch")
    calibration, size = mode.images(run.train, batch_size)
    device = run.train.labels.device
    images = next(run.train.subset(slice(0, 2)).batches(2))[0]
    own, made = structure(run.config, run.dataset.classes, chosen)
    made = made.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    theirs = run.method.gates_of(chosen)
    prune(made, inherit(run.method.reading(run.net), run.space, chosen, made, own, images, theirs))
    gates = weighed(own.gates((0,) * len(own.decisions)), theirs)
    protocol = {
        "evaluator": "extracted", "batch_norm": str(mode), "calibration_images": len(calibration), "batch_size": size,
        **run.provenance(), "environment": environment(),
    }  # fmt: skip
    facts = {
        "space": run.config.space.name, "arch": run.space.format(chosen), "classes": run.dataset.classes,
        "image_size": images.shape[-1], **_normalisation(run.train), **_weights(gates), "protocol": protocol,
        "plugins": loaded_plugins(),
    }  # fmt: skip
    module = Extracted(made, gates, facts)
    _recalibrate(module, mode, calibration.batches(size) if mode.batches else ())
    return module


def untrained(config: Config, arch: Arch, classes: int, image_size: int) -> Extracted:
    """The same network with fresh weights: for what does not depend on them."""
    own, made = structure(config, classes, arch)
    gates = own.gates((0,) * len(own.decisions))
    prune(made, used(made, gates, torch.zeros(2, 3, image_size, image_size))[0])
    facts = {
        "space": config.space.name, "arch": config.search_space.format(arch), "classes": classes,
        "image_size": image_size, "protocol": {"evaluator": "untrained", "configuration": config.document()},
        "plugins": loaded_plugins(),
    }  # fmt: skip
    return Extracted(made, gates, facts).eval()


def wanted(run: Run, arch: Arch | str | None) -> Arch:
    """The architecture that is asked for, or that the run has found; ValueError where there is none."""
    if isinstance(arch, str):
        return run.space.parse(arch)
    if arch is not None:
        return run.space.check(arch)
    found = run.method.derive()
    if found is None:
        raise ValueError(
            f"method {run.config.method.name} derives no architecture: name one, such as `oneshot search` finds"
        )
    return found


def structure(config: Config, classes: int, arch: Arch) -> tuple[Space, nn.Module]:
    """The space of one architecture and its network, as the run has it, with fresh weights."""
    if config.arch:
        return config.search_space, network(config, classes)
    own = config.search_space.only(arch)
    return own, config.space.settings.make(own, classes)


def load_network(path: str | Path) -> Extracted:
    """The network in a safetensors file of `oneshot export`; needs neither its run nor its images.

    ValueError where it is no such file, or does not fit what its space is registered with.
    """
    try:
        with safe_open(str(path), "pt") as file:
            text = (file.metadata() or {}).get(METADATA)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from error
    try:
        facts = json.loads(text or "")
        recorded, words, plugins = facts["protocol"]["configuration"], facts["arch"], dict(facts["plugins"])
        classes, size = int(facts["classes"]), int(facts["image_size"])
        weights = [[(0, float(weight)) for weight in site] for site in facts.get("weights", ())]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no network of `oneshot export`: its header lacks what it is made of") from error
    changed_plugins(plugins)
    config, _ = read(recorded)
    arch = config.search_space.parse(words)
    own, made = structure(config, classes, arch)
    told = {name.removeprefix(CONTEXTS): value for name, value in state.items() if name.startswith(CONTEXTS)}
    if told:
        made.contexts = Constant(told)
    gates = own.gates((0,) * len(own.decisions))
    try:
        gates = weighed(gates, tuple(map(tuple, weights))) if weights else gates
    except ValueError:
        raise ValueError(f"{path} does not fit {own.name}: it has not one mixing weight for each operation") from None
    prune(made, used(made, gates, torch.zeros(2, 3, size, size))[0])
    module = Extracted(made, gates, facts)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        first = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} does not fit the network of {own.name} as it is registered now: {first}") from error
    return module.eval()


def _weights(gates: Gates) -> dict[str, list[list[float]]]:
    """The weight of each option at each site, where they are not all 1."""
    weights = [[float(weight) for _, weight in gate] for gate in gates]
    return {"weights": weights} if any(weight != 1.0 for site in weights for weight in site) else {}


def _normalisation(images: Any) -> dict[str, list[float]]:
    """Mean and standard deviation of each channel, of pixels from 0 to 255, that normalise images before they come."""
    return {name: getattr(images, name).tolist() for name in ("mean", "std") if hasattr(images, name)}


@torch.no_grad()
def _recalibrate(module: Extracted, mode: NormMode, batches: Any) -> None:
    norms = batch_norms(module)
    momenta = [norm.momentum for norm in norms]
    mode.start(module, norms)
    for images, _ in batches:
        module.network(images, module.gates)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    module.eval()


def plain(module: Extracted) -> Extracted:
    """A copy on the CPU with contiguous weights, as other programs expect them."""
    return copy.deepcopy(module).to("cpu").to(memory_format=torch.contiguous_format).eval()  # pyright: ignore
