"""A folder of one's own through the config and the console script, under any name; real ultrasound images."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imbalance_jax import cli
from imbalance_jax.cli import loading
from imbalance_jax.configs import base
from imbalance_jax.data import sources
from imbalance_jax.training import network

BUSI = Path(__file__).parents[4] / 'shared/data/busi'
STUDY = """
from imbalance_jax.configs import base


def get_config():
    config = base.get_config()
    config.data.name = 'mine'
    config.data.image_size = 16
    config.data.mine = {block}
    return config
"""


@pytest.fixture
def folder(tmp_path):
    for i in range(24):
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (20, 20), np.uint8)).save(tmp_path / f'{i:02d}.png')
    lines = ['file,Mass,who', *(f'{i:02d}.png,{i % 2},{i // 2}' for i in range(24))]
    (tmp_path / 'table.csv').write_text('\n'.join(lines))
    return tmp_path


def study(folder, **block):
    block = {
        'reader': 'folder',
        'path': str(folder),
        'tables': 'table.csv',
        'images': 'file',
        'labels': ['Mass'],
        **block,
    }
    (folder / 'my_study.py').write_text(STUDY.format(block=repr(block)))
    return folder


def config_of(folder, overrides=None, **block):
    config = loading.load(str(study(folder, **block) / 'my_study.py'), overrides or {}, base.get_config).config
    with config.unlocked():
        config.data.folder = str(folder / 'prepared')
    return config


@pytest.mark.parametrize(
    ('regions', 'said'),
    [
        ({'column': 'findng', 'box': ('x', 'y', 'w', 'h')}, "Unknown column \\(regions.column, table.csv\\) 'findng'"),
        ({'concept': 'Mass', 'box': ('x', 'y', 'w', 'h')}, "Unknown column \\(regions.box, table.csv\\) 'x'"),
        ({'concept': 'Mass', 'files': '{name}.png'}, "Unknown column \\(regions.files, table.csv\\) 'name'"),
    ],
)
def test_what_regions_name_is_looked_up_before_an_image_is_read(folder, regions, said):
    config = config_of(folder, regions=regions)
    with pytest.raises(ValueError, match=said):
        sources.check('mine', config.data.mine.to_dict())


def test_a_table_that_is_a_folder_is_called_one(folder):
    (folder / 'table.csv').unlink()
    (folder / 'table.csv').mkdir()
    with pytest.raises(FileNotFoundError, match=r'table\.csv of .* is a folder'):
        sources.check('mine', config_of(folder).data.mine.to_dict())


def test_a_set_has_the_name_that_the_config_gives_it(folder):
    config = config_of(folder, patient='who')
    dataset = network.load_dataset(config)
    assert dataset.info['name'] == 'mine'
    assert len(dataset.images) == 24
    assert dataset.labels.sum() == 12
    assert network.load_dataset(config, 'mine').info['fingerprint'] == dataset.info['fingerprint']


def test_empty_cells_that_count_as_a_no_are_said(folder):
    table = folder / 'table.csv'
    table.write_text(table.read_text().replace('00.png,0', '00.png,').replace('02.png,0', '02.png,-1'))
    notes = network.load_dataset(config_of(folder)).info['notes']
    assert any(one.startswith('1 labels that are empty') for one in notes)
    masked = network.load_dataset(config_of(folder, policy='empty_ignored'))
    assert masked.label_mask.sum() == 22
    assert not any('count as a no' in one for one in masked.info['notes'])


def test_what_matters_makes_it_anew_and_nothing_else_does(folder):
    first = network.load_dataset(config_of(folder)).info['fingerprint']
    (folder / 'notes.docx').write_bytes(b'x')
    (folder / '03.png').touch()
    assert network.load_dataset(config_of(folder)).info['fingerprint'] == first
    other = network.load_dataset(config_of(folder, split={'seed': 3})).info['fingerprint']
    text = (folder / 'table.csv').read_text()
    (folder / 'table.csv').write_text(text.replace('00.png,0', '00.png,1'))
    edited = network.load_dataset(config_of(folder))
    assert len({first, other, edited.info['fingerprint']}) == 3
    assert edited.labels.sum() == 13


@pytest.mark.parametrize(
    ('block', 'said'),
    [
        ({'patiemt': 'x'}, "Unknown option in config.data.mine: 'patiemt'. Did you mean 'patient'"),
        ({'path': 'nowhere'}, "config.data.mine.path is 'nowhere', and there is no such folder"),
        (
            {'labels': ['Masss']},
            "config.data.mine: Unknown column (labels.columns, table.csv) 'Masss'. Did you mean 'Mass'",
        ),
        ({'path': 3}, 'config.data.mine.path is 3; it must be a path, as text'),
        ({'chexmask': 'none.csv'}, "config.data.mine.chexmask is 'none.csv', and there is no such file"),
        ({'reader': 'foldre'}, "config.data.mine.reader: 'foldre'. Did you mean 'folder'"),
        ({'patient': 'nobody'}, "config.data.mine: Unknown column (patient.column, table.csv) 'nobody'"),
        ({'images': {'file': '{file}.{x}'}}, "config.data.mine: Unknown column (images.file, table.csv) 'x'"),
    ],
)
def test_what_is_wrong_is_one_line(folder, block, said):
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(said)) as error:
        network.load_dataset(config_of(folder, **block))
    assert '\n' not in str(error.value)


def test_the_field_of_the_folder_is_no_data_set(folder):
    with pytest.raises(ValueError, match=r"config\.data\.mine = \{'reader': 'folder'"):
        network.load_dataset(config_of(folder), 'folder')


def test_the_command_line_sets_fields_of_a_block(folder):
    dataset = network.load_dataset(config_of(folder, {'data.mine.patient': 'who', 'data.mine.split.test': '0.4'}))
    assert dataset.info['options']['patient'] == 'who'
    assert len(set(dataset.patient[dataset.rows('test')].tolist())) == 5  # of 12 patients


def test_guess_writes_a_config_that_runs(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert cli.run(['data', 'guess', '.', '--out=guessed.py'], None) is None
    assert 'unsure: patient: ' in capsys.readouterr().out
    config = loading.load('guessed.py', {}, base.get_config).config
    assert len(network.load_dataset(config).images) == 24
    for out, said in {
        'prepared': '--out=prepared is a folder; name',
        'table.csv/x.py': 'is below table.csv, which',
    }.items():
        (folder / 'prepared').mkdir(exist_ok=True)
        with pytest.raises(ValueError, match=said):
            cli.run(['data', 'guess', '.', f'--out={out}', '--again'], None)
    with pytest.raises(ValueError, match=r'--out=guessed\.py is there already'):
        cli.run(['data', 'guess', '.', '--out=guessed.py'], None)
    with pytest.raises(ValueError, match='A folder is missing'):
        cli.run(['data', 'guess'], None)
    with pytest.raises(FileNotFoundError, match='is no folder'):
        cli.run(['data', 'guess', 'nowhere'], None)


@pytest.mark.skipif(not BUSI.exists(), reason=f'{BUSI} is not there')
def test_real_ultrasound_images_with_masks(tmp_path):
    """149 images; benign 4 and 25 have two masks, one of another shape than its image; normal ones have empty ones."""
    from imbalance_jax.data.reader import guess

    found = guess.guess(BUSI, sources.DATASETS)
    dataset = sources.load('busi', tmp_path, {**found.block, 'image_size': 32})
    assert dataset.images.shape == (149, 32, 32, 3)
    assert dict(zip(dataset.classes, dataset.labels.sum(0).tolist(), strict=True)) == {
        'benign': 49,
        'malignant': 50,
        'normal': 50,
    }
    per_concept = np.bincount(dataset.region_concept, minlength=3)
    assert per_concept.tolist() == [50, 50, 0]
    assert [one.split(' [')[0] for one in dataset.info['problems']['mask_of_another_shape']] == [
        'benign/benign (4)_mask_1.png'
    ]
    twice = dataset.image_id[np.bincount(dataset.region_image, minlength=149) == 2]
    assert twice.tolist() == ['benign (25).png']
    json.dumps(dataset.info)
    share = np.unpackbits(dataset.region_mask, axis=-1, count=32).sum((1, 2)) / 32**2
    for region in (0, 40, 99):
        row = dataset.region_image[region]
        path = BUSI / dataset.classes[dataset.labels[row].argmax()] / dataset.image_id[row]
        mask = np.asarray(Image.open(path.with_name(f'{path.stem}_mask.png')).convert('L')) > 0
        assert share[region] == pytest.approx(mask.sum() / max(mask.shape) ** 2, abs=0.01)
