"""The console script: instant help, errors of one line, configs that load."""

import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from imbalance_jax import cli
from imbalance_jax import config as fields
from imbalance_jax.configs import base
from imbalance_jax.launch import console
from imbalance_jax.names import lookup

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path.stem for path in (ROOT / 'configs').glob('*.py') if path.stem != '__init__')


def imbalance_jax(*arguments, cwd=ROOT) -> subprocess.CompletedProcess:
    code = 'import sys; from imbalance_jax.launch.console import main; sys.argv[0] = "imbalance-jax"; main()'
    return subprocess.run([sys.executable, '-c', code, *arguments], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize('arguments', [['--help'], ['train', '--help'], ['collect', '-h'], ['--version']])
def test_help_needs_no_jax(arguments):
    code = 'import sys; from imbalance_jax.launch import console\n'
    code += 'try: console.main()\nfinally: print("jax" in sys.modules, "numpy" in sys.modules)'
    done = subprocess.run([sys.executable, '-c', code, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0
    assert done.stdout.endswith('False False\n')


def test_help_names_every_verb_and_a_verb_its_own_flags():
    said = imbalance_jax('-h').stdout
    assert all(f'  {verb} ' in said for verb in cli.VERBS)
    assert imbalance_jax().returncode == 2
    for verb, flags in {
        'report': {'workdir', 'traceback'},
        'plan': {'out', 'config', 'pilot', 'memory', 'traceback'},
    }.items():
        said = imbalance_jax(verb, '-h').stdout
        assert {flag for flag in cli.FLAGS if f'--{flag}' in said} == flags
        assert ('--config.FIELD=VALUE' in said) == ('config' in flags)
    assert imbalance_jax('--version').stdout.split() == ['imbalance-jax', importlib.metadata.version('imbalance-jax')]


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['trian'], "Did you mean 'train'"),
        (['data'], 'Known: data guess, data inspect, data prepare'),
        (['train'], '--config is missing'),
        (['train', '--config=configs/quickstart.py'], '--workdir is missing'),
        (['train', '--config=configs/quikstart.py', '--workdir=x'], 'quikstart'),
        (['train', '--config=configs/quickstart.py', '--config.train.epoch=3'], "Did you mean 'train.epochs'"),
        (['train', '--config=configs/quickstart.py', '--config.train.epochs=many'], 'many'),
        (['train', '--config=configs/quickstart.py', '--config.train.epochs=0'], 'config.train.epochs is 0'),
        (['train', '--config=configs/quickstart.py', '--workdir=README.md/run'], 'README.md is a file'),
        (['explain', '--workdir=nowhere'], 'run train first'),
        (['explain', '--workdri=nowhere'], "Unknown flag of explain 'workdri'. Did you mean 'workdir'"),
        (['explain', '--workdir=nowhere', '--profile'], "Unknown flag of explain 'profile'"),
        (['explain', '--workdir=nowhere', '--config.train.epochs=3'], 'explain takes no --config.train.epochs'),
        (['--workdir=nowhere', 'explain'], 'The verb comes first'),
        (['work', '--plan=nowhere.jsonl', '--grace=long'], "'long' is no time; it must be 0 or more"),
        (['work', '--plan=p.jsonl', '--job='], '--job is empty; give it a value, or leave it out'),
        (['work', '--plan=p.jsonl', '--shard', ''], '--shard is empty'),
        (['explain', 'x', '--weights='], '--weights is empty'),
        (['explain', 'x', '--grace=-1'], "'-1' is no time; it must be 0 or more"),
        (['explain', 'x', '--grace=nan'], "'nan' is no time; it must be 0 or more"),
        (['report'], '--workdir is missing'),
        (['report', 'nowhere'], 'nowhere'),
        (['report', '--workdir='], 'the path is empty'),
        (['report', '--workdir=one', 'two'], 'report takes one WORKDIR, not two: two and --workdir=one'),
        (['report', 'one', 'two'], 'report takes one WORKDIR, not two: one and two'),
        (['adopt', 'one', '--paired=no'], "--paired takes no value, and 'no' was given"),
        (
            ['train', '--config=configs/quickstart.py', '--config.seeds=3'],
            '--config.seeds="(3,)" for this one alone, or "(0, 1, 2)"',
        ),
        (['train', '--config=configs/quickstart.py', '--config.model.resnet50.widht=3'], "Did you mean 'width'"),
        (['train', '--config=configs/quickstart.py', '--config.arms.focal.gama=3'], "Did you mean 'gamma'"),
        (['train', '--config=configs/quickstart.py', '--config.plugins=mine.py'], 'config.plugins: mine.py failed'),
    ],
)
def test_errors_are_one_line_with_status_2(arguments, said):
    result = imbalance_jax(*arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stderr.startswith('error: ')
    assert result.stderr.count('\n') == 1


@pytest.mark.parametrize('name', CONFIGS)
def test_every_config_loads_and_passes_its_checks(name):
    config = importlib.import_module(f'imbalance_jax.configs.{name}').get_config()
    fields.check(config, base.get_config())
    assert config.question


@pytest.mark.parametrize(
    ('field', 'value', 'said'),
    [
        ('train.batch_size', -3, '1 or more'),
        ('train.batch_size', 2.5, 'must be a whole number'),
        ('train.learning_rate', 'fast', 'must be a number'),
        ('data.order', 'random', "'own' or 'shared'"),
        ('concepts.quantile', 1.0, 'between 0 and 1'),
        ('attribution.regions', 'boxes', "'box' or 'exact'"),
        ('seeds', 3, 'must be a tuple'),
        ('train.epochs', True, 'must be a whole number'),
        ('train.batchsize', 3, "Did you mean 'train.batch_size'"),
        ('augmnt.shift', 0.1, "Did you mean 'augment.shift'"),
        ('train.learning_rate', float('nan'), 'more than 0'),
    ],
)
def test_wrong_fields_are_named(field, value, said):
    config = base.get_config().to_dict()
    *blocks, name = field.split('.')
    place = config
    for block in blocks:
        place = place.setdefault(block, {})
    place[name] = value
    from ml_collections import ConfigDict

    with pytest.raises(ValueError, match=said):
        fields.check(ConfigDict(config), base.get_config())


def test_a_new_data_set_arm_and_method_may_bring_their_own_options():
    config = base.get_config()
    with config.unlocked():
        config.data.my_set = {'folder': 'x'}
        config.arms.focal.gamma = 5.0
        config.attribution.occlusion = {'window': 9}
        config.model.vit = {'depth': 2}
    fields.check(config, base.get_config())


def test_lookup_says_what_there_is():
    with pytest.raises(ValueError, match=r"Unknown loss 'bcee'. Did you mean 'bce'\? Known: bce, focal\."):
        lookup({'focal': 1, 'bce': 2}, 'bcee', 'loss')


def test_jobs_are_begun_whatever_the_current_folder_holds(tmp_path):
    """Files and folders of the user's that are called like ours, like a library, and like one of Python's own."""
    for name in ('random.py', 'jax.py', 'configs/base.py', 'imbalance_jax/__init__.py', 'launch/console.py'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('raise RuntimeError(__file__)')
    done = subprocess.run([*console.PROGRAM, '--version'], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith('imbalance-jax ')


@pytest.mark.parametrize(
    ('line', 'said'),
    [
        ('sys.exit(0)', 'SystemExit: 0'),
        ('sys.exit(1)', 'SystemExit: 1'),
        ('raise KeyError(3)', "loss 'mine': KeyError: 3"),
    ],
)
def test_a_loss_that_fails_or_leaves_is_one_line(tmp_path, line, said):
    (tmp_path / 'plug.py').write_text(
        f'import sys\n\n\ndef mine(num_positive, num_negative):\n    {line}\n\n\nLOSSES = {{"mine": mine}}\n'
    )
    (tmp_path / 'c.py').write_text(
        'from imbalance_jax.configs import base\n\n\ndef get_config():\n    config = base.get_config()\n'
        '    config.plugins = ("plug.py",)\n    config.arms = {"bce": {}, "m": {"loss": "mine"}}\n    return config\n'
    )
    result = imbalance_jax('plan', f'--config={tmp_path}/c.py', f'--out={tmp_path}/p.jsonl')
    assert result.returncode == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / 'p.jsonl').exists()


def test_warnings_that_the_environment_makes_errors_end_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv('PYTHONWARNINGS', 'error')
    (tmp_path / 'c.py').write_text(
        'import warnings\n\nfrom imbalance_jax.configs import base\n\n\ndef get_config():\n'
        '    warnings.warn("of old", DeprecationWarning, stacklevel=2)\n    return base.get_config()\n'
    )
    result = imbalance_jax('plan', f'--config={tmp_path}/c.py', f'--out={tmp_path}/p.jsonl')
    assert result.returncode == 0, result.stderr
    assert 'of old' in result.stderr


def test_a_config_that_holds_itself_and_a_flag_that_the_sweep_sets_are_said(tmp_path):
    head = 'from imbalance_jax.configs import base\n\n\ndef get_config():\n    config = base.get_config()\n'
    sweep = 'def get_hyper(hyper):\n    return hyper.sweep("config.train.epochs", [1, 2])\n'
    (tmp_path / 'c.py').write_text(f'{head}    config.unlock()\n    config.me = config\n    return config\n')
    result = imbalance_jax('plan', f'--config={tmp_path}/c.py', f'--out={tmp_path}/p.jsonl')
    assert 'a block of its config holds itself' in result.stderr
    (tmp_path / 'c.py').write_text(f'{head}    return config\n\n\n{sweep}')
    result = imbalance_jax('plan', f'--config={tmp_path}/c.py', f'--out={tmp_path}/p.jsonl', '--config.train.epochs=5')
    assert 'Without effect, as the sweep sets it (get_hyper): config.train.epochs.' in result.stdout
