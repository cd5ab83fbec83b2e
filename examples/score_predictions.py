"""Predictions that somebody made, a CSV with `arch` and `accuracy`, scored against the table that ships.

    python examples/score_predictions.py                  # those of a rule of thumb, written here
    python examples/score_predictions.py mine.csv         # your own: strings of NAS-Bench-201, larger is better

Any number that ranks will do: of a supernet, a zero-cost proxy, a regression. No network is run here.
"""

import argparse
from pathlib import Path

import pandas as pd

import oneshot

WORTH = {"none": 0, "skip_connect": 1, "avg_pool_3x3": 0.5, "nor_conv_1x1": 2, "nor_conv_3x3": 3}


def rule_of_thumb(path: Path) -> Path:
    """Each edge is worth what its operation is, and the edge from the input to the output twice that."""
    table = oneshot.table("nasbench201-digits")
    values = [[WORTH[operation] for operation in table.space.operations(arch)] for arch in table.archs]
    accuracy = [sum(edges) + edges[3] for edges in values]
    pd.DataFrame({"arch": table.strings, "accuracy": accuracy}).to_csv(path, index=False)
    return path


def main(path: Path) -> None:
    report = oneshot.score(path, oneshot.table("nasbench201-digits"))
    print(f"{path} on {len(report.truth)} architectures, truth {report.protocol['truth']}:")
    for name, scores in report.predictors:
        low, high = scores.intervals["kendall_tau"]
        print(f"  Kendall's tau {scores.measures['kendall_tau']:6.3f} [{low:.3f}, {high:.3f}]  {name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predictions", type=Path, nargs="?", help="CSV, Parquet or JSON")
    given = parser.parse_args().predictions
    main(given or rule_of_thumb(Path("rule-of-thumb.csv")))
