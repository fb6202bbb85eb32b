"""Mistakes of published loaders as rows of the audit and as a table of the report."""

import pandas as pd

from imbalance_jax.analysis.report import audit as page
from imbalance_jax.analysis.report.values import read_values
from imbalance_jax.data.sources.mistakes import Mistake
from imbalance_jax.results import audit, schema


def test_a_mistake_has_both_numbers_and_their_difference(tmp_path):
    lost, twice = (
        Mistake('siim_acr', 'last only', 200.0, 150.0, 'pixels'),
        Mistake('siim_acr', 'rows', 10, 12, 'images'),
    )
    rows = audit.loader_rows([lost, twice])
    table = schema.frame('audit', [{**row, 'split': 'test'} for row in rows])
    assert not table[schema.keys_of(table.columns)].duplicated().any()
    of = table[table['mistake'] == 'last only'].set_index(['version', 'against'])['value']
    assert of['corrected', ''] == 200
    assert of['published', ''] == 150
    assert of['published', 'corrected'] == -50
    (tmp_path / 'results').mkdir()
    pd.DataFrame(table).to_parquet(tmp_path / 'results' / 'audit.parquet')
    shown = page.loaders(read_values(tmp_path / 'results' / 'audit.parquet'))
    text = {name: [(cell.text, cell.below) for cell in cells] for name, cells in shown.rows}
    assert text['last only (pixels)'][:2] == [('150', ''), ('200', '')]
    assert text['last only (pixels)'][2][1] == '-25.0 %'
    assert text['rows (images)'][2][1] == '+20.0 %'
