"""Who the rows are of."""

import numpy as np

from imbalance_jax.results.rows import Population
from imbalance_jax.training.members import make_members


def test_arms_trained_on_permuted_labels_are_compared_with_none():
    arms = {'bce': {}, 'null': {'loss': 'bce', 'labels': 'permuted'}, 'ones': {'loss': 'bce', 'labels': 'u_ones'}}
    members = make_members(arms, (0, 1), 'bce', learning_rate=1e-3, weight_decay=0.0)
    population = Population(members, np.ones(6, bool), 'bce')
    assert set(population.arms) == set(arms)
    assert population.compared == {'bce': [0, 1], 'ones': [4, 5]}, 'other labels are no null'
