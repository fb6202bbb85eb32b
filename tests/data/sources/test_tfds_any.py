"""TFDS sets written without TensorFlow: every kind of label, boxes, splits that are not there, and what is said."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from data.miniatures.tfds_sets import SPLITS, pixels, png, write

from imbalance_jax.data import soundness, sources
from imbalance_jax.data.reader import geometry
from imbalance_jax.data.sources import tfds_any

GREY = {'image': tfds.features.Image(shape=(None, None, 1))}


def example(split, i, **fields):
    return {'image': png(pixels(split, i)), **fields}


def by_split(data_dir, name, key):
    builder = tfds.builder(name, data_dir=data_dir)
    return {split: [one[key] for one in builder.as_data_source(split)] for split in builder.info.splits}


def make(tmp_path, name, **options):
    return tfds_any.make(name=name, data_dir=str(tmp_path), image_size=16, **options)


def test_a_class_label_is_one_of_several_and_pixels_are_the_files(tmp_path):
    features = {**GREY, 'label': tfds.features.ClassLabel(names=['cat', 'dog', 'owl'])}
    write(tmp_path, 'animals', features, lambda split, i: example(split, i, label=i % 3))
    seen = []
    dataset = make(tmp_path, 'animals', progress=lambda done, total: seen.append((done, total)))
    soundness.check(dataset)
    assert (dataset.info['task'], dataset.classes) == ('multi_class', ('cat', 'dog', 'owl'))
    assert np.bincount(dataset.split).tolist() == list(SPLITS.values())
    expected = np.concatenate([by_split(tmp_path, 'animals', 'label')[split] for split in SPLITS])
    np.testing.assert_array_equal(dataset.labels, np.eye(3, dtype=np.uint8)[expected])
    stored = by_split(tmp_path, 'animals', 'image')
    for row, pixels_of in enumerate(one for split in SPLITS for one in stored[split]):
        np.testing.assert_array_equal(dataset.images[row, ..., 0], geometry.fit(pixels_of[..., 0], 16, 'stretch'))
    assert dataset.source_size.tolist() == [[12, 20]] * 30
    assert seen[-1] == (30, 30)


def test_several_labels_as_numbers_and_as_flags(tmp_path):
    several = {**GREY, 'labels': tfds.features.Sequence(tfds.features.ClassLabel(names=['a', 'b', 'c']))}
    write(tmp_path, 'several', several, lambda split, i: example(split, i, labels=[k for k in range(3) if i >> k & 1]))
    flags = {**GREY, 'findings': tfds.features.Tensor(shape=(3,), dtype=np.int64)}
    write(tmp_path, 'flags', flags, lambda split, i: example(split, i, findings=[i >> k & 1 for k in range(3)]))
    first, second = make(tmp_path, 'several'), make(tmp_path, 'flags', classes=['a', 'b', 'c'])
    order = np.lexsort(first.images.reshape(30, -1)[:, :4].T)
    other = np.lexsort(second.images.reshape(30, -1)[:, :4].T)
    np.testing.assert_array_equal(first.labels[order], second.labels[other])
    assert first.labels.sum(0).min() > 0
    assert first.info['task'] == 'multi_label'
    with pytest.raises(ValueError, match='option classes'):
        make(tmp_path, 'flags')
    with pytest.raises(ValueError, match='2 names'):
        make(tmp_path, 'flags', classes=['a', 'b'])


def test_words_per_class_are_cells(tmp_path):
    words = ['uncertain', 'positive', 'negative', 'unmentioned']
    features = {
        **GREY,
        'name': tfds.features.Text(),
        'label': tfds.features.Sequence(tfds.features.ClassLabel(names=words)),
    }
    write(
        tmp_path,
        'chexpert',
        features,
        lambda split, i: example(split, i, name=f'{split}/patient{i}', label=[(i + k) % 4 for k in range(14)]),
        splits={'train': 12, 'validation': 4},
    )
    dataset = make(tmp_path, 'chexpert', patient='name', test=0.4)
    soundness.check(dataset)
    assert dataset.classes[2] == 'Cardiomegaly'
    for row, name in enumerate(dataset.image_id):
        i = int(name.rsplit('patient', 1)[1])
        meant = [(-1, 1, 0, -2)[(i + k) % 4] for k in range(14)]
        assert dataset.cells[0, row].tolist() == meant
        assert dataset.labels[row].tolist() == [int(one == 1) for one in meant]
        assert dataset.label_mask[row].tolist() == [int(one != -1) for one in meant]
    counts = np.bincount(dataset.split, minlength=3)
    assert counts[1] == 4
    assert 0 < counts[2] < 12
    assert counts[0] + counts[2] == 12


def test_boxes_are_regions_in_prepared_pixels(tmp_path):
    label = tfds.features.ClassLabel(names=['cell', 'dust'])
    objects = tfds.features.Sequence({'bbox': tfds.features.BBoxFeature(), 'label': label})
    boxes = [tfds.features.BBox(ymin=0.25, xmin=0.5, ymax=0.75, xmax=1.0), tfds.features.BBox(0.0, 0.0, 0.5, 0.25)]

    def one(split, i):
        of_image = [{'bbox': boxes[k], 'label': k} for k in range(i % 3)]
        return example(split, i, objects=of_image)

    write(tmp_path, 'blood', {**GREY, 'objects': objects}, one)
    dataset = make(tmp_path, 'blood')
    soundness.check(dataset)
    counts = np.bincount(dataset.region_image, minlength=30)
    np.testing.assert_array_equal(dataset.labels[:, 0], counts >= 1)
    np.testing.assert_array_equal(dataset.labels[:, 1], counts >= 2)
    np.testing.assert_allclose(dataset.region_box[dataset.region_concept == 0], [[8, 4, 16, 12]] * (counts >= 1).sum())
    np.testing.assert_allclose(dataset.region_box[dataset.region_concept == 1], [[0, 0, 4, 8]] * (counts >= 2).sum())
    padded = make(tmp_path, 'blood', resize='pad')  # 12 x 20 pixels are 10 whole rows of 16, from row 3 on
    first = padded.region_box[padded.region_concept == 0][0]
    np.testing.assert_allclose(first, [8, 3 + 2.5, 16, 3 + 7.5], atol=1e-5)


def test_colour_is_kept_where_there_is_any(tmp_path):
    features = {'image': tfds.features.Image(shape=(None, None, 3)), 'label': tfds.features.ClassLabel(num_classes=2)}

    def colour(split, i):
        return {'image': png(pixels(split, i, channels=3)), 'label': i % 2}

    def grey(split, i):
        return {'image': png(np.repeat(pixels(split, i)[..., None], 3, -1)), 'label': i % 2}

    write(tmp_path, 'colour', features, colour)
    write(tmp_path, 'grey', features, grey)
    assert make(tmp_path, 'colour').images.shape[-1] == 3
    assert make(tmp_path, 'grey').images.shape[-1] == 1
    assert make(tmp_path, 'grey', channels=3).images.shape[-1] == 3


def test_splits_by_other_names(tmp_path):
    features = {**GREY, 'label': tfds.features.ClassLabel(num_classes=2)}
    write(tmp_path, 'odd', features, lambda split, i: example(split, i, label=i % 2), splits={'whole': 40, 'extra': 5})
    with pytest.raises(ValueError, match='splits whole, extra; say which is for training'):
        make(tmp_path, 'odd')
    dataset = make(tmp_path, 'odd', splits={'train': 'whole', 'test': 'extra'}, validation=0.3)
    counts = np.bincount(dataset.split, minlength=3)
    assert counts[2] == 5
    assert 4 < counts[1] < 20
    with pytest.raises(ValueError, match="Did you mean 'whole'"):
        make(tmp_path, 'odd', splits={'train': 'whol'})


def test_what_is_not_prepared_or_has_no_label_is_one_line(tmp_path):
    write(tmp_path, 'unlabelled', {**GREY, 'note': tfds.features.Text()}, lambda split, i: example(split, i, note='x'))
    cases = {
        'nothing_of_that_name': 'TFDS has no data set',
        'mnist': 'is not prepared in',
        'unlabelled': 'which feature is the label',
    }
    for name, message in cases.items():
        with pytest.raises(ValueError, match=message) as error:
            make(tmp_path, name)
        assert '\n' not in str(error.value)
    with pytest.raises(ValueError, match='is no label'):
        make(tmp_path, 'unlabelled', label='note')


def test_the_key_is_of_the_files_of_this_data_set(tmp_path):
    features = {**GREY, 'label': tfds.features.ClassLabel(num_classes=2)}
    for name in ('one', 'two'):
        write(tmp_path, name, features, lambda split, i: example(split, i, label=i % 2), splits={'train': 6})
    files = tfds_any.files(name='two', data_dir=str(tmp_path))
    assert set(files) == {path.name for path in (tmp_path / 'two' / '1.0.0').iterdir()}
    assert any('array_record' in one for one in files)


def test_it_is_named_as_tfds_does_in_the_config(tmp_path):
    features = {**GREY, 'label': tfds.features.ClassLabel(num_classes=2)}
    write(tmp_path / 'tfds', 'two', features, lambda split, i: example(split, i, label=i % 2))
    options = {'data_dir': str(tmp_path / 'tfds'), 'image_size': 16}
    first = sources.load('tfds:two', tmp_path / 'data', options)
    second = sources.load('mine', tmp_path / 'data', {**options, 'reader': 'tfds', 'name': 'two'})
    np.testing.assert_array_equal(first.images, second.images)
    assert (first.info['name'], second.info['name']) == ('tfds:two', 'mine')
    with pytest.raises(ValueError, match='TFDS has no data set'):
        sources.load('tfds:none_such', tmp_path / 'data', options)
    with pytest.raises(ValueError, match="Did you mean 'patient'"):
        sources.load('tfds:two', tmp_path / 'data', {**options, 'patent': 'x'})


def test_a_modality_that_is_misspelt_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"config\.data\.tfds\.modality is 'dermascopy'\. Did you mean 'dermoscopy'"):
        make(tmp_path, 'nothing', modality='dermascopy')
    with pytest.raises(ValueError, match=r"config\.data\.tfds\.modality is 3; it must be a word, such as 'radiograph'"):
        make(tmp_path, 'nothing', modality=3)
