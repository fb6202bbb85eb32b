"""Stages: each question to a trained population is one file, with its check and its tables."""

import copy
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax import alignment
from imbalance_jax.concepts import nulls
from imbalance_jax.explain import outputs
from imbalance_jax.explain.run import STAGES, run
from imbalance_jax.results.rows import of_kind
from imbalance_jax.system import layout
from imbalance_jax.system.files import read_json
from imbalance_jax.system.workdir import read_table
from imbalance_jax.training.network import load_dataset, network
from imbalance_jax.training.trained import Stage


def test_every_table_of_explain_is_a_stage_s(study):
    tables = {table for name, stage in STAGES.items() if name != 'shortcut' for table in stage.tables}
    written = {path.stem for path in (study / layout.RESULTS).glob('*.parquet')}
    assert tables <= written
    assert written - tables <= {
        'bands',
        'data',
        'performance',
        'seeds',
        'convergence',
        'calibration',
        'groups',
        'stability',
    }  # of training


def test_a_question_of_one_s_own_is_one_stage(study, tmp_path):
    def count_living(trained, workdir):
        alive = int(trained.alive.sum())
        outputs.write_rows(workdir, 'living', [of_kind('data', 'living_members', alive, len(trained.members))])

    workdir = shutil.copytree(study, tmp_path / 'run')
    run(workdir, stages={'living': Stage(count_living, tables=('living',))}, verb='living')
    table = read_table(workdir, 'living')
    assert table[['metric', 'value', 'n', 'split']].values.tolist() == [['living_members', 6.0, 6, 'test']]
    assert 'living' in read_json(workdir / layout.PROVENANCE)
    with pytest.raises(ValueError, match=r'results/living was not written, .*; what is there is older'):
        run(workdir, stages={'living': Stage(lambda *_: None, tables=('living',))}, verb='living')
    assert read_table(workdir, 'living').equals(table)
    run(workdir, stages={'living': Stage(count_living, tables=('living',))}, verb='living')


def test_a_stage_does_not_write_over_a_table_that_is_not_its_own(study, tmp_path):
    def overwrite(trained, workdir):
        outputs.write_rows(workdir, 'performance', [of_kind('data', 'living_members', 1, 1)])

    workdir = shutil.copytree(study, tmp_path / 'run')
    before = read_table(workdir, 'performance')
    with pytest.raises(ValueError, match="The stage 'living' writes results/performance, which is another's"):
        run(workdir, stages={'living': Stage(overwrite)}, verb='living')
    assert read_table(workdir, 'performance').equals(before)


def test_an_error_of_a_plugin_s_stage_names_it(study, tmp_path):
    def fail(trained, workdir):
        raise ValueError('shapes (3,) (4,)')

    workdir = shutil.copytree(study, tmp_path / 'run')
    with pytest.raises(ValueError, match=r"The stage 'mine': shapes \(3,\) \(4,\)"):
        run(workdir, stages={'mine': Stage(fail)}, verb='mine')


def test_arrays_are_made_once_and_again_for_another_format(study, tmp_path, monkeypatch):
    workdir, calls = shutil.copytree(study, tmp_path / 'run'), []

    def make():
        calls.append(1)
        return {'values': np.arange(3.0)}

    for _ in range(2):
        assert list(outputs.cached(workdir, 'mine', make)) == ['values']
    assert len(calls) == 1
    monkeypatch.setattr(outputs, 'FORMAT', outputs.FORMAT + 1)
    for _ in range(2):
        np.testing.assert_array_equal(outputs.cached(workdir, 'mine', make)['values'], np.arange(3.0))
    assert len(calls) == 2


@pytest.mark.parametrize(
    ('stage', 'field', 'value', 'said'),
    [
        ('alignment', 'attribution.methods', ('gradcam',), "Did you mean 'grad_cam'"),
        ('alignment', 'attribution.metrics', ('pixel_auc',), "Did you mean 'pixel_auroc'"),
        ('alignment', 'attribution.layer', 'stage9', 'Unknown layer in config.attribution.layer:'),
        ('units', 'concepts.layers', ('stage9',), 'layer in config.concepts.layers:'),
        ('units', 'concepts.tcav_layer', 'stage9', 'layer in config.concepts.tcav_layer:'),
        ('units', 'concepts.null', 'permutation', "Did you mean 'image_permutation'"),
        ('units', 'concepts.quantile', 1e-6, 'is less than one'),
    ],
)
def test_a_stage_checks_its_own_options(tiny_config, stage, field, value, said):
    config, dataset = copy.deepcopy(tiny_config), load_dataset(tiny_config)
    check, untrained = STAGES[stage].check, network(config, dataset)
    images = len(dataset.rows('test'))
    check(config, untrained, (16, 16, 1), images)
    block, name = field.split('.')
    config[block][name] = value
    with pytest.raises(ValueError, match=said):
        check(config, untrained, (16, 16, 1), images)


def of_own_map(then):
    """The largest value of each map, and what `then` makes of all of them."""
    return lambda maps, masks: then(jnp.asarray(maps).max((1, 2)))


NOWHERE = np.zeros((4, 8), int)


def null_of(source=NOWHERE, offset=NOWHERE):
    return lambda key, rounds, block: (source, offset)


@pytest.mark.parametrize(
    ('stage', 'table', 'own', 'said'),
    [
        ('alignment', alignment.METRICS, of_own_map(lambda v: v / v.sum()), 'depends on the other maps'),
        ('alignment', alignment.METRICS, of_own_map(lambda v: v[::-1]), 'depends on the other maps'),
        ('alignment', alignment.METRICS, of_own_map(jnp.sort), 'depends on the other maps'),
        ('units', nulls.NULLS, lambda *_: None, 'gives NoneType; expected a Displacement'),
        ('units', nulls.NULLS, null_of(offset=np.zeros((4, 8))), r'gives offset float64 \[4, 8\]; expected whole'),
        (
            'units',
            nulls.NULLS,
            null_of(source=np.zeros(4, int)),
            r'gives source int64 \[4\]; expected whole',
        ),
        ('units', nulls.NULLS, null_of(source=np.full((4, 8), 8)), 'sources from 8 to 8; they are images of the block'),
        ('units', nulls.NULLS, lambda *_: 1 / 0, "config.concepts.null: 'own': division by zero"),
    ],
)
def test_metrics_and_nulls_of_one_s_own_are_tried_before(monkeypatch, tiny_config, stage, table, own, said):
    config, dataset = copy.deepcopy(tiny_config), load_dataset(tiny_config)
    monkeypatch.setitem(table, 'own', own)
    config.attribution.metrics, config.concepts.null = ('own',) if stage == 'alignment' else (), 'own'
    if stage == 'alignment':
        monkeypatch.setitem(nulls.NULLS, 'own', nulls.circular_shift)
    with pytest.raises(ValueError, match=said):
        STAGES[stage].check(config, network(config, dataset), (16, 16, 1), len(dataset.rows('test')))


def test_a_metric_of_each_map_is_taken(monkeypatch, tiny_config):
    config, dataset = copy.deepcopy(tiny_config), load_dataset(tiny_config)
    monkeypatch.setitem(alignment.METRICS, 'own', of_own_map(lambda v: v))
    config.attribution.metrics = ('own',)
    STAGES['alignment'].check(config, network(config, dataset), (16, 16, 1), len(dataset.rows('test')))


def test_a_table_of_training_that_is_gone_is_said_before_the_work(study, tmp_path):
    def never(trained, workdir):
        pytest.fail('it was begun')

    workdir = shutil.copytree(study, tmp_path / 'run')
    (workdir / layout.RESULTS / 'performance.parquet').unlink()
    with pytest.raises(FileNotFoundError, match=r'performance\.parquet is missing'):
        run(workdir, stages={'long': Stage(never), 'audit': STAGES['audit']})
