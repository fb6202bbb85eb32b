"""Masks that are written as runs of pixels: four ways that published files use, which differ in order and in zero."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from imbalance_jax.names import lookup

NO_MASK = ('', '-1', 'nan')  # what a table writes where there is no mask


def decode(kind: str, runs: Any, size: Sequence[int]) -> np.ndarray:
    """The mask bool [h, w] that `runs` says; `size` is (h, w) of the file's own frame.

    'gap_columns': text of pairs (gap, length), each gap counted from the end of the run before, down the columns
    (SIIM-ACR). 'start_rows', 'start_columns': text of pairs (start, length), starts counted from 1, along the rows
    (CheXmask) or down the columns (the usual one of Kaggle). 'coco': runs of 0 and 1 in turn, beginning with 0, down
    the columns, as a list, as COCO's compressed text, or as {'size': [h, w], 'counts': either}. Text that is empty,
    '-1' or 'nan', or None or NaN, is an empty mask. Raises ValueError for an unknown kind, for what is no such run, and
    for runs that don't fit the frame.
    """
    height, width = (int(side) for side in size)
    decoder = lookup(KINDS, kind, 'kind of runs')
    if runs is None or str(runs).strip().lower() in NO_MASK:
        return np.zeros((height, width), bool)
    return decoder(runs, height, width)


def _pairs(runs: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    """First and second numbers of pairs; ValueError for anything else than pairs of whole numbers >= 0."""
    text = runs if isinstance(runs, str) else ' '.join(str(number) for number in np.ravel(runs))
    words = text.split()
    wrong = next((word for word in words if not (word.isascii() and word.isdigit())), None)
    if wrong is not None:
        raise ValueError(f'{wrong[:40]!r} is no whole number; expected pairs of numbers such as "1 3 10 5".')
    if len(words) % 2:
        raise ValueError(f'there are {len(words)} numbers; expected pairs, so an even count.')
    numbers = np.array([min(int(word), size + 1) for word in words], np.int64)
    return numbers[0::2], numbers[1::2]


def _fill(starts: np.ndarray, lengths: np.ndarray, size: int) -> np.ndarray:
    """Flat bool [size], True in each [start, start + length); ValueError where a run leaves the frame."""
    ends = starts + lengths
    if len(ends) and ends.max() > size:
        raise ValueError(
            f'a run ends at pixel {ends.max()} of a frame of {size} pixels; is the size of the frame right?'
        )
    change = np.zeros(size + 1, np.int32)
    np.add.at(change, starts, 1)
    np.add.at(change, ends, -1)
    return np.cumsum(change[:-1]) > 0


def _by_columns(flat: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.ascontiguousarray(flat.reshape(width, height).T)


def _gap_columns(runs: Any, height: int, width: int) -> np.ndarray:
    gaps, lengths = _pairs(runs, height * width)
    starts = np.cumsum(gaps) + np.cumsum(lengths) - lengths
    return _by_columns(_fill(starts, lengths, height * width), height, width)


def _start_flat(runs: Any, size: int) -> np.ndarray:
    starts, lengths = _pairs(runs, size)
    if len(starts) and starts.min() < 1:
        raise ValueError('a run starts at pixel 0; expected starts counted from 1.')
    filled = _fill(starts - 1, lengths, size)
    if len(starts) > 2 and (np.diff(starts) < 0).all():  # written from the end
        starts, lengths = starts[::-1], lengths[::-1]
    back = np.flatnonzero(starts[1:] < (starts + lengths)[:-1])
    if len(back) * 2 > len(starts) - 1:  # some may, where a cell has several objects
        run, begin, end = back[0], starts[back[0] + 1], (starts + lengths)[back[0]]
        raise ValueError(
            f'run {run + 2} starts at pixel {begin}, and the one before ends at {end - 1}, as do most: expected pairs '
            "(start, length) in ascending order; are they gaps, 'gap_columns'?"
        )
    return filled


def _start_columns(runs: Any, height: int, width: int) -> np.ndarray:
    return _by_columns(_start_flat(runs, height * width), height, width)


def _start_rows(runs: Any, height: int, width: int) -> np.ndarray:
    return _start_flat(runs, height * width).reshape(height, width)


def _coco(runs: Any, height: int, width: int) -> np.ndarray:
    if isinstance(runs, Mapping):
        if 'counts' not in runs:
            raise ValueError(f"keys are {', '.join(map(str, runs))}; expected 'size' and 'counts'.")
        if 'size' in runs and list(runs['size']) != [height, width]:
            raise ValueError(f'the mask is of size {list(runs["size"])}, its image of size {[height, width]}.')
        runs = runs['counts']
    if isinstance(runs, bytes):
        runs = runs.decode('ascii', 'replace')
    try:
        counts = np.array(_compressed(runs) if isinstance(runs, str) else list(runs), np.int64)
    except (TypeError, OverflowError) as error:
        raise ValueError(f'{str(runs)[:60]!r} are no runs ({error}).') from error
    if len(counts) and counts.min() < 0:
        raise ValueError(f'a run has length {counts.min()}; expected lengths >= 0.')
    if counts.sum() != height * width:
        raise ValueError(
            f'the runs make {counts.sum()} pixels; expected {height} x {width} = {height * width}. (A polygon of COCO '
            'is a list in a list.)'
        )
    return _by_columns(np.repeat(np.arange(len(counts)) % 2 == 1, counts), height, width)


def _compressed(text: str) -> list[int]:
    """Run lengths of COCO's text: five bits per character from '0' (48), bit 6 says that more follow, the last one's
    fifth bit is the sign; from the third run on, a number is the difference to the run two before."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError(f"{character!r} is no character of COCO's compressed runs, '0' to 'o'.")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("COCO's compressed runs end within a number; is the text cut off?")
    return counts


KINDS: dict[str, Callable[[Any, int, int], np.ndarray]] = {
    'gap_columns': _gap_columns,
    'start_rows': _start_rows,
    'start_columns': _start_columns,
    'coco': _coco,
}
