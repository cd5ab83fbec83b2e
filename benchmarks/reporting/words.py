"""What measures and predictors mean, for who reads a report and knows neither."""

from __future__ import annotations

from oneshot.benchmarks.display import label
from oneshot.benchmarks.scoring.catalogue import MEASURES as ALL
from oneshot.benchmarks.scoring.result import Report

MEASURES = {
    "kendall_tau": "of all pairs, how many more are in the right order than in the wrong: 1 if all are, 0 by chance",
    "spearman_rho": "correlation of the ranks: 1 the same order, 0 none",
    "pearson_r": "correlation of predicted and true values on a straight line",
    "kendall_tau_top10": "Kendall's tau among the truly best tenth alone, where a search ends",
    "precision_at_1": "of the best predicted 1%, the share that is truly among the best 1%",
    "precision_at_5": "of the best predicted 5%, the share that is truly among the best 5%",
    "precision_at_10": "of the best predicted 10%, the share that is truly among the best 10%",
    "regret_at_10": "true value of the best evaluated less that of the best of the ten best predicted: 0 is found",
    "improvement_at_10": "mean truth of the ten best predicted: 0 is the mean of all, 1 the best of the table",
    "improvement_at_10_evaluated": "the same, where 1 is the best of what was evaluated",
    "improvement_at_10_absolute": "the same, as the truth is measured",
    "best_rank_at_10": "true rank of the best of the ten best predicted, as a share: 0 is the best of all",
    "worst_rank_at_10": "true rank of the worst of them",
    "best_rank_at_10_absolute": "the same as a count of those that are better",
    "worst_rank_at_10_absolute": "the same as a count of those that are better",
}
PREDICTORS = {
    "parameters": "the number of weights of the network: no training",
    "multiply_adds": "the multiply-adds of one image: no training",
    "convolutions": "how many of the operations are convolutions: no training",
    "live_parameters": "the weights that lie between input and output: no training",
    "live_multiply_adds": "the multiply-adds between input and output: no training",
    "convolutions_3x3": "how many of the operations are 3x3 convolutions: no training",
    "depth": "operations, skips aside, on the longest way from input to output: no training",
    "live_path_convolutions": "how many convolutions lie between input and output: no training",
}
CEILING = "a second measurement of the same networks: noise alone keeps it from 1, and any prediction below it"


def explained(report: Report) -> list[tuple[str, str]]:
    """Name and meaning of every predictor and measure of a report that has one."""
    names = [(label(each.name), PREDICTORS[each.name]) for each in report.baselines if each.name in PREDICTORS]
    names += [(f"ceiling: {report.ceiling.name}", CEILING)] if report.ceiling else []
    return names + [(ALL[name].title, MEASURES[name]) for name in report.measures if name in MEASURES]
