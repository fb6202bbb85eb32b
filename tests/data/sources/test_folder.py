"""A folder of one's own through the config and the console script, under any name; real ultrasound images."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imbalance_jax.data import sources
from imbalance_jax.training import network

BUSI = Path(__file__).parents[4] / 'shared/data/busi'
ROOT = Path(__file__).parents[3]
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


def console(*arguments, cwd):
    code = 'import sys; from imbalance_jax.launch.console import main; sys.argv[0] = "imbalance-jax"; main()'
    return subprocess.run([sys.executable, '-c', code, *arguments], capture_output=True, text=True, cwd=cwd)


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


def config_of(folder, **block):
    from imbalance_jax.config import file

    config = file.load(str(study(folder, **block) / 'my_study.py')).config
    with config.unlocked():
        config.data.folder = str(folder / 'prepared')
    return config


def test_a_set_has_the_name_that_the_config_gives_it(folder):
    config = config_of(folder, patient='who')
    dataset = network.load_dataset(config)
    assert dataset.info['name'] == 'mine'
    assert len(dataset.images) == 24
    assert dataset.labels.sum() == 12
    assert network.load_dataset(config, 'mine').info['fingerprint'] == dataset.info['fingerprint']


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
        ({'reader': 'foldre'}, "config.data.mine.reader: 'foldre'. Did you mean 'folder'"),
        ({'patient': 'nobody'}, "config.data.mine: Unknown column (patient.column, table.csv) 'nobody'"),
        ({'images': {'file': '{file}.{x}'}}, "config.data.mine: Unknown column (images.file, table.csv) 'x'"),
    ],
)
def test_what_is_wrong_is_one_line(folder, block, said):
    done = console('data', 'prepare', '--config=my_study.py', cwd=study(folder, **block))
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stderr.count('\n') == 1


def test_the_field_of_the_folder_is_no_data_set(folder):
    done = console('data', 'prepare', '--config=my_study.py', '--config.data.name=folder', cwd=study(folder))
    assert done.returncode == 2
    assert "config.data.mine = {'reader': 'folder'" in done.stderr


def test_the_command_line_sets_fields_of_a_block(folder):
    done = console('data', 'inspect', '--config=my_study.py', '--config.data.mine.patient=who', cwd=study(folder))
    assert done.returncode == 0, done.stderr
    (info,) = (folder / 'data/mine').glob('*/info.json')
    assert json.loads(info.read_text())['info']['options']['patient'] == 'who'


def test_guess_writes_a_config(folder):
    done = console('data', 'guess', '.', '--out=guessed.py', cwd=folder)
    assert done.returncode == 0, done.stderr
    assert 'unsure: ' in done.stdout
    done = console('data', 'prepare', '--config=guessed.py', cwd=folder)
    assert done.returncode == 0, done.stderr
    assert console('data', 'guess', cwd=folder).returncode == 2
    assert 'is no folder' in console('data', 'guess', 'nowhere', cwd=folder).stderr


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
