"""Config files: what they give, what they may import, and what is said of those that fail."""

import sys

import pytest
from ml_collections import ConfigDict

from imbalance_jax.config import file
from imbalance_jax.sweep import hyper

GOOD = 'from imbalance_jax.configs import base\n\ndef get_config():\n    return base.get_config()\n'
WITH_ARGUMENT = (
    'from imbalance_jax.configs import base\n\n'
    'def get_config(epochs="5"):\n    config = base.get_config()\n    config.train.epochs = int(epochs)\n'
    '    return config\n\n'
    'def get_hyper(hyper):\n    return []\n'
)
WITH_ARMS = GOOD.replace(
    '    return base.get_config()',
    '    config = base.get_config()\n    with config.unlocked():\n        config.arms = ARMS\n    return config',
)


@pytest.fixture(autouse=True)
def _same_path(monkeypatch):
    monkeypatch.setattr(sys, 'path', [*sys.path])


def write(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / 'mine.py').write_text(text)
    return folder / 'mine.py'


def test_a_file_gives_a_config_and_maybe_a_sweep(tmp_path):
    loaded = file.load(str(write(tmp_path / 'a folder', GOOD)))
    assert loaded.get_hyper is None
    assert loaded.config.train.epochs == 50
    assert loaded.config.is_locked
    path = write(tmp_path, WITH_ARGUMENT)
    assert file.load(str(path)).config.train.epochs == 5
    assert file.load(f'{path}:9').config.train.epochs == 9
    assert file.load(str(path)).get_hyper('hyper') == []
    assert not list(tmp_path.rglob('__pycache__'))


def test_a_file_imports_its_neighbours_but_hides_nothing(tmp_path):
    (tmp_path / 'a_neighbour_of_mine.py').write_text('EPOCHS = 7\n')
    (tmp_path / 'json.py').write_text('raise RuntimeError\n')
    (tmp_path / 'configs').mkdir()
    (tmp_path / 'configs' / 'base.py').write_text('raise RuntimeError\n')
    text = GOOD.replace('def ', 'import json\nimport a_neighbour_of_mine\n\ndef ', 1)
    path = write(tmp_path, text.replace('return base', 'assert a_neighbour_of_mine.EPOCHS == 7\n    return base'))
    assert file.load(str(path)).config.train.epochs == 50


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('def get_config(:', 'failed with SyntaxError'),
        ('import sys\nsys.exit(0)', 'failed with SystemExit: 0'),
        ('import no_such_module', 'failed with ModuleNotFoundError: No module named'),
        ('x = 1', 'has no function get_config'),
        ('def get_config():\n    return 3', 'gave a int; it must give a ConfigDict'),
        (
            GOOD.replace('return', 'base.get_config().model.resnet.width = 8\n    return'),
            'failed with AttributeError: .?resnet.? Did you mean "resnet18" instead of "resnet"',
        ),
        (
            GOOD.replace('return', 'c = base.get_config()\n    c.train.learning_rate = "1e-3"\n    return'),
            r"mine.py, line [0-9]+: the field 'learning_rate' is set to 1e-3, a text; it must be a number",
        ),
        (
            GOOD.replace('return', 'c = base.get_config()\n    c.train.learning_rate = ""\n    return'),
            r"the field 'learning_rate' is set to '', a text; it must be a number",
        ),
        (
            GOOD.replace('return', 'c = base.get_config()\n    c.augment.shift = True\n    return'),
            r"mine.py, line [0-9]+: the field 'shift' is set to True, True or False; it must be a number",
        ),
        (
            WITH_ARMS.replace('ARMS', '{"bce": {"kept": ({"a", "b"},)}}'),
            r'config.arms.bce.kept is a set, which has no order; expected a tuple',
        ),
        (
            WITH_ARMS.replace('ARMS', '{"bce": {"kept": __import__("pathlib").Path("a")}}'),
            r"config.arms.bce.kept is PosixPath\('a'\), of the kind PosixPath; expected a number, a text such as str",
        ),
        (
            WITH_ARMS.replace('ARMS', '{"bce": {"kept": {1: 2}.keys()}}'),
            r'config.arms.bce.kept is dict_keys\(\[1\]\), of the kind dict_keys; expected a number',
        ),
        (
            GOOD.replace('return', 'c = base.get_config()\n    c.train = 3\n    return'),
            "the field 'train' is a block and is set to a whole number; set the block that it is in as a whole",
        ),
        (
            GOOD.replace(
                'return base.get_config()',
                'c = base.get_config()\n    c.train.learning_rate = float("inf")\n    return c',
            ),
            r'config.train.learning_rate is inf; expected a finite number',
        ),
        (GOOD.replace('base.get_config()', '{}["a"]'), r", line [0-9]+ failed with KeyError: 'a'"),
        (WITH_ARMS.replace('ARMS', '{1: {}, "bce": {}}'), r'config\.arms has names of several kinds; expected text'),
        (WITH_ARMS.replace('ARMS', '{1: {}, 2: {}}'), r'config\.arms has the name 1; expected text, in quotes'),
    ],
)
def test_a_file_that_fails_is_one_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        file.load(str(write(tmp_path, text)))
    assert str(caught.value).startswith(f'--config={tmp_path}/mine.py')
    assert '\n' not in str(caught.value)


def test_a_frozen_config_is_taken_as_any_other(tmp_path):
    text = GOOD.replace('return base.get_config()', 'return FrozenConfigDict(base.get_config())')
    loaded = file.load(str(write(tmp_path, f'from ml_collections import FrozenConfigDict\n{text}')))
    with loaded.config.unlocked():
        loaded.config.train.epochs = 3


@pytest.mark.parametrize(
    ('body', 'message'),
    [
        ('return 3', 'get_hyper gave 3; it must give a list of points'),
        ('return [3]', r'get_hyper gave \[3\]; it must give a list'),
        ('return {"config.train.epochs": 3}', 'it must give a list of points'),
        ('return [{1: 2}]', 'it must give a list of points'),
        ('return {}["x"]', "failed with KeyError: 'x'"),
        (
            'return [{"config.train.learning_rate": float("nan")}]',
            'get_hyper: config.train.learning_rate is nan; expected a finite number',
        ),
    ],
)
def test_a_sweep_that_is_none_is_one_line(tmp_path, body, message):
    loaded = file.load(str(write(tmp_path, f'{GOOD}\ndef get_hyper(hyper):\n    {body}\n')))
    with pytest.raises(ValueError, match=message) as caught:
        file.points(loaded, hyper)
    assert '\n' not in str(caught.value)


def test_points_of_a_sweep_may_be_made_one_by_one(tmp_path):
    body = 'yield from hyper.sweep("config.train.epochs", [1, 2])'
    loaded = file.load(str(write(tmp_path, f'{GOOD}\ndef get_hyper(hyper):\n    {body}\n')))
    assert file.points(loaded, hyper) == [{'config.train.epochs': 1}, {'config.train.epochs': 2}]
    assert file.points(file.load(str(write(tmp_path, GOOD))), hyper) == [{}]


def test_an_argument_for_a_file_that_takes_none_and_a_file_that_is_not_there(tmp_path):
    path = write(tmp_path, GOOD)
    with pytest.raises(ValueError, match='takes no argument'):
        file.load(f'{path}:9')
    with pytest.raises(ValueError, match='is a folder; give the file'):
        file.load(str(tmp_path))
    with pytest.raises(ValueError, match='could not be read: No such file'):
        file.load('nowhere.py')


def test_a_config_of_an_older_version_gets_the_fields_that_it_lacks_but_no_arms():
    base = {
        'arms': {'bce': {}, 'focal': {}},
        'evaluate': {'rounds': 9, 'margin': {'auroc': 0.01}},
        'twins': {'pairs': 8},
    }
    kept = {'arms': {'bce': {}}, 'evaluate': {'rounds': 3}}
    found = file.completed(kept, base)
    assert found == {**base, 'arms': kept['arms'], 'evaluate': {'rounds': 3, 'margin': {'auroc': 0.01}}}
    assert kept['evaluate'] == {'rounds': 3}


def test_paths_from_the_home_folder_are_found(monkeypatch):
    monkeypatch.setenv('HOME', '/somewhere')
    config = ConfigDict({'data': {'folder': '~/data', 'mine': {'path': '~/mine'}}, 'plugins': ('~/a.py', 'b'), 'n': 1})
    file.expand_home(config.lock())
    expected = {'folder': '/somewhere/data', 'mine': {'path': '/somewhere/mine'}}
    assert config.to_dict() == {'data': expected, 'plugins': ('/somewhere/a.py', 'b'), 'n': 1}


def test_numbers_of_numpy_are_taken_as_python_s(tmp_path):
    lines = (
        'config.seeds = np.arange(2)',
        'config.train.epochs = np.int64(3)',
        'config.train.learning_rate = np.float32(0.1)',
        'config.arms = {"bce": {}, "focal": {"gamma": np.float64(2), "labels": "own"}}',
    )
    text = 'import numpy as np\n' + WITH_ARMS.replace('config.arms = ARMS', '; '.join(lines))
    text += '\ndef get_hyper(hyper):\n    return hyper.sweep("config.train.epochs", np.arange(1, 3))\n'
    loaded = file.load(str(write(tmp_path, text)))
    config = loaded.config
    assert (config.seeds, config.train.epochs, config.train.learning_rate) == ((0, 1), 3, 0.1)
    assert config.arms.focal.gamma == 2
    values = [*config.seeds, config.train.epochs, config.train.learning_rate, config.arms.focal.gamma]
    points = file.points(loaded, hyper)
    assert points == [{'config.train.epochs': 1}, {'config.train.epochs': 2}]
    values += [value for point in points for value in point.values()]
    assert {type(value) for value in values} == {int, float}
