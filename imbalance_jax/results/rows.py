"""Rows of the long tables: one number each, with who, what and over how many it is.

A row is (arm, loss, sampler, seed, class, split, method, metric, value, n). `seed` is a number for one member, 'all'
for what speaks of an arm's living seeds together. Suffixes of `metric`: `_mean` and `_sd` over seeds, `_difference` to
the reference arm over paired seeds, `_low` and `_high` the ends of its 95 % interval. `class` is a finding, or
'macro' (mean over the classes where the metric is defined) or 'micro' (all entries as one class).
"""

import numpy as np

from imbalance_jax.metrics.statistics import Interval, paired_difference

ALL = 'all'


def of_member(row: dict, **fields) -> dict:
    """A row of one member."""
    return {'arm': row['arm'], 'loss': row['loss'], 'sampler': row['sampler'], 'seed': str(row['seed']), **fields}


def of_arm(row: dict, **fields) -> dict:
    """A row of the arm that a member belongs to."""
    return {**of_member(row), 'seed': ALL, **fields}


def of_nobody(**fields) -> dict:
    """A row that no member has a part in: the data, a null."""
    return {'arm': '', 'loss': '', 'sampler': '', 'seed': '', **fields}


def by_arm(rows: list[dict]) -> dict[str, list[int]]:
    """Arm -> its member numbers, in the order of the seeds."""
    arms: dict[str, list[int]] = {}
    for row in rows:
        arms.setdefault(row['arm'], []).append(row['member'])
    return arms


def seed_statistics(row: dict, values: np.ndarray, classes, metric: str, **fields) -> list[dict]:
    """Mean and standard deviation over an arm's seeds of values [S,K]; seeds that are NaN are left out of n."""
    finite = np.isfinite(values)
    count = finite.sum(0)
    with np.errstate(invalid='ignore', divide='ignore'):
        mean = np.where(finite, values, 0).sum(0) / count
        squares = np.where(finite, (values - mean) ** 2, 0).sum(0)
        deviation = np.sqrt(squares / np.where(count > 1, count - 1, np.nan))
    statistics = {'mean': mean, 'sd': deviation}
    return [
        of_arm(row, **fields, **{'class': name, 'metric': f'{metric}_{statistic}', 'value': value[k], 'n': count[k]})
        for k, name in enumerate(classes)
        for statistic, value in statistics.items()
    ]


def paired_rows(row: dict, own, other, drawn, other_drawn, classes, metric: str, seed: int) -> list[dict]:
    """Values [S,K] of an arm minus those of another over paired seeds, with the interval from rounds [R,S,K] of both.

    n is the number of pairs in which both have a value.
    """
    interval = paired_difference(own, other, drawn, other_drawn, seed)
    pairs = int(np.isfinite(own + other).any(1).sum())
    return interval_rows(row, interval, classes, metric, pairs)


def interval_rows(row: dict, interval: Interval, classes, metric: str, n: int, **fields) -> list[dict]:
    """Estimate and both ends of an interval [K]."""
    ends = {metric: interval.estimate, f'{metric}_low': interval.low, f'{metric}_high': interval.high}
    return [
        {**row, **fields, 'class': name, 'metric': end, 'value': np.atleast_1d(value)[k], 'n': n}
        for k, name in enumerate(classes)
        for end, value in ends.items()
    ]
