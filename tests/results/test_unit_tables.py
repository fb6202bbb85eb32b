"""The table of units by columns: what a dictionary per row would give, and as many rows as the field asks for."""

import numpy as np
import pandas as pd
import pytest

from imbalance_jax import concepts
from imbalance_jax.metrics.statistics import benjamini_hochberg
from imbalance_jax.results import schema, units
from imbalance_jax.results.rows import of_member
from imbalance_jax.system import workdir

U, CLASSES, CONCEPTS = 5, ['Mass', 'Edema'], ['Mass', 'Edema', 'Tube']
MEMBER = {'member': 3, 'arm': 'focal', 'loss': 'focal', 'sampler': 'natural', 'seed': 1}


@pytest.fixture(scope='module')
def arrays():
    random = np.random.default_rng(0)
    dissected = {
        name: random.random((U, 3)) for name in ('iou', 'ceiling', 'independent', 'excess', 'p_value', 'p_pooled')
    }
    dissected['detector'] = dissected['iou'] > 0.5
    dissected |= {'threshold': random.random(U), 'dead': random.random(U) < 0.5, 'sparse': np.ones(U, bool)}
    dissected['concept_share'] = np.array([0.1, 0.2, 0.0])  # no region of the tube
    aurocs = {name: random.random((U, 3)) for name in ('auroc', 'low', 'high', 'p_value')}
    kept = {'other seeds': np.array([np.nan, 0.5, np.nan, 1.0, 0.0])}
    return dissected, aurocs, random.random((U, 2)), kept


def row_by_row(dissected, aurocs, drop, kept):
    """The rows as sentences: this unit, this concept, this number."""
    rows = []

    def add(metric, value, unit, **columns):
        rows.append(of_member(MEMBER, metric, value, 40, layer='stage2', unit=unit, split='test', **columns))

    kinds = [
        ('iou', 'iou', {}),
        ('ceiling', 'iou_ceiling', {}),
        ('independent', 'iou', {'kind': 'null level', 'against': 'independent areas'}),
        ('excess', 'iou', {'against': 'permuted patients'}),
        ('p_value', 'iou', {'statistic': 'p'}),
        ('p_pooled', 'iou', {'statistic': 'p_pooled'}),
        ('detector', 'detector', {}),
    ]
    for key, metric, columns in kinds if 'iou' in dissected else []:
        for unit in range(U):
            for s in (0, 1):
                add(metric, dissected[key][unit, s], unit, concept=CONCEPTS[s], **columns)
    for metric in ('threshold', 'dead', 'sparse'):
        for unit in range(U):
            add(metric, dissected[metric][unit], unit)
    adjusted = {**aurocs, 'p_adjusted': benjamini_hochberg(aurocs['p_value'])}
    names = {'auroc': 'value', 'low': 'low', 'high': 'high', 'p_value': 'p', 'p_adjusted': 'p_adjusted'}
    for key, statistic in names.items():
        for unit in range(U):
            for k, name in enumerate((*CLASSES, 'no finding')):
                add('auroc', adjusted[key][unit, k], unit, name=name, statistic=statistic)
    for unit in range(U):
        for k, name in enumerate(CLASSES):
            add('auroc_drop', drop[unit, k], unit, name=name)
    for relation, shares in kept.items():
        for unit in (1, 3, 4):
            add('kept', shares[unit], unit, against=relation)
    return rows


def blocks_of(dissected, aurocs, drop, kept):
    where = {'layer': 'stage2', 'images': 40}
    yield from units.unit_blocks(MEMBER, dissected, CONCEPTS, **where)
    yield from units.selectivity_blocks(MEMBER, aurocs, drop, kept, classes=CLASSES, **where)


def test_blocks_of_columns_are_the_rows(arrays):
    expected = schema.frame('units', row_by_row(*arrays))
    found = schema.frame_of_blocks('units', ({**block, 'split': 'test'} for block in blocks_of(*arrays)))
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize('at_once', [1, 40, 2**18])
def test_parts_of_a_file_are_the_table(arrays, at_once, tmp_path, monkeypatch):
    monkeypatch.setattr(schema, 'AT_ONCE', at_once)
    rows = row_by_row(*arrays)
    schema.write_table(tmp_path / 'rows', 'units', rows)
    schema.write_blocks_of(tmp_path / 'blocks', 'units', ({**b, 'split': 'test'} for b in blocks_of(*arrays)))
    pd.testing.assert_frame_equal(*(workdir.read_table(tmp_path / one, 'units') for one in ('rows', 'blocks')))
    texts = [(tmp_path / one / 'results' / 'units.csv').read_text() for one in ('rows', 'blocks')]
    assert texts[0] == texts[1]


def test_without_regions_the_states_and_what_labels_say_are_left(arrays):
    dissected, *others = arrays
    states = {name: dissected[name] for name in ('threshold', 'dead', 'sparse')}
    expected = schema.frame('units', row_by_row(states, *others))
    found = schema.frame_of_blocks('units', ({**block, 'split': 'test'} for block in blocks_of(states, *others)))
    pd.testing.assert_frame_equal(found, expected)
    assert 'iou' not in set(found['metric'])
    assert {row['metric'] for row in units.state_rows(MEMBER, states, layer='stage2')} == {'dead_units', 'sparse_units'}


def test_a_table_without_a_block_is_empty_and_a_wrong_column_is_named():
    assert len(schema.frame_of_blocks('units', [])) == 0
    assert list(schema.frame_of_blocks('units', []).columns) == list(schema.columns_of('units'))
    with pytest.raises(ValueError, match="results/units has no column 'colour'"):
        schema.frame_of_blocks('units', [{'value': np.zeros(2), 'colour': 'red'}])


def test_a_concept_without_a_region_has_no_row(arrays):
    dissected = {**arrays[0], 'chance_best': np.zeros(3), 'chance_top': np.array(0.0), 'threshold_error': np.array(0.0)}
    rows = units.dissection_rows(MEMBER, dissected, CONCEPTS, layer='stage2', images=40)
    assert {row['concept'] for row in rows} == {units.ALL_CONCEPTS, 'Mass', 'Edema'}
    best = [row['value'] for row in rows if row['metric'] == 'best_iou']
    np.testing.assert_array_equal(best, dissected['iou'].max(0)[:2])
    top = concepts.dissection.top_excess(dissected['excess'])
    assert next(row['value'] for row in rows if row['metric'] == 'top_excess') == top
