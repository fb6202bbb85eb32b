"""Lists of the images of splits: lines, tables of several columns, one of them alone; as read and as proposed."""

import json

import numpy as np
import pandas as pd
import pytest
from data.reader.folders import loaded
from data.reader.guessing import pictures, proposed

from imbalance_jax.data.dataset import SPLITS

N = 24
PARTS = {'train': range(14), 'validation': range(14, 18), 'test': range(18, N)}


def image(i):
    return f'i{i:03d}.png'


@pytest.fixture
def folder(tmp_path):
    """Images of 12 people and a table that names all."""
    folder = tmp_path / 'set'
    pictures(folder, [f'images/{image(i)}' for i in range(N)])
    rows = [{'image': image(i), 'patient_id': f'P{i // 2:02d}', 'mass': int(i % 3 == 0)} for i in range(N)]
    pd.DataFrame(rows).to_csv(folder / 'metadata.csv', index=False)
    return folder


def write(path, rows):
    frame = pd.DataFrame(rows)
    if path.suffix == '.json':
        path.write_text(json.dumps(rows))
    elif path.suffix == '.parquet':
        frame.to_parquet(path)
    elif path.suffix == '.txt':  # by blanks and without names of columns, as COVIDx's
        frame.to_csv(path, index=False, header=False, sep=' ')
    else:
        frame.to_csv(path, index=False, sep='\t' if path.suffix == '.tsv' else ',')


def lists(folder, suffix, **more):
    """{split: its list}, written with these columns beside."""
    for split, of_split in PARTS.items():
        rows = [{'id': i, 'path': image(i), **{k: f(i) for k, f in more.items()}} for i in of_split]
        write(folder / f'{split}.{suffix}', rows)
    return {split: f'{split}.{suffix}' for split in PARTS}


def parts(dataset):
    """{split: the numbers of its images}."""
    numbers = np.array([int(str(name)[1:4]) for name in dataset.image_id])
    return {name: sorted(numbers[dataset.split == at]) for at, name in enumerate(SPLITS)}


EXPECTED = {split: list(of_split) for split, of_split in PARTS.items()}


@pytest.mark.parametrize('suffix', ['csv', 'tsv', 'txt', 'json', 'parquet'])
def test_a_list_may_be_a_table_of_which_one_column_names_images(folder, suffix):
    if suffix == 'parquet':
        pytest.importorskip('pyarrow')
    rule = {'lists': lists(folder, suffix, label=lambda i: int(i % 3 == 0))}
    dataset = loaded(folder, tables='metadata.csv', images='{image}', labels={'columns': ('mass',)}, split=rule)
    assert parts(dataset) == EXPECTED
    assert not [one for one in dataset.info['notes'] if 'not here' in one]  # the names of columns are no image


def test_a_table_of_two_columns_of_images_is_no_list(folder):
    rule = {'lists': lists(folder, 'csv', other=lambda i: image((i + 1) % N))}
    with pytest.raises(ValueError, match=r"train\.csv \(split\.lists\): its columns 'path' and 'other' name different"):
        loaded(folder, tables='metadata.csv', images='{image}', labels={'columns': ('mass',)}, split=rule)


def test_a_list_whose_table_is_damaged_is_named_with_its_line(folder):
    rule = {'lists': lists(folder, 'csv')}
    with (folder / 'test.csv').open('a') as file:
        file.write('1,i001.png,3,4\n')
    with pytest.raises(ValueError, match=r'test\.csv, line 8: 4 columns; expected 2'):
        loaded(folder, tables='metadata.csv', images='{image}', labels={'columns': ('mass',)}, split=rule)


@pytest.mark.parametrize('label', [lambda i: int(i % 3 == 0), lambda i: 7])
def test_tables_that_are_called_as_splits_are_proposed_as_lists(folder, tmp_path, label):
    lists(folder, 'csv', label=label)
    found, dataset = proposed(folder, tmp_path)
    assert found.block['tables'] == 'metadata.csv'
    assert parts(dataset) == EXPECTED
    assert any("of train.csv the names of images alone are read, and not 'id', 'label'" in one for one in found.unsure)
    assert not any('is not used' in one for one in found.unsure)


@pytest.mark.parametrize(
    ('name', 'split', 'others', 'count'),
    [('validation', 'validation', 'train', 4), ('val_list', 'validation', 'train', 4), ('train', 'train', 'test', 14)],
)
def test_a_list_of_one_split_alone(folder, tmp_path, name, split, others, count):
    listed = PARTS[split]
    (folder / f'{name}.txt').write_text('\n'.join(map(image, listed)))
    found, dataset = proposed(folder, tmp_path)
    assert found.block['split'] == {'lists': {split: f'{name}.txt'}, 'others': others}
    there = parts(dataset)
    if split == 'train':
        assert sorted(there['train'] + there['validation']) == list(listed)
        assert there['test'] == list(range(14, N))
    else:
        assert there['validation'] == list(listed)
        assert there['test']


def test_most_images_in_a_list_of_validation_are_no_validation(folder, tmp_path):
    (folder / 'validation.txt').write_text('\n'.join(map(image, range(20))))
    found, _ = proposed(folder, tmp_path)
    assert 'split' not in found.block
    assert any('validation.txt is a list of 20 of 24 images, and is not used' in one for one in found.unsure)


@pytest.mark.parametrize(('name', 'text'), [('test.json', '[]'), ('test.csv', 'id,path\n'), ('test.csv', '')])
def test_a_list_without_a_name_is_empty(folder, name, text):
    (folder / name).write_text(text)
    with pytest.raises(ValueError, match=rf'{name}.*(has no line that is an image here: it is empty|is empty)'):
        loaded(
            folder,
            tables='metadata.csv',
            images='{image}',
            labels={'columns': ('mass',)},
            split={'lists': {'test': name}},
        )
