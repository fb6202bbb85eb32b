"""Runs: every kind against a decoder that walks pixel by pixel, and encoders written for this test."""

import itertools

import numpy as np
import pytest

from imbalance_jax.data.reader import runs

SHAPES = ((1, 1), (3, 5), (7, 4), (16, 9), (40, 33))


def walk(flat_runs, order, size):
    """A mask from [(start, length)] by visiting one pixel after the other, 'rows' or 'columns' first."""
    height, width = size
    mask = np.zeros(size, bool)
    places = [(y, x) for y in range(height) for x in range(width)]
    if order == 'columns':
        places = [(y, x) for x in range(width) for y in range(height)]
    for start, length in flat_runs:
        for place in places[start : start + length]:
            mask[place] = True
    return mask


def encode(mask, order):
    """[(start, length)] from 0, by grouping equal neighbours."""
    values = mask.ravel(order='C' if order == 'rows' else 'F').tolist()
    found, position = [], 0
    for value, group in itertools.groupby(values):
        length = len(list(group))
        if value:
            found.append((position, length))
        position += length
    return found


def compress(counts):
    """COCO's text of run lengths, by the rule in maskApi.c's rleToString."""
    text = ''
    for i, count in enumerate(counts):
        value, more = count - (counts[i - 2] if i > 2 else 0), True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(48 + bits + 32 * more)
    return text


def coco_counts(mask):
    values = mask.ravel(order='F').tolist()
    counts = [len(list(group)) for _, group in itertools.groupby(values)]
    return counts if not values[0] else [0, *counts]


@pytest.fixture(params=SHAPES, ids=str)
def masks(request):
    rng = np.random.default_rng(3)
    height, width = request.param
    blob = np.add.outer((np.arange(height) - height / 2) ** 2, (np.arange(width) - width / 3) ** 2) < 9
    return [rng.random(request.param) < share for share in (0, 0.1, 0.5, 1)] + [blob]


def test_every_kind_gives_back_the_mask(masks):
    for mask in masks:
        rows, columns = encode(mask, 'rows'), encode(mask, 'columns')
        np.testing.assert_array_equal(walk(rows, 'rows', mask.shape), mask)
        one_based = {
            kind: ' '.join(f'{s + 1} {n}' for s, n in found)
            for kind, found in (('start_rows', rows), ('start_columns', columns))
        }
        ends = [0] + [s + n for s, n in columns]
        gaps = ' '.join(f'{s - end} {n}' for (s, n), end in zip(columns, ends, strict=False))
        counts = coco_counts(mask)
        for kind, text in {**one_based, 'gap_columns': gaps or '-1', 'coco': compress(counts)}.items():
            np.testing.assert_array_equal(runs.decode(kind, text, mask.shape), mask, err_msg=kind)
        for form in (counts, {'size': list(mask.shape), 'counts': counts}, compress(counts).encode()):
            np.testing.assert_array_equal(runs.decode('coco', form, mask.shape), mask)


def test_published_strings():
    empty = runs.decode('coco', 'PVWX6', (2320, 2828))  # from CheXlocalize
    assert empty.shape == (2320, 2828)
    assert not empty.any()
    mask = runs.decode('gap_columns', '3 2 1 2', (4, 3))  # pixels 3, 4 and 6, 7 down the columns
    assert np.argwhere(mask).tolist() == [[0, 1], [2, 1], [3, 0], [3, 1]]
    assert np.argwhere(runs.decode('start_rows', '4 2', (2, 4))).tolist() == [[0, 3], [1, 0]]
    assert np.argwhere(runs.decode('start_columns', '4 2', (2, 4))).tolist() == [[0, 2], [1, 1]]


@pytest.mark.parametrize('none', ['-1', ' -1', '', None, float('nan'), 'nan'])
@pytest.mark.parametrize('kind', runs.KINDS)
def test_no_mask(kind, none):
    assert runs.decode(kind, none, (3, 2)).shape == (3, 2)
    assert not runs.decode(kind, none, (3, 2)).any()


@pytest.mark.parametrize(
    ('kind', 'text', 'message'),
    [
        ('gap_columns', '1 2 3', 'even count'),
        ('gap_columns', '1 2 x 1', "'x' is no whole number"),
        ('gap_columns', '1 -2', 'no whole number'),
        ('gap_columns', '5 8', 'of 12 pixels'),
        ('start_rows', '0 3', 'counted from 1'),
        ('start_rows', '1 99999999999999999999999999', 'of 12 pixels'),
        ('start_columns', '1.5 2', 'no whole number'),
        ('coco', [3, 4], 'make 7 pixels; expected 3 x 4 = 12'),
        ('coco', [3, -1, 10], 'length -1'),
        ('coco', 'PVWX', 'cut off'),
        ('coco', '~~', 'no character'),
        ('coco', {'size': [4, 3], 'counts': [12]}, r'size \[4, 3\]'),
        ('coco', {'runs': [12]}, "'counts'"),
        ('siim', '1 2', 'gap_columns'),
    ],
)
def test_what_is_no_mask_is_one_clear_line(kind, text, message):
    with pytest.raises(ValueError, match=message) as error:
        runs.decode(kind, text, (3, 4))
    assert '\n' not in str(error.value)


def gaps(mask):
    """SIIM's text of a mask."""
    found = encode(mask, 'columns')
    ends = [0] + [start + length for start, length in found]
    return ' '.join(f'{start - end} {length}' for (start, length), end in zip(found, ends, strict=False))


@pytest.mark.parametrize('kind', ['start_rows', 'start_columns'])
def test_runs_that_mostly_overlap_are_of_another_kind(kind):
    mask = np.zeros((20, 30), bool)
    mask[5:11, 4:12] = True
    lengths_first = ' '.join(f'{length} {start + 1}' for start, length in encode(mask, kind.removeprefix('start_')))
    for text in (gaps(mask), gaps(mask[:, :6]), lengths_first):
        with pytest.raises(ValueError, match=r"^run 2 starts at pixel \d+, .* ascending order; are they gaps, 'gap_"):
            runs.decode(kind, text, mask.shape)


@pytest.mark.parametrize('kind', ['start_rows', 'start_columns'])
def test_runs_may_be_written_from_the_end(kind):
    mask = np.zeros((20, 30), bool)
    mask[5:11, 4:12] = True
    pairs = [(start + 1, length) for start, length in encode(mask, kind.removeprefix('start_'))]
    text = ' '.join(f'{start} {length}' for start, length in reversed(pairs))
    np.testing.assert_array_equal(runs.decode(kind, text, mask.shape), mask)


def test_runs_of_several_objects_in_one_cell_are_one_mask():
    first, second = np.zeros((2, 20, 30), bool)
    first[2:8, 10:20] = second[5:12, 3:12] = True
    text = ' '.join(f'{s + 1} {n}' for one in (first, second) for s, n in encode(one, 'rows'))
    np.testing.assert_array_equal(runs.decode('start_rows', text, (20, 30)), first | second)
