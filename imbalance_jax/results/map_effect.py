"""Do arms differ by more than seeds do in where their maps look, as rows: the test of `arm_effect`, of maps."""

from collections.abc import Mapping

import numpy as np

from imbalance_jax.results import arm_effect
from imbalance_jax.results.arm_effect import Distance
from imbalance_jax.results.rows import Population, Row

METRIC = 'map_rank_distance'  # 1 minus the mean rank correlation: half the squared distance of standardised ranks


def rows(population: Population, distances: Mapping[str, np.ndarray], auroc: np.ndarray | None = None) -> list[Row]:
    """One test per attribution method, corrected over methods (Holm).

    distances: method -> [P,P], 1 minus the mean rank correlation of two members' signed maps of the same pairs; auroc:
    [P,K] of the members, on which the test is conditioned too.
    """
    each = [Distance(METRIC, '', values, method) for method, values in distances.items()]
    return arm_effect.rows(population, each, auroc=auroc)
