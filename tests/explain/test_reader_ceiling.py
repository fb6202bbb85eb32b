"""The ceiling of readers: planted readers whose boxes are shifted by known pixels, and rows against plain means."""

import dataclasses

import numpy as np
import pytest

from imbalance_jax import alignment
from imbalance_jax.data import regions
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.explain import map_nulls, reader_ceiling
from imbalance_jax.results import reader_ceiling as rows_of_ceiling
from imbalance_jax.results.rows import Bootstrap, Population

SIDE, SQUARE, IMAGES = 24, 8, 30


def shifted(shifts, images=IMAGES):
    """Images with one square finding, that reader r draws shifts[r] pixels to the right of its place."""
    corner = np.random.default_rng(0).integers(0, SIDE - SQUARE - max(shifts), (images, 2))
    box = [(x + shift, y, x + shift + SQUARE, y + SQUARE) for x, y in corner for shift in shifts]
    number = len(shifts)
    return Dataset(
        images=np.zeros((images, SIDE, SIDE, 1), np.uint8),
        labels=np.ones((images, 1), np.uint8),
        label_mask=np.ones((images, 1), np.uint8),
        split=np.full(images, 2, np.uint8),
        patient=np.arange(images) // 2,
        image_id=np.arange(images).astype(str),
        region_image=np.repeat(np.arange(images), number).astype(np.int32),
        region_concept=np.zeros(images * number, np.int32),
        region_box=np.array(box, np.float32),
        region_mask=np.zeros((0, SIDE, SIDE // 8), np.uint8),
        info={
            'name': 'shifted',
            'classes': ['Mass'],
            'concepts': ['Mass'],
            'frame': [SIDE, SIDE],
            'readers': [f'reader {r}' for r in range(number)],
        },
        region_reader=np.tile(np.arange(number), images).astype(np.int8),
    )


@pytest.fixture(scope='module')
def measure():
    names = ('pixel_auroc', 'pointing_game_chexlocalize', 'pointing_game_torchray')
    return map_nulls.region_measure({name: alignment.METRICS[name] for name in names})


@pytest.mark.parametrize('shift', [0, 2, 5, 8])
def test_two_readers_apart_by_known_pixels_score_what_geometry_says(measure, shift):
    dataset = shifted((0, shift))
    pairs = regions.finding_pairs(dataset, 'test', 'box')
    figures = reader_ceiling.reader_figures(dataset, pairs, measure, kind='box', rule='')
    shared = SQUARE - shift
    np.testing.assert_allclose(figures['iou'], shared / (SQUARE + shift), rtol=1e-5)
    for name in ('ior', 'iobb'):
        np.testing.assert_allclose(figures[name], shared / SQUARE, rtol=1e-5)
    # The innermost pixel of a square of 8 is its 4th: one reader's point is 3 pixels from its left edge.
    hit = np.mean([shift <= 3, 3 + shift < SQUARE])
    np.testing.assert_allclose(figures['hits'] / figures['points'], hit)
    np.testing.assert_allclose(figures['pointing_game_chexlocalize'], hit)


def test_three_readers_are_left_out_one_by_one(measure):
    dataset = shifted((0, 2, 4))
    pairs = regions.finding_pairs(dataset, 'test', 'box')
    for rule in ('any', 'majority', 'all', ''):
        figures = reader_ceiling.reader_figures(dataset, pairs, measure, kind='box', rule=rule)
        expected = []
        for one in range(3):
            columns = np.zeros((3, SIDE), int)
            for reader, shift in enumerate((0, 2, 4)):
                columns[reader, shift : shift + SQUARE] = 1
            votes = np.delete(columns, one, 0).sum(0)
            others, own = votes >= (2 if rule in ('majority', 'all') else 1), columns[one] > 0
            expected.append((others & own).sum() / (others | own).sum())
        np.testing.assert_allclose(figures['iou'], np.mean(expected), rtol=1e-5)


def test_what_one_reader_saw_alone_has_no_ceiling_and_a_missed_finding_scores_nothing(measure):
    dataset = shifted((0, 2))
    keep = ~((dataset.region_image == 3) & (dataset.region_reader == 1))
    alone = dataclasses.replace(
        dataset,
        **{name: getattr(dataset, name)[keep] for name in ('region_image', 'region_concept', 'region_box')},
        region_reader=dataset.region_reader[keep],
    )
    pairs = regions.finding_pairs(alone, 'test', 'box')
    figures = reader_ceiling.reader_figures(alone, pairs, measure, kind='box', rule='')
    assert np.isnan(figures['iou'][3])
    assert np.isfinite(np.delete(figures['iou'], 3)).all()
    cells = np.zeros((2, IMAGES, 1), np.int8)
    info = {**alone.info, 'readings': [['v', 'reader 0'], ['v', 'reader 1']]}
    missed = dataclasses.replace(alone, cells=cells, info=info)
    figures = reader_ceiling.reader_figures(missed, pairs, measure, kind='box', rule='')
    assert figures['iou'][3] == 0  # the one who drew nothing against the other; that the other way asks nothing
    assert figures['empty'][3] == 1
    assert figures['hits'][3] == figures['points'][3] == 0


def test_other_readers_are_held_against_radiologists_and_point_with_their_own_points(measure):
    """As in CheXlocalize: the truth is the radiologists', the human benchmark draws 2 pixels beside it. It points at
    a corner of what it drew, which is in the truth, and in 10 images below it."""
    dataset = shifted((0, 2, 2))
    names = ['radiologists', 'human benchmark', 'human benchmark point']
    box = dataset.region_box.copy()
    points = dataset.region_reader == 2
    box[points, 2:] = box[points, :2] + 1
    box[points & (dataset.region_image < 10)] += [0, SQUARE, 0, SQUARE]
    human = dataclasses.replace(dataset, region_box=box, info={**dataset.info, 'readers': names})
    pairs = regions.finding_pairs(human, 'test', 'box')
    truth = regions.region_masks(human, np.flatnonzero(human.region_reader == 0), 'box')
    np.testing.assert_array_equal(pairs.mask, truth)  # the benchmark's drawing is no part of the truth
    figures = reader_ceiling.reader_figures(human, pairs, measure, kind='box', rule='')
    np.testing.assert_allclose(figures['iou'], (SQUARE - 2) / (SQUARE + 2), rtol=1e-5)
    np.testing.assert_array_equal(figures['hits'] / figures['points'], np.arange(IMAGES) >= 10)


def test_the_innermost_pixel_is_in_the_largest_part_of_a_region():
    mask = np.zeros((SIDE, SIDE), bool)
    mask[0:2, 0:2], mask[8:17, 10:21] = True, True
    assert np.argwhere(reader_ceiling.innermost(mask)).tolist() == [[12, 14]]
    assert not reader_ceiling.innermost(np.zeros_like(mask)).any()


def test_rows_are_means_over_the_pairs_that_several_readers_saw(measure):
    dataset = shifted((0, 2))
    keep = (dataset.region_image >= 10) | (dataset.region_reader == 0)
    some = dataclasses.replace(
        dataset,
        **{name: getattr(dataset, name)[keep] for name in ('region_image', 'region_concept', 'region_box')},
        region_reader=dataset.region_reader[keep],
    )
    pairs = regions.finding_pairs(some, 'test', 'box')
    ceiling = reader_ceiling.reader_figures(some, pairs, measure, kind='box', rule='')
    random = np.random.default_rng(0)
    ceiling['iou'] = np.where(np.isfinite(ceiling['iou']), random.random(IMAGES), np.nan)
    members = [
        {'member': i, 'arm': arm, 'loss': arm, 'sampler': 'natural', 'seed': i % 2, 'labels': 'own'}
        for i, arm in enumerate(('bce', 'bce', 'focal', 'focal'))
    ]
    population = Population(members, np.ones(4, bool), 'bce')
    maps = {name: random.random((4, IMAGES)) for name in ('hits', 'points', 'iobb', 'ior', 'iou', 'empty')}
    rows = rows_of_ceiling.rows(
        population,
        {'grad_cam': maps},
        ceiling,
        pairs,
        classes=['Mass'],
        bootstrap=Bootstrap(50, 0),
        subsets={},
        smallest_count=2,
    )
    found = {(r['kind'], r.get('arm', ''), r['metric'], r['statistic'], r['class']): r for r in rows}
    level = found['null level', '', 'iou', 'value', 'all pairs']
    assert level['value'] == pytest.approx(ceiling['iou'][10:].mean())
    assert level['n'] == 20
    assert level['against'] == rows_of_ceiling.READERS
    low, high = (found['null level', '', 'iou', end, 'all pairs']['value'] for end in ('low', 'high'))
    assert low < level['value'] < high
    difference = found['arm', 'focal', 'iou', 'mean', 'all pairs']
    assert difference['value'] == pytest.approx(maps['iou'][2:, 10:].mean() - ceiling['iou'][10:].mean())
    assert rows_of_ceiling.rows(
        population, {'grad_cam': maps}, {}, pairs, classes=['Mass'], bootstrap=Bootstrap(50, 0), subsets={},
        smallest_count=2,
    ) == []  # fmt: skip
