"""Arms trained on other labels of the same images: their losses, draws and batches are those of their labels."""

import dataclasses

import jax
import numpy as np
import pytest

from imbalance_jax import losses
from imbalance_jax.configs import base
from imbalance_jax.data import policies
from imbalance_jax.data.arrays import class_counts, split_arrays
from imbalance_jax.data.dataset import ABSENT, NOT_MENTIONED, PRESENT, UNCERTAIN
from imbalance_jax.data.sources import phantom
from imbalance_jax.losses import entrywise
from imbalance_jax.losses.loss import Loss
from imbalance_jax.training import arm_losses, build, calibration

ARMS = {
    'bce': {},
    'ones': {'loss': 'bce', 'labels': 'u_ones'},
    'weighted_ones': {'loss': 'weighted_bce', 'labels': 'u_ones', 'sampler': 'class_aware'},
    'weighted': {'loss': 'weighted_bce', 'sampler': 'class_aware'},
    'mine': {'loss': 'bce', 'labels': 'mine'},
    'null': {'loss': 'bce', 'labels': 'permuted'},
}


@pytest.fixture(scope='module')
def dataset():
    """The phantom, of which every third label is said with doubt or not at all."""
    made = phantom.make(num_patients=60, image_size=16, imbalance_ratio=1.0)
    rng = np.random.default_rng(0)
    cells = np.where(made.labels > 0, PRESENT, ABSENT).astype(np.int8)
    doubted = rng.random(cells.shape) < 1 / 3
    cells[doubted] = rng.choice([UNCERTAIN, NOT_MENTIONED], doubted.sum())
    labels, mask = policies.reduce_cells(cells[None], [('', '')], made.classes, policy=policies.Policy())
    info = {**made.info, 'readings': [['', '']], 'policy': 'u_ignore'}
    return dataclasses.replace(made, labels=labels, label_mask=mask, cells=cells[None], info=info)


@pytest.fixture(scope='module')
def config(dataset):
    config = base.get_config()
    config.seeds, config.data.image_size, config.train.batch_size, config.train.epochs = (0, 1), 16, 16, 2
    config.model.cnn.widths = (4, 8)
    with config.unlocked():
        config.arms = ARMS
        config.data.policies = {'mine': {'uncertain': {dataset.classes[0]: 'ones', '*': 'zeros'}, 'empty': 'ignore'}}
    return config


@pytest.fixture(scope='module')
def experiment(config, dataset):
    return build.build(config, dataset, build.make_members(config))


def member(experiment, arm, seed=0):
    [row] = [row for row in experiment.members if (row['arm'], row['seed']) == (arm, seed)]
    return jax.tree.map(lambda a: a[row['member']], experiment.member_arrays)


def batch_of(experiment, one, rows):
    number = len(experiment.train.images)
    place = rows + int(one.labels) * number
    return experiment.train.labels[place], experiment.train.label_mask[place]


def test_every_member_meets_the_labels_of_its_policy(config, dataset, experiment):
    """By cells: a doubted cell is a yes, a no or nothing, as the arm's policy says."""
    index, rows = dataset.rows('train'), np.arange(7)
    cells = dataset.cells[0][index][rows]
    silent, doubted, yes = cells == NOT_MENTIONED, cells == UNCERTAIN, cells == PRESENT
    labels, mask = batch_of(experiment, member(experiment, 'ones'), rows)
    np.testing.assert_array_equal(labels, yes | doubted)
    assert mask.all()
    labels, mask = batch_of(experiment, member(experiment, 'bce'), rows)
    np.testing.assert_array_equal(labels, yes)
    np.testing.assert_array_equal(mask, ~doubted)
    labels, mask = batch_of(experiment, member(experiment, 'mine'), rows)
    first = np.arange(cells.shape[1]) == 0
    np.testing.assert_array_equal(labels, yes | (doubted & first))
    np.testing.assert_array_equal(mask, ~silent)


def test_what_is_judged_is_the_same_for_all(dataset, experiment):
    rows = dataset.rows('validation')
    np.testing.assert_array_equal(experiment.validation.label_mask, dataset.label_mask[rows])
    np.testing.assert_array_equal(experiment.validation.labels, dataset.labels[rows])


def test_losses_know_the_counts_of_their_labels(config, dataset, experiment):
    versions = build.labels_of_versions(config, dataset, experiment.members, split_arrays(dataset, 'train'))
    order = list(dict.fromkeys(row['arm'] for row in experiment.members))
    built = dict(zip(order, arm_losses.build_losses(experiment.members, versions), strict=True))
    index = dataset.rows('train')
    cells = dataset.cells[0][index]
    positive = ((cells == PRESENT) | (cells == UNCERTAIN)).sum(0)
    expected = arm_losses.build_loss(experiment.members[0] | {'loss': 'weighted_bce'}, positive, len(index) - positive)
    logits, labels = np.zeros((1, len(positive)), np.float32), np.ones((1, len(positive)), np.float32)

    def value(loss):
        return np.asarray(loss.entries(logits, labels, 0.0))

    np.testing.assert_allclose(value(built['weighted_ones']), value(expected), rtol=1e-6)
    assert (value(built['weighted']) != value(built['weighted_ones'])).any()
    for one, other in zip(class_counts(versions['permuted']), class_counts(versions['own']), strict=True):
        np.testing.assert_array_equal(one, other)


def test_draws_follow_the_labels_of_the_arm_and_pairs_keep_their_order(config, dataset, experiment):
    draws = experiment.draws(0)

    def rows(arm, seed=0):
        return np.asarray(experiment.functions.sample_order(member(experiment, arm, seed), draws, 0))

    for arm in ('ones', 'mine', 'null'):
        np.testing.assert_array_equal(rows(arm), rows('bce'))
    assert (rows('bce', 1) != rows('bce')).any()
    assert (rows('weighted_ones') != rows('weighted')).any()
    versions = build.labels_of_versions(config, dataset, experiment.members, split_arrays(dataset, 'train'))
    shifts = calibration.prior_shifts(experiment.members, versions)
    own, ones = (next(r['member'] for r in experiment.members if r['arm'] == a) for a in ('weighted', 'weighted_ones'))
    labels = versions['u_ones'].labels.astype(float)
    weights = build.samplers.class_aware(labels, 1.0)
    share, natural = weights @ labels, labels.mean(0)
    np.testing.assert_allclose(
        shifts[ones], np.log(share / (1 - share) / (natural / (1 - natural))), rtol=1e-6, atol=1e-9
    )
    assert (shifts[own] != shifts[ones]).any()


def test_policies_that_the_data_or_the_config_do_not_have_are_named(config, dataset):
    members = build.make_members(config)
    plain = dataclasses.replace(dataset, cells=None)
    with pytest.raises(ValueError, match=r"config.arms.mine.labels is 'mine': phantom has labels only"):
        build.build(config, plain, members)
    other = config.copy_and_resolve_references()
    with other.unlocked():
        other.arms.ones.labels = 'u_onse'
    with pytest.raises(ValueError, match=r"labels of config.arms.ones: 'u_onse'. Did you mean 'u_ones'"):
        build.make_members(other)


def test_all_is_judged_by_the_labels_that_the_config_names(dataset):
    judged = policies.relabelled(dataset, 'u_ones', {})
    assert judged.info['policy'] == 'u_ones'
    assert judged.label_mask.all()
    np.testing.assert_array_equal(judged.labels, np.isin(dataset.cells[0], (PRESENT, UNCERTAIN)))
    assert policies.relabelled(dataset, 'own', {}) is dataset
    with pytest.raises(ValueError, match=r"config.data.labels is 'any': phantom has labels only"):
        policies.relabelled(dataclasses.replace(dataset, cells=None), 'any', {})
    config = base.get_config()
    config.data.labels = 'u_zero'
    with pytest.raises(ValueError, match="Did you mean 'u_zeros'"):
        build.make_members(config)


def test_a_loss_that_reads_unknown_labels_is_refused_where_there_are_some(monkeypatch, config, dataset, experiment):
    def own(num_positive, num_negative):
        return Loss(lambda params, logits, labels, *rest: entrywise.cross_entropy(logits, labels).mean())

    monkeypatch.setitem(losses.LOSSES, 'own', own)
    versions = build.labels_of_versions(config, dataset, experiment.members, split_arrays(dataset, 'train'))
    labels = experiment.members[0].get('labels', 'own')
    (row,) = [{**experiment.members[0], 'loss': 'own', 'hyper': {}}]
    known = np.ones_like(np.asarray(versions[labels].label_mask))
    assert arm_losses.build_losses([row], {**versions, labels: versions[labels]._replace(label_mask=known)})
    known[0, 0] = 0
    with pytest.raises(ValueError, match=r"loss 'own' changes with labels that are not known, and 1 of \d+ training"):
        arm_losses.build_losses([row], {**versions, labels: versions[labels]._replace(label_mask=known)})
    elsewhere = {**experiment.members[0], 'loss': losses.UNKNOWN, 'hyper': {}}  # of a network that was adopted
    assert arm_losses.build_losses([elsewhere], {**versions, labels: versions[labels]._replace(label_mask=known)})
