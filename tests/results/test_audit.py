"""Effects of published mistakes, from tables with known values."""

import numpy as np
import pytest
from scipy import stats

from imbalance_jax.results import audit, schema
from imbalance_jax.results import rows as results_rows
from imbalance_jax.results.rows import Population
from imbalance_jax.training import members as training_members

ARMS = {'multi_task': {}, 'multi_task_consistent': {}, 'bce': {}}
ROWS = training_members.make_members(ARMS, (3, 5, 8), 'bce', learning_rate=1.0, weight_decay=0.0)
MACRO, PAIRS, IMAGES = {'class': 'macro'}, {'class': 'all pairs'}, {'class': 'all images', 'layer': 'stage3'}
FIGURES = {
    'performance': [{'metric': 'auroc', 'subset': s, **MACRO} for s in ('', 'images with a finding')],
    'alignment': [
        {'metric': m, 'method': by, **PAIRS} for m in ('hit_share', 'pointing_game') for by in ('grad_cam', 'saliency')
    ],
    'concepts': [
        {'metric': 'concepts_per_image', 'method': m, 'over_images': 'mean', **IMAGES}
        for m in ('published', 'corrected')
    ],
}


@pytest.fixture(scope='module')
def tables():
    random, frames = np.random.default_rng(0), {}
    for name, cells in FIGURES.items():
        rows = []
        for member in ROWS:
            for cell in cells:
                rows.append(results_rows.of_member(member, cell['metric'], random.random(), 1) | cell)
                rows.append(results_rows.of_arm(member, cell['metric'], 99.0, 1) | cell)
        frames[name] = schema.frame(name, rows)
    return frames


def rows_of(tables, members=ROWS, alive=None):
    return audit.rows(Population(members, np.ones(9, bool) if alive is None else alive, 'bce'), tables)


def value(table, arm, seed, metric, method=''):
    chosen = table[(table['arm'] == arm) & (table['seed'] == seed) & (table['metric'] == metric)]
    chosen = chosen[(chosen['method'] == method) & (chosen.get('subset', '') == '')]
    return chosen['value'].item()


def select(rows, mistake, metric, method=''):
    """(version, against, statistic) -> (value, n) of one effect."""
    return {
        (r['version'], r.get('against', ''), r['statistic']): (r['value'], r['n'])
        for r in rows
        if (r['mistake'], r['metric'], r['method']) == (mistake, metric, method)
    }


EFFECT, LOW, HIGH = (('published', 'corrected', statistic) for statistic in ('mean', 'low', 'high'))


def test_effects_of_training_are_paired_by_seed(tables):
    rows = rows_of(tables)
    effect = select(rows, 'mean fit beside summed penalty', 'hit_share', 'saliency')
    table, pair = tables['alignment'], ('multi_task', 'multi_task_consistent')
    pairs = np.array([[value(table, arm, s, 'hit_share', 'saliency') for arm in pair] for s in (3, 5, 8)])
    expected = stats.ttest_rel(*pairs.T)
    low, high = expected.confidence_interval(0.95)
    np.testing.assert_allclose(effect[EFFECT][0], (pairs[:, 0] - pairs[:, 1]).mean())
    np.testing.assert_allclose([effect[LOW][0], effect[HIGH][0]], [low, high])
    assert effect['published', '', 'mean'] == (pytest.approx(pairs[:, 0].mean()), 3)
    assert {row['mistake'] for row in rows} == {'mean fit beside summed penalty', *audit.MEASURES}


def test_effects_of_measuring_compare_figures_of_the_same_members(tables):
    rows = rows_of(tables)
    effect = select(rows, 'pointing game by points: no empty maps, many votes for a plateau', 'hit_share', 'grad_cam')
    table = tables['alignment']
    figures = [
        [[value(table, arm, s, metric, 'grad_cam') for arm in ARMS] for s in (3, 5, 8)]
        for metric in ('pointing_game', 'hit_share')
    ]
    differences = np.subtract(*figures).mean(1)
    np.testing.assert_allclose(effect[EFFECT][0], np.mean(differences))


def test_dead_members_take_their_pair_along(tables):
    alive = np.array([not (row['arm'] == 'multi_task' and row['seed'] == 5) for row in ROWS])
    effect = select(rows_of(tables, alive=alive), 'mean fit beside summed penalty', 'auroc')
    table = tables['performance']
    pair = ('multi_task', 'multi_task_consistent')
    published, corrected = ([value(table, arm, s, 'auroc') for s in (3, 8)] for arm in pair)
    assert effect[EFFECT] == (pytest.approx(np.subtract(published, corrected).mean()), 2)


def test_one_seed_has_no_interval(tables):
    one = [row for row in ROWS if row['seed'] == 3]
    effect = select(rows_of(tables, one), 'mean fit beside summed penalty', 'auroc')
    assert np.isfinite(effect[EFFECT][0])
    assert np.isnan(effect[LOW][0])


def test_rounds_of_patients_widen_an_effect_and_the_rows_say_so(tables):
    alone = select(rows_of(tables), 'mean fit beside summed penalty', 'auroc')
    random = np.random.default_rng(1)
    table = tables['performance']
    point = np.array([value(table, row['arm'], row['seed'], 'auroc') for row in ROWS])
    rounds = point + 0.3 * random.normal(size=(500, 1)) * np.array([row['arm'] == 'multi_task' for row in ROWS])
    population = Population(ROWS, np.ones(9, bool), 'bce')
    both = audit.rows(population, tables, {('auroc', '', ''): audit.Resampled(rounds, 20.0)})
    effect = select(both, 'mean fit beside summed penalty', 'auroc')
    assert effect[EFFECT] == alone[EFFECT]
    own, other = ([value(table, arm, s, 'auroc') for s in (3, 5, 8)] for arm in ('multi_task', 'multi_task_consistent'))
    seeds, patients = np.subtract(own, other).var(ddof=1) / 3, 0.09
    shares = (np.array([seeds, patients]) / (seeds + patients)) ** 1.5
    df = 1 / (shares[0] / 2 + shares[1] / 19)
    half = stats.t.ppf(0.975, df) * np.sqrt(seeds + patients)
    np.testing.assert_allclose(effect[HIGH][0] - effect[EFFECT][0], half, rtol=0.1)
    over = {(row['mistake'], row['metric']): row['interval_over'] for row in both}
    assert over['mean fit beside summed penalty', 'auroc'] == 'seeds and patients'
    assert over['mean fit beside summed penalty', 'hit_share'] == 'seeds'


def test_arms_of_permuted_labels_are_in_no_mean_over_arms(tables):
    rows = [{**row, 'labels': 'permuted' if row['arm'] == 'multi_task' else 'own'} for row in ROWS]
    effect = select(rows_of(tables, rows), 'images without a finding left out', 'auroc')
    table = tables['performance']
    kept = [value(table, arm, seed, 'auroc') for arm in ARMS if arm != 'multi_task' for seed in (3, 5, 8)]
    assert effect['corrected', '', 'mean'][0] == pytest.approx(np.mean(kept))
