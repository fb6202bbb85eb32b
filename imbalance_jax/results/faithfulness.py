"""Faithfulness and sanity of the maps of a trained population, as figures and as rows."""

from functools import partial

import numpy as np

from imbalance_jax.results import rows as tables


def rows(members: list[dict], figures: dict[str, dict], alive: np.ndarray) -> list[dict]:
    """Rows of method -> figures [P,M]: each member's mean over the pairs, and mean and sd over an arm's living
    seeds."""
    made = []
    for method, of in figures.items():
        for name, value in of.items():
            number = np.isfinite(value).sum(1)
            with np.errstate(invalid='ignore'):
                mean = np.nansum(value, 1) / np.where(number, number, np.nan)
            fields = {'class': 'all pairs', 'method': method, 'metric': name}
            made += [
                tables.of_member(row, **fields, value=mean[row['member']], n=number[row['member']]) for row in members
            ]
            living = np.where(alive, mean, np.nan)
            for numbers in tables.by_arm(members).values():
                statistics = partial(tables.seed_statistics, members[numbers[0]])
                made += statistics(living[numbers][:, None], ['all pairs'], name, method=method)
    return made
