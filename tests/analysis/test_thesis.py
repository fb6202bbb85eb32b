"""The study of configs/thesis.py in miniature, with its kept weights, and what its page says."""

import copy
import re

import pytest

from imbalance_jax.analysis.report import design
from imbalance_jax.analysis.sweeps import thesis as page
from imbalance_jax.configs import thesis
from imbalance_jax.explain import run as explain
from imbalance_jax.results import mediation, trend
from imbalance_jax.results.rows import Population
from imbalance_jax.system import layout
from imbalance_jax.system.workdir import read_table
from imbalance_jax.training import build, run


@pytest.mark.parametrize(
    ('figures', 'said'),
    [
        ((0.05, 0.03, 0.07, 0.001), 'higher'),
        ((-0.05, -0.07, -0.03, 0.001), 'lower'),
        ((0.005, 0.001, 0.009, 0.01), 'within ±0.02'),  # not 0, and too small to matter
        ((0.01, -0.01, 0.03, 0.5), design.OPEN),
        ((0.05, 0.01, 0.09, 0.2), design.OPEN),  # not after adjustment
        ((0.05, float('nan'), float('nan'), float('nan')), 'too few data for an interval'),
    ],
)
def test_a_verdict_says_what_an_interval_shows(figures, said):
    assert design.verdict(*figures, smallest=0.02) == said


def test_the_arms_ask_what_they_are_for():
    members = build.make_members(thesis.get_config('2'))
    population = Population(members, [True] * len(members), 'weight_0')
    [doses] = trend.families(population)
    assert doses.values == (0, 0.25, 0.5, 0.75, 1)
    assert doses.arms[0] == 'weight_0'
    [square] = mediation.squares(population)
    assert square.aa == 'features_bce_head_bce'
    assert square.ba == 'features_weighted_head_bce'


def test_weights_that_were_not_kept_are_named(tmp_path):
    (tmp_path / 'weights' / 'matched').mkdir(parents=True)
    with pytest.raises(ValueError, match="no weights 'mached'; it has matched"):
        layout.kept_weights(tmp_path, 'mached')
    with pytest.raises(ValueError, match=r"Unknown stage 'aligment'\. Did you mean 'alignment'"):
        explain.chosen('aligment,design')
    assert list(explain.chosen('design,alignment')) == ['alignment', 'design']
    assert explain.chosen(None) == explain.STAGES


@pytest.mark.slow
def test_the_page_of_a_small_study(tiny_config, tmp_path):
    config = thesis.get_config('2')
    tiny = copy.deepcopy(tiny_config)
    config.data, config.model, config.population = tiny.data, tiny.model, tiny.population
    config.data.resample = True
    config.train = {**tiny.train.to_dict(), 'epochs': 4, 'matched': True, 'kept_shares': (0.25, 0.5)}
    config.evaluate.bootstrap_rounds, config.attribution.max_pairs = 20, 20
    config.attribution.methods, config.attribution.metrics = ('grad_cam',), ('relevance_rank',)
    with config.unlocked():
        for arm in ('weight_0_25', 'weight_0_75', 'asymmetric'):
            del config.arms[arm]
    run.run(config, tmp_path)
    stages = explain.chosen('alignment,design')
    explain.run(tmp_path, stages=stages)
    for name in ('matched', 'share_0.25'):
        explain.run(layout.kept_weights(tmp_path, name), stages=stages)
    for name in ('conditional', 'trend', 'mediation', 'rank_agreement'):
        assert len(read_table(tmp_path, name)), name
    text = page.write(tmp_path).read_text()
    keys = re.findall(r'<table id="([^"]+)"', text)
    asked = ['ranking', 'maps', 'given', 'dose', 'mediation', 'ranks']
    kept = ['matched', 'matched-ranking', 'share_0.25', 'share_0.25-ranking', 'share_0.5-ranking']
    assert keys == [*asked, *kept]  # the weights after half of training are not explained here
    for arm in config.arms:
        assert arm == config.reference or arm.replace('_', '_<wbr>') in text
    assert 'bootstrap sample of the training patients' in text
    table = read_table(tmp_path, 'conditional')
    chosen = table[(table['arm'] == 'focal') & (table['given'] == '') & (table['metric'] == design.MEASURE)]
    mean = chosen[(chosen['method'] == 'grad_cam') & (chosen['statistic'] == 'mean')]['value'].item()
    assert f'{abs(mean):.3f}' in text
