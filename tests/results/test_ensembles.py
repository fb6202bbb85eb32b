"""What a number of seeds is worth: against simulation, scipy and hand-worked answers."""

import numpy as np
import pytest
from scipy import stats

from imbalance_jax.metrics import scores
from imbalance_jax.metrics import seeds as metrics_seeds
from imbalance_jax.results import ensembles
from imbalance_jax.results.performance import Truth
from imbalance_jax.results.rows import Population
from imbalance_jax.results.schema import write_table
from imbalance_jax.system.files import read_json


@pytest.fixture
def noisy():
    """16 seeds whose probabilities are one signal with independent noise, and one seed that is noise alone."""
    rng = np.random.default_rng(0)
    labels = (rng.uniform(size=(300, 3)) < 0.3).astype(float)
    logits = labels + rng.normal(scale=2.0, size=(17, 300, 3))
    members = [{'member': i, 'arm': 'a', 'loss': 'bce', 'sampler': 'natural', 'seed': i} for i in range(17)]
    return members, 1 / (1 + np.exp(-logits)), Truth(labels, np.ones_like(labels), np.arange(300))


def value(rows, size: int, metric: str, statistic: str = 'mean') -> dict:
    [row] = [row for row in rows if (row['size'], row['metric'], row['statistic']) == (size, metric, statistic)]
    return row


def test_ensembles_of_one_and_of_all_are_the_seeds_and_their_mean(noisy):
    members, probabilities, truth = noisy
    labels, mask, _ = truth
    population = Population(members, np.arange(17) < 16, 'a')
    rows = ensembles.rows(population, probabilities, truth)
    single = scores.macro(scores.auroc(probabilities[:16], labels, mask))[0]
    assert value(rows, 1, 'auroc')['value'] == pytest.approx(single.mean(), rel=1e-12)
    assert value(rows, 1, 'auroc', 'sd')['value'] == pytest.approx(single.std(ddof=1), rel=1e-12)
    assert value(rows, 1, 'auroc')['n'] == 16
    whole = scores.macro(scores.auroc(probabilities[:16].mean(0), labels, mask))[0]
    assert value(rows, 16, 'auroc')['value'] == pytest.approx(float(whole), rel=1e-12)
    assert np.isnan(value(rows, 16, 'auroc', 'sd')['value'])
    means = [value(rows, size, 'auroc')['value'] for size in (1, 2, 4, 8, 16)]
    assert means == sorted(means)
    assert rows == ensembles.rows(population, probabilities, truth) or np.isnan(rows[-1]['value'])


def test_the_spread_of_overlapping_draws_is_that_of_fresh_ensembles():
    rng, ratios = np.random.default_rng(1), {8: [], 16: [], 32: []}
    for _ in range(60):
        seeds = rng.normal(size=64)
        subsets = ensembles.seed_subsets(64, int(rng.integers(1 << 30)))
        for size, of_size in ratios.items():
            spread = seeds[subsets[size]].mean(1).std(ddof=1) / ensembles.overlap_factor(size, 64)
            of_size.append((spread * np.sqrt(size)) ** 2)
    for size, of_size in ratios.items():
        assert np.sqrt(np.mean(of_size)) == pytest.approx(1, abs=0.06), size


def test_few_seeds_say_nothing(noisy):
    members, probabilities, truth = noisy
    few = Population(members, np.arange(17) < ensembles.FEWEST - 1, 'a')
    assert ensembles.rows(few, probabilities, truth) == []


@pytest.mark.parametrize('count', [8, 9, 64])
def test_draws_are_without_replacement(count):
    by_size = ensembles.seed_subsets(count)
    assert list(by_size) == [size for size in (1, 2, 4, 8, 16, 32) if size < count] + [count]
    for size, subsets in by_size.items():
        assert subsets.shape[1] == size
        assert all(len(set(subset.tolist())) == size and max(subset) < count for subset in subsets)


def test_the_interval_of_a_spread_covers_it():
    rng, hits = np.random.default_rng(0), 0
    for values in rng.normal(scale=3.0, size=(2000, 12)):
        low, high = metrics_seeds.deviation_interval(values.std(ddof=1), 12)
        hits += low < 3.0 < high
    assert hits / 2000 == pytest.approx(0.95, abs=0.015)
    assert np.isnan(metrics_seeds.deviation_interval(1.0, 1)).all()


def test_seeds_needed_are_those_of_the_tables_and_of_a_simulation():
    # Cohen's table for a two-sided test at 5 % with 80 % power: 17 a group at d = 1, 64 at 0.5, 394 at 0.2.
    assert [metrics_seeds.seeds_needed(1.0, d) for d in (1.0, 0.5, 0.2)] == [17, 64, 394]
    assert metrics_seeds.seeds_needed(0.004, 0.002) == 64
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4000, 17)) + np.array([0.0, 1.0])[:, None, None]
    assert (stats.ttest_ind(a, b, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.03)
    assert metrics_seeds.seeds_needed(1e-9, 1.0) == 2
    assert np.isnan(metrics_seeds.seeds_needed(np.nan, 0.1))
    assert np.isnan(metrics_seeds.seeds_needed(0.0, 0.1))


def test_the_report_shows_them(tmp_path):
    from noise_study import make_workdir

    from imbalance_jax.analysis.report import page as report
    from imbalance_jax.analysis.report import seeds, study

    folder = make_workdir(tmp_path / 'run', arms={'bce': {}}, seeds=tuple(range(8)))
    assert 'id="seeds"' not in report.write(folder).read_text()
    members = read_json(folder / 'members.json')
    rng = np.random.default_rng(0)
    labels = (np.arange(20)[:, None] + np.arange(3)) % 2
    truth, population = Truth(labels, np.ones_like(labels), np.arange(20)), Population(members, np.ones(8, bool), 'bce')
    rows = ensembles.rows(population, rng.uniform(size=(8, 20, 3)), truth)
    write_table(folder, 'seeds', [{**row, 'split': 'test'} for row in rows])
    page = report.write(folder).read_text()
    assert 'id="seeds"' in page
    assert 'id="seeds-needed"' in page
    result = study.load(folder)
    table = seeds.needed(result, ['bce'])
    deviation = result.ranked('auroc')(arm='bce', statistic='sd')
    assert table.rows[0][1][-1].text == f'{metrics_seeds.seeds_needed(deviation, seeds.DIFFERENCES[-1]):,.0f}'
