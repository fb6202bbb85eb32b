"""Stage `alignment`: the arithmetic of nulls, subsets of the pairs, and what stands in for a member."""

import copy

import numpy as np
import pytest

from imbalance_jax.explain import alignment
from imbalance_jax.explain.map_figures import MethodFigures
from imbalance_jax.results.alignment import CEILING, CENTRE, CHANCE, CONSTANT, PERMUTED, SHUFFLED, UNTRAINED
from imbalance_jax.system import workdir
from imbalance_jax.training import build


def select(table, **fields):
    for name, value in fields.items():
        table = table[table[name] == value]
    return table['value'].to_numpy()


@pytest.fixture(scope='module')
def table(study):
    table = workdir.read_table(study, 'alignment')
    return table[(table['subset'] == '') & (table['above'] == '')]


def test_every_measure_is_held_against_every_null(table, tiny_config):
    cell = {'kind': 'arm', 'arm': 'bce', 'method': 'grad_cam', 'class': 'all pairs'}
    known = []
    for metric in {'hit_share', 'ior', 'iou', *tiny_config.attribution.metrics}:
        for null in (CONSTANT, CHANCE, CENTRE, SHUFFLED, UNTRAINED):
            if (metric, null) in (('pointing_game_quantus', CHANCE), ('iobb', CHANCE)):
                continue  # a map of ones always hits, and has all of the box
            of = {'metric': metric, 'against': null, **cell}
            low, mean, high = (select(table, statistic=name, **of).item() for name in ('low', 'mean', 'high'))
            known.append(np.isfinite(low))  # none where nothing varies
            assert low <= mean <= high or (np.isnan(low) and np.isnan(high) and np.isfinite(mean))
        assert len(select(table, kind='null level', metric=metric, against=CEILING, **{'class': 'all pairs'})) == 1
    assert np.mean(known) > 0.5


def test_a_difference_to_a_null_is_the_mean_minus_that_of_what_stands_in(table):
    cell = {'arm': 'multi_task', 'class': 'all pairs', 'method': 'saliency', 'metric': 'pixel_auroc'}
    mean = select(table, kind='arm', statistic='mean', against='', **cell)
    for null in (SHUFFLED, UNTRAINED):
        difference = select(table, kind='arm', statistic='mean', against=null, **cell)
        level = select(table, kind='null level', statistic='mean', against=null, **cell)
        np.testing.assert_allclose(difference, mean - level)


def test_the_standard_contrast_is_a_difference_of_differences(study, table):
    whole, cell = workdir.read_table(study, 'alignment'), {'class': 'macro', 'method': 'grad_cam', 'subset': ''}
    for metric in ('signed_pixel_auroc', 'signed_hit_share', 'iou'):
        of = {'kind': 'arm', 'metric': metric, **cell}
        (value,) = select(whole, arm='multi_task', against='bce', above=SHUFFLED, statistic='mean', **of)
        above = [select(table, arm=arm, against=SHUFFLED, statistic='mean', **of) for arm in ('multi_task', 'bce')]
        np.testing.assert_allclose(value, (above[0] - above[1]).item(), atol=1e-9)
        for statistic in ('low', 'high', 'p', 'p_adjusted'):
            assert len(select(whole, arm='multi_task', against='bce', above=SHUFFLED, statistic=statistic, **of)) == 1


def test_a_map_of_ones_scores_its_chance_level(table):
    cell = {'kind': 'null level', 'against': CHANCE, 'class': 'all pairs'}
    area = select(table, metric='ior', **cell).item()
    for metric in ('hit_share', 'iou', 'relevance_rank', 'pointing_game_chexlocalize', 'miou_otsu'):
        np.testing.assert_allclose(select(table, metric=metric, **cell), area, rtol=1e-5)
    np.testing.assert_allclose(select(table, metric='pixel_auroc', **cell), 0.5)


def test_subsets_are_parts_of_the_pairs(study):
    table = workdir.read_table(study, 'alignment')
    rows = table[(table.kind == 'member') & (table.arm == 'bce') & (table.seed == 0) & (table['class'] == 'all pairs')]
    count = rows[(rows.method == 'grad_cam') & (rows.metric == 'iou')].set_index('subset')['n']
    assert sum(count.get(name, 0) for name in alignment.SIZES) == count['']
    assert count['labelled'] == count['']  # the phantom's labels are its regions
    assert 0 < count['true positives'] <= count['labelled']


def test_an_arm_says_whose_labels_it_has(tiny_config):
    config = copy.deepcopy(tiny_config)
    with config.unlocked():
        config.arms = {'bce': {}, 'blind': {'loss': 'bce', 'labels': 'permuted'}}
    members = build.make_members(config)
    assert [row['labels'] for row in members] == ['own', 'own', 'permuted', 'permuted']
    iou = np.arange(8.0).reshape(1, 4, 2)
    of_method = MethodFigures(
        measures=np.array(['iou']),
        members=iou,
        shuffled=iou + 10,
        untrained=np.ones((1, 2, 2)),
        gallery=np.zeros((4, 1, 2, 2)),
        distance=np.eye(4),
        outside=np.zeros((6, 2)),
        empty=np.zeros((6, 2)),
    )
    nulls = {
        null: by_method['grad_cam']['iou']
        for null, by_method in alignment.stand_ins({'grad_cam': of_method}, members).items()
    }
    np.testing.assert_array_equal(nulls[PERMUTED][:2], iou[0, 2:])
    assert np.isnan(nulls[PERMUTED][2:]).all()
    np.testing.assert_array_equal(nulls[SHUFFLED], iou[0] + 10)
    assert nulls[UNTRAINED].shape == (4, 2)
    config.arms.blind.labels = 'shuffled'
    with pytest.raises(ValueError, match=r"labels of config.arms.blind: 'shuffled'"):
        build.make_members(config)
