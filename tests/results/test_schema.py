"""The tables of a study are what `results.schema` says, and one line of pandas answers a question."""

import numpy as np
import pandas as pd
import pytest

from imbalance_jax.analysis.report import stages
from imbalance_jax.analysis.report.study import load
from imbalance_jax.results import rows, schema
from imbalance_jax.system.workdir import write_frame
from imbalance_jax.training.trained import Stage

# They need many seeds, a verb of their own, a shortcut, one class per image, another test set.
OF_SPECIAL_RUNS = {'seeds', 'roar', 'shortcut', 'multi_class', 'confusion', 'shift', 'map_shift'}


@pytest.fixture(scope='module')
def tables(study):
    return {path.stem: pd.read_parquet(path) for path in sorted((study / 'results').glob('*.parquet'))}


def test_a_study_writes_the_tables_of_the_schema(tables):
    assert set(tables) == set(schema.TABLES) - OF_SPECIAL_RUNS


def test_columns_kinds_and_statistics_are_those_of_the_schema(tables):
    for name, table in tables.items():
        assert list(table.columns) == list(schema.columns_of(name)), name
        assert set(table['kind']) <= set(schema.KINDS), name
        assert set(table['statistic']) <= set(schema.STATISTICS), name
        assert (table['metric'] != '').all(), name
        assert set(table['split']) <= {'train', 'validation', 'test'}, name


def test_keys_tell_the_rows_apart(tables):
    for table in tables.values():
        keys = table[schema.keys_of(table.columns)]
        assert not keys.duplicated().any(), keys[keys.duplicated(keep=False)].to_string()


def test_kinds_say_who_a_number_is_of(tables):
    for name, table in tables.items():
        of_member = table['kind'].isin(('member', 'pair'))
        assert table[of_member]['seed'].notna().all(), name
        assert table[of_member]['member'].notna().all(), name
        assert table[table['kind'].isin(('arm', 'ensemble', 'population', 'data'))]['seed'].isna().all(), name
        assert (table[table['kind'].isin(('member', 'pair', 'arm', 'ensemble'))]['arm'] != '').all(), name
        assert (table[table['kind'].isin(('population', 'data'))]['arm'] == '').all(), name
        assert (table[table['kind'] == 'null level']['against'] != '').all(), name


def test_every_kind_and_every_statistic_occurs(tables):
    whole = pd.concat([table[['kind', 'statistic']] for table in tables.values()])
    assert set(whole['kind']) == set(schema.KINDS)
    assert set(whole['statistic']) >= set(schema.STATISTICS) - {'share'}  # of detectors, if there are any


def test_no_name_holds_what_a_column_says(tables):
    words = {'mean', 'sd', 'low', 'high', 'difference', 'skill', 'above', 'corrected', 'published', 'effect'}
    for name, table in tables.items():
        for metric in set(table['metric']):
            assert not words & set(metric.replace(',', ' ').replace('_', ' ').split()), f'{name}: {metric}'
            assert not {'shuffled', 'untrained', 'permuted'} & set(metric.split()), f'{name}: {metric}'


def test_both_files_say_the_same(study, tables):
    for name, table in tables.items():
        text = pd.read_csv(study / 'results' / f'{name}.csv', keep_default_na=False, na_values={'value': ['']})
        np.testing.assert_array_equal(text['value'], table['value'])
        for column in ('kind', 'class', 'metric', 'statistic', 'against', 'method'):
            assert list(text[column].astype(str)) == list(table[column]), (name, column)
        as_it_is = pd.read_csv(study / 'results' / f'{name}.csv', low_memory=False)
        for column in ('kind', 'metric', 'statistic', 'split'):  # none of our words is one for an empty cell
            assert as_it_is[column].tolist() == list(table[column]), (name, column)


def test_kinds_of_older_tables_are_read_as_they_are_called_now(tmp_path):
    table = schema.frame('mine', [rows.of_kind('null level', 'auroc', 0.5, 20, against='chance')])
    write_frame(tmp_path, 'mine', table.replace({'kind': {'null level': 'null'}}))
    assert schema.read_table(tmp_path, 'mine')['kind'].tolist() == ['null level']


def test_one_line_answers_a_question(tables):
    difference = tables['performance'].query(
        "kind == 'arm' and metric == 'auroc' and against == 'bce' and `class` == 'macro' and split == 'test'"
    )
    by_statistic = difference.set_index(['arm', 'statistic'])['value'].unstack()
    assert {'mean', 'low', 'high', 'p', 'p_adjusted', 'p_equivalent', 'variance_seeds'} <= set(by_statistic.columns)
    assert (by_statistic['low'] <= by_statistic['mean']).all()
    skill = tables['alignment'].query(
        "metric == 'iou' and against == 'constant map' and statistic == 'low' and `class` == 'macro' and value > 0"
    )
    assert set(skill['kind']) <= {'arm'}


def test_a_column_that_a_table_lacks_is_named():
    row = rows.of_kind('data', 'images', 3, 3, unit=1)
    with pytest.raises(ValueError, match="results/data has no column 'unit'"):
        schema.frame('data', [row])
    assert list(schema.frame('mine', [row]).columns) == [*schema.COLUMNS, 'unit']


def test_tables_of_a_users_own_stage_have_a_section(study, tmp_path, monkeypatch):
    result = load(study)
    table_rows = []
    for member in result.members:
        table_rows.append(rows.of_member(member, 'sharpness', 2.0 + member['seed'], 5, split='test'))
    frame = schema.frame('sharpness', table_rows)
    monkeypatch.setattr(stages, 'read', lambda folder, name: frame if name == 'sharpness' else None)
    stage = Stage(run=lambda trained, workdir: None, tables=('sharpness',), section='How sharp are maps?')
    ours = Stage(run=lambda trained, workdir: None, tables=('alignment',), section='Ours')
    [(heading, [(name, table)])] = stages.sections(result, {'sharpness': stage, 'alignment': ours})
    assert (heading, name, table.head) == ('How sharp are maps?', 'sharpness', ['sharpness'])
    assert [arm for arm, _ in table.rows] == result.arms
    assert table.rows[0][1][0].text == f'{2.5:.3f} ± {np.std([2, 3], ddof=1):.3f}'
