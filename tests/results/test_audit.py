"""Effects of published mistakes, from tables with known values."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imbalance_jax.results import audit
from imbalance_jax.training import members as training_members

ARMS = {'multi_task': {}, 'multi_task_consistent': {}, 'bce': {}}
ROWS = training_members.make_members(ARMS, (3, 5, 8), 'bce', learning_rate=1.0, weight_decay=0.0)
FIGURES = {
    'performance': [('auroc', 'macro', 'member'), ('auroc_of_findings', 'macro', 'member')],
    'alignment': [(m, 'all pairs', by) for m in ('hit_share', 'pointing_game') for by in ('grad_cam', 'saliency')],
    'concepts': [(f'{m}_image_mean', 'all images', 'stage3') for m in ('concepts', 'concepts_corrected')],
}


@pytest.fixture(scope='module')
def found():
    random, tables = np.random.default_rng(0), {}
    for name, cells in FIGURES.items():
        rows = [
            {'arm': r['arm'], 'seed': str(r['seed']), 'class': c, 'method': m, 'metric': k, 'value': random.random()}
            for r in ROWS
            for k, c, m in cells
        ]
        rows += [{**row, 'seed': 'all', 'value': 99.0} for row in rows]
        tables[name] = pd.DataFrame(rows)
    return tables


def value(table, arm, seed, metric, method):
    chosen = table[(table['arm'] == arm) & (table['seed'] == str(seed)) & (table['metric'] == metric)]
    return chosen[chosen['method'] == method]['value'].item()


def select(rows, mistake, metric, method):
    return {r['metric'].removeprefix(f'{metric}_'): (r['value'], r['n']) for r in rows
            if r['class'] == mistake and r['method'] == method and r['metric'].startswith(f'{metric}_')}  # fmt: skip


def test_effects_of_training_are_paired_by_seed(found):
    rows = audit.rows(ROWS, np.ones(9, bool), found)
    effect = select(rows, 'mean fit beside summed penalty', 'hit_share', 'saliency')
    table, pair = found['alignment'], ('multi_task', 'multi_task_consistent')
    pairs = np.array([[value(table, arm, s, 'hit_share', 'saliency') for arm in pair] for s in (3, 5, 8)])
    expected = stats.ttest_rel(*pairs.T)
    low, high = expected.confidence_interval(0.95)
    np.testing.assert_allclose(effect['effect'][0], (pairs[:, 0] - pairs[:, 1]).mean())
    np.testing.assert_allclose([effect['effect_low'][0], effect['effect_high'][0]], [low, high])
    assert effect['published'] == (pytest.approx(pairs[:, 0].mean()), 3)
    assert {row['class'] for row in rows} == {'mean fit beside summed penalty', *audit.MEASURES}


def test_effects_of_measuring_compare_figures_of_the_same_members(found):
    rows = audit.rows(ROWS, np.ones(9, bool), found)
    effect = select(rows, 'pointing game by points: no empty maps, many votes for a plateau', 'hit_share', 'grad_cam')
    table = found['alignment']
    figures = [
        [[value(table, arm, s, metric, 'grad_cam') for arm in ARMS] for s in (3, 5, 8)]
        for metric in ('pointing_game', 'hit_share')
    ]
    differences = np.subtract(*figures).mean(1)
    np.testing.assert_allclose(effect['effect'][0], np.mean(differences))


def test_dead_members_take_their_pair_along(found):
    alive = np.array([not (row['arm'] == 'multi_task' and row['seed'] == 5) for row in ROWS])
    effect = select(audit.rows(ROWS, alive, found), 'mean fit beside summed penalty', 'auroc', 'member')
    table = found['performance']
    pair = ('multi_task', 'multi_task_consistent')
    published, corrected = ([value(table, arm, s, 'auroc', 'member') for s in (3, 8)] for arm in pair)
    assert effect['effect'] == (pytest.approx(np.subtract(published, corrected).mean()), 2)


def test_one_seed_has_no_interval(found):
    one = [row for row in ROWS if row['seed'] == 3]
    effect = select(audit.rows(one, np.ones(9, bool), found), 'mean fit beside summed penalty', 'auroc', 'member')
    assert np.isfinite(effect['effect'][0])
    assert np.isnan(effect['effect_low'][0])
