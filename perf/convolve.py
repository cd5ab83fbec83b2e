"""Speed of the 3x3 convolution by Winograd's algorithm against PyTorch's own: channels-last images, no gradients.

Explain: a tile of 2x2 outputs takes 16 multiplications for a pair of channels instead of 36, and passes over what the
transforms make, which stays in a core's caches.
Predict: 2.25 times faster where the multiplications are all there is (many channels), less where the transforms, whose
work grows with the channels and not with their square, and the images' own memory weigh as much (16 channels).
Measure: the two take turns on images that were not touched for a while; one thread. The errors of both against float64
must be alike.

    python perf/convolve.py [--batch-size 256] [--rounds 12]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
SIZES = ((16, 32), (32, 16), (64, 8))
"""Channels and the side of an image, of the stages of NAS-Bench-201."""
COPIES = 6


def main() -> None:
    import torch
    import torch.nn.functional as F

    from oneshot.base.memory import keep_freed_memory
    from oneshot.nn.cpu import convolved, convolves

    to = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("batch-size", 256), ("rounds", 12)):
        to.add_argument(f"--{name}", type=int, default=default)
    args = to.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    ratios, medians, errors = {}, {}, {}
    for width, side in SIZES:
        each = [torch.randn(args.batch_size, width, side, side) for _ in range(COPIES)]
        each = [x.contiguous(memory_format=torch.channels_last) for x in each]
        weight, bias = torch.randn(width, width, 3, 3) / width, torch.randn(width)
        if not convolves(each[0], weight):
            raise SystemExit("PyTorch's own convolution is used on this processor, which has no AVX-512")
        weight = weight.contiguous(memory_format=torch.channels_last)
        cases = {
            "ours": lambda x, weight=weight, bias=bias: convolved(x, weight, bias),
            "PyTorch": lambda x, weight=weight, bias=bias: F.conv2d(x, weight, bias, padding=1),
        }
        took: dict[str, list[float]] = {case: [] for case in cases}
        for n in range(args.rounds + 1):
            for x in each:
                for case, convolve in cases.items():
                    start = time.perf_counter()
                    convolve(x)
                    if n:  # warm
                        took[case].append(time.perf_counter() - start)
        exact = F.conv2d(each[0].double(), weight.double(), bias.double(), padding=1)
        for case, convolve in cases.items():
            medians[f"C={width}, {case}"] = round(statistics.median(took[case]), 5)
            errors[f"C={width}, {case}"] = float((convolve(each[0]) - exact).abs().max() / exact.abs().max())
        assert errors[f"C={width}, ours"] < 4 * errors[f"C={width}, PyTorch"], errors
        paired = zip(took["PyTorch"], took["ours"], strict=True)
        ratios[f"C={width}"] = round(statistics.median(theirs / mine for theirs, mine in paired), 2)
    print(json.dumps({
        "script": "perf/convolve.py",
        "ratios": ratios,
        "seconds": medians,
        "largest_relative_errors": errors,
        "settings": vars(args),
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
