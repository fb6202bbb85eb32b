"""What is said of a data set: counts held against NumPy's own, and text that reads for one class and for 200."""

import dataclasses

import numpy as np
import pytest

from imbalance_jax.data import coverage, policies
from imbalance_jax.data.dataset import ABSENT, NOT_MENTIONED, NOT_READ, PRESENT, SPLITS, UNCERTAIN, Dataset
from imbalance_jax.results import data, inspection

CLASSES = ('No Finding', 'Edema', 'Mass')


def made(classes=CLASSES, count=90, readers=2, seed=0) -> Dataset:
    rng = np.random.default_rng(seed)
    cells = rng.choice([PRESENT, ABSENT, UNCERTAIN, NOT_MENTIONED], (readers, count, len(classes))).astype(np.int8)
    cells[-1, ::3] = NOT_READ
    readings = [['', f'reader {i}'] for i in range(readers)]
    labels, mask = policies.reduce_cells(cells, readings, classes, policy=policies.Policy())
    return Dataset(
        images=rng.integers(0, 256, (count, 8, 8, 1), np.uint8),
        labels=labels,
        label_mask=mask,
        split=np.uint8(np.arange(count) % 3),
        patient=np.arange(count) // 6,
        image_id=np.arange(count).astype(str),
        region_image=np.zeros(0, np.int32),
        region_concept=np.zeros(0, np.int32),
        region_box=np.zeros((0, 4), np.float32),
        region_mask=np.zeros((0, 8, 1), np.uint8),
        groups=rng.integers(-1, 2, (count, 1)).astype(np.int8),
        cells=cells,
        source_size=rng.choice([6, 8, 20], (count, 2)).astype(np.int32),
        info={
            'name': 'made', 'classes': list(classes), 'concepts': list(classes), 'frame': [8, 8], 'options': {},
            'problems': {'missing_file': [f'{i}.png' for i in range(9)]}, 'source': 'Here.', 'licence': 'CC0',
            'readings': readings, 'groups': {'side': ['left', 'right']}, 'policy': 'majority', 'resize': 'pad',
        },
    )  # fmt: skip


@pytest.fixture(scope='module')
def dataset():
    return made()


def value(table, metric, split, name='', **where):
    wanted = {'metric': metric, 'split': split, 'class': name, 'labels': '', 'grouping': '', 'group': '', **where}
    [row] = [row for row in table if all(row.get(key, '') == one for key, one in wanted.items())]
    return row['value']


def test_counts_are_those_of_the_arrays(dataset):
    table = data.rows(dataset, {'mine': {'uncertain': 'ones', 'readers': 'any'}})
    for number, split in enumerate(SPLITS):
        of = dataset.split == number
        for k, name in enumerate(CLASSES):
            counted = dataset.label_mask[of, k] == 1
            positive = int(dataset.labels[of, k][counted].sum())
            assert value(table, 'positives', split, name) == positive
            assert value(table, 'negatives', split, name) == counted.sum() - positive
            assert value(table, 'not counted', split, name) == (~counted).sum()
            assert value(table, 'prevalence', split, name) == pytest.approx(positive / counted.sum())
            cells = dataset.cells[:, of, k]
            assert value(table, 'uncertain', split, name) == sum(UNCERTAIN in pair for pair in cells.T.tolist())
            silent = sum(set(pair) == {NOT_MENTIONED} for pair in cells.T.tolist())
            assert value(table, 'not mentioned', split, name) == silent
            ones = sum(bool({PRESENT, UNCERTAIN} & set(pair)) for pair in cells.T.tolist())
            assert value(table, 'positives', split, name, labels='mine') == ones
        pairs = zip(dataset.labels[of], dataset.label_mask[of], strict=True)
        healthy = sum(bool(known[1:].all()) and not label[1:].any() for label, known in pairs)
        assert value(table, 'no finding', split) == healthy, 'No Finding is no finding'
        small = sum(min(size) < 8 for size in dataset.source_size[of].tolist())
        assert value(table, 'enlarged images', split) == small
        for code, group in ((0, 'left'), (1, 'right'), (-1, 'unknown')):
            inside = of & (dataset.groups[:, 0] == code)
            assert value(table, 'images', split, grouping='side', group=group) == inside.sum()
            patients = len(set(dataset.patient[inside].tolist()))
            assert value(table, 'patients', split, grouping='side', group=group) == patients


def test_policies_are_those_that_the_cells_allow(dataset):
    own = {'mine': {'readers': 'reader 0'}, 'of another set': {'readers': 'R17'}}
    some = set(coverage.allowed(dataset, own))
    assert some == {*policies.POLICIES, 'mine'}
    alone = made(readers=1)
    alone = dataclasses.replace(alone, cells=np.where(alone.cells == UNCERTAIN, ABSENT, alone.cells))
    assert set(coverage.allowed(alone, {})) == {'empty_ignored', 'empty_if_no_finding'}
    revised = dataclasses.replace(dataset, info={**dataset.info, 'readings': [['2017', 'a'], ['2020', 'a']]})
    assert 'version 2020' in coverage.allowed(revised, {})
    labels, _ = data.under_policies(revised)['version 2020']
    np.testing.assert_array_equal(labels, dataset.cells[1] == PRESENT)


def test_labels_that_hide_their_negatives_are_named():
    """CheXpert's Atelectasis: 96 % if silence is ignored, and of 1,000 images 155 count."""
    cells = np.repeat([PRESENT, ABSENT, UNCERTAIN, NOT_MENTIONED], [149, 6, 151, 694]).astype(np.int8)[None, :, None]
    read = np.ones((1000, 1), bool)

    def said(policy):
        labels = policies.reduce_cells(cells, [['', '']], ('Atelectasis',), policy=policies.POLICIES[policy])
        return coverage.hidden_negatives(labels, read, ('Atelectasis',))

    assert said('empty_ignored') == [
        'Atelectasis is positive in 149 of the 155 images that count (96.1 %), and 1,000 were read: its negatives are '
        'hidden'
    ]
    assert said('u_ignore') == said('u_zeros') == said('u_ones') == []


def test_images_that_nobody_has_read_hide_nothing(dataset):
    """A second version of the labels, of a few images only, is not said to hide negatives."""
    cells = np.full((1, 300, 1), NOT_READ, np.int8)
    cells[0, :40], cells[0, :25] = ABSENT, PRESENT
    info = {**dataset.info, 'classes': ['Mass'], 'readings': [['google', '']]}
    few = dataclasses.replace(dataset, cells=cells, info=info)
    read = coverage.were_read(few, policies.Policy())
    assert read.sum() == 40
    labels = policies.reduce_cells(cells, [['google', '']], ('Mass',), policy=policies.Policy())
    assert coverage.hidden_negatives(labels, read, ('Mass',)) == []
    assert coverage.hidden_negatives(labels, np.ones_like(read), ('Mass',)) != []


@pytest.mark.parametrize('count', [1, 3, 200])
def test_the_text_reads_for_any_number_of_classes(count):
    names = tuple(f'finding number {i} of the long tail' for i in range(count)) if count > 3 else CLASSES[-count:]
    lines = inspection.describe(made(names)).splitlines()
    assert max(map(len, lines)) <= inspection.LONGEST + 4 * inspection.COLUMN
    assert len([line for line in lines if line.startswith(names[-1])]) >= 2
    text = '\n'.join(lines)
    assert 'are not square and were padded' in text
    assert 'are smaller than the images and were enlarged' in text
    assert 'side: unknown' in text
    assert 'left out, missing file: 9 (0.png, 1.png, 2.png, 3.png, 4.png and 4 more)' in text
    assert ('test, by policy' in text) == (count < inspection.MANY)


def test_labels_alone_are_described_without_policies():
    plain = made()
    info = {key: one for key, one in plain.info.items() if key not in ('readings', 'policy', 'groups')}
    text = inspection.describe(dataclasses.replace(plain, cells=None, groups=None, source_size=None, info=info))
    assert 'by policy' not in text
    assert 'images that are' not in text
    uncounted = int((plain.label_mask == 0).sum())
    assert f'{uncounted} labels are uncertain or missing and count nowhere.' in text


def test_notes_and_doubts_are_shown():
    plain = made()
    info = {**plain.info, 'notes': ['Nobody is known.'], 'doubts': ['Regions that labels deny: 2 (a, b).']}
    shown = inspection.describe(dataclasses.replace(plain, info=info)).splitlines()
    assert [one for one in shown if one.startswith('note: ')][:2] == [
        'note: Nobody is known.',
        'note: Regions that labels deny: 2 (a, b).',
    ]


def test_a_class_that_is_everywhere_or_nowhere_is_noted():
    plain = made()
    assert 'nothing to learn' not in inspection.describe(plain)
    labels, mask = plain.labels.copy(), plain.label_mask.copy()
    mask[5:, 1], labels[:5, 1], labels[5:, 1] = 0, 1, 0  # positive wherever it counts
    mask[:5, 1], labels[:, 2] = 1, 0
    text = inspection.describe(dataclasses.replace(plain, labels=labels, label_mask=mask))
    assert 'note: positive in all images that count, so that there is nothing to learn: Edema.' in text
    assert 'note: negative in all images that count, so that there is nothing to learn: Mass.' in text
    labels, train = plain.labels.copy(), plain.split == 0
    labels[:, 0] = ~train
    text = inspection.describe(dataclasses.replace(plain, labels=labels, label_mask=np.ones_like(mask)))
    assert f'note: no positive image in train: {plain.info["classes"][0]}' in text
