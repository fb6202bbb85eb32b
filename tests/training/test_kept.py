"""Weights kept beside the best: of which epochs, also where a run was stopped, and what they predict."""

import copy
import shutil

import jax
import numpy as np
import pandas as pd
import pytest

from imbalance_jax.results import convergence
from imbalance_jax.system import workdir as writer
from imbalance_jax.system.files import read_json
from imbalance_jax.training import build, kept, loop, network, resampling, run, trained


def test_whatever_proves_nearest_was_kept():
    """Against the nearest by definition, at the end of 200 random pairs of curves with ties."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        epochs = int(rng.integers(1, 12))
        curve, reference = (
            dict(enumerate(np.round(np.sort(rng.random(epochs)) * rng.random() + rng.random(epochs) / 4, 1), 1))
            for _ in range(2)
        )
        on_disk: set[int] = set()
        for now in range(1, epochs + 1):
            so_far = ({e: x for e, x in one.items() if e <= now} for one in (curve, reference))
            keep = kept.candidates(*so_far, ended=False)
            on_disk = (on_disk | ({now} & keep)) & keep
            assert on_disk == keep, 'an epoch that was removed is never wanted again'
        [nearest] = kept.candidates(curve, reference, ended=True)
        best = max(reference.values())
        assert nearest in on_disk
        assert abs(curve[nearest] - best) == min(abs(x - best) for x in curve.values())
    assert kept.candidates({1: 0.5}, {}, ended=True) == set()
    assert kept.candidates({1: 0.5, 2: 0.4}, {}, ended=False) == {1, 2}, 'the reference has no head yet'


def test_shares_are_epochs_that_are_done():
    assert [kept.share_epoch(share, 10) for share in (0.01, 0.25, 0.5, 1.0)] == [1, 3, 5, 10]
    assert kept.Kept(True, (0.25, 1.0)).names == ['matched', 'share_0.25', 'share_1']


def test_a_sample_of_patients_is_whole_and_of_the_same_size():
    patients = np.repeat(np.arange(200), np.tile([1, 2, 5, 2], 50))
    samples = resampling.patient_samples(patients, (0, 1))
    assert samples.shape == (2, len(patients))
    counts = np.stack([np.bincount(rows, minlength=len(patients)) for rows in samples])
    assert (counts[0] != counts[1]).any()
    for rows, count in zip(samples, counts, strict=True):
        cut = patients[rows[-1]]
        for patient in set(range(200)) - {cut}:
            assert np.ptp(count[patients == patient]) == 0
        assert 0.55 < np.mean(np.bincount(patients[rows], minlength=200) > 0) < 0.72  # 1 - 1/e of the patients
    np.testing.assert_array_equal(samples[0], resampling.patient_sample(patients, 0))


def test_convergence_of_a_line_and_of_a_plateau():
    members = [{'member': i, 'arm': 'a', 'seed': i, 'loss': 'bce', 'sampler': 'natural'} for i in range(3)]
    rising = {e: 0.5 + 0.01 * e for e in range(1, 21)}
    flat = {e: min(0.5 + 0.05 * e, 0.7) for e in range(1, 21)}
    table = pd.DataFrame(convergence.rows(members, np.array([True, True, False]), [rising, flat, {}]))
    of_member = table[table['kind'] == 'member'].pivot(index='member', columns='metric', values='value')
    np.testing.assert_allclose(of_member['final_slope'], [0.01, 0.0], atol=1e-12)
    assert of_member['best_epoch'].tolist() == [20, 4]
    assert of_member['best_is_last'].tolist() == [1, 0]
    means = table[(table['kind'] == 'arm') & (table['statistic'] == 'mean')].set_index('metric')['value']
    np.testing.assert_allclose(means[['final_slope', 'best_is_last']], [0.005, 0.5])


@pytest.fixture(scope='module')
def config(tiny_config):
    """Two arms that are trained to the end, one whose head is retrained with another loss; samples of patients."""
    config = copy.deepcopy(tiny_config)
    with config.unlocked():
        head = {'retrain_head_from': 0.5, 'head_loss': 'weighted_bce', 'power': 0.5}
        config.arms = {'bce': {}, 'multi_task': {}, 'head': {'loss': 'focal', 'gamma': 1.0, **head}}
    config.train.epochs, config.train.matched, config.train.kept_shares = 4, True, (0.5,)
    config.data.resample = True
    return config


@pytest.fixture(scope='module')
def finished(config, tmp_path_factory):
    workdir = tmp_path_factory.mktemp('kept')
    run.run(config, workdir)
    return workdir


def test_kept_weights_are_a_population_of_their_own(finished, config):
    members = read_json(finished / 'members.json')
    curves = kept.curves(finished, members)
    best = {row['seed']: max(c.values()) for row, c in zip(members, curves, strict=True) if row['arm'] == 'bce'}
    whole = writer.read_arrays(finished / 'predictions.npz')
    matched = writer.read_arrays(finished / 'weights' / 'matched' / 'predictions.npz')
    for row, curve, epoch in zip(members, curves, matched['kept_epoch'], strict=True):
        ranked = {e: x for e, x in curve.items() if row['arm'] != 'head' or e > 2}
        distance = {e: abs(x - best[row['seed']]) for e, x in ranked.items()}
        assert distance[epoch] == min(distance.values())
    reference = [row['member'] for row in members if row['arm'] == 'bce']
    np.testing.assert_array_equal(matched['logits_test'][reference], whole['logits_test'][reference])
    assert (whole['best_epoch'][[row['member'] for row in members if row['arm'] == 'head']] > 2).all()

    population = trained.load(finished / 'weights' / 'share_0.5')
    stored = writer.read_arrays(finished / 'weights' / 'share_0.5' / 'predictions.npz')
    assert stored['kept_epoch'].tolist() == [2] * 6
    dataset = population.dataset
    one = jax.tree.map(lambda a: a[3], population.variables)
    image = population.normalise(dataset.images[dataset.rows('test')])
    np.testing.assert_allclose(population.model.apply(one, image)[0], stored['logits_test'][3], atol=1e-4)
    for table in ('performance', 'data'):
        assert len(writer.read_table(finished / 'weights' / 'matched', table))


def test_stopped_anywhere_the_same_is_kept(finished, config, tmp_path, monkeypatch):
    """Stopped after every epoch, before and after its checkpoint, and once the last checkpoint is lost."""
    save = loop.checkpoint.save
    for when in ('before', 'after', 'before'):

        def stopped(folder, step, tree, when=when):
            if when == 'after':
                save(folder, step, tree)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(loop.checkpoint, 'save', stopped)
            with pytest.raises(KeyboardInterrupt):
                run.run(config, tmp_path)
    run.run(config, tmp_path)
    for lost in (False, True):
        if lost:
            (tmp_path / 'predictions.npz').unlink()
            last = max((tmp_path / 'checkpoints' / 'wave_1').iterdir(), key=lambda path: int(path.name))
            shutil.rmtree(last)
            run.run(config, tmp_path)
        for path in (finished / 'checkpoints' / 'kept').iterdir():
            assert (tmp_path / 'checkpoints' / 'kept' / path.name).read_bytes() == path.read_bytes()
        for name in ('matched', 'share_0.5'):
            one, other = (folder / 'weights' / name / 'predictions.npz' for folder in (finished, tmp_path))
            assert one.read_bytes() == other.read_bytes()


def test_a_seed_trains_on_its_own_patients_and_arms_share_them(config):
    dataset = network.load_dataset(config)
    experiment = build.build(config, dataset, build.make_members(config))
    draws, order = experiment.draws(3), jax.jit(jax.vmap(experiment.functions.sample_order, (0, None, None)))
    rows = np.asarray(order(experiment.member_arrays, draws, 3))
    for row, seen in zip(experiment.members, rows, strict=True):
        sample = draws.rows[row['seed']]
        assert set(seen.ravel()) <= set(sample.tolist())
        assert np.bincount(seen.ravel()).max() <= np.bincount(sample).max()
        np.testing.assert_array_equal(seen, rows[row['seed']])
    assert (rows[0] != rows[1]).any()


def test_a_head_has_its_own_loss(config):
    members = build.make_members(config)
    head = next(row for row in members if row['arm'] == 'head')
    assert (head['hyper'], head['head_hyper']) == ({'gamma': 1.0}, {'power': 0.5})
    arrays = build.build(config, network.load_dataset(config), members).member_arrays
    assert arrays.head_arm[head['member']] != arrays.arm[head['member']]
    config = copy.deepcopy(config)
    config.arms.head.retrain_head_from = 1.0
    with pytest.raises(ValueError, match='no head is retrained'):
        build.make_members(config)
