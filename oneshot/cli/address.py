"""The address of a service in place of a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneshot.evaluators.remote import RemoteEvaluator

DECIDED = (
    "--standalone", "--batch-norm", "--batch-size", "--images", "--together", "--memory", "--device", "--threads",
    "--cluster", "--workers", "--top", "--confidence",
)  # fmt: skip
"""Options of a run folder, which a service decides itself."""


def add_token(to: Any) -> None:
    secret = "file with the token of a service, where its address takes the place of a run (else $ONESHOT_TOKEN_FILE)"
    to.add_argument("--token-file", type=Path | None, default=None, help=secret)


def connected(args: Any, argv: Sequence[str]) -> RemoteEvaluator | None:
    """The service at `args.run`, None for a run folder; ValueError where an option is given that is for the other."""
    if not args.run.startswith(("http://", "https://")):
        if args.token_file is not None:
            raise ValueError(f"--token-file is for the address of a service, got {args.run or 'none'}")
        return None
    for word in argv:
        option = word.partition("=")[0].replace("_", "-")
        if option in DECIDED:
            raise ValueError(f"{option} is for a run folder; {args.run} decides that itself")
    from oneshot.evaluators.remote import service_at

    return service_at(args.run, args.token_file)
