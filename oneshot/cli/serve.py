"""`oneshot serve`: predictions over HTTP, with a page to look at them."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.cli.asking import Asking
from oneshot.cli.machine import Machine, add_machine
from oneshot.cli.options import parser

if TYPE_CHECKING:
    from oneshot.space import Space

EXAMPLE = "oneshot serve runs/paper-1 --benchmark nasbench201"
ASKING = Asking()


def main(argv: Sequence[str]) -> None:
    args = _arguments(argv)
    asked = ASKING.asked(args, argv)
    from oneshot.evaluators.service.app import create_app
    from oneshot.evaluators.service.limits import Limits, read_token
    from oneshot.evaluators.service.server import affordable, bound, serve

    limits = Limits(
        batch=args.batch, queue=args.queue, archs=args.max_archs, deadline=args.deadline,
        connections=affordable(args.connections), idle=args.idle,
    )  # fmt: skip
    if limits.connections < args.connections:
        few = f"this process may open too few files: at most {limits.connections} connections"
        print(f"oneshot serve: {few}", file=sys.stderr)
    token = read_token(args.token_file) if args.token_file is not None else None
    with bound(args.host, args.port) as listening:
        if token is None and not args.without_token:
            _only_here(listening, args.host)
        opened = asked.open(Machine(args.device, args.threads))
        getattr(opened.evaluator, "prepare", lambda: None)()  # what is done once, before the first question
        hosts = [*args.allow_host, *([args.host] if args.host else [])]
        timeout = limits.deadline / 2  # to say why, before it is over
        store = opened.stored(chunk=limits.batch, timeout=timeout, must_be_kept=True)
        truth = _truth(args, opened.space)
        app = create_app(store, truth, limits, token, opened.size(), hosts, args.open_metrics)
        host = f"[{args.host}]" if ":" in args.host else args.host
        address = f"http://{host}:{listening.getsockname()[1]}"
        told = f"{asked.title} answers at {address}"
        serve(app, listening, limits.deadline + 5, lambda: print(told, flush=True), limits)


def _arguments(argv: Sequence[str]) -> Any:
    to = parser("serve", __doc__ or "", EXAMPLE)
    ASKING.add(to, argv)
    to.add_argument("--benchmark", type=str, default="", help="ground truth to show beside: name or file of a table")
    to.add_argument("--truth", type=str | None, default=None, help="its column, by default the one it declares")
    to.add_argument("--host", type=str, default="127.0.0.1", help="address to listen on; by default this machine alone")
    to.add_argument("--port", type=int, default=8000, help="port to listen on, 0 for a free one")
    secret = "file with a token that requests must bring: `Authorization: Bearer TOKEN`"
    to.add_argument("--token-file", type=Path | None, default=None, help=secret)
    alone = "answer other machines without a token, too"
    to.add_argument("--without-token", action="store_true", help=alone)
    to.add_argument("--open-metrics", action="store_true", help="/metrics needs no token")
    names = "name by which the service may be asked, beside its address and localhost: gpu.example.org, *.example.org"
    to.add_argument("--allow-host", action="append", default=[], metavar="NAME", help=names + ", *; repeatable")
    to.add_argument("--batch", type=int, default=32, help="architectures in one pass of the evaluator")
    to.add_argument(
        "--queue", type=int, default=20_000, help="architectures that may wait; beyond, clients are refused"
    )
    to.add_argument("--max-archs", type=int, default=10_000, help="architectures in one request")
    to.add_argument("--deadline", type=float, default=60.0, help="seconds within which a request is answered")
    to.add_argument("--connections", type=int, default=512, help="that are kept, and requests answered, at a time")
    quiet = "seconds after which a connection that asks nothing, or half a question, is closed"
    to.add_argument("--idle", type=float, default=10.0, help=quiet)
    add_machine(to)
    return to.parse_args(list(argv))


def _only_here(listening: socket.socket, host: str) -> None:
    """ValueError where other machines reach the socket."""
    from oneshot.evaluators.service.hosts import is_loopback

    if not is_loopback(listening.getsockname()[0]):
        wanted = "give a --token-file, or --without-token to answer anybody"
        raise ValueError(f"--host {host!r} is open to other machines: {wanted}")


def _truth(args: Any, space: Space) -> Any:
    """The table's column as an evaluator; of a larger space, its rows within this one."""
    if not args.benchmark:
        if args.truth is not None:
            raise ValueError("--truth needs a --benchmark")
        return None
    from oneshot.benchmarks.table import find_table
    from oneshot.evaluators.table import TableEvaluator

    return TableEvaluator(find_table(args.benchmark, args.data_dir).within(space), args.truth)
