"""CheXpert in its three forms on disk, and CheXlocalize's masks, against what the miniature says."""

import json

import numpy as np
import pytest
from data.miniatures import chexpert as miniature
from data.miniatures import coco

from imbalance_jax.data import policies, sources
from imbalance_jax.data.regions import region_masks
from imbalance_jax.data.sources import chexlocalize, chexpert

SIDE = 40
CODE = {'1.0': 1, '0.0': 0, '-1.0': -1, '': -2}


def key_of(path):
    return path.removesuffix('.jpg').replace('/', '_')


def cells_of(text):
    return [CODE[cell] for cell in text.split(',')]


TRUTH = {key_of(path): cells_of(cells) for path, _, cells in (*miniature.TRAIN, *miniature.VALID)}
FRONTAL = [key for key in TRUTH if 'frontal' in key]


@pytest.mark.parametrize('form', ['small', 'full', 'batches'])
def test_each_form_is_the_same_data_set(tmp_path, form):
    root = miniature.write(tmp_path, form)
    places = [tmp_path] if form == 'batches' else [tmp_path, root]  # the folder, or the one that holds it
    for place in places:
        dataset = chexpert.make(manual_dir=place, image_size=SIDE, validation_fraction=0.4)
        assert sorted(dataset.image_id.tolist()) == sorted(FRONTAL)
        assert dataset.classes == miniature.CLASSES
        for row, key in enumerate(dataset.image_id.tolist()):
            assert dataset.cells[0, row].tolist() == TRUTH[key]
            assert dataset.patient[row] == int(key.split('_')[0].removeprefix('patient'))
        assert dataset.source_size.tolist() == [list(miniature.SIZE)] * len(FRONTAL)
    test = dataset.image_id[dataset.rows('test')].tolist()
    assert sorted(test) == ['patient64541_study1_view1_frontal', 'patient64542_study1_view1_frontal']
    assert len(dataset.rows('validation')) > 0


def test_labels_are_as_the_authors_mean_them_and_policies_differ(tmp_path):
    miniature.write(tmp_path)
    dataset = chexpert.make(manual_dir=tmp_path, image_size=SIDE)
    cells = dataset.cells[0]
    np.testing.assert_array_equal(dataset.labels, cells == 1)
    np.testing.assert_array_equal(dataset.label_mask, cells != -1)  # uncertain: nowhere; not mentioned: negative
    atelectasis = dataset.classes.index('Atelectasis')
    positives = {
        name: int(policies.apply(dataset, policies.POLICIES[name])[0][:, atelectasis].sum())
        for name in ('u_zeros', 'u_ones', 'empty_ignored')
    }
    assert positives == {'u_zeros': 1, 'u_ones': 3, 'empty_ignored': 1}
    counted = policies.apply(dataset, policies.POLICIES['empty_ignored'])[1][:, atelectasis].sum()
    assert counted == 1 + 1 + 2  # what is said outright: one yes, and the noes of training, validation and test


def test_people_and_views(tmp_path):
    miniature.write(tmp_path)
    dataset = chexpert.make(manual_dir=tmp_path, image_size=SIDE)
    names = dataset.info['groups']
    row = dataset.image_id.tolist().index

    def group(patient, grouping):
        column = list(names).index(grouping)
        index = dataset.groups[row(f'patient{patient}_view1_frontal'), column]
        return names[grouping][index] if index >= 0 else None

    assert group('00001_study1', 'sex') == 'female'
    assert group('00003_study1', 'sex') is None  # Unknown
    assert group('00003_study1', 'age') is None  # 0
    assert group('00004_study1', 'age') == 'under 40'
    assert group('00005_study1', 'age') == '60 and over'
    assert [group(f'{p}_study1', 'view') for p in ('00001', '00004')] == ['AP', 'PA']
    both = chexpert.make(manual_dir=tmp_path, image_size=SIDE, views='all', classes=('Edema', 'Fracture'))
    assert len(both.images) == len(TRUTH)
    assert both.classes == ('Edema', 'Fracture')
    with pytest.raises(ValueError, match=r"Unknown view \(views\) 'front'"):
        chexpert.make(manual_dir=tmp_path, image_size=SIDE, views='front')
    with pytest.raises(ValueError, match=r"Unknown class \(classes\) 'Oedema'.*Did you mean 'Edema'"):
        chexpert.make(manual_dir=tmp_path, image_size=SIDE, classes=('Oedema',))


def test_a_missing_file_is_never_another_patients(tmp_path):
    root = miniature.write(tmp_path)
    path = root / 'train' / miniature.TRAIN[5][0]
    path.rename(path.parent.parent / 'view1_frontal.jpg')  # there are files of that name, of other patients
    dataset = chexpert.make(manual_dir=tmp_path, image_size=SIDE)
    assert sorted(dataset.image_id.tolist()) == sorted(set(FRONTAL) - {key_of(miniature.TRAIN[5][0])})


def test_with_the_test_set_valid_is_validation_and_columns_may_be_missing(tmp_path):
    miniature.write(tmp_path, 'full', test=True)
    dataset = chexpert.make(manual_dir=tmp_path, image_size=SIDE)
    in_split = [sorted(dataset.image_id[dataset.rows(split)].tolist()) for split in sources.SPLITS]
    assert [len(names) for names in in_split] == [7, 2, 3]
    assert in_split[2] == [key_of(path) for path, _ in miniature.TEST]
    assert (dataset.groups[dataset.rows('test')] == -1).all()
    pneumothorax = dataset.classes.index('Pneumothorax')
    assert dataset.labels[dataset.rows('test'), pneumothorax].tolist() == [0, 0, 1]


def masks_by(dataset, reader):
    """{(image, concept): mask} of one reader's regions."""
    index = dataset.info['readers'].index(reader)
    regions = np.flatnonzero(dataset.region_reader == index)
    masks = region_masks(dataset, regions, 'exact')
    names = zip(dataset.region_image[regions], dataset.region_concept[regions], strict=True)
    return {(str(dataset.image_id[i]), dataset.concepts[c]): mask for (i, c), mask in zip(names, masks, strict=True)}


def expected(of_image, size):
    """{(key, concept): mask at image size}, by areas: a pixel is inside if at least half of it is."""
    found = {}
    for key, tasks in of_image.items():
        for task, mask in tasks.items():
            if mask.any():
                fine = np.kron(mask, np.ones((size, size)))  # columns and rows repeated, so that pixels divide evenly
                height, width = mask.shape
                share = fine.reshape(size, height, size, width).mean((1, 3))
                found[key, task.replace('Airspace', 'Lung')] = share >= 0.5
    return found


def test_masks_of_both_readers(tmp_path):
    miniature.write(tmp_path, 'full', test=True)
    miniature.write_chexlocalize(tmp_path)
    dataset = chexpert.make(manual_dir=tmp_path, image_size=SIDE)
    assert sorted(dataset.info['readers']) == ['human benchmark', 'radiologists']
    assert dataset.concepts == dataset.classes
    truth = expected({**miniature.GROUND['val'], **miniature.GROUND['test']}, SIDE)
    for reader, wanted in (('radiologists', truth), ('human benchmark', expected(miniature.HUMAN, SIDE))):
        masks = masks_by(dataset, reader)
        assert masks.keys() == wanted.keys()  # an empty mask is none, an image that is absent has none
        for name, mask in wanted.items():
            np.testing.assert_array_equal(masks[name], mask, err_msg=str(name))
    some = chexpert.make(manual_dir=tmp_path, image_size=SIDE, classes=('Cardiomegaly', 'Edema'))
    assert set(some.concepts[2:]) == {name for _, name in truth} - {'Cardiomegaly'}  # masks of no class are concepts
    only = chexlocalize.make(manual_dir=tmp_path, image_size=SIDE)
    assert [len(only.rows(split)) for split in sources.SPLITS] == [0, 3, 3]
    assert masks_by(only, 'radiologists').keys() == truth.keys()
    assert only.info['family'] == dataset.info['family'] == 'chexpert'


def test_points_are_pixels_by_a_reader_of_their_own(tmp_path):
    miniature.write(tmp_path, 'full', test=True)
    miniature.write_chexlocalize(tmp_path)
    dataset = chexpert.make(manual_dir=tmp_path, image_size=SIDE, human_points=True)
    points = masks_by(dataset, 'human benchmark point')
    name = 'patient64741_study1_view1_frontal'
    assert {key: mask.sum() for key, mask in points.items()} == {(name, 'Cardiomegaly'): 1, (name, 'Lung Opacity'): 1}
    (y, x) = np.argwhere(points[name, 'Cardiomegaly'])[0]
    assert (y, x) == (25, 24 * SIDE // miniature.SIZE[1])


def test_an_empty_mask_of_the_real_size_is_known_by_its_runs(tmp_path):
    masks = {
        'empty': 'PVWX6',
        'none': coco.compressed(np.zeros((3, 70000), bool)),
        'one': coco.compressed(np.eye(2) > 0),
    }
    text = json.dumps({'key': {task: {'size': [2320, 2828], 'counts': counts} for task, counts in masks.items()}})
    (tmp_path / 'gt.json').write_text(text)
    assert chexlocalize.masks(tmp_path / 'gt.json')['task'] == ['one']


def test_files_of_masks_that_are_none(tmp_path):
    miniature.write(tmp_path, 'full', test=True)
    place = miniature.write_chexlocalize(tmp_path) / 'gt_segmentations_test.json'
    for text, message in (
        ('{"a": ', 'is not JSON'),
        ('[1]', 'holds no masks'),
        ('{"a": {"Edema": [1]}}', 'Edema of a is no mask; expected'),
    ):
        place.write_text(text)
        with pytest.raises(ValueError, match=f'gt_segmentations_test.json.*{message}'):
            chexpert.make(manual_dir=tmp_path, image_size=SIDE)


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"manual_dir is '.*nowhere'; expected the folder"):
        chexpert.make(manual_dir=tmp_path / 'nowhere', image_size=SIDE)
    with pytest.raises(FileNotFoundError, match=r'has no train\.csv'):
        chexpert.make(manual_dir=tmp_path, image_size=SIDE)
    root = miniature.write(tmp_path)
    (root / 'train' / miniature.TRAIN[0][0]).unlink()
    dataset = chexpert.make(manual_dir=tmp_path, image_size=SIDE)
    assert [name.split('train/')[1] for name in dataset.info['problems']['missing']] == [miniature.TRAIN[0][0]]


@pytest.mark.parametrize('counts', [None, 5])
def test_runs_of_no_kind_are_one_line(tmp_path, counts):
    (tmp_path / 'masks.json').write_text(json.dumps({'key': {'Edema': {'size': [4, 4], 'counts': counts}}}))
    with pytest.raises(ValueError, match=r'masks\.json: Edema of key is no mask'):
        chexlocalize.masks(tmp_path / 'masks.json')
