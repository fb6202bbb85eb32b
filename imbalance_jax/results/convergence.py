"""Had training ended when it ended? By member and arm: the best epoch, and how validation AUROC still rose."""

from collections.abc import Mapping, Sequence

import numpy as np

from imbalance_jax.metrics.intervals import over_seeds
from imbalance_jax.results.rows import Population, Row, interval_rows, of_arm, of_member

LAST_SHARE, FEWEST = 0.25, 3  # of training, over which the slope is taken, and the least number of epochs for it
VALIDATION = 'validation'


def rows(members: Sequence[Row], alive: np.ndarray, curves: Sequence[Mapping[int, float]]) -> list[Row]:
    """Rows of results/convergence. curves: of each member, finished epochs -> validation macro AUROC.

    best_epoch: of the highest AUROC, the first of equal ones; best_is_last: 1 where that is the member's last epoch;
    final_slope: AUROC per epoch over the last quarter of the epochs (three at least), by least squares. n of a member
    is its number of epochs. Arms have the mean over living seeds with Student's interval: the validation patients are
    the same for all, so it speaks of seeds alone. A member without an epoch has no row.
    """
    figures = {
        'best_epoch': np.array([best_epoch(c) if c else np.nan for c in curves], float),
        'best_is_last': np.array([float(best_epoch(c) == max(c)) if c else np.nan for c in curves]),
        'final_slope': np.array([final_slope(c) for c in curves]),
    }
    population = Population(members, alive, '')
    result = [
        of_member(member, metric, values[member['member']], len(curve), split=VALIDATION)
        for metric, values in figures.items()
        for member, curve in zip(members, curves, strict=True)
        if np.isfinite(values[member['member']])
    ]
    for arm, indices in population.arms.items():
        for metric, values in figures.items():
            living = population.living(values)[indices]
            result += _arm_rows(population.first[arm], metric, living)
    return result


def _arm_rows(member: Row, metric: str, values: np.ndarray) -> list[Row]:
    """Mean over an arm's living seeds; its interval where there is one."""
    n = int(np.isfinite(values).sum())
    if not n:
        return []
    interval = over_seeds(values[:, None])
    if metric == 'best_is_last' or not np.isfinite(interval.low).all():
        return [of_arm(member, metric, float(np.nanmean(values)), n, statistic='mean', split=VALIDATION)]
    return interval_rows(member, interval, [{}], metric, n, split=VALIDATION)


def best_epoch(curve: Mapping[int, float]) -> int:
    """The epoch of the highest value of a curve, the first of equal ones."""
    return max(curve, key=lambda epoch: (curve[epoch], -epoch))


def final_slope(curve: Mapping[int, float]) -> float:
    """Change per epoch over the last quarter of a curve, at least three epochs, by least squares; NaN for fewer."""
    epochs = sorted(curve)
    last = epochs[-max(FEWEST, round(LAST_SHARE * len(epochs))) :]
    if len(last) < FEWEST:
        return float('nan')
    centred = np.array(last) - np.mean(last)
    return float(centred @ np.array([curve[epoch] for epoch in last]) / (centred @ centred))
