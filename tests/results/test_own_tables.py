"""Rows of a user's own table that a page would count twice, or for somebody else."""

import pytest

from imbalance_jax.results import own_tables

ROWS = [{'kind': 'member', 'arm': arm, 'seed': 0, 'metric': 'sure', 'value': 0.5, 'n': 3} for arm in ('bce', 'focal')]


def test_rows_of_different_things_are_fine():
    own_tables.check('mine', [*ROWS, {**ROWS[0], 'metric': 'calm'}], ['bce', 'focal'])
    own_tables.check('mine', [], [])


@pytest.mark.parametrize(
    ('row', 'said'),
    [
        ({**ROWS[0], 'value': 0.7}, r'rows 0 and 2 are of one thing \(kind .member., arm .bce.'),
        ({**ROWS[0], 'kind': 'membre'}, r"kind in row 2 of results/mine: 'membre'. Did you mean 'member'"),
        ({**ROWS[0], 'arm': 'bec'}, r"arm in row 2 of results/mine: 'bec'. Did you mean 'bce'"),
        ({**ROWS[0], 'statistic': 'men'}, r"statistic in row 2 of results/mine: 'men'. Did you mean 'mean'"),
    ],
)
def test_rows_that_count_twice_or_for_nobody_are_refused(row, said):
    with pytest.raises(ValueError, match=said):
        own_tables.check('mine', [*ROWS, row], ['bce', 'focal'])
