"""What goes in and out, as OpenAPI describes it."""

from __future__ import annotations

import math
from typing import Annotated, Any

from oneshot.evaluators.service.ranking import Advised, Known, Row, interval
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

Architecture = Annotated[
    StrictStr | list[StrictInt], Field(description="a string of the space, or one option index a decision")
]

Pair = Annotated[list[float], Field(min_length=2, max_length=2)]


class Question(BaseModel):
    """Architectures to predict."""

    model_config = ConfigDict(extra="forbid")
    architectures: list[Architecture]


class Record(BaseModel):
    """A prediction: accuracies in percent, the interval of 95% from the finite number of images; or a score alone."""

    arch: str
    indices: list[int]
    accuracy: float | None = Field(description="None where the service predicts a score, which is no accuracy")
    interval: Pair | None = Field(description="None beside a score")
    standard_error: float | None = Field(description="None beside a score")
    loss: float | None = Field(description="None where it is infinite, or beside a score")
    images: int
    score: float | None = Field(default=None, description="of a service whose protocol has a `quantity`")
    balanced_accuracy: float | None = Field(default=None, description="mean over classes, where they are unbalanced")
    rank: int = Field(description="among all predictions known now, from 1")
    better_than: int = Field(description="how many of the predictions known now are lower")
    truth: float | None = Field(description="the measured accuracy in percent, of a service with a benchmark")


class Ranked(Record):
    """A prediction beside what is recommended of it."""

    recommended: float | None = Field(description="mean of the parts; None by accuracy, and in a space without facts")
    parts: dict[str, float] = Field(description="percent of the known predictions that are below, ties counted half")


class Unpredicted(BaseModel):
    """What stands in the place of an architecture that nothing can be predicted of."""

    arch: str
    indices: list[int]
    images: int
    error: str


class Answer(BaseModel):
    """Predictions in the order asked for; `model` is the fingerprint of /v1/model."""

    model: str
    predictions: list[Record | Unpredicted]


class Ranking(BaseModel):
    """The best known predictions, by what is recommended or by accuracy; so many of all known were measured."""

    model: str
    known: int
    measured: int
    by: str
    predictions: list[Ranked]


class DecisionModel(BaseModel):
    name: str
    options: list[str]


class SpaceModel(BaseModel):
    """The search space; `edges` are the (source, target) nodes of the decisions where each decides an edge."""

    name: str
    size: int
    decisions: list[DecisionModel]
    edges: list[Annotated[list[int], Field(min_length=2, max_length=2)]] | None
    operations: list[str] = Field(description="the different options of the sites of a network")
    zero: str | None = Field(description="the operation that is nothing, if there is one")


class Model(BaseModel):
    """What predicts: `fingerprint` differs where predictions may."""

    fingerprint: str
    space: str
    protocol: dict[str, Any]
    environment: dict[str, Any]
    truth: dict[str, Any] | None
    known: int
    network: dict[str, Any] = Field(description="the size of the networks, whose costs a search may count")
    limits: dict[str, float]


class Cell(BaseModel):
    """A cell as a graph: (source, target, operation) of each connection; without a name it only passes on."""

    title: str
    edges: list[Annotated[list[str], Field(min_length=3, max_length=3)]]


class Description(BaseModel):
    """An architecture: `cost` has params, mflops (multiply-adds of an image in millions), and measured latencies."""

    arch: str
    indices: list[int]
    cost: dict[str, float | None]
    cells: list[Cell]


class Descriptions(BaseModel):
    """In the order asked for."""

    architectures: list[Description]


class Scatter(BaseModel):
    """Columns of one entry a point, by falling prediction; `fronts` are the places of those that none undercuts."""

    known: int
    considered: int
    archs: list[str]
    predicted: list[float] = Field(description="accuracies in percent, or scores where the service predicts those")
    costs: dict[str, list[float | None]]
    fronts: dict[str, list[int]]


class Change(BaseModel):
    """One decision taken otherwise, and what is predicted then."""

    decision: str
    before: str
    option: str
    prediction: Record


class Improvements(BaseModel):
    """The best changes of one decision of an architecture; `tried` are all that change what it computes."""

    of: Record
    tried: int
    changes: list[Change]


class Comparison(BaseModel):
    """Known predictions against ground truth; `points` are (predicted, true), thinned where there are many."""

    column: str
    count: int
    kendall_tau: float | None
    kendall_tau_recommended: float | None = Field(description="of what is recommended; None where that is nothing else")
    points: list[Pair]
    remaining: list[int]
    improvement: list[float | None]


class State(BaseModel):
    status: str


class Error(BaseModel):
    status: int
    code: str
    message: str


class Failure(BaseModel):
    """Every failure has this shape."""

    error: Error


def record(row: Row, known: Known) -> dict[str, Any]:
    """`Record` or `Unpredicted` as a plain dictionary: building the model would take most of the time of an answer."""
    value = row.prediction
    if value.error is not None:
        return {"arch": row.text, "indices": row.arch, "images": value.images, "error": value.error}
    is_score = value.score is not None
    return {
        "arch": row.text,
        "indices": row.arch,
        "accuracy": None if is_score else value.accuracy,
        "interval": None if is_score else interval(value),
        "standard_error": None if is_score else value.standard_error,
        "loss": value.loss if math.isfinite(value.loss) else None,
        "images": value.images,
        "balanced_accuracy": value.balanced,
        "score": value.score,
        "rank": known.rank(value.value),
        "better_than": known.lower(value.value),
        "truth": row.truth,
    }


def ranked(advised: Advised, known: Known) -> dict[str, Any]:
    """`Ranked` as a plain dictionary."""
    return {**record(advised.row, known), "recommended": advised.value, "parts": advised.parts}
