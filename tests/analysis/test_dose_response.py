"""Several studies as one dose-response picture: intervals worked out by hand, and what is refused."""

import copy
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imbalance_jax.analysis.report import study
from imbalance_jax.analysis.sweeps import dose_response
from imbalance_jax.explain import run as explain_run
from imbalance_jax.training import run as training_run


@pytest.fixture(scope='module')
def folders(tiny_config, tmp_path_factory):
    """Two explained studies that differ in the prevalence of a class, without slow parts."""
    workdirs = []
    for dose in ({}, {'Mass': 0.1}):
        config = copy.deepcopy(tiny_config)
        config.attribution.methods, config.attribution.metrics = ('grad_cam',), ('relevance_rank',)
        config.attribution.faithfulness_pairs = 0
        config.concepts.layers, config.concepts.greedy_steps, config.concepts.tcav_directions = (), 0, 20
        config.arms = {'bce': {}, 'focal': {}}
        config.reference = 'bce'
        with config.unlocked():
            config.data.imbalance.update(dose)
        workdirs.append(tmp_path_factory.mktemp('dose'))
        training_run.run(config, workdirs[-1])
        explain_run.run(workdirs[-1], stages=explain_run.chosen('alignment,units'))
    return workdirs


def test_the_picture_and_its_table(folders, tmp_path):
    studies = [study.load(folder) for folder in folders]
    page = dose_response.write(studies, tmp_path).read_text()
    table = pd.read_csv(tmp_path / 'dose_response.csv')
    result = sorted(table['prevalence'].unique())
    assert result[0] <= 0.1 < result[1]
    assert set(table['class']) == {'Mass', 'macro'}
    assert set(table['metric']) == {'auroc', 'average_precision', 'hit_share', 'iou', 'detector_units'}
    cell = table[(table['prevalence'] == result[0]) & (table['class'] == 'Mass')]
    cell = cell[(cell['metric'] == 'auroc') & (cell['arm'] == 'focal')].iloc[0]
    values = [studies[1].ranked('auroc', 'Mass')(arm='focal', seed=str(seed)) for seed in studies[1].config['seeds']]
    assert cell['n'] == len(values)
    np.testing.assert_allclose(cell['mean'], np.mean(values))
    assert page.count('<img') == table[['class', 'method', 'metric']].drop_duplicates().shape[0]
    assert not re.search(r'src="(?!data:)', page)


def test_intervals_are_those_of_the_tables_and_else_students(folders):
    loaded = study.load(folders[0])
    of_table = loaded.ranked('auroc')
    got = dose_response.level(loaded, of_table, 'focal')
    assert got['interval_over'] == 'seeds and patients'
    np.testing.assert_array_equal([got['mean'], got['low'], got['high']], of_table.interval('focal'))
    got = dose_response.level(loaded, loaded.ranked('brier'), 'focal')
    values = [loaded.ranked('brier').of_member(member) for member in loaded.living('focal')]
    interval = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    np.testing.assert_allclose([got['low'], got['high']], interval)
    assert (got['interval_over'], got['n']) == ('seeds', len(values))


def test_studies_that_differ_otherwise_are_refused(folders):
    first, second = (study.load(folder) for folder in folders)
    with pytest.raises(ValueError, match=r'do not differ in config\.data\.imbalance'):
        dose_response.thinned([first, first])
    other = second._replace(config={**second.config, 'train': {**second.config['train'], 'epochs': 9}})
    with pytest.raises(ValueError, match=r'differ in config\.train'):
        dose_response.thinned([first, other])
    with pytest.raises(ValueError, match='not explained'):
        dose_response.thinned([first, second._replace(alignment=None)])
