"""MedMNIST's files: every subset's names and task, sizes, damage, and the real file of pneumonia."""

import os
import runpy
from pathlib import Path

import numpy as np
import pytest
from data.miniatures.medmnist_files import write
from PIL import Image

from imbalance_jax.data import soundness
from imbalance_jax.data.sources import medmnist
from imbalance_jax.data.sources.medmnist_subsets import SUBSETS


def test_a_binary_subset_is_one_class_and_its_pixels_are_the_files(tmp_path):
    _, arrays = write(tmp_path, 'pneumoniamnist')
    dataset = medmnist.make(manual_dir=tmp_path, image_size=28)
    soundness.check(dataset)
    images = np.concatenate([arrays[f'{part}_images'] for part in medmnist.PARTS])
    np.testing.assert_array_equal(dataset.images[..., 0], images)
    labels = np.concatenate([arrays[f'{part}_labels'] for part in medmnist.PARTS])
    np.testing.assert_array_equal(dataset.labels, labels)
    assert dataset.classes == ('pneumonia',)
    assert np.bincount(dataset.split).tolist() == [12, 6, 6]
    assert len(set(dataset.patient.tolist())) == 24
    assert 'train: 12 images; 4708 are published.' in dataset.info['notes']


def test_the_malignant_of_breastmnist_are_its_zeros(tmp_path):
    _, arrays = write(tmp_path, 'breastmnist')
    dataset = medmnist.make(manual_dir=tmp_path, image_size=28)
    assert dataset.classes == ('malignant',)
    np.testing.assert_array_equal(dataset.labels[:12], 1 - arrays['train_labels'])


def test_grades_and_colours(tmp_path):
    _, arrays = write(tmp_path, 'retinamnist', values=5, colour=True)
    dataset = medmnist.make(manual_dir=tmp_path, image_size=28)
    assert dataset.images.shape == (24, 28, 28, 3)
    assert (dataset.labels.sum(1) == 1).all()
    np.testing.assert_array_equal(dataset.labels[:12].argmax(1), arrays['train_labels'][:, 0])
    assert dataset.info['task'] == 'multi_class'
    assert dataset.info['ordinal']


def test_fourteen_findings_at_three_sizes(tmp_path):
    for side in (28, 64, 128):
        _, arrays = write(tmp_path, 'chestmnist', side=side, columns=14, counts=(5, 3, 3))
    assert [medmnist.choose(tmp_path, '', size).side for size in (20, 28, 40, 64, 100, 500)] == [
        28,
        28,
        64,
        64,
        128,
        128,
    ]
    dataset = medmnist.make(
        manual_dir=tmp_path,
        image_size=100,
        allocate=lambda name, shape, dtype: np.memmap(tmp_path / name, dtype, 'w+', shape=shape),
    )
    soundness.check(dataset)
    expected = Image.fromarray(arrays['train_images'][2]).resize((100, 100), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(dataset.images[2, :, :, 0], expected)
    np.testing.assert_array_equal(dataset.labels[:5], arrays['train_labels'])
    assert (dataset.info['family'], dataset.source_size[0].tolist()) == ('nih', [128, 128])


def test_arrays_are_read_in_pieces(tmp_path, monkeypatch):
    _, arrays = write(tmp_path, 'bloodmnist', values=8, colour=True)
    monkeypatch.setattr(medmnist.npz, 'PIECE', 5 * 28 * 28 * 3)
    pieces = list(medmnist.npz.pieces(tmp_path / 'bloodmnist.npz', 'train_images'))
    assert [len(piece) for piece in pieces] == [5, 5, 2]
    seen = []
    dataset = medmnist.make(manual_dir=tmp_path, image_size=28, progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(dataset.images[:12], arrays['train_images'])
    assert seen[-1] == (24, 24)


def damaged(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def without(path):
    np.savez(path, **{name: array for name, array in np.load(path).items() if name != 'val_labels'})


def other_value(path):
    arrays = dict(np.load(path))
    arrays['val_labels'][3] = 7
    np.savez(path, **arrays)


def other_shape(path):
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {'test_images': arrays['test_images'][..., :20]})


def text(path):
    path.write_text('Not found')


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (damaged, 'no whole npz file'),
        (text, 'no whole npz file'),
        (without, 'has no val_labels'),
        (other_value, 'val_labels, row 3, is 7; expected 0 to 1'),
        (other_shape, r'test_images is uint8\[6, 28, 20\]'),
    ],
)
def test_what_is_no_medmnist_file_is_said(tmp_path, spoil, message):
    path, _ = write(tmp_path, 'pneumoniamnist')
    spoil(path)
    with pytest.raises(ValueError, match=message) as error:
        medmnist.make(manual_dir=tmp_path)
    assert str(path) in str(error.value)
    assert '\n' not in str(error.value)


def test_a_folder_without_a_file_or_with_two_subsets(tmp_path):
    with pytest.raises(FileNotFoundError, match='zenodo'):
        medmnist.make(manual_dir=tmp_path)
    with pytest.raises(ValueError, match="Did you mean 'chestmnist'"):
        medmnist.make(manual_dir=tmp_path, subset='chestmist')
    write(tmp_path, 'pneumoniamnist')
    write(tmp_path, 'breastmnist')
    with pytest.raises(ValueError, match='breastmnist, pneumoniamnist; say which'):
        medmnist.make(manual_dir=tmp_path)


def test_the_key_is_of_the_one_file_that_is_read(tmp_path):
    write(tmp_path, 'pneumoniamnist')
    path, _ = write(tmp_path, 'pneumoniamnist', side=64)
    assert medmnist.files(manual_dir=tmp_path, image_size=64) == {'pneumoniamnist_64.npz': path}
    assert 'pneumoniamnist.npz' in medmnist.files(manual_dir=tmp_path, image_size=28)


def test_the_real_file():
    root = os.environ.get('IMBALANCE_JAX_SHARED') or Path(__file__).parents[4] / 'shared'
    folder = Path(root, 'data', 'medmnist')
    if not folder.exists():
        pytest.skip(f'no MedMNIST file at {folder}; the variable IMBALANCE_JAX_SHARED names the folder above data/.')
    dataset = medmnist.make(manual_dir=folder, image_size=28)
    counts = [[int((dataset.labels[dataset.split == s, 0] == v).sum()) for v in (0, 1)] for s in range(3)]
    assert counts == [[388, 3494], [135, 389], [234, 390]]


def test_names_and_counts_are_those_of_the_package():
    """Needs `medmnist/info.py` of the package `medmnist` in the folder that IMBALANCE_JAX_TABLES names."""
    path = Path(os.environ.get('IMBALANCE_JAX_TABLES', ''), 'medmnist', 'info.py')
    if not path.is_file():
        pytest.skip('IMBALANCE_JAX_TABLES does not name a folder with medmnist/info.py.')
    info = runpy.run_path(str(path))['INFO']
    flat = {name: one for name, one in info.items() if not name.endswith('3d')}
    assert set(flat) == set(SUBSETS)
    tasks = {'multi-class': 'multi_class', 'ordinal-regression': 'multi_class', 'binary-class': 'binary'}
    for name, one in flat.items():
        values = tuple(one['label'][str(value)] for value in range(len(one['label'])))
        ours = SUBSETS[name]
        assert tuple(text.removeprefix('grade ') for text in ours.values) == values
        assert ours.counts == tuple(one['n_samples'][part] for part in medmnist.PARTS)
        assert (ours.channels, ours.licence) == (one['n_channels'], one['license'])
        assert ours.task == tasks.get(one['task'], 'multi_label')
