"""Input that lies: data sets that are not what they say, label tables and configs with anything in them."""

import copy
import dataclasses
import gzip
import json
import math
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from imbalance_jax import config as fields
from imbalance_jax.configs import base
from imbalance_jax.data import dataset as store
from imbalance_jax.data import soundness, sources, thinning
from imbalance_jax.data.dataset import LEFT_OUT, SPLITS
from imbalance_jax.data.sources import nih_files, nih_tables, phantom
from imbalance_jax.explain import run as explain_run
from imbalance_jax.system import seals
from imbalance_jax.system.files import flatten
from imbalance_jax.training import build, checks, network, other_sets, strategies
from imbalance_jax.training import run as training_run

WRONG = (
    None, 'text', '', [], ['x'], {}, {'a': 1}, True, 3.7, -1, -0.5, 0, math.nan, math.inf, -math.inf, 10**30, -(10**30),
)  # fmt: skip


@pytest.fixture(scope='module')
def sound():
    return phantom.make(num_patients=30, image_size=16, imbalance_ratio=1.0)


def changed(dataset, field: str, place, value):
    array = getattr(dataset, field).copy()
    array[place] = value
    return dataclasses.replace(dataset, **{field: array})


def test_the_phantom_is_sound(sound):
    soundness.check(sound)
    assert soundness.leave_out_duplicates(sound) is sound


@pytest.mark.parametrize(
    ('field', 'place', 'value', 'said'),
    [
        ('labels', (3, 1), 2, 'labels of image .*, is 2; it must be 0 or 1'),
        ('label_mask', (3, 1), 255, 'label_mask of image'),
        ('split', 5, 7, 'split of an image'),
        ('region_image', 0, 10_000, 'region_image must have'),
        ('region_image', 0, -1, 'region_image must have'),
        ('region_concept', 0, 99, 'region_concept must have'),
        ('region_box', 0, (10, 10, 10, 20), 'x0 < x1 and y0 < y1 within 1024 x 1024'),
        ('region_box', 0, (30, 10, 20, 20), 'x0 < x1'),
        ('region_box', 0, (-1, 10, 20, 20), 'x0 < x1'),
        ('region_box', 0, (10, 10, 20, 1025), 'x0 < x1'),
        ('region_box', 0, (10, math.nan, 20, 20), 'x0 < x1'),
    ],
)
def test_what_is_wrong_in_a_data_set_is_said_with_its_place(sound, field, place, value, said):
    with pytest.raises(ValueError, match=said):
        soundness.check(changed(sound, field, place, value))


def test_an_image_or_a_patient_in_two_splits_is_refused(sound):
    train, test = sound.rows('train')[0], sound.rows('test')[0]
    with pytest.raises(ValueError, match=f'image {sound.image_id[train]} is there twice .in train and test'):
        soundness.check(changed(sound, 'image_id', test, sound.image_id[train]))
    with pytest.raises(ValueError, match='1 patients are in train and in test'):
        soundness.check(changed(sound, 'patient', test, sound.patient[train]))


@pytest.mark.parametrize('field', ['labels', 'label_mask', 'split', 'patient', 'image_id', 'images'])
def test_arrays_that_do_not_belong_together_are_refused(sound, field):
    with pytest.raises(ValueError, match='shape'):
        soundness.check(dataclasses.replace(sound, **{field: getattr(sound, field)[:-1]}))
    with pytest.raises(ValueError, match='images are float32'):
        soundness.check(dataclasses.replace(sound, images=sound.images.astype(np.float32)))


def test_the_same_pixels_in_two_splits_are_learned_from_in_neither(sound, caplog):
    train, test = sound.rows('train')[:3], sound.rows('test')[:2]
    repeated = changed(sound, 'images', train[:2], sound.images[test[0]])
    repeated = changed(repeated, 'images', [train[2], test[1]], 77)  # blank ones say nothing
    kept = soundness.leave_out_duplicates(repeated)
    assert (kept.split[train[:2]] == LEFT_OUT).all()
    np.testing.assert_array_equal(np.delete(kept.split, train[:2]), np.delete(repeated.split, train[:2]))
    assert kept.info['problems'][soundness.DUPLICATES] == sorted(repeated.image_id[train[:2]].tolist())
    assert repeated.image_id[train[0]] in caplog.text
    soundness.check(kept)
    within = changed(sound, 'images', train[0], sound.images[train[1]])
    said = 'Images with the same pixels as another of their split: 1 '
    assert soundness.leave_out_duplicates(within).info['doubts'][0].startswith(said)
    repeated.labels[[*train[:2], test[0]]] = 0
    repeated.labels[train[1], 2] = 1
    assert 'doubts' not in soundness.leave_out_duplicates(changed(repeated, 'label_mask', (train[1], 2), 0)).info
    apart = soundness.leave_out_duplicates(repeated).info['doubts']
    both = f'{repeated.image_id[train[1]]} and {repeated.image_id[test[0]]}'
    assert apart == [f'Images with the same pixels and other labels: 1 ({both}).']


def test_lies_are_told_before_anything_is_kept(sound, tmp_path, monkeypatch):
    source = sources.Source(lambda progress=None: changed(sound, 'labels', (0, 0), 9))
    monkeypatch.setitem(sources.DATASETS, 'lying', source)
    with pytest.raises(ValueError, match='it must be 0 or 1'):
        sources.load('lying', tmp_path, {})
    assert not [path for path in (tmp_path / 'lying').iterdir() if path.is_dir()]


def test_a_class_without_positives_and_an_empty_split_are_said(sound, capsys):
    train = sound.rows('train')
    labels = sound.labels.copy()
    labels[train, 2] = 0
    training_run.check_splits(dataclasses.replace(sound, labels=labels))
    labels[train, 1] = 1
    training_run.check_splits(dataclasses.replace(sound, labels=labels))
    said = capsys.readouterr().out
    assert f'No image of the train split has {sound.classes[2]}' in said
    assert f'Every image of the train split has {sound.classes[1]}.' in said
    split = sound.split.copy()
    split[split == 2] = LEFT_OUT
    with pytest.raises(ValueError, match='test split of phantom is empty'):
        training_run.check_splits(dataclasses.replace(sound, split=split))


@pytest.mark.parametrize('split', SPLITS)
def test_a_split_without_a_label_that_counts_is_refused(sound, split):
    mask = sound.label_mask.copy()
    mask[sound.rows(split)] = 0
    with pytest.raises(ValueError, match=f'No label of the {split} split of .* counts'):
        training_run.check_splits(dataclasses.replace(sound, label_mask=mask))


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    config = base.get_config()
    config.seeds = (0,)
    with config.unlocked():
        focal = {'loss': 'focal', 'gamma': 2.0, 'sampler': 'weighted_sampling', 'learning_rate': 1e-3}
        config.arms = {'bce': {}, 'w': focal}
    config.data.folder = str(tmp_path_factory.mktemp('data'))
    config.data.image_size, config.data.phantom.num_patients = 16, 60
    config.data.phantom.imbalance_ratio = 1.0
    config.train.batch_size, config.model.cnn.widths, config.concepts.quantile = 16, (4, 8), 0.02
    return json.loads(json.dumps(config.to_dict())), network.load_dataset(config)


def everything_before_compiling(plain: dict, dataset, deep: bool = True) -> None:
    """What `train` does with a config before it compiles, but for making another data set."""
    config = ConfigDict(plain)
    fields.check(config, base.get_config())
    checks.check_blocks(config)
    other_sets.check(config)
    members = build.make_members(config)
    if config.population.strategy != 'auto':
        strategies.parse(config.population.strategy)
    sources.lookup(sources.DATASETS, config.data.name, 'data set')
    phantom._check({'image_size': config.data.image_size, **config.data.phantom})
    dataset = thinning.thin(dataset, config.data.imbalance, config.data.imbalance_seed)
    if deep:
        checks.check_before_compiling(config, dataset, network.network(config, dataset), stages=explain_run.STAGES)
        build.build(config, dataset, members)


def refusal(plain: dict, dataset, deep: bool = True) -> str:
    """What is said of a config, '' if it is taken. Any other error than a ValueError is the test's."""
    try:
        everything_before_compiling(plain, dataset, deep)
    except ValueError as error:
        return str(error)
    return ''


ODD = ('arms', 'arms.new', 'arms.w.sampler', 'train', 'data.phantom', 'data.imbalance', 'data.imbalance.Mass',
       'model.cnn', 'model.cnn.relu', 'attribution.smooth_grad', 'attribution.integrated_gradients.rule')  # fmt: skip
DEEP = ('arms', 'model', 'attribution', 'concepts')  # fields that are looked at once more with the model at hand
# What these values mean where they are accepted, of those in WRONG.
SENSIBLE = {
    'arms.w.gamma': [3.7, 0, 10**30], 'arms.w.learning_rate': [3.7, 10**30],
    'augment.brightness': [3.7, 0, 10**30], 'augment.contrast': [3.7, 0, 10**30], 'augment.rotation': [3.7, 0],
    'augment.scale': [0], 'augment.shift': [0], 'data.folder': ['text'], 'data.imbalance_seed': [0],
    'data.nih_chest_xray14.manual_dir': ['text', ''], 'data.phantom.imbalance_ratio': [3.7, 10**30],
    'data.phantom.shortcut_probability': [0], 'data.phantom.shortcut_background': [0], 'data.phantom.seed': [0],
    'data.phantom.common_prevalence': [0], 'data.phantom.validation_fraction': [0], 'data.phantom.test_fraction': [0],
    'data.phantom.shortcut_class': [''], 'model.cnn.pools': [0], 'attribution.layer': [''], 'concepts.layer': [''],
    'population.memory_gib': [3.7, 0, 10**30], 'question': ['text', ''], 'train.learning_rate': [3.7, 10**30],
    'train.rate_floor': [0], 'train.save_seconds': [3.7, 10**30], 'train.warmup_steps': [0], 'train.patience': [0],
    'train.weight_decay': [3.7, 0, 10**30], 'attribution.max_pairs': [0], 'evaluate.bootstrap_seed': [0],
    'attribution.faithfulness_pairs': [0], 'attribution.memory_mib': [3.7, 0, 10**30], 'attribution.metrics': [[]],
    'concepts.greedy_steps': [0], 'concepts.layers': [[]], 'concepts.tcav_layer': [''],
    'data.resample': [True], 'train.matched': [True], 'train.kept_shares': [[]], 'evaluate.smallest_effect': [0],
    'evaluate.smallest_count': [0],
    'plugins': [[], ['x']], 'plugin_folders': [[], ['x']],
    'data.imbalance': [{}], 'data.policies': [{}], 'data.label_maps': [{}], 'data.task': [''], 'data.test_on': [[]],
    'attribution.anatomy_margin': [0], 'attribution.readers': [''], 'concepts.readers': [''], 'augment.hue': [0],
    'augment.saturation': [0],
    'model.allow_seen_patients': [True], 'model.keep_head': [True], 'model.weights': ['text', ''],
    'train.remat': [True], 'precision.deterministic': [True],
    'model.preprocessing.low': [3.7, -1, -0.5, 0, -(10**30)],
    'model.preprocessing.high': [3.7, -1, -0.5, 0, -(10**30)],
    'model.preprocessing.mean': [[]], 'model.preprocessing.std': [[]], 'model.preprocessing.name': [''],
    'model.preprocessing.crop': [0], 'model.preprocessing.resize': [0],
    'arms.bce': [{}], 'attribution.smooth_grad': [{}], 'model.cnn': [{}], 'arms.new': [],
}  # fmt: skip


def test_every_field_refuses_what_it_cannot_be(small):
    """One field after the other is each of WRONG: a ValueError of one line, or a value that has a meaning."""
    good, dataset = small
    everything_before_compiling(good, dataset)
    accepted = []
    for name in sorted({*flatten(good), *ODD}):
        for value in WRONG:
            plain = copy.deepcopy(good)
            *blocks, last = name.split('.')
            place = plain
            for block in blocks:
                place = place[block]
            place[last] = value
            said = refusal(plain, dataset, deep=name.startswith(DEEP))
            assert '\n' not in said, (name, value)
            if not said:
                accepted.append((name, value))
    unexpected = [pair for pair in accepted if not any(same(pair[1], known) for known in SENSIBLE.get(pair[0], []))]
    assert unexpected == []


def same(one, other) -> bool:
    return one == other and type(one) is type(other)


def test_several_wrong_fields_at_once_are_still_one_line(small):
    good, dataset = small
    rng, names = random.Random(0), sorted({*flatten(good), *ODD} - {'train', 'data.phantom', 'model.cnn', 'arms'})
    for _ in range(60):
        plain = copy.deepcopy(good)
        for name in rng.sample(names, 3):
            *blocks, last = name.split('.')
            place = plain
            for block in blocks:
                place = place[block] if isinstance(place[block], dict) else {}
            place[last] = rng.choice(WRONG)
        assert '\n' not in refusal(plain, dataset)


MISSPELT = ('trian', 'data.fodler', 'model.cnn.width', 'attribution.saliency.steps', 'arms.w.gama')


@pytest.mark.parametrize('name', MISSPELT)
def test_misspelt_fields_get_a_suggestion_or_the_list(small, name):
    plain, dataset = copy.deepcopy(small[0]), small[1]
    *blocks, last = name.split('.')
    place = plain
    for block in blocks:
        place = place.setdefault(block, {})
    place[last] = 1
    with pytest.raises(ValueError, match=r'[Kk]nown'):
        everything_before_compiling(plain, dataset)


TABLE = 'Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age\n' + ''.join(
    f'{p:08d}_{f:03d}.png,{label},{f},{p},50\n'
    for p in range(1, 9) for f, label in enumerate(['Mass|Hernia', 'No Finding'])
)  # fmt: skip
BOXES = 'Image Index,Finding Label,Bbox [x,y,w,h],,,\n' + ''.join(
    f'{p:08d}_000.png,Mass,{10 * p},20,30.5,40,,,\n' for p in range(1, 9)
)
LIES = (
    '../../etc/passwd', '/etc/passwd', '-1', 'nan', 'inf', '1e999', '', ',', '"', '\x00', '\ufeff', 'Mass', '|', '\n',
    'No Finding|Mass', '00000001_000.png', '99999999999999999999', '\r', '0x10', '１２', '=cmd()', '<script>',
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'images').mkdir()
    for p in range(1, 9):
        for f in range(2):
            Image.new('L', (8, 8), 10 * p + f).save(tmp_path / 'images' / f'{p:08d}_{f:03d}.png')
    names = [line.split(',')[0] for line in TABLE.splitlines()[1:]]
    (tmp_path / 'train_val_list.txt').write_text('\n'.join(n for n in names if int(n[:8]) < 7) + '\n')
    (tmp_path / 'test_list.txt').write_text('\n'.join(n for n in names if int(n[:8]) >= 7) + '\n')
    (tmp_path / 'Data_Entry_2017_v2020.csv').write_text(TABLE)
    (tmp_path / 'BBox_List_2017.csv').write_text(BOXES)
    return tmp_path


def mutate(rng: random.Random, data: bytes) -> bytes:
    """One lie: a byte, a cut, a line twice, two lines exchanged, or a field replaced."""
    kind = rng.randrange(5)
    lines = data.split(b'\n')
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    if kind == 0:
        at = rng.randrange(len(data))
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    if kind == 1:
        return data[: rng.randrange(len(data))]
    if kind == 2:
        lines.insert(one, lines[other])
    elif kind == 3:
        lines[one], lines[other] = lines[other], lines[one]
    else:
        cells = lines[one].split(b',')
        cells[rng.randrange(len(cells))] = rng.choice(LIES).encode()
        lines[one] = b','.join(cells)
    return b'\n'.join(lines)


def test_label_files_with_anything_in_them_are_refused_or_right(folder):
    """400 mutated files: a ValueError with the file's name, or labels, splits and boxes that are what they must be."""
    names = ('Data_Entry_2017_v2020.csv', 'BBox_List_2017.csv', 'train_val_list.txt', 'test_list.txt')
    rng, said = random.Random(1), []
    sound = {name: (folder / name).read_bytes() for name in names}
    for _ in range(400):
        name = rng.choice(names)
        (folder / name).write_bytes(mutate(rng, sound[name]))
        try:
            cases, boxes = (
                nih_files.read_split(folder, 'official', 0.3),
                nih_tables.read_boxes(nih_files.box_file(folder)),
            )
        except ValueError as error:
            said.append(str(error))
        else:
            assert set(np.unique(cases.labels)) <= {0, 1}
            assert len(set(cases.image.tolist())) == len(cases.image)
            assert not any('/' in image or '..' in image for image in (*cases.image, *boxes.image))
            assert ((boxes.box >= 0) & (boxes.box <= nih_tables.FRAME)).all()
            assert (boxes.box[:, 0] < boxes.box[:, 2]).all()
            for patient in np.unique(cases.patient):
                assert len(set(cases.split[cases.patient == patient].tolist())) == 1
        (folder / name).write_bytes(sound[name])
    assert len(said) > 100
    assert all(str(folder) in one for one in said)


def test_no_pickle_is_loaded(sound, tmp_path):
    """An array file that is a pickle is damaged, whatever its checksum says."""
    store.save(sound, tmp_path / 'set')
    np.save(tmp_path / 'set' / 'labels.npy', np.array([{'a': 1}], object), allow_pickle=True)
    record = json.loads((tmp_path / 'set' / 'info.json').read_text())
    record['crc32']['labels'] = store._crc32(tmp_path / 'set' / 'labels.npy')
    (tmp_path / 'set' / 'info.json').write_text(json.dumps(seals.seal(record)))
    with pytest.raises(ValueError, match='labels'):
        store.load(tmp_path / 'set')


def test_damaged_facts_are_not_shown(sound, tmp_path):
    store.save(sound, tmp_path / 'set')
    path = tmp_path / 'set' / 'info.json'
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ValueError, match=r'info\.json is damaged \(UnicodeDecodeError: ') as error:
        store.load(tmp_path / 'set')
    assert len(str(error.value)) < 300


def test_sources_load_no_pickle_and_no_unsafe_yaml():
    root, parts = Path(__file__).parents[2], ('imbalance_jax', 'analysis', 'launch', 'configs')
    files = [path for part in parts for path in (root / part).rglob('*.py')]
    pattern = re.compile(
        r'import pickle\b|\bpickle\.load|allow_pickle=True|yaml\.(unsafe_)?load\b|(?<!\.)\b(eval|exec)\('
    )
    assert len(files) > 60
    found = {path.relative_to(root).as_posix() for path in files if pattern.search(path.read_text())}
    assert found == {'analysis/notebook.py'}  # which runs the cells of the notebook beside it


def test_a_link_out_of_the_data_folder_is_not_followed_by_a_name(folder, tmp_path):
    """A table that names a file elsewhere is refused even where that file exists."""
    shutil.copy(folder / 'images' / '00000001_000.png', folder / 'secret.png')
    text = TABLE.replace('00000002_000.png', '../secret.png')
    (folder / 'Data_Entry_2017_v2020.csv').write_text(text)
    with pytest.raises(ValueError, match='expected a plain file name'):
        nih_files.read_split(folder, 'official', 0.3)
