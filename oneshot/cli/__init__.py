"""The command line: `oneshot COMMAND ...`; each command is a file here, loaded only when it runs."""

from __future__ import annotations

import importlib
import os
import sqlite3
import sys
import warnings
from collections.abc import Sequence

from oneshot.base.settings import nearest
from oneshot.cli.words import expanded

COMMANDS = {
    "demo": "train, predict, score and plot on what ships, in a few minutes",
    "data": "fetch a data set into the data folder",
    "spaces": "list the search spaces",
    "train": "train a supernet",
    "predict": "predict the accuracy of architectures with a trained supernet, or score them without training",
    "search": "search the best architectures, by accuracy alone or against their costs",
    "derive": "show the architecture that a run has found: string, cells, picture, true accuracy if known",
    "export": "write one architecture of a run as a network of its own: safetensors, ONNX, torch.export",
    "retrain": "train one architecture as a network of its own, and test it once",
    "cost": "parameters, multiply-adds and measured latency of architectures",
    "score": "score predictions against ground truth",
    "serve": "answer over HTTP: predictions, their ranking, and a page that shows them",
    "benchmark": "make, import, show and query tables of ground truth",
}

USAGE = """usage: oneshot COMMAND [OPTION ...]

One-shot neural architecture search: train a supernet, predict any architecture, score the predictions.

commands:
{commands}

`oneshot COMMAND --help` explains a command and ends with an example. Every command takes `--plugin FILE.py` (or the
files in $ONESHOT_PLUGINS): spaces, samplers, methods, contexts, evaluators, trackers, data formats of one's own.

`oneshot --print-completion SHELL` prints what bash, zsh or fish completes commands, options and their words by.

example:
  oneshot demo
"""

SPINS = "10000"
"""How often an OpenMP thread looks for work before it sleeps. With GNU's 300,000 the demo trains 1.4 times slower
beside two busy programs, and much slower beside more; on free cores these cost it nothing, and 1,000 a third."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for bad input, 130 after Ctrl-C."""
    if argv is None and "OMP_WAIT_POLICY" not in os.environ:  # the process is ours, and PyTorch not imported yet
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE.format(commands="\n".join(f"  {name:10} {what}" for name, what in COMMANDS.items())), end="")
        return 0 if words else 2
    if words[0] == "--version":
        from oneshot.base.provenance import version

        print(version("oneshot-nas"))
        return 0
    name, arguments = words[0], words[1:]
    if name == "--print-completion":
        from oneshot.cli.completion import script

        try:
            print(script(arguments[0] if arguments else "", COMMANDS), end="")
        except ValueError as error:
            return _fail("oneshot", str(error))
        return 0
    if name not in COMMANDS:
        near = nearest(name, COMMANDS)
        return _fail("oneshot", f"no command {name!r}{near or '; there are ' + ', '.join(COMMANDS)}")
    try:
        arguments = expanded(arguments)
        command = importlib.import_module(f"oneshot.cli.{name}")
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: _say(f"oneshot {name}: {message}")
            return command.main(arguments) or 0
    except (ValueError, OSError, sqlite3.Error, FloatingPointError, MemoryError) as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return _fail(f"oneshot {name}", str(error) or type(error).__name__)
    except KeyboardInterrupt:
        print(f"\noneshot {name}: stopped; the same command continues where it was", file=sys.stderr)
        return 130


def _fail(who: str, what: str) -> int:
    _say(f"{who}: {what}")
    return 2


def _say(message: str) -> None:
    """On the standard error, not endless, and without what could steer a terminal or cannot be encoded."""
    from oneshot.base.foreign import shortened

    encoding = sys.stderr.encoding or "utf-8"
    print(shortened(message).encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr)
