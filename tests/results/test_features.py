"""Rows of features: differences to the reference, small classes, corrections."""

import numpy as np
import pytest

from imbalance_jax.metrics.intervals import p_value, paired_difference
from imbalance_jax.metrics.statistics import holm
from imbalance_jax.results import features
from imbalance_jax.results.rows import Population

CLASSES, ROUNDS = ['Mass', 'Hernia'], 60
MEMBERS = [
    {'member': 3 * i + s, 'arm': arm, 'loss': arm, 'sampler': 'natural', 'seed': s}
    for i, arm in enumerate(('bce', 'focal', 'ldam'))
    for s in range(3)
]


def arrays():
    random = np.random.default_rng(0)

    def draw(*shape):
        return 0.7 + 0.02 * random.normal(size=(9, *shape)) + 0.01 * random.normal(size=(1 + ROUNDS, 9, *shape))

    shapes = dict.fromkeys(('within_class', 'centre_length', 'head_length', *features.COSINES), (2,))
    shapes |= dict.fromkeys(features.OF_CLASSES, ()) | dict.fromkeys(features.RANKS, (3,))
    shapes |= dict.fromkeys(('auroc_head', 'auroc_natural', 'auroc_balanced'), (2,))
    return {name: draw(*shape) for name, shape in shapes.items()}


def test_rows_are_intervals_over_seeds_and_patients_and_small_classes_have_none():
    figures = arrays()
    images = features.Images(CLASSES, 500, np.array([40, 3]), smallest=5)
    rows = features.rows(Population(MEMBERS, np.ones(9, bool), 'bce'), figures, images)

    def value(**where):
        chosen = [row for row in rows if all(row.get(name, '') == wanted for name, wanted in where.items())]
        assert len(chosen) == 1, where
        return chosen[0]['value']

    gap = {'metric': 'probe_minus_head', 'method': 'natural', 'kind': 'arm', 'against': 'bce'}
    excess = (figures['auroc_natural'] - figures['auroc_head']).mean(-1)
    samples = [excess[:, 3 * i : 3 * i + 3, None] for i in range(3)]
    expected = [paired_difference(one[0], samples[0][0], one[1:], samples[0][1:]) for one in samples[1:]]
    p = [p_value(one)[0] for one in expected]
    for arm, interval, adjusted in zip(('focal', 'ldam'), expected, holm(p), strict=True):
        macro = {**gap, 'class': 'macro', 'arm': arm}
        assert value(statistic='mean', **macro) == pytest.approx(interval.estimate[0])
        assert value(statistic='low', **macro) == pytest.approx(interval.low[0])
        assert value(statistic='p_adjusted', **macro) == pytest.approx(adjusted)
    hernia = {**gap, 'class': 'Hernia', 'arm': 'focal'}
    assert np.isfinite(value(statistic='mean', **hernia))
    assert all(np.isnan(value(statistic=name, **hernia)) for name in ('low', 'high', 'p', 'p_adjusted'))
    single = [{**gap, 'class': 'Mass', 'arm': arm} for arm in ('focal', 'ldam')]
    p = [value(statistic='p', **where) for where in single]
    assert [value(statistic='p_adjusted', **where) for where in single] == pytest.approx(holm(p).tolist())
    member = {'kind': 'member', 'arm': 'ldam', 'seed': 1}
    assert value(metric='rankme', **{'class': 'all images'}, **member) == figures['rankme'][0, 7, 2]
    keys = [
        tuple((k, v) for k, v in row.items() if k not in ('value', 'n', 'loss', 'sampler', 'member')) for row in rows
    ]
    assert len(keys) == len(set(keys))
