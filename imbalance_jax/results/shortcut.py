"""The shortcut study as rows: what each arm makes of a chest drain that comes with one finding of the phantom.

The test split is there in two versions, film by film the same but for the drain: confounded, as in training, and clean,
where the drain is as frequent with the finding as without.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from imbalance_jax.results.alignment import CHANCE
from imbalance_jax.results.rows import Population, Row, class_cells, of_kind, of_member, seed_statistics

CONFOUNDED, CLEAN = 'confounded', 'clean'  # versions of the test split
TUBE, FINDING = 'tube', 'finding'  # regions
MASS = 'relevance_mass'


class Shortcut(NamedTuple):
    """What was measured: AUROC [P] by version; of films that show both, the share of each region [M] by region, and
    the share of the heat [P,M] that lies on it by method and region."""

    auroc: Mapping[str, np.ndarray]
    area: Mapping[str, np.ndarray]
    mass: Mapping[str, Mapping[str, np.ndarray]]


def rows(population: Population, shortcut: Shortcut, name: str) -> list[Row]:
    """Rows of the class `name`: members, mean and sd over an arm's seeds, and the areas, which are chance."""
    images, result = len(shortcut.area[TUBE]), []
    for region, area in shortcut.area.items():
        if images:
            result.append(of_kind('null', MASS, area.mean(), images, name=name, against=CHANCE, region=region))
    for version, auroc in shortcut.auroc.items():
        result += _value_rows(population, auroc, 'auroc', images, name=name, version=version)
    drop = shortcut.auroc[CONFOUNDED] - shortcut.auroc[CLEAN]
    result += _value_rows(population, drop, 'auroc', images, name=name, version=CONFOUNDED, against=CLEAN)
    for method, by_region in shortcut.mass.items():
        for region, mass in by_region.items():
            mean = np.nanmean(mass, axis=1)
            result += _value_rows(population, mean, MASS, images, name=name, method=method, region=region)
    return result


def _value_rows(population: Population, values: np.ndarray, metric: str, n: int, *, name: str, **columns) -> list[Row]:
    """Rows of values [P] of the members, and of their arms."""
    result = [
        of_member(member, metric, values[member['member']], n, name=name, **columns) for member in population.members
    ]
    living, cells = population.living(values), class_cells([name])
    for arm, indices in population.arms.items():
        result += seed_statistics(population.first[arm], living[indices][:, None], cells, metric, **columns)
    return result
