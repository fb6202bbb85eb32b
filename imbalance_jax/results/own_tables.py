"""What rows of a user's own table must be, so that pages and queries count each once and for whom it is."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from imbalance_jax.names import lookup
from imbalance_jax.results.rows import MACRO, MICRO
from imbalance_jax.results.schema import KINDS, STATISTICS

NUMBERS = ('value', 'n')  # all else says what a row is of


def check(
    table: str, rows: Sequence[Mapping[str, Any]], members: Sequence[Mapping[str, Any]], classes: Collection[str]
) -> None:
    """ValueError for a row without a metric, of a kind, a statistic, an arm, a member or a class that there is not, and
    for two rows of one thing. members: rows of members.json; classes: of the data set, and its other concepts."""
    known = {'kind': dict.fromkeys(KINDS), 'statistic': dict.fromkeys(STATISTICS)}
    known |= {'arm': {row['arm']: None for row in members}, 'class': dict.fromkeys([*classes, MACRO, MICRO])}
    of = {(row['arm'], row['seed']): row['member'] for row in members}
    first: dict[frozenset[Any], int] = {}
    for number, row in enumerate(rows):
        where = f'row {number} of results/{table}'
        if not row.get('metric'):
            raise ValueError(f'{where} has no metric; expected a name of what was measured.')
        for column, values in known.items():
            if row.get(column) and not str(row[column]).startswith('all '):
                lookup(values, row[column], f'{column} in {where}:')
        if row.get('kind') == 'member' and (who := (row.get('arm'), row.get('seed'))) not in of:
            raise ValueError(f'{where} is of arm {who[0]!r} with seed {who[1]!r}; members are {_some(of)}.')
        if row.get('kind') == 'member' and row.get('member', of[who]) != of[who]:
            raise ValueError(f'{where} is of member {row["member"]!r}; arm {who[0]!r} with seed {who[1]} is {of[who]}.')
        key = frozenset((name, str(value)) for name, value in row.items() if name not in NUMBERS)
        if (before := first.setdefault(key, number)) != number:
            what = ', '.join(f'{name} {value!r}' for name, value in row.items() if name not in NUMBERS and value != '')
            raise ValueError(f'results/{table}: rows {before} and {number} are of one thing ({what}); expected one.')


def _some(members: Collection[tuple[str, int]]) -> str:
    return ', '.join(f'{arm} {seed}' for arm, seed in list(members)[:5])
