"""Twins of the phantom: one is the film itself, the other the same film but for one finding or the drain."""

import numpy as np
import pytest

from imbalance_jax.data.sources import phantom
from imbalance_jax.data.sources.phantom_twins import CHANGEABLE, TUBE, twins

OPTIONS = {'image_size': 32, 'num_patients': 30, 'imbalance_ratio': 1.0, 'common_prevalence': 0.3}
SHORTCUT = {'shortcut_class': 'Mass', 'shortcut_probability': 1.0, 'shortcut_background': 0.0}


@pytest.fixture(scope='module')
def data():
    return phantom.make(**OPTIONS, **SHORTCUT)


@pytest.mark.parametrize('name', phantom.CLASSES)
def test_one_twin_is_the_film_and_the_other_differs_where_the_finding_is(data, name):
    rows = data.rows('test')
    pair, shown = twins(data, rows, name), data.labels[rows, data.classes.index(name)] == 1
    assert 0 < shown.sum() < len(rows)
    np.testing.assert_array_equal(pair.present[shown], data.images[rows[shown]])
    np.testing.assert_array_equal(pair.absent[~shown], data.images[rows[~shown]])
    assert pair.changed.any((1, 2)).all()
    regions = np.flatnonzero((data.region_concept == data.classes.index(name)) & np.isin(data.region_image, rows))
    masks = np.unpackbits(data.region_mask[regions], axis=-1).astype(bool)
    difference = np.abs(pair.present[shown].astype(float) - pair.absent[shown])[..., 0]
    for mask, of_film in zip(masks, difference, strict=True):
        assert of_film[mask].mean() > 3 * of_film[~mask].mean()


@pytest.mark.parametrize('name', ['Mass', 'Nodule', 'Infiltration', TUBE])
def test_far_from_what_does_not_bend_the_anatomy_twins_are_equal_bit_for_bit(data, name):
    for row in data.rows('test')[:6]:
        pair = twins(data, np.array([row]), name)
        y, x = np.nonzero(pair.changed[0])
        assert (np.ptp(y) + 1) * (np.ptp(x) + 1) < 32 * 32
        assert pair.changed.mean() < 0.35


def test_without_the_drain_the_film_is_that_of_a_phantom_without_drains(data):
    rows, plain = data.rows('test'), phantom.make(**OPTIONS)
    pair, shown = twins(data, rows, TUBE), data.labels[rows, data.classes.index('Mass')] == 1
    np.testing.assert_array_equal(pair.absent, plain.images[rows])
    np.testing.assert_array_equal(pair.present[shown], data.images[rows[shown]])
    of_plain = twins(plain, rows, TUBE)
    np.testing.assert_array_equal(of_plain.absent, pair.absent)
    np.testing.assert_array_equal(of_plain.present, pair.present)


def test_a_film_without_all_its_findings_in_turn_is_the_healthy_film(data):
    row = data.rows('test')[data.labels[data.rows('test')].sum(1).argmax()]
    assert data.labels[row].sum() > 1
    state = [name for name, label in zip(data.classes, data.labels[row], strict=True) if label]
    patient, film = (int(part) for part in data.image_id[row].split('_'))
    drawn = phantom.draw_states(0, patient, phantom.prevalences(0.3, 1.0))[film]
    for name in state:
        rest = {other: drawn[other] for other in state if other != name}
        expected, _ = phantom.render(0, patient, film, image_size=32, findings=rest, tube='Mass' in state)
        np.testing.assert_array_equal(twins(data, np.array([row]), name).absent[0, :, :, 0], expected)


def test_anatomy_cannot_be_taken_away(data):
    assert set(CHANGEABLE) == {*phantom.CLASSES, TUBE}
    assert all(twins(data, data.rows('test'), name) is None for name in phantom.ANATOMY)
