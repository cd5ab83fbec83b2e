"""`oneshot export`: one architecture of a run as a network of its own, in a file that needs no run and no images.

The ending of the file says which: .safetensors (read by `oneshot.load_network`), .onnx, or .pt2 (torch.export).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oneshot.cli.machine import add_machine, device
from oneshot.cli.options import add_accept_data, parser, print_json

EXAMPLE = "oneshot export runs/darts-1 --out found.onnx"


def main(argv: Sequence[str]) -> None:
    args = _arguments(argv)
    from oneshot.base.progress import Progress
    from oneshot.export.extract import extract
    from oneshot.export.formats import check, save

    check(args.out)
    norm = args.batch_norm or None
    with Progress("export", 2, "steps") as progress:
        module = extract(
            args.run, args.arch or None, norm, args.batch_size, args.data_dir, device(args), args.accept_data
        )
        progress.advance(1, done="extracted")
        difference = save(module, args.out)
        progress.advance(1, done="written and read back")
    found = {
        "file": str(args.out), "bytes": args.out.stat().st_size, **module.facts,
        "params": sum(p.numel() for p in module.parameters()), "largest_difference": difference,
    }  # fmt: skip
    if args.json:
        print_json(found)
        return
    size = module.facts["image_size"]
    print(f"{args.out}: {module.facts['arch']}, {found['params']:,} parameters, images of 3 x {size} x {size}")
    print(
        f"read back, its logits differ by {difference:.1e} at most; images are normalised {_normalised(module.facts)}"
    )


def _normalised(facts: dict[str, Any]) -> str:
    if "mean" not in facts:
        return "as in training"
    mean, std = (", ".join(f"{value:.2f}" for value in facts[name]) for name in ("mean", "std"))
    return f"from 0 to 255 by mean {mean} and std {std}"


def _arguments(argv: Sequence[str]) -> Any:
    to = parser("export", __doc__ or "", EXAMPLE)
    to.add_argument("run", type=str, help="run folder of `oneshot train` or `oneshot retrain`")
    to.add_argument("arch", type=str, nargs="?", default="", help="its string, by default what the run has found")
    to.add_argument("--out", type=Path, required=True, help="file to write: .safetensors, .onnx or .pt2")
    modes = "inherit, ema-N, reset-ema-N or reset-cumulative-N; '' for ema-20, or inherit of a run of one architecture"
    to.add_argument("--batch-norm", type=str, default="", help=modes)
    to.add_argument("--batch-size", type=int, default=256, help="of recalibration")
    to.add_argument("--json", action="store_true", help="print one JSON document")
    add_accept_data(to)
    add_machine(to)
    return to.parse_args(list(argv))
