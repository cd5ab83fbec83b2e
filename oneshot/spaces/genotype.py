"""Genotypes, the field's way to write a pair of cells (arXiv 1806.09055, its code): read without running anything.

`Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], reduce_concat=range(2, 6))`: two
(operation, source) for each of nodes 2 to 5. Where nodes have any number of connections these are
(operation, node, source), as in FairDARTS (arXiv 1911.12126), or one list a node.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from oneshot.spaces.cells import INPUTS, NODES, OF_NODES, SITES, Connections

NAME = "Genotype"
LONGEST = 20_000
"""Characters; the largest genotype has a tenth of them."""
FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
Connection = tuple[str, int, int]
"""(operation, node, source)"""


def is_genotype(text: str) -> bool:
    return text.lstrip().startswith(NAME)


def genotype(connections: Connections) -> str:
    """The genotype of these operations at each site: pairs where every node has two connections, else triples."""
    per_node = [[(o, *SITES[site][:0:-1]) for site in sites for o in connections[site]] for sites in OF_NODES]
    two = all(len(node) == 2 for node in per_node)
    half, concat = len(NODES), f"range({NODES.start}, {NODES.stop})"
    normal, reduce = (
        [(o, source) if two else (o, node, source) for connected in part for o, node, source in connected]
        for part in (per_node[:half], per_node[half:])
    )
    return f"{NAME}(normal={normal}, normal_concat={concat}, reduce={reduce}, reduce_concat={concat})"


def read_genotype(text: str) -> Connections:
    """The operations at each site that a genotype names; ValueError says what is wrong with it."""
    fields = _fields(text)
    found: dict[tuple[int, int, int], list[str]] = {site: [] for site in SITES}
    for kind, name in enumerate(("normal", "reduce")):
        for operation, node, source in _connections(fields[name], name):
            if operation in found[kind, source, node]:
                raise ValueError(f"{name} of a genotype: {operation} from {source} to node {node} stands twice")
            found[kind, source, node].append(operation)
        concat = list(fields[f"{name}_concat"]) if isinstance(fields[f"{name}_concat"], (list, tuple, range)) else None
        if concat != list(NODES):
            raise ValueError(
                f"{name}_concat of a genotype must be all of nodes {NODES.start} to {NODES.stop - 1}, "
                f"got {fields[f'{name}_concat']!r}"
            )
    return tuple(tuple(operations) for operations in found.values())


def _fields(text: str) -> dict[str, Any]:
    if len(text) > LONGEST:
        raise ValueError(f"a genotype has at most {LONGEST:,} characters, got {len(text):,}")
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == NAME):
            raise ValueError
        fields = dict(zip(FIELDS, map(_value, call.args), strict=False))
        fields |= {str(keyword.arg): _value(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text[:200]!r} is no genotype; expected {NAME}({'=..., '.join(FIELDS)}=...)") from error
    if set(fields) != set(FIELDS):
        raise ValueError(f"a genotype must have {', '.join(FIELDS)}, got {', '.join(map(str, fields)) or 'nothing'}")
    return fields


def _value(node: ast.expr) -> Any:
    """A literal, or a `range` of two numbers."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        start, stop = (ast.literal_eval(bound) for bound in node.args)
        return range(start, stop) if abs(start) + abs(stop) < 100 else (start, stop)
    return ast.literal_eval(node)


def _connections(value: Any, cell: str) -> Iterator[Connection]:
    """Of a cell, checked."""
    for operation, node, source in _triples(value, cell):
        if not isinstance(operation, str) or type(node) is not int or type(source) is not int:
            raise ValueError(f"{cell} of a genotype: expected ('operation', source), got {(operation, source)!r}")
        if node not in NODES:
            raise ValueError(f"{cell} of a genotype: nodes are {NODES.start} to {NODES.stop - 1}, got {node}")
        if not INPUTS[0] <= source < node:
            raise ValueError(
                f"{cell} of a genotype: node {node} takes nodes 0 to {node - 1}, got {operation!r}, {source}"
            )
        yield operation, node, source


def _triples(value: Any, cell: str) -> Iterator[tuple[Any, Any, Any]]:
    items = list(value) if isinstance(value, (list, tuple)) else []
    if items and all(isinstance(item, tuple) and len(item) == 3 for item in items):
        yield from items
    elif len(items) == 2 * len(NODES) and all(isinstance(item, tuple) and len(item) == 2 for item in items):
        yield from ((o, NODES[i // 2], source) for i, (o, source) in enumerate(items))
    elif len(items) == len(NODES) and all(_is_pairs(item) for item in items):
        yield from ((o, node, source) for node, item in zip(NODES, items, strict=True) for o, source in item)
    else:
        raise ValueError(
            f"{cell} of a genotype: expected two ('operation', source) for each of {len(NODES)} nodes, "
            f"any number of ('operation', node, source), or a list of pairs for each node, got {str(value)[:200]}"
        )


def _is_pairs(item: Any) -> bool:
    return isinstance(item, (list, tuple)) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in item)
