"""How outcomes move with one number of the loss at constant data: rows of results/trend.

Arms that differ in one option of their loss only, such as the `power` of `weighted_bce`, are doses of it. Every seed
has a slope over the doses, by least squares; the mean over seeds is the trend (a linear contrast, paired by seed).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.results.outcomes import Outcome
from imbalance_jax.results.paired import Estimate, estimate, figures, grid
from imbalance_jax.results.rows import MACRO, Population, Row, of_arm

FEWEST = 3  # doses; of two, the trend is their difference


class Doses(NamedTuple):
    """Arms by rising value of one option of their loss."""

    option: str
    arms: tuple[str, ...]
    values: tuple[float, ...]


def rows(population: Population, outcomes: Sequence[Outcome]) -> list[Row]:
    """Slope of every outcome per unit of the option, by class and macro, with interval, p, and p adjusted (Holm).

    A family is one option and one outcome: its macro mean alone, and its classes. Rows stand with the arm of the
    highest dose; n is the number of seeds that live at every dose. Slopes of counts of units are over seeds alone.
    """
    result = []
    for doses in families(population):
        members = grid(population, doses.arms)
        for outcome in outcomes if len(members) else ():
            slopes = {name: slope(outcome, name, members, doses.values) for name in outcome.classes}
            for part in ([MACRO], [name for name in outcome.classes if name != MACRO]):
                chosen = [name for name in part if name in slopes]
                for name, values in zip(chosen, figures([slopes[name] for name in chosen]), strict=True):
                    result += _rows(population, doses, outcome, name, slopes[name].seeds, values)
    return result


def slope(outcome: Outcome, name: str, members: np.ndarray, doses: Sequence[float]) -> Estimate:
    """The mean over seeds of the least-squares slope of one class over the doses; members: [S,D] numbers."""
    contrast = np.asarray(doses, float) - np.mean(doses)
    contrast = contrast / (contrast @ contrast)
    values, resampled = outcome.of(name)
    clusters = outcome.clusters[outcome.classes.index(name)]
    return estimate(values[members] @ contrast, resampled[:, members] @ contrast, clusters)


def families(population: Population) -> list[Doses]:
    """Arms that are alike in all but one number of their loss, of three values or more; the same loss and sampler."""
    groups: dict[tuple, dict[float, str]] = {}
    for arm in population.compared:
        member = population.first[arm]
        for option, value in member['hyper'].items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                groups.setdefault((option, _others(member, option)), {}).setdefault(float(value), arm)
    return [
        Doses(option, tuple(by_dose[dose] for dose in sorted(by_dose)), tuple(sorted(by_dose)))
        for (option, _), by_dose in groups.items()
        if len(by_dose) >= FEWEST
    ]


def _others(member: Mapping[str, Any], option: str) -> str:
    """What arms of one family have in common."""
    left = {key: value for key, value in member.items() if key not in ('arm', 'member', 'seed')}
    left['hyper'] = {key: value for key, value in member['hyper'].items() if key != option}
    return repr(sorted(left.items()))


def _rows(
    population: Population, doses: Doses, outcome: Outcome, name: str, seeds: int, values: Mapping[str, float]
) -> list[Row]:
    where = {'method': outcome.method, 'above': outcome.above, 'option': doses.option, 'against': doses.arms[0]}
    member = population.first[doses.arms[-1]]
    return [
        of_arm(member, outcome.metric, value, seeds, name=name, statistic=statistic, **where)
        for statistic, value in values.items()
    ]
