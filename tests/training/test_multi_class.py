"""A population on images of one class each, in colour: softmax and sigmoid arms side by side, from training to maps."""

import json

import jax
import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn import metrics as oracle
from squares import NAMES, make

from imbalance_jax.configs import base
from imbalance_jax.data import sources, tasks
from imbalance_jax.explain import run as explain_run
from imbalance_jax.explain.maps import make_maps
from imbalance_jax.system.workdir import read_arrays, read_table
from imbalance_jax.training import checks, run, trained
from imbalance_jax.training.network import load_dataset


def config_of(folder, arms):
    config = base.get_config()
    config.seeds, config.reference = (0,), 'cross_entropy'
    with config.unlocked():
        config.arms = arms
        config.data.squares = {}
    config.data.name, config.data.folder, config.data.image_size = 'squares', str(folder), 16
    config.model.cnn.widths = (4,)
    config.train.epochs, config.train.batch_size, config.train.warmup_steps = 2, 20, 1
    config.train.learning_rate = 2e-2
    config.population.strategy = 'shard:map'
    config.evaluate.bootstrap_rounds, config.evaluate.smallest_count = 10, 1
    config.attribution.methods, config.attribution.max_pairs = ('saliency',), 6
    config.attribution.metrics = ('relevance_rank',)
    return config


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    sources.DATASETS['squares'] = make
    sampled = {'loss': 'cross_entropy', 'sampler': 'class_aware'}
    arms = {'cross_entropy': {}, 'balanced_softmax': {'head': 'cosine'}, 'bce': {}, 'sampled': sampled}
    yield config_of(tmp_path_factory.mktemp('data'), arms)
    del sources.DATASETS['squares']


@pytest.fixture(scope='module')
def workdir(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp('study') / 'run'
    run.run(config, folder)
    explain_run.run(folder, stages=explain_run.chosen('alignment'))
    return folder


@pytest.fixture(scope='module')
def population(workdir):
    return trained.load(workdir)


def raw_logits(population, member):
    """The logits of the head itself for the test images."""
    one = jax.tree.map(lambda a: a[member], population.variables)
    images = population.dataset.images[population.dataset.rows('test')]
    model = getattr(population.model, 'model', population.model)
    return np.asarray(jax.jit(model.apply)(one, population.normalise(images))[0], np.float64), one


def test_the_sigmoid_of_what_is_kept_is_the_softmax(workdir, population):
    kept = read_arrays(workdir / 'predictions.npz')['logits_test']
    for member in population.members:
        logits, one = raw_logits(population, member['member'])
        found = expit(kept[member['member']].astype(np.float64))
        expected = expit(logits) if member['arm'] == 'bce' else softmax(logits, axis=-1)
        np.testing.assert_allclose(found, expected, atol=2e-5, err_msg=member['arm'])
        images = population.dataset.images[population.dataset.rows('test')]
        seen = jax.jit(population.model.apply)(one, population.normalise(images))[0]  # by whoever explains
        np.testing.assert_allclose(expit(np.float64(seen)), expected, atol=2e-5)


def test_training_sees_the_logits_themselves(population):
    one = raw_logits(population, 0)[1]
    images = population.normalise(population.dataset.images[population.dataset.rows('test')])
    given = population.model.apply(one, images, train=True, mutable=['batch_stats'])[0][0]
    own = population.model.model.apply(one, images, train=True, mutable=['batch_stats'])[0][0]
    np.testing.assert_array_equal(given, own)


@pytest.mark.parametrize('member', [0, 2])
def test_a_map_is_of_the_logit_against_the_others(population, member):
    """Its gradient is that of z_k, less those of the others weighted by their shares of what is not k."""
    rows, classes = population.dataset.rows('test')[:2], np.array([0, 2])
    images = population.dataset.images[rows]
    logits, one = raw_logits(population, member)
    found = np.asarray(jax.jit(make_maps(population, 'saliency'))(one, images, classes, rows))
    model = getattr(population.model, 'model', population.model)
    sums = jax.jit(jax.jacrev(lambda x: model.apply(one, x)[0].sum(0)))  # [K,B,H,W,C]: images do not mix
    slopes = np.asarray(sums(population.normalise(images)), np.float64)
    for i, k in enumerate(classes):
        others, slope = np.delete(np.arange(4), k), slopes[k, i]
        if population.members[member]['arm'] != 'bce':
            slope = slope - np.tensordot(softmax(logits[i, others]), slopes[others, i], 1)
        expected = np.abs(slope).max(-1)
        np.testing.assert_allclose(found[i], expected, atol=1e-3 * expected.max())


def test_tables_of_decisions(workdir, population):
    kept = read_arrays(workdir / 'predictions.npz')['logits_test']
    truth = population.dataset.labels[population.dataset.rows('test')].argmax(1)
    table = read_table(workdir, 'multi_class')
    for member in population.members:
        said = kept[member['member']].argmax(1)
        rows = table[(table.kind == 'member') & (table.member == member['member']) & (table.method == '')]
        rows = rows[rows['class'] == 'all classes'].set_index('metric').value
        np.testing.assert_allclose(rows['top1'], (said == truth).mean())
        np.testing.assert_allclose(rows['balanced_accuracy'], oracle.balanced_accuracy_score(truth, said))
        np.testing.assert_allclose(rows['macro_f1'], oracle.f1_score(truth, said, average='macro'))
    bands = read_table(workdir, 'bands')
    assert set(bands.band) == {'medium', 'tail'}  # of 60 training images
    confused = read_table(workdir, 'confusion')
    of_one = confused[(confused.kind == 'member') & (confused.member == 0)]
    assert of_one.value.sum() == len(truth)


def test_probabilities_under_the_prior(workdir, population):
    """Balanced softmax: softmax(z + log pi); class-aware draws: shares of classes are taken back; both sum to 1."""
    calibration = read_table(workdir, 'calibration')
    methods = calibration[calibration.recalibration != ''].groupby('arm').recalibration.first()
    assert methods.to_dict() == {
        'cross_entropy': 'exact',
        'balanced_softmax': 'exact',
        'bce': 'exact',
        'sampled': 'exact and draws',
    }
    dataset = population.dataset
    truth, train = dataset.labels[dataset.rows('test')], dataset.labels[dataset.rows('train')]
    share = train.mean(0)
    for arm in ('balanced_softmax', 'sampled'):
        member = next(row['member'] for row in population.members if row['arm'] == arm)
        logits = raw_logits(population, member)[0]
        moved = np.log(share) - np.log(0.25) * (arm == 'sampled')  # drawn, each class has a quarter
        brier = ((softmax(logits + moved, axis=-1) - truth) ** 2).mean(0)
        table = calibration[
            (calibration.arm == arm) & (calibration.metric == 'brier') & (calibration.statistic == 'mean')
        ]
        table = table[(table.method == 'recalibrated') & (table.against == '')].set_index('class').value
        np.testing.assert_allclose([table[name] for name in NAMES], brier, atol=2e-5)


def test_maps_are_measured(workdir):
    table = read_table(workdir, 'alignment')
    assert {'cross_entropy', 'balanced_softmax', 'bce', 'sampled'} <= set(table.arm)
    assert json.loads((workdir / 'data.json').read_text())['task'] == 'multi_class'


@pytest.mark.parametrize(
    ('arms', 'task', 'message'),
    [
        (
            {'cross_entropy': {}},
            'multi_label',
            "'cross_entropy' wants exactly one class per image, and squares is multi_label",
        ),
        (
            {'cross_entropy': {'retrain_head_from': 0.5, 'head_loss': 'bce'}},
            '',
            "loss 'cross_entropy' and head_loss 'bce' make probabilities in two ways",
        ),
    ],
)
def test_losses_that_do_not_fit_are_refused_before_anything_is_compiled(config, tmp_path, arms, task, message):
    other = config_of(config.data.folder, arms)
    other.data.task = task
    with pytest.raises(ValueError, match=message):
        checks.check_links(other, tasks.task_of(load_dataset(other).info))
