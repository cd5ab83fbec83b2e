"""Equality of the supernet evaluator with its slow twin, on a trained run and its own validation images.

Measure: random architectures, in float32, together in groups and one by one by PyTorch's own layers. An image may get
another class only where its two largest logits tie but for rounding: the largest distance of such two is printed.

    python perf/equality.py RUN [--archs 300] [--batch-norm reset-cumulative-4] [--data-dir data]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main() -> None:
    import numpy as np
    import torch
    from oneshot.evaluators.supernet import SupernetEvaluator

    from oneshot.base.progress import Progress
    from oneshot.runs.run import open_run
    from oneshot.samplers.uniform import distinct
    from tests.evaluators.one_by_one import classes_together, logits_of

    to = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    to.add_argument("run")
    to.add_argument("--archs", type=int, default=300)
    to.add_argument("--batch-norm", default="reset-cumulative-4")
    to.add_argument("--data-dir")
    args = to.parse_args()
    run = open_run(args.run, args.data_dir)
    train, valid = run.train.in_memory(), run.valid.in_memory()
    evaluator = SupernetEvaluator(run.net, run.space, train, valid, args.batch_norm, 256, "float32")
    archs = sorted(distinct(run.space, args.archs, np.random.default_rng(1)))
    images, points, gaps = [], [], [0.0]
    labels, progress = valid.labels, Progress("equality", len(archs), "architectures")
    with progress:
        for group in evaluator.groups(archs):
            for mine, arch in zip(classes_together(evaluator, group), group, strict=True):
                logits = logits_of(run.net, run.space, train, valid, args.batch_norm, 256, arch)
                theirs = logits.argmax(1)
                differ = mine != theirs
                first, second = logits.topk(2).values.T
                gaps += (first - second)[differ].tolist()
                images.append(int(differ.sum()))
                points.append(100 * abs(float(((mine == labels).float() - (theirs == labels).float()).mean())))
                progress.advance()
    print(json.dumps({
        "script": "perf/equality.py",
        "architectures": len(archs),
        "validation_images": len(labels),
        "architectures_with_another_class": sum(count > 0 for count in images),
        "images_with_another_class": sum(images),
        "largest_accuracy_difference": round(max(points), 4),
        "unit": "percentage points",
        "largest_distance_of_tied_logits": max(gaps),
        "settings": vars(args),
        "machine": {"torch": torch.__version__},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
