"""One record of an official NAS-Bench-101 file: the JSON list and the protobuf message in it.

The list is `[module_hash, epochs, raw_adjacency, raw_operations, raw_metrics]`; the last is a `ModelMetrics` message in
base64, whose evaluations are those at the start, half-way and at the end of one training.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64decode
from functools import lru_cache
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from oneshot.spaces.nasbench101_cell import Cell, read_graph

BUDGETS = (4, 12, 36, 108)
METRICS = ("test_accuracy", "validation_accuracy", "train_accuracy", "training_time")
MEASURED = (*METRICS, *(f"halfway_{metric}" for metric in METRICS))
"""What is kept of one training."""

HASH = re.compile("[0-9a-f]{32}")


class Training(NamedTuple):
    """One record of an official file; `measured` are the values of MEASURED."""

    hash: str
    epochs: int
    cell: Cell
    parameters: int
    measured: tuple[float, ...]


def read_training(data: bytes) -> Training:
    """The training in the data of one record; ValueError says what was expected and what came."""
    row = json.loads(data.decode())
    if not isinstance(row, list) or [type(value) for value in row] != [str, int, str, str, str]:
        raise ValueError(f"expected the JSON list [hash, epochs, adjacency, operations, metrics], got {data[:99]!r}")
    name, epochs, adjacency, operations, metrics = row
    if not HASH.fullmatch(name):
        raise ValueError(f"expected a hash of 32 hexadecimal digits, got {name!r}")
    if epochs not in BUDGETS:
        raise ValueError(f"expected {', '.join(map(str, BUDGETS))} epochs, got {epochs}")
    try:
        message = model_metrics().FromString(b64decode(metrics))
    except DecodeError as error:
        raise ValueError(f"the metrics are no ModelMetrics message: {error}") from None
    points = message.evaluation_data
    if len(points) != 3:
        raise ValueError(f"expected evaluations at the start, half-way and at the end, got {len(points)}")
    if not message.trainable_parameters > 0:
        raise ValueError(f"expected a positive number of parameters, got {message.trainable_parameters}")
    measured = (*_measured(points[2], "final"), *_measured(points[1], "half-way"))
    return Training(name, epochs, _cell(adjacency, operations), message.trainable_parameters, measured)


@lru_cache(maxsize=1)
def model_metrics() -> Any:
    """The class of the proto2 message `nasbench.ModelMetrics`, of the official `model_metrics.proto`."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="model_metrics.proto", package="nasbench", syntax="proto2")

    def add(to: descriptor_pb2.DescriptorProto, name: str, kind: Any, label: Any = field.LABEL_OPTIONAL) -> None:
        of = ".nasbench.EvaluationData" if kind == field.TYPE_MESSAGE else None
        to.field.add(name=name, number=len(to.field) + 1, type=kind, label=label, type_name=of)

    metrics = file.message_type.add(name="ModelMetrics")
    add(metrics, "evaluation_data", field.TYPE_MESSAGE, field.LABEL_REPEATED)
    add(metrics, "trainable_parameters", field.TYPE_INT32)
    add(metrics, "total_time", field.TYPE_DOUBLE)
    point = file.message_type.add(name="EvaluationData")
    for name in ("current_epoch", "training_time", "train_accuracy", "validation_accuracy", "test_accuracy"):
        add(point, name, field.TYPE_DOUBLE)
    add(point, "checkpoint_path", field.TYPE_STRING)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("nasbench.ModelMetrics"))


@lru_cache(maxsize=1 << 12)  # the runs of a model are neighbours
def _cell(adjacency: str, operations: str) -> Cell:
    """The graph as a record writes it: rows of digits without separators, operations with commas."""
    names = operations.split(",")
    if len(adjacency) != len(names) ** 2 or set(adjacency) - {"0", "1"}:
        raise ValueError(f"expected the {len(names)} x {len(names)} digits 0 or 1 of a matrix, got {adjacency!r}")
    digits = [int(digit) for digit in adjacency]
    return read_graph([digits[i : i + len(names)] for i in range(0, len(digits), len(names))], names)


def _measured(point: Any, which: str) -> tuple[float, ...]:
    """The METRICS of one evaluation."""
    test, valid, train, seconds = values = (
        point.test_accuracy, point.validation_accuracy, point.train_accuracy, point.training_time
    )  # fmt: skip
    good = 0 <= test <= 1 and 0 <= valid <= 1 and 0 <= train <= 1 and 0 <= seconds < math.inf
    if not good or not all(map(point.HasField, METRICS)):
        for name, value in zip(METRICS, values, strict=True):
            kind, limit = ("seconds", math.inf) if name == "training_time" else ("a fraction", math.nextafter(1, 2))
            if not point.HasField(name):
                raise ValueError(f"the {which} evaluation has no {name}")
            if not 0 <= value < limit:
                raise ValueError(f"expected the {which} {name} as {kind}, got {value}")
    return values
