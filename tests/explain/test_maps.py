"""Maps of a population and their nulls: the arithmetic of skill, subsets, leaks, memory, permuted labels, shortcut."""

import copy
import shutil

import jax
import numpy as np
import pytest

from imbalance_jax.data import arrays as data_arrays
from imbalance_jax.data import batches as data_batches
from imbalance_jax.data import regions as data_regions
from imbalance_jax.data.dataset import SPLITS
from imbalance_jax.data.sources import phantom
from imbalance_jax.explain import alignment as explain_alignment
from imbalance_jax.explain import maps as explain_maps
from imbalance_jax.explain import roar as explain_roar
from imbalance_jax.explain import shortcut as explain_shortcut
from imbalance_jax.results import roar as results_roar
from imbalance_jax.system import workdir as writer
from imbalance_jax.training import build as training_build
from imbalance_jax.training import trained as training_trained


def select(table, **fields):
    for name, value in fields.items():
        table = table[table[name] == value]
    return table['value'].to_numpy()


@pytest.fixture(scope='module')
def table(study):
    return writer.read_table(study, 'alignment')


def test_every_measure_has_a_skill_above_every_null(table, tiny_config):
    names = {'hit_share', 'ior', 'iou', *tiny_config.attribution.metrics}
    nulls = ('_skill', '_above_chance', '_above_image_centre', '_above_shuffled_regions', '_above_untrained_network')
    cell = {'arm': 'bce', 'seed': 'all', 'method': 'grad_cam', 'class': 'all pairs'}
    for name in names:
        for null in nulls:
            estimate, low, high = (select(table, metric=f'{name}{null}{end}', **cell) for end in ('', '_low', '_high'))
            assert low.item() <= estimate.item() <= high.item()
        assert len(select(table, metric=name, method=explain_alignment.GRID, **{'class': 'all pairs'})) == 1


def test_skill_is_the_mean_minus_that_of_what_stands_in(table):
    cell = {'arm': 'multi_task', 'seed': 'all', 'class': 'all pairs'}
    for null in (explain_alignment.SHUFFLED, explain_alignment.UNTRAINED):
        metric = f'pixel_auroc_above_{null.replace(" ", "_")}'
        own = select(table, method='saliency', metric='pixel_auroc_mean', **cell)
        other = select(table, method=f'saliency, {null}', metric='pixel_auroc_mean', **cell)
        np.testing.assert_allclose(select(table, method='saliency', metric=metric, **cell), own - other)


def test_a_map_of_ones_scores_its_chance_level(table):
    cell = {'method': 'chance', 'class': 'all pairs'}
    area = select(table, metric='ior', **cell).item()
    for name in ('hit_share', 'iou', 'relevance_rank', 'pointing_game_chexlocalize', 'miou_otsu'):
        np.testing.assert_allclose(select(table, metric=name, **cell), area, rtol=1e-5)
    np.testing.assert_allclose(select(table, metric='pixel_auroc', **cell), 0.5)


def test_subsets_are_parts_of_the_pairs(study):
    table = writer.read_table(study, 'alignment')
    rows = table[(table.arm == 'bce') & (table.seed == '0') & (table.method == 'grad_cam') & (table.metric == 'iou')]
    count = rows.set_index('class')['n']
    assert sum(count.get(name, 0) for name in explain_alignment.SIZES) == count['all pairs']
    assert count['labelled'] == count['all pairs']  # the phantom's labels are its regions
    assert 0 < count['true positives'] <= count['labelled']


def test_the_untrained_networks_are_those_that_training_began_with(study):
    trained = training_trained.load(study)
    place, variables = trained.with_untrained
    assert place.num_members == len(trained.members) + 2
    experiment = training_build.build(trained.config, trained.dataset, trained.members)
    first = jax.tree.map(lambda a: a[0], experiment.member_arrays)
    begun = experiment.functions.init(first).variables['params']['head']['kernel']
    np.testing.assert_allclose(np.asarray(variables['params']['head']['kernel'])[6], begun, rtol=1e-6)


def test_less_memory_gives_the_same_figures(study):
    trained = training_trained.load(study)
    pairs = data_regions.finding_pairs(trained.dataset, 'test', 'box', 10)
    found = []
    for memory in (512.0, 0.2):
        trained.config.attribution.memory_mib = memory
        trained.config.attribution.metrics = ('relevance_rank',)
        more = explain_alignment.metrics(trained.config.attribution, pairs.mask.shape[1:])
        judge = explain_maps.make_judge(trained, explain_alignment.against_both(more))
        found.append(explain_alignment.measure(trained, 'grad_cam', pairs, judge))
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    trained.config.attribution.memory_mib = 1e-4
    with pytest.raises(ValueError, match='memory budget'):
        explain_alignment.measure(trained, 'grad_cam', pairs, judge)


def test_patients_of_the_training_split_are_refused_and_counted(study):
    dataset = training_trained.load(study).dataset
    pairs = data_regions.finding_pairs(dataset, 'test', 'box')
    assert data_regions.refuse_training(dataset, pairs)[1] == 0
    dataset.split[dataset.rows('validation')[0]] = SPLITS.index('train')  # any row will do: its patient moves
    split = dataset.split.copy()
    dataset.patient[dataset.rows('train')[0]] = pairs.patient[0]
    kept, refused = data_regions.refuse_training(dataset, pairs)
    assert refused == (pairs.patient == pairs.patient[0]).sum() > 0
    assert len(kept.image) == len(pairs.image) - refused
    np.testing.assert_array_equal(dataset.split, split)
    leaked = data_regions.finding_pairs(dataset, 'train', 'box')
    assert len(data_regions.refuse_training(dataset, leaked)[0].image) == 0


def test_permuted_labels_are_those_of_other_images():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (50, 3)).astype(np.float32)
    arrays = data_arrays.Arrays(random.integers(0, 255, (50, 4, 4, 1)).astype(np.uint8), labels, np.ones_like(labels))
    both = data_arrays.with_permuted_labels(arrays)
    np.testing.assert_array_equal(both.labels[:50], labels)
    np.testing.assert_array_equal(both.labels.sum(0), 2 * labels.sum(0))
    assert (both.labels[50:] != labels).any(1).mean() > 0.5
    batch, rows = data_batches.make_batch(0.5, 0.25, data_batches.Augmentation()), np.array([3, 7])
    own, other = (batch(jax.tree.map(np.asarray, both), rows, np.uint32(0), 0, p) for p in (0, 1))
    np.testing.assert_array_equal(own['image'], other['image'])
    np.testing.assert_array_equal(own['labels'], labels[rows])
    np.testing.assert_array_equal(other['labels'], both.labels[rows + 50])


def test_an_arm_says_whose_labels_it_has(tiny_config, tmp_path):
    config = copy.deepcopy(tiny_config)
    with config.unlocked():
        config.arms = {'bce': {}, 'blind': {'loss': 'bce', 'labels': 'permuted'}}
    rows = training_build.make_members(config)
    assert [row['labels'] for row in rows] == ['own', 'own', 'permuted', 'permuted']
    figures = {
        'grad_cam': {'iou': np.arange(8.0).reshape(4, 2), f'{explain_alignment.UNTRAINED}: iou': np.ones((2, 2))}
    }
    own, matched = explain_alignment.split_nulls(figures, rows)
    np.testing.assert_array_equal(
        matched[explain_alignment.PERMUTED]['grad_cam']['iou'][:2], own['grad_cam']['iou'][2:]
    )
    assert np.isnan(matched[explain_alignment.PERMUTED]['grad_cam']['iou'][2:]).all()
    assert matched[explain_alignment.UNTRAINED]['grad_cam']['iou'].shape == (4, 2)
    config.arms.blind.labels = 'shuffled'
    with pytest.raises(ValueError, match=r"labels of config.arms.blind: 'shuffled'"):
        training_build.make_members(config)


def test_the_clean_split_is_the_same_films_without_the_habit():
    options = {'image_size': 16, 'num_patients': 40, 'imbalance_ratio': 1.0, 'shortcut_background': 0.0}
    options |= {'shortcut_class': 'Mass', 'shortcut_probability': 1.0}
    confounded, clean = phantom.make(**options), phantom.make(**explain_shortcut.clean_options(options))
    tests = confounded.rows('test')
    rows, masks = explain_shortcut.masks_of(confounded, 'Tube')
    k = confounded.classes.index('Mass')
    np.testing.assert_array_equal(rows, tests[confounded.labels[tests, k] == 1])
    assert masks.any((1, 2)).all()
    assert len(explain_shortcut.masks_of(clean, 'Tube')[0]) == 0
    np.testing.assert_array_equal(clean.labels, confounded.labels)
    others = np.setdiff1d(tests, rows)
    np.testing.assert_array_equal(clean.images[others], confounded.images[others])
    assert (clean.images[rows] != confounded.images[rows]).any((1, 2, 3)).all()


def test_roar_trains_anew_without_the_hottest_pixels(study, tmp_path):
    workdir = shutil.copytree(study, tmp_path / 'run')
    trained = training_trained.load(workdir)
    trained.config.attribution.memory_mib = 64.0
    heat = explain_roar.importance(trained, 'grad_cam')
    assert (heat.sum((1, 2)) <= len(trained.dataset.classes) + 1e-3).all()  # at most 1 a class
    images = explain_roar.remove(trained.dataset, heat, 0.25)
    changed = (images != trained.dataset.images)[..., 0]
    assert changed.mean((1, 2)).max() <= 0.25
    assert heat[changed].mean() > 2 * heat[~changed].mean()
    auroc = explain_roar.retrain(trained, np.stack([trained.dataset.images, images]))
    assert auroc.shape == (2, 2)
    assert ((auroc > 0.2) & (auroc < 0.9)).all()
    assert (auroc[0] != auroc[1]).any()
    made = results_roar.rows(trained, [('none', 0.0), ('grad_cam', 0.25)], auroc)
    writer.write_table(workdir, 'roar', made)
    assert len(made) == 2 * (2 + 2)


def test_faithfulness_stands_beside_noise(study, tiny_config):
    table = writer.read_table(study, 'faithfulness')
    assert set(table['method']) == {*tiny_config.attribution.methods, 'random'}
    metrics = {'deletion', 'insertion', 'road', 'sensitivity_n'}
    for method in set(table['method']):
        assert metrics <= set(table[table['method'] == method]['metric'])
    fully = table[(table['metric'] == 'randomised 1, to head') & (table['method'] == 'grad_cam')]
    assert fully['value'].between(-1, 1).all()


def test_a_black_baseline_is_the_grey_value_0_as_the_network_sees_it(study):
    trained = training_trained.load(study)
    trained.config.attribution.integrated_gradients = {'steps': 4, 'baseline': 'black'}
    options = explain_maps.options_of(trained, 'integrated_gradients')
    mean, deviation = data_arrays.grey_statistics(trained.dataset.images[trained.dataset.rows('train')])
    assert options == {'steps': 4, 'baseline': pytest.approx(-mean / deviation, rel=1e-5)}
    with pytest.raises(ValueError, match=r"Unknown attribution method 'gradcam'. Did you mean 'grad_cam'"):
        explain_maps.options_of(trained, 'gradcam')
