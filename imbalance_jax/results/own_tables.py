"""What rows of a user's own table must be, so that pages and queries count each once and for whom it is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from imbalance_jax.names import lookup
from imbalance_jax.results.schema import KINDS, STATISTICS

NUMBERS = ('value', 'n')  # all else says what a row is of


def check(table: str, rows: Sequence[Mapping[str, Any]], arms: Iterable[str]) -> None:
    """ValueError for a row of a kind, a statistic or an arm that there is not, and for two rows of one thing. arms: of
    the population."""
    known = {'kind': dict.fromkeys(KINDS), 'statistic': dict.fromkeys(STATISTICS), 'arm': dict.fromkeys(arms)}
    first: dict[frozenset[Any], int] = {}
    for number, row in enumerate(rows):
        for column, values in known.items():
            if row.get(column):
                lookup(values, row[column], f'{column} in row {number} of results/{table}:')
        key = frozenset((name, str(value)) for name, value in row.items() if name not in NUMBERS)
        if (before := first.setdefault(key, number)) != number:
            what = ', '.join(f'{name} {value!r}' for name, value in row.items() if name not in NUMBERS and value != '')
            raise ValueError(
                f'results/{table}: rows {before} and {number} are of one thing ({what}); expected one row.'
            )
