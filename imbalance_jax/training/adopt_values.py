"""The values of a table of predictions that were made elsewhere, as log-odds: probabilities or logits, and the link."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import scipy

from imbalance_jax.losses import SIGMOID, SOFTMAX
from imbalance_jax.names import some

PROBABILITIES, LOGITS = 'probabilities', 'logits'
VALUES = (PROBABILITIES, LOGITS)
NETWORKS = 3  # in a message
PER_CENT = 100
ROUNDED = 1e-2  # by which probabilities of classes that exclude each other may miss 1


def numbers_of(table: pd.DataFrame, columns: Sequence[str], path: Path) -> np.ndarray:
    """The values [n,K] of the classes in float64; ValueError for the first that is no number which 32 bits hold."""
    if odd := [name for name in columns if table[name].dtype.kind == 'c']:
        raise ValueError(f'{path}: the values of {odd[0]} are complex numbers; expected real ones.')
    numbers = np.stack([pd.to_numeric(table[name], errors='coerce').to_numpy(np.float64) for name in columns], axis=1)
    line, column = np.nonzero(~(np.abs(numbers) <= np.finfo(np.float32).max))
    if len(line):
        value, name = table[columns[column[0]]].iloc[line[0]], columns[column[0]]
        raise ValueError(
            f'{path}: not all values are finite numbers, {len(line):,} are not, such as {str(value)!r}, {name} of '
            f'{who(table, line[0])}.'
        )
    return numbers


def doubts(numbers: np.ndarray, table: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """What to say of values [n,K]: classes of networks that have 0 and 1 and nothing else, and classes that are equal
    in every line."""
    said: list[str] = []
    named: list[str] = []
    arms, seeds = table['arm'].to_numpy(str), table['seed'].to_numpy(str)
    for arm, seed in sorted(set(zip(arms.tolist(), seeds.tolist(), strict=True))):
        own = numbers[(arms == arm) & (seeds == seed)]
        decided = ((own == 0) | (own == 1)).all(0) & (np.ptp(own, axis=0) > 0)
        named += [f'{columns[k]} of arm {arm}, seed {seed}' for k in np.flatnonzero(decided).tolist()]
    if named:
        said.append(f'these are decisions, all 0 or 1, where probabilities are expected: {some(named, NETWORKS)}.')
    first: dict[bytes, str] = {}
    for name, column in zip(columns, np.ascontiguousarray(numbers.T), strict=True):
        other = first.setdefault(column.tobytes(), name)
        if other != name and np.ptp(column) > 0:
            said.append(f'{other} and {name} have equal values in every line.')
    return said


def as_log_odds(
    numbers: np.ndarray, table: pd.DataFrame, values: str, *, is_multi_class: bool, path: Path
) -> tuple[np.ndarray, str]:
    """Log-odds [n,K] and the link behind values [n,K].

    Where an image is of one class, logits are those of a softmax, and probabilities too if they sum to 1.
    """
    if values == LOGITS:
        if whose := _within(numbers, table):
            print(f'{path}: {whose} in 0..1; if they are probabilities, say --values=probabilities.', flush=True)
        elif not is_multi_class and (numbers <= 0).all():
            print(
                f'{path}: no value is above 0, so that no probability is above 1/2; if they are logarithms of '
                'probabilities, give the probabilities.',
                flush=True,
            )
        elif (not is_multi_class and (numbers >= 0).all()) or _are_per_cent(numbers):
            print(
                f'{path}: no value is below 0, so that no probability is below 1/2; if they are per cent, give them as '
                'shares, divided by 100.',
                flush=True,
            )
        return (against_others(numbers), SOFTMAX) if is_multi_class else (numbers, SIGMOID)
    lines, columns = np.nonzero((numbers < 0) | (numbers > 1))
    if len(lines):
        raise ValueError(
            f'{path}: not all values are probabilities, {len(lines):,} are not, such as '
            f'{numbers[lines[0], columns[0]].item()} of {who(table, lines[0])}; {_other(numbers)}.'
        )
    total = numbers.sum(1)
    sums = is_multi_class and np.abs(total - 1).max() <= ROUNDED
    if is_multi_class and not sums:
        print(
            f'{path}: the probabilities of an image sum to {total.min():.3g}..{total.max():.3g}, not to 1: each is '
            'taken as that of its class against all others.',
            flush=True,
        )
    return logit(numbers, path), SOFTMAX if sums else SIGMOID


def _other(numbers: np.ndarray) -> str:
    """What values [n,K] that are no probabilities may be, and what is to be done with them."""
    per_cent = 'if per cent, divide them by 100; ' if (numbers >= 0).all() and numbers.max() <= PER_CENT else ''
    return f'{per_cent}if logits, say --values=logits'


def _are_per_cent(numbers: np.ndarray) -> bool:
    """Whether values [n,K] of classes that exclude one another sum to 100."""
    return bool((numbers >= 0).all() and np.abs(numbers.sum(1) - PER_CENT).max() <= 100 * ROUNDED)


def _within(numbers: np.ndarray, table: pd.DataFrame) -> str:
    """Whose values [n,K] are all in 0..1: 'all values are', or the networks; '' of none."""
    within = pd.Series(((numbers >= 0) & (numbers <= 1)).all(1), index=table.index)
    if within.all():
        return 'all values are'
    whole = within.groupby([table['arm'], table['seed'].astype(str)]).all()
    named = [f'arm {arm}, seed {seed}' for arm, seed in whole[whole].index]
    return f'all values of {some(named, NETWORKS)} are' if named else ''


def logit(p: np.ndarray, path: Path) -> np.ndarray:
    """Log-odds of probabilities; 0 and 1, which have none, lie half as far from the end as the nearest other value."""
    low, high = p[p > 0].min(initial=1), (1 - p[p < 1]).min(initial=1)
    ends = (p == 0) | (p == 1)
    if ends.all():
        raise ValueError(f'{path}: every value is 0 or 1; these are decisions, and probabilities are needed.')
    if ends.any():
        print(
            f'{path}: {int(ends.sum()):,} probabilities are 0 or 1, which have no log-odds; they count as {low / 2:g} '
            f'and 1 - {high / 2:g}, half as far from 0 and 1 as the nearest others.',
            flush=True,
        )
    odds = scipy.special.logit(np.where(ends, 0.5, p))
    return np.where(p == 0, scipy.special.logit(low / 2), np.where(p == 1, -scipy.special.logit(high / 2), odds))


def against_others(z: np.ndarray) -> np.ndarray:
    """The log-odds [n,K] of each class against all others, in float64, of the logits of a softmax."""
    others = [scipy.special.logsumexp(np.delete(z, k, axis=1), axis=1) for k in range(z.shape[1])]
    return z - np.stack(others, axis=1)


def who(table: pd.DataFrame, line: int) -> str:
    """Which image of which network a line is of."""
    one = table.iloc[line]
    return f'image {one["image"]}, arm {one["arm"]}, seed {one["seed"]}'
