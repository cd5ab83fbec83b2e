"""NAS-Bench-201 (arXiv 2001.00326): a cell of four nodes, one of five operations on each of six edges."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product
from typing import ClassVar

from oneshot.cost import Cost, live_facts
from oneshot.space import Arch, Decision, Graph, Space

NONE, SKIP, CONV1, CONV3, POOL = OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
KERNELS = {CONV1: 1, CONV3: 3}
KERNEL_PIXELS = {operation: kernel**2 for operation, kernel in KERNELS.items()}
CONVOLUTIONS = tuple(KERNEL_PIXELS)

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source node, target node) of each decision, in the order of the strings; node 0 is the input, node 3 the output."""
INTO = tuple(target for _, target in EDGES)
"""The node that each edge leads into."""

PATHS = tuple(
    tuple(EDGES.index(edge) for edge in pairwise(nodes)) for nodes in ((0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3))
)
"""The edges of each way from input to output."""

Operations = tuple[str, ...]
Form = tuple  # a sum as a sorted tuple of terms; a term is (operation, form of its input), the cell's input is ("x",)


@dataclass(frozen=True)
class NasBench201(Space):
    """Cells with the given options on each edge; strings are `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""

    zero: ClassVar[str | None] = NONE
    baseline: ClassVar[str] = "live_parameters"

    def __post_init__(self) -> None:
        unknown = {option for decision in self.decisions for option in decision.options} - set(OPERATIONS)
        if len(self.decisions) != len(EDGES) or unknown:
            raise ValueError(
                f"NAS-Bench-201 has {len(EDGES)} decisions among {OPERATIONS}; "
                f"got {len(self.decisions)} decisions with unknown options {sorted(unknown)}"
            )

    def parse(self, text: str) -> Arch:
        nodes = text.strip().split("+")
        tokens = [token for node in nodes for token in node.strip("|").split("|")]
        operations = tuple(token.partition("~")[0] for token in tokens)
        if _string(operations) != text.strip():
            raise ValueError(f"{text!r} is no NAS-Bench-201 string; expected '|op~0|+|op~0|op~1|+|op~0|op~1|op~2|'")
        return self.choosing(operations, text)

    def format(self, arch: Arch) -> str:
        return _string(self.operations(arch))

    def canonical(self, arch: Arch, pool_is_linear: bool = False) -> Arch:
        """The first architecture of the space with the same function; 4,930 classes over all 15,625 cells.

        Zeros are removed and sums flattened through skips. With `pool_is_linear`, average pooling also distributes
        over sums (4,660 classes).
        """
        return _representatives(self, pool_is_linear)[_form(self.operations(arch), pool_is_linear)]

    def published_class(self, arch: Arch) -> str:
        """The class by the benchmark's published isomorphism rule, of which there are 6,466.

        It removes skips and marks zeros, but neither drops a zero from a sum nor flattens the sum that a skip carries.
        """
        return published_class(self.operations(arch))

    def bucket(self, arch: Arch) -> int | None:
        """0, 1, 2 for at most one, two, three convolutions on a live path; None without a live path."""
        convolutions = live_convolutions(self.operations(arch))
        return None if convolutions is None else max(convolutions - 1, 0)

    def graphs(self, options: Sequence[Sequence[str]]) -> dict[str, Graph]:
        names = ("input", "1", "2", "output")
        edges = zip(EDGES, options, strict=True)
        return {"cell": [(names[a], names[b], o) for (a, b), operations in edges for o in operations if o != NONE]}

    def facts(self, arch: Arch) -> dict[str, float]:
        operations = self.operations(arch)
        return facts(operations, cost(operations), (o for o in operations if o in CONVOLUTIONS), live_cost(operations))

    def cost(self, arch: Arch, **size: int) -> Cost:
        """That of the stand-alone network, see `cost`."""
        return cost(self.operations(arch), **size)


def nasbench201(options: tuple[str, ...] = OPERATIONS, name: str = "nasbench201") -> NasBench201:
    """The space with the same options on every edge."""
    return NasBench201(name, tuple(Decision(f"edge {a}->{b}", options) for a, b in EDGES))


ALL = nasbench201()
NO_ZERO = nasbench201((SKIP, CONV1, CONV3, POOL), "nasbench201-no-zero")
CONV = nasbench201(CONVOLUTIONS, "nasbench201-conv")


def live_edges(operations: Operations) -> frozenset[int]:
    """The edges on a way from input to output on which no operation is `none`."""
    live = (path for path in PATHS if all(operations[edge] != NONE for edge in path))
    return frozenset(edge for path in live for edge in path)


def longest(operations: Operations, counts: Container[str]) -> int | None:
    """The most of these operations on any live input-output path; None where there is no such path."""
    live = (path for path in PATHS if all(operations[edge] != NONE for edge in path))
    return max((sum(operations[edge] in counts for edge in path) for path in live), default=None)


def live_convolutions(operations: Operations) -> int | None:
    """The most convolutions on any live input-output path; None where there is no such path."""
    return longest(operations, CONVOLUTIONS)


def live_cost(operations: Operations) -> Cost:
    """That of the stand-alone network without the edges that lie on no way from input to output."""
    return cost(tuple(operations[edge] for edge in sorted(live_edges(operations))))


def facts(operations: Operations, whole: Cost, convolutions: Iterable[str], live: Cost) -> dict[str, float]:
    """Of a cell, whose paths are those of `operations`, one on each edge."""
    most, depth = longest(operations, CONVOLUTIONS), longest(operations, (*CONVOLUTIONS, POOL))
    return {
        **live_facts(whole, live, (KERNELS[o] for o in convolutions), -1 if depth is None else depth),
        "live_path_convolutions": (-1.0 if most is None else most) + whole.params / 1e9,  # ties broken by parameters
    }


def cost(operations: Operations, channels: int = 16, cells: int = 5, classes: int = 10, image_size: int = 32) -> Cost:
    """Parameters and multiply-adds of the stand-alone network, by the benchmark's own way of counting.

    Three stages of `cells` cells at widths C, 2C, 4C, two residual reductions between them. Everything on an edge is
    counted, whether or not it is live; BatchNorm is affine and free of multiply-adds, the classifier's bias is not.
    Equals the published parameters and FLOPs on every row.
    """

    def pixels(stage: int) -> int:
        return (image_size >> stage) ** 2

    stem = 3 * 9 * channels
    params, multiplies = stem + 2 * channels, stem * pixels(0)
    for stage in range(3):
        width = channels << stage
        if stage:
            half = width // 2
            reduction = 9 * half * width + 9 * width * width + half * width
            params += reduction + 4 * width
            multiplies += reduction * pixels(stage)
        for kernel in (KERNEL_PIXELS[o] for o in operations if o in KERNEL_PIXELS):
            params += cells * (kernel * width * width + 2 * width)
            multiplies += cells * kernel * width * width * pixels(stage)
    width = channels << 2
    head = width * classes + classes
    return Cost(params + 2 * width + head, (multiplies + head) / 1e6)


def published_class(operations: Operations) -> str:
    """The benchmark's own name of an isomorphism class (arXiv 2001.00326, section 3): zeros marked, skips removed."""
    nodes = ["0"]
    for target in range(1, 4):
        terms = []
        for (source, end), operation in zip(EDGES, operations, strict=True):
            if end != target:
                continue
            if operation == NONE or nodes[source] == "#":
                terms.append("#")
            else:
                terms.append(nodes[source] if operation == SKIP else f"({nodes[source]})@{operation}")
        nodes.append("+".join(sorted(terms)))
    return nodes[3]


def _string(operations: Operations) -> str:
    if len(operations) != len(EDGES):
        return ""
    nodes = [
        "|" + "".join(f"{o}~{a}|" for (a, b), o in zip(EDGES, operations, strict=True) if b == n) for n in (1, 2, 3)
    ]
    return "+".join(nodes)


def _form(operations: Operations, pool_is_linear: bool = False) -> Form:
    """What the cell computes, as a nested sum: equal forms are equal functions."""
    nodes: list[Form] = [(("x",),)]
    for target in range(1, 4):
        terms: list[tuple] = []
        for (source, end), operation in zip(EDGES, operations, strict=True):
            if end == target:
                terms.extend(_apply(operation, nodes[source], pool_is_linear))
        nodes.append(tuple(sorted(terms, key=repr)))
    return nodes[3]


def _apply(operation: str, form: Form, pool_is_linear: bool) -> Iterator[tuple]:
    """The terms that an edge adds to its target; an operation on an empty sum adds nothing."""
    if operation == NONE or not form:
        return
    if operation == SKIP:
        yield from form
    elif operation == POOL and pool_is_linear:
        yield from ((POOL, (term,)) for term in form)
    else:
        yield (operation, form)


@lru_cache(maxsize=16)
def _representatives(space: NasBench201, pool_is_linear: bool) -> dict[Form, Arch]:
    """The first architecture of each function, in the order of the space."""
    found: dict[Form, Arch] = {}
    for arch in product(*(range(len(decision.options)) for decision in space.decisions)):
        operations = tuple(d.options[i] for d, i in zip(space.decisions, arch, strict=True))
        found.setdefault(_form(operations, pool_is_linear), arch)
    return found
