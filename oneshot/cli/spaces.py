"""`oneshot spaces`: the search spaces, or the decisions of one."""

from __future__ import annotations

import json
from collections.abc import Sequence

from oneshot.cli.options import parser
from oneshot.registry import SPACES

EXAMPLE = "oneshot spaces nasbench201-conv"


def main(argv: Sequence[str]) -> None:
    to = parser("spaces", __doc__ or "", EXAMPLE)
    to.add_argument("space", type=str, nargs="?", default="", help="show the decisions of this space")
    to.add_argument("--json", action="store_true", help="print one JSON document")
    args = to.parse_args(list(argv))
    chosen = [SPACES[args.space]] if args.space else SPACES.values()
    if args.json:
        spaces = [
            {
                "name": space.name,
                "size": space.size,
                "example": space.format(next(iter(space))),
                "decisions": {decision.name: decision.options for decision in space.decisions},
            }
            for space in chosen
        ]
        print(json.dumps(spaces, indent=2))
        return
    for space in chosen:
        print(f"{space.name:22} {space.size:>12,} option combinations, such as {space.format(next(iter(space)))}")
    if args.space:
        for decision in chosen[0].decisions:
            print(f"  {decision.name:12} {', '.join(decision.options)}")
