"""A network of one architecture as a file: safetensors, ONNX, or a torch.export program, by the file's ending."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from oneshot.base.files import replacing
from oneshot.export.extract import METADATA, Extracted, load_network, plain

BATCH = 2
"""Images of the example that is traced; the file takes any number."""
CLOSE = 1e-3
"""How far logits that are read back may differ, as a share of the largest."""
EXTRA = ("onnx", "onnxscript", "onnxruntime")

Runs = Callable[[Tensor], Tensor]


def save(module: Extracted, path: str | Path) -> float:
    """Write the network, whole or not at all; the largest difference of its logits when it is read back.

    ValueError for another ending, a folder that is not there, a missing extra, or logits that are not the network's.
    """
    target = check(path)
    _, write, run = FORMATS[target.suffix]
    made = plain(module)
    images = torch.randn(BATCH + 1, *example(made).shape[1:], generator=torch.Generator().manual_seed(0))
    with replacing(target) as temporary:
        at = temporary.with_name(temporary.name + target.suffix)  # who writes and reads may look at the ending
        try:
            write(made, at)
            with torch.no_grad():
                expected = made(images)
                difference = float((run(at, 0)(images) - expected).abs().max())
            if not difference <= CLOSE * max(1.0, float(expected.abs().max())):
                raise ValueError(f"{target}: read back, logits differ by {difference:.3g}; nothing was written")
            at.replace(temporary)
        finally:
            at.unlink(missing_ok=True)
    return difference


def check(path: str | Path) -> Path:
    """The path where a network can be written; ValueError says what is wrong with it."""
    target = Path(path)
    if target.suffix not in FORMATS:
        raise ValueError(f"expected a file ending with {', '.join(FORMATS)}, got {target.name!r}")
    if not target.parent.is_dir():
        raise ValueError(f"{target.parent} is no folder")
    missing = [name for name in FORMATS[target.suffix][0] if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"{target.suffix} needs {' and '.join(missing)}: pip install 'oneshot-nas[export]'")
    return target


def runs(path: str | Path, threads: int = 0) -> Runs:
    """What a written network answers, by the program that its format is for."""
    target = check(path)
    return FORMATS[target.suffix][2](target, threads)


def example(module: Extracted, batch: int = BATCH) -> Tensor:
    size = module.facts["image_size"]
    return torch.zeros(batch, 3, size, size)


def program(module: Extracted) -> torch.export.ExportedProgram:
    """The network as one graph of PyTorch's own operations, for any number of images."""
    with torch.no_grad(), _quiet():
        return torch.export.export(
            module, (example(module),), dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1)}}
        )


def _write_safetensors(module: Extracted, path: Path) -> None:
    state = {name: value.contiguous().clone() for name, value in module.state_dict().items()}
    save_file(state, path, {METADATA: json.dumps(module.facts, allow_nan=False)})


def _write_program(module: Extracted, path: Path) -> None:
    torch.export.save(program(module), path, extra_files={METADATA: json.dumps(module.facts, allow_nan=False)})


def _write_onnx(module: Extracted, path: Path) -> None:
    with _quiet():
        made = torch.onnx.export(program(module), input_names=["images"], output_names=["logits"], dynamo=True)
    assert made is not None
    made.model.metadata_props[METADATA] = json.dumps(module.facts, allow_nan=False)
    with _quiet():
        made.save(path, external_data=False)


def _run_safetensors(path: Path, threads: int) -> Runs:
    return load_network(path)


def _run_program(path: Path, threads: int) -> Runs:
    return torch.export.load(path).module()


def _run_onnx(path: Path, threads: int) -> Runs:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: images.numpy()})[0])  # pyright: ignore

    return run


FORMATS: Mapping[str, tuple[tuple[str, ...], Callable[[Extracted, Path], None], Callable[[Path, int], Runs]]] = {
    ".safetensors": ((), _write_safetensors, _run_safetensors),
    ".onnx": (EXTRA, _write_onnx, _run_onnx),
    ".pt2": ((), _write_program, _run_program),
}
"""What each needs beside a plain installation, what writes it, and what runs it."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' own words, which say nothing about the user's network."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
