"""`oneshot serve`: predictions over HTTP, with a page to look at them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.cli.evaluator import network_size
from oneshot.cli.options import add_accept_data, add_machine, device, parser

if TYPE_CHECKING:
    pass

EXAMPLE = "oneshot serve runs/paper-1 --benchmark nasbench201"


def main(argv: Sequence[str]) -> None:
    args = _arguments(argv)
    from oneshot.evaluators.service.app import create_app
    from oneshot.evaluators.service.limits import Limits, read_token
    from oneshot.evaluators.service.server import bound, serve
    from oneshot.evaluators.store import Stored
    from oneshot.evaluators.supernet import of_run
    from oneshot.runs.run import open_run

    limits = Limits(batch=args.batch, queue=args.queue, archs=args.max_archs, deadline=args.deadline)
    token = read_token(args.token_file) if args.token_file is not None else None
    with bound(args.host, args.port) as listening:
        run = open_run(args.run, args.data_dir, device(args), args.accept_data)
        evaluator = of_run(run, norm=args.batch_norm, batch_size=args.batch_size, images=args.images)
        path = args.store or Path(args.run) / "predictions.sqlite"
        store = Stored(evaluator, path, limits.batch, timeout=limits.deadline / 2)  # to say why, before it is over
        app = create_app(
            store,
            _truth(args, evaluator.space),
            limits,
            token,
            network_size(run.config, run.valid, run.dataset.classes),
        )
        host = f"[{args.host}]" if ":" in args.host else args.host
        address = f"http://{host}:{listening.getsockname()[1]}"
        if args.host not in ("127.0.0.1", "::1", "localhost") and token is None:
            print(
                f"oneshot serve: {args.host} is open to other machines, and there is no --token-file", file=sys.stderr
            )
        serve(app, listening, limits.deadline + 5, lambda: print(f"{args.run} answers at {address}", flush=True))


def _arguments(argv: Sequence[str]) -> Any:
    to = parser("serve", __doc__ or "", EXAMPLE)
    to.add_argument("run", type=str, help="run folder of `oneshot train`")
    to.add_argument("--benchmark", type=str, default="", help="ground truth to show beside: name or file of a table")
    to.add_argument("--truth", type=str | None, default=None, help="its column, by default the one it declares")
    to.add_argument("--host", type=str, default="127.0.0.1", help="address to listen on; by default this machine alone")
    to.add_argument("--port", type=int, default=8000, help="port to listen on, 0 for a free one")
    secret = "file with a token that requests must bring: `Authorization: Bearer TOKEN`"
    to.add_argument("--token-file", type=Path | None, default=None, help=secret)
    to.add_argument("--batch-norm", type=str, default="ema-20", help="as in `oneshot predict`")
    to.add_argument("--batch-size", type=int, default=256, help="of recalibration and validation")
    to.add_argument("--images", type=int, default=0, help="validate on the first so many validation images, 0 for all")
    kept = "SQLite file of predictions, by default in the run folder; services may share it"
    to.add_argument("--store", type=Path | None, default=None, help=kept)
    to.add_argument("--batch", type=int, default=32, help="architectures in one pass of the evaluator")
    to.add_argument(
        "--queue", type=int, default=20_000, help="architectures that may wait; beyond, clients are refused"
    )
    to.add_argument("--max-archs", type=int, default=10_000, help="architectures in one request")
    to.add_argument("--deadline", type=float, default=60.0, help="seconds within which a request is answered")
    add_accept_data(to)
    add_machine(to)
    return to.parse_args(list(argv))


def _truth(args: Any, space: Any) -> Any:
    """The table's column as an evaluator; of a larger space, its rows within this one."""
    if not args.benchmark:
        if args.truth is not None:
            raise ValueError("--truth needs a --benchmark")
        return None
    from oneshot.benchmarks.table import find_table
    from oneshot.evaluators.table import TableEvaluator

    return TableEvaluator(find_table(args.benchmark, args.data_dir).within(space), args.truth)
