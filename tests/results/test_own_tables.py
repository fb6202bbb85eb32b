"""Rows of a user's own table that a page would count twice, or for somebody else."""

import pytest

from imbalance_jax.results import own_tables

MEMBERS = [{'member': number, 'arm': arm, 'seed': 0} for number, arm in enumerate(('bce', 'focal'))]
ROWS = [{'kind': 'member', **row, 'metric': 'sure', 'value': 0.5, 'n': 3} for row in MEMBERS]


def test_rows_of_different_things_are_fine():
    own_tables.check('mine', [*ROWS, {**ROWS[0], 'metric': 'calm', 'class': 'Mass'}], MEMBERS, ['Mass'])
    own_tables.check('mine', [{**ROWS[0], 'class': 'macro'}, {'kind': 'arm', 'arm': 'bce', 'metric': 'a'}], MEMBERS, [])
    own_tables.check('mine', [], MEMBERS, [])


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'value': 0.7}, r'rows 0 and 2 are of one thing \(kind .member., member 0, arm .bce.'),
        ({'kind': 'membre'}, r"kind in row 2 of results/mine: 'membre'. Did you mean 'member'"),
        ({'arm': 'bec'}, r"arm in row 2 of results/mine: 'bec'. Did you mean 'bce'"),
        ({'statistic': 'men'}, r"statistic in row 2 of results/mine: 'men'. Did you mean 'mean'"),
        ({'class': 'Mas'}, r"class in row 2 of results/mine: 'Mas'. Did you mean 'Mass'"),
        ({'metric': ''}, 'row 2 of results/mine has no metric'),
        ({'seed': 7}, r"row 2 of results/mine is of arm 'bce' with seed 7; members are bce 0, focal 0"),
        ({'member': 1}, r"row 2 of results/mine is of member 1; arm 'bce' with seed 0 is 0"),
    ],
)
def test_rows_that_count_twice_or_for_nobody_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        own_tables.check('mine', [*ROWS, {**ROWS[0], **change}], MEMBERS, ['Mass'])
