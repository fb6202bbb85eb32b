import inspect
import json

import numpy as np
import pytest

from imbalance_jax.data.dataset import SPLITS
from imbalance_jax.data.sources import phantom, phantom_films

GIVEN = ('progress', 'allocate')  # by whoever loads it: no options
OPTIONS = {'image_size': 32, 'num_patients': 40, 'seed': 3}


@pytest.fixture(scope='module')
def data():
    return phantom.make(**OPTIONS)


def unpack(dataset):
    return np.unpackbits(dataset.region_mask, axis=-1, count=dataset.images.shape[2]).astype(bool)


def regions(dataset, concepts):
    """Image, concept, box and mask of the regions of some concepts."""
    keep = np.isin(dataset.region_concept, [dataset.concepts.index(name) for name in concepts])
    return (
        dataset.region_image[keep],
        dataset.region_concept[keep],
        dataset.region_box[keep],
        dataset.region_mask[keep],
    )


def test_arrays_have_the_shapes_and_types_of_a_dataset(data):
    count, size = len(data.images), OPTIONS['image_size']
    assert data.images.shape == (count, size, size, 1)
    assert data.images.dtype == np.uint8
    assert data.labels.shape == data.label_mask.shape == (count, len(data.classes))
    assert data.label_mask.all()
    assert len(set(data.image_id)) == count
    assert data.region_mask.shape == (len(data.region_image), size, size // 8)
    assert data.region_box.shape == (len(data.region_image), 4)
    assert data.concepts[: len(data.classes)] == data.classes
    assert json.loads(json.dumps(data.info)) == data.info
    defaults = {name: parameter.default for name, parameter in inspect.signature(phantom.make).parameters.items()}
    for given in ('progress', 'allocate'):
        del defaults[given]
    assert data.info['options'] == defaults | OPTIONS


def test_groups_are_of_patients_and_films_and_say_what_they_promise(data):
    sex, age = data.groups.T[:2]
    for person in np.unique(data.patient):
        films = data.patient == person
        assert len(set(sex[films])) == len(set(age[films])) == 1
        build = phantom_films._build(OPTIONS['seed'], int(person))
        assert sex[films][0] == 0 or build['breasts'] == 0  # who shows breast shadows is female
    assert [len(names) for names in data.info['groups'].values()] == [2, 3, 2]
    drawn = np.array([phantom.groups(0, person, 0) for person in range(400)])
    np.testing.assert_allclose((drawn[:, 0] == 0).mean(), 0.5, atol=0.08)
    np.testing.assert_allclose(np.bincount(drawn[:, 1]) / 400, [0.3, 0.4, 0.3], atol=0.08)
    np.testing.assert_allclose((drawn[:, 2] == 1).mean(), 0.1 + 0.5 / 3, atol=0.08)  # a third is magnified


def test_packed_masks_of_a_width_that_is_no_multiple_of_eight():
    data = phantom.make(image_size=19, num_patients=4)
    assert data.region_mask.shape[1:] == (19, 3)
    assert unpack(data).any((1, 2)).all()


def test_same_seed_same_data_and_another_seed_another(data):
    np.random.seed(1)  # noqa: NPY002 - the global generator must not matter
    again, other = phantom.make(**OPTIONS), phantom.make(**OPTIONS | {'seed': 4})
    for name in ('images', 'labels', 'split', 'patient', 'image_id', 'region_box', 'region_mask'):
        np.testing.assert_array_equal(getattr(again, name), getattr(data, name))
    assert other.images.shape != data.images.shape or (other.images != data.images).mean() > 0.5


def test_a_patients_films_do_not_depend_on_how_many_patients_there_are(data):
    fewer = phantom.make(**OPTIONS | {'num_patients': 20})
    count = len(fewer.images)
    np.testing.assert_array_equal(fewer.images, data.images[:count])
    np.testing.assert_array_equal(fewer.labels, data.labels[:count])


def test_the_scene_is_the_same_at_every_size():
    small, large = (phantom.make(image_size=size, num_patients=20, seed=5) for size in (64, 128))
    for name in ('labels', 'split', 'patient', 'region_image', 'region_concept'):
        np.testing.assert_array_equal(getattr(small, name), getattr(large, name))
    halved = large.images.astype(float).reshape(len(large.images), 64, 2, 64, 2).mean((2, 4))
    difference = np.abs(halved - small.images[..., 0])
    assert difference.mean() < 3.0
    for a, b in zip(halved, small.images[..., 0].astype(float), strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.99
    pixel = phantom.FRAME / 64
    apart = np.abs(small.region_box - large.region_box)  # only the tips of thin plates fall between pixel centres
    assert (apart <= pixel).mean() > 0.98
    assert apart.max() <= 4 * pixel
    coarse = unpack(large).reshape(-1, 64, 2, 64, 2).mean((2, 4))
    assert np.abs(coarse - unpack(small)).mean() < 0.02


def test_boxes_are_the_tight_bounds_of_their_masks(data):
    scale = phantom.FRAME / OPTIONS['image_size']
    for mask, box in zip(unpack(data), data.region_box, strict=True):
        places = np.argwhere(mask)
        assert len(places)
        (y0, x0), (y1, x1) = places.min(0), places.max(0) + 1
        np.testing.assert_array_equal(box, np.array([x0, y0, x1, y1]) * scale)


def test_every_finding_has_one_region_and_only_test_films_have_anatomy(data):
    image, concept, _, _ = regions(data, data.classes)
    result = np.zeros_like(data.labels)
    np.add.at(result, (image, concept), 1)
    np.testing.assert_array_equal(result, data.labels)
    for name in phantom.ANATOMY:
        np.testing.assert_array_equal(regions(data, [name])[0], data.rows('test'))
    assert len(regions(data, ['Tube'])[0]) == 0


def test_no_finding_is_smaller_than_four_pixels_at_64():
    for name in phantom.CLASSES:
        areas = [
            phantom.render(7, patient, 0, image_size=64, findings={name: 0})[1][name].sum() for patient in range(12)
        ]
        assert min(areas) >= 4, name


def test_patients_are_split_whole_in_the_fractions_asked_for(data):
    of_patient = [np.unique(data.split[data.patient == patient]) for patient in range(OPTIONS['num_patients'])]
    assert {len(splits) for splits in of_patient} == {1}
    counts = dict(zip(SPLITS, np.bincount(np.concatenate(of_patient)), strict=True))
    assert counts == {'train': 24, 'validation': 6, 'test': 10}
    films = np.bincount(data.patient)
    assert films.min() >= 1
    assert films.max() <= 5


def test_prevalence_is_geometric_from_the_commonest_to_the_rarest():
    prevalence = phantom.prevalences(0.25, 16.0)
    assert prevalence.max() == pytest.approx(0.25)
    assert prevalence.min() == pytest.approx(0.25 / 16)
    ratios = np.sort(prevalence)[1:] / np.sort(prevalence)[:-1]
    np.testing.assert_allclose(ratios, ratios[0])
    assert phantom.CLASSES[prevalence.argmax()] == 'Infiltration'
    assert phantom.CLASSES[prevalence.argmin()] == 'Pneumonia'
    np.testing.assert_allclose(phantom.prevalences(0.1, 1.0), 0.1)


def test_films_show_findings_with_the_prevalence_and_persistence_asked_for():
    prevalence = phantom.prevalences(0.3, 4.0)
    patients = [phantom.draw_states(11, patient, prevalence) for patient in range(4000)]
    shown = [np.array([[name in state for name in phantom.CLASSES] for state in states]) for states in patients]
    assert np.mean([len(states) for states in patients]) == pytest.approx(2.0, abs=0.08)
    # Films of one patient are correlated: the patient is the unit, and the estimate a ratio.
    excess = np.array([(films - prevalence).sum(0) for films in shown])
    assert (np.abs(excess.sum(0)) < 4 * np.sqrt((excess**2).sum(0))).all()
    first, second = np.array([films[:2] for films in shown if len(films) > 1]).transpose(1, 0, 2)
    for k, name in enumerate(phantom.CLASSES):
        correlation = np.corrcoef(first[:, k], second[:, k])[0, 1]
        assert correlation == pytest.approx(phantom_films.PERSISTENCE[name] ** 2, abs=0.1)


def test_a_chronic_lesion_stays_where_it_was_and_a_new_one_does_not():
    def overlap(patient, episode):
        first = phantom.render(2, patient, 0, image_size=32, findings={'Mass': 0})[1]['Mass']
        second = phantom.render(2, patient, 1, image_size=32, findings={'Mass': episode})[1]['Mass']
        return (first & second).sum() / (first | second).sum()

    assert np.mean([overlap(patient, 0) for patient in range(10)]) > 0.4
    assert np.mean([overlap(patient, 2) for patient in range(10)]) < 0.2


@pytest.mark.parametrize('name', phantom.CLASSES)
def test_a_finding_changes_the_film_inside_its_mask_more_than_outside(name):
    for patient in range(8):
        film, masks = phantom.render(1, patient, 0, image_size=64, findings={name: 0})
        healthy, _ = phantom.render(1, patient, 0, image_size=64, findings={})
        change = np.abs(film.astype(float) - healthy)
        assert change[masks[name]].mean() > 3 * change[~masks[name]].mean()


def test_findings_look_like_themselves():
    def inside(name, patient):
        film, masks = phantom.render(6, patient, 0, image_size=64, findings={name: 0})
        healthy, usual = phantom.render(6, patient, 0, image_size=64, findings={})
        return film.astype(float)[masks[name]].mean() - healthy[masks[name]].mean(), masks, usual

    for patient in range(6):
        for name in phantom.CLASSES:
            brighter, masks, usual = inside(name, patient)
            assert (brighter < 0) == (name == 'Pneumothorax')
            if name == 'Cardiomegaly':
                assert masks['Heart'].any(0).sum() > 1.1 * usual['Heart'].any(0).sum()
                np.testing.assert_array_equal(masks[name], masks['Heart'])
    areas = {name: [inside(name, patient)[1][name].sum() for patient in range(6)] for name in ('Mass', 'Nodule')}
    assert min(areas['Mass']) > max(areas['Nodule'])


def test_lungs_are_dark_and_heart_and_diaphragm_bright():
    for patient in range(6):
        film, masks = phantom.render(9, patient, 0, image_size=64, findings={})
        assert film[masks['Lungs']].mean() + 30 < min(film[masks['Heart']].mean(), film[masks['Diaphragm']].mean())
        assert film[masks['Lungs'] & masks['Ribs']].mean() > film[masks['Lungs'] & ~masks['Ribs']].mean()
        assert not (masks['Lungs'] & masks['Heart']).any()


def test_the_tube_follows_its_class_and_leaves_all_else_as_it_was(data):
    shortcut = {'shortcut_class': 'Effusion', 'shortcut_probability': 1.0, 'shortcut_background': 0.0}
    tubed = phantom.make(**OPTIONS, **shortcut)
    image, _, _, mask = regions(tubed, ['Tube'])
    np.testing.assert_array_equal(image, np.flatnonzero(data.labels[:, data.classes.index('Effusion')]))
    np.testing.assert_array_equal(tubed.labels, data.labels)
    rest = [name for name in data.concepts if name != 'Tube']
    for ours, theirs in zip(regions(data, rest), regions(tubed, rest), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    without = np.setdiff1d(np.arange(len(data.images)), image)
    np.testing.assert_array_equal(tubed.images[without], data.images[without])
    change = (tubed.images[image].astype(float) - data.images[image])[..., 0]
    drain = np.unpackbits(mask, axis=-1).astype(bool)
    assert change[drain].mean() > 10 * np.abs(change[~drain]).mean()


@pytest.mark.parametrize(('state', 'probability'), [({'Mass': 0}, 0.8), ({'Nodule': 0}, 0.1)])
def test_the_tube_has_the_probabilities_asked_for(state, probability):
    shortcut = {'shortcut_class': 'Mass', 'shortcut_probability': 0.8, 'shortcut_background': 0.1}
    shown = [phantom.has_tube(1, patient, 0, state=state, **shortcut) for patient in range(2000)]
    assert abs(np.mean(shown) - probability) < 4 * np.sqrt(probability * (1 - probability) / 2000)


def test_progress_ends_at_the_total(data):
    calls = []
    phantom.make(**OPTIONS, progress=lambda done, total: calls.append((done, total)))
    assert len(calls) > 1
    assert calls[-1] == (len(data.images), len(data.images))
    assert calls == sorted(calls)


@pytest.mark.parametrize(
    ('option', 'value', 'says'),
    [
        ('image_size', 15, 'at least 16'),
        ('image_size', 64.5, 'whole'),
        ('num_patients', 0, 'at least 1'),
        ('seed', -1, 'at least 0'),
        ('seed', '3', 'whole'),
        ('imbalance_ratio', 0.5, 'at least 1'),
        ('common_prevalence', 1.5, 'from 0 to 1'),
        ('common_prevalence', float('nan'), 'from 0 to 1'),
        ('shortcut_probability', -0.1, 'from 0 to 1'),
        ('shortcut_background', 2, 'from 0 to 1'),
        ('validation_fraction', 0.8, 'lower'),
        ('shortcut_class', 'Efusion', "Did you mean 'Effusion'"),
    ],
)
def test_a_bad_option_is_named_with_its_value_and_what_is_valid(option, value, says):
    with pytest.raises(ValueError, match=option) as error:
        phantom.make(**{'num_patients': 10, option: value})
    assert repr(value) in str(error.value)
    assert says in str(error.value)
