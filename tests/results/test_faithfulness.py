"""Faithfulness as rows: what maps have above noise maps, pair by pair."""

import numpy as np
import pytest

from imbalance_jax.results import faithfulness
from imbalance_jax.results.rows import Bootstrap, Population

MEMBERS = [
    {'member': i, 'arm': arm, 'seed': seed, 'loss': arm, 'sampler': 'all', 'labels': 'own'}
    for i, (arm, seed) in enumerate([('bce', 0), ('bce', 1), ('focal', 0), ('focal', 1)])
]


@pytest.mark.parametrize('smallest_count', [5, 13])
def test_a_map_is_held_against_noise_pair_by_pair(smallest_count):
    random = np.random.default_rng(0)
    noise = random.normal(size=(4, 12))
    planted = np.array([0.5, 0.5, -0.25, -0.25])[:, None] + random.normal(0, 0.05, (4, 12))
    rows = faithfulness.rows(
        Population(MEMBERS, np.ones(4, bool), 'bce'),
        {'saliency': {'road': noise + planted}, 'random': {'road': noise}},
        sanity={},
        parts=[],
        patients=np.arange(12),
        noise='random',
        bootstrap=Bootstrap(200, 0),
        smallest_count=smallest_count,
    )
    above = [row for row in rows if row.get('against') == faithfulness.NOISE]
    assert {row['method'] for row in above} == {'saliency'}
    assert {row['metric']: row['value'] for row in rows if row['kind'] == 'data'} == {'pairs': 12, 'patients': 12}
    for arm, first in (('bce', 0), ('focal', 2)):
        value = {row['statistic']: row['value'] for row in above if row['arm'] == arm}
        np.testing.assert_allclose(value['mean'], planted[first : first + 2].mean())
        if smallest_count > 12:
            assert np.isnan(value['low'])
            assert np.isnan(value['p'])
        else:
            assert value['low'] < value['mean'] < value['high']
            assert value['p'] <= value['p_adjusted'] < 0.05
