"""What imbalance_jax/README.md says about adding things, done as it says, in a folder of one's own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from imbalance_jax.explain import run
from imbalance_jax.system.files import read_json

README = Path(__file__).parents[1] / 'imbalance_jax' / 'README.md'
RECIPES = dict(re.findall(r'^```python title="(\S+)"\n(.*?)^```', README.read_text(), re.M | re.S))
QUICK = (
    '--config.population.strategy=shard:map',
    '--config.attribution.faithfulness_pairs=0',
    '--config.attribution.max_pairs=8',
    '--config.concepts.layers=()',
    '--config.concepts.greedy_steps=0',
    '--config.concepts.tcav_directions=20',
    '--config.evaluate.bootstrap_rounds=20',
)
OPTIONS = (
    '--config.model.two_stages.width=4',
    '--config.data.squares.images=60',
    '--config.arms.mine.weight=5',
    '--config.arms.mine.power=2',
    '--config.attribution.steep_gradient.power=3',
    '--config.confidence.threshold=0.55',
)


def imbalance_jax(*arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, '-m', 'imbalance_jax.launch.console', *map(str, arguments)]
    variables = {**os.environ, 'JAX_PLATFORMS': 'cpu'}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=variables)


def write_recipes(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, text in RECIPES.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope='module')
def lab(tmp_path_factory):
    """A folder with the files of the README, and with others that must not be taken for ours."""
    folder = write_recipes(tmp_path_factory.mktemp('home') / 'a lab of mine')
    for name in ('configs', 'analysis', 'launch'):
        (folder / name).mkdir()
        (folder / name / '__init__.py').write_text('raise RuntimeError("not ours")\n')
    (folder / 'configs' / 'base.py').write_text('raise RuntimeError("not ours")\n')
    return folder


@pytest.fixture(scope='module')
def workdir(lab):
    """The study of the README, with an option of everything set by a flag; explained and reported from elsewhere."""
    trained = imbalance_jax('train', '--config=my_study.py', '--workdir=a run', *QUICK, *OPTIONS, cwd=lab)
    assert trained.returncode == 0, trained.stderr
    elsewhere = lab.parent / 'elsewhere'
    elsewhere.mkdir()
    explained = imbalance_jax('explain', f'--workdir={lab}/a run', cwd=elsewhere)
    assert explained.returncode == 0, explained.stderr
    reported = imbalance_jax('report', f'{lab}/a run', cwd=elsewhere)
    assert reported.returncode == 0, reported.stderr
    assert reported.stdout.strip().endswith('report.html')
    return lab / 'a run'


def test_every_kind_has_a_recipe_of_one_short_file():
    assert len(RECIPES) == 9
    for name, text in RECIPES.items():
        assert len(text.splitlines()) <= 40, f'{name} is too long for an example'


@pytest.mark.slow
def test_options_of_everything_arrive(workdir, lab):
    config = read_json(workdir / 'config.json')
    assert config['plugin_folders'] == [str(lab)]
    assert config['model']['two_stages'] == {'width': 4}
    assert config['data']['squares'] == {'images': 60}
    assert config['attribution']['steep_gradient'] == {'power': 3.0}
    assert config['confidence'] == {'threshold': 0.55}
    rows = {row['arm']: row for row in read_json(workdir / 'members.json')}
    assert rows['mine']['loss'] == 'doubled_bce'
    assert rows['mine']['hyper'] == {'weight': 5.0}
    assert rows['mine']['sampler'] == 'rarest_first'
    assert rows['mine']['sampler_options'] == {'power': 2.0}
    assert rows['bce']['hyper'] == rows['bce']['sampler_options'] == {}


@pytest.mark.slow
def test_the_study_is_in_its_tables(workdir):
    performance = pd.read_parquet(workdir / 'results' / 'performance.parquet')
    assert {'bce', 'mine'} <= set(performance['arm'])
    assert {'upper', 'lower'} <= set(performance['class'])
    alignment = pd.read_parquet(workdir / 'results' / 'alignment.parquet')
    mine = alignment[(alignment['method'] == 'steep_gradient') & (alignment['metric'] == 'hot_share')]
    assert mine['value'].notna().any()
    units = pd.read_parquet(workdir / 'results' / 'units.parquet')
    assert units['unit'].nunique() == 4
    assert read_json(workdir / 'config.json')['concepts']['null'] == 'vertical_shift'
    assert units['value'].notna().any()
    assert 'steep_gradient' in (workdir / 'report.html').read_text()


@pytest.mark.slow
@pytest.mark.skipif(not run.STAGES, reason='explain does not run STAGES yet')
def test_the_stage_is_in_results_and_in_the_report(workdir):
    table = pd.read_parquet(workdir / 'results' / 'confidence.parquet')
    shares = table[table['metric'] == 'sure'].set_index('arm')['value']
    assert set(shares.index) == {'bce', 'mine'}
    assert shares.between(0, 1).all()
    assert 'How sure?' in (workdir / 'report.html').read_text()


@pytest.mark.slow
def test_a_sweep_finds_its_plugins_from_anywhere(lab):
    """The config of another folder; the worker is a process of its own, and in a third folder."""
    study = write_recipes(lab.parent / 'of a sweep') / 'my_study.py'
    study.write_text(
        f'{study.read_text()}\n\n'
        'def get_hyper(hyper):\n    return hyper.sweep("config.model.two_stages.width", [2, 4])\n'
    )
    plan = lab.parent / 'my plan.jsonl'
    planned = imbalance_jax('plan', f'--config={study}', f'--out={plan}', *QUICK, cwd=lab.parent)
    assert planned.returncode == 0, planned.stderr
    assert '2 populations, 4 members' in planned.stdout
    assert f'"plugin_folders": ["{study.parent}"]' in plan.read_text()
    third = lab.parent / 'third'
    third.mkdir()
    command = [sys.executable, '-m', 'imbalance_jax.launch.console', 'work', f'--plan={plan}', '--job=0', '--grace=1']
    variables = {**os.environ, 'JAX_PLATFORMS': 'cpu'}
    with subprocess.Popen(command, cwd=third, env=variables, stdout=subprocess.PIPE, text=True) as worker:
        assert any(line.endswith(': explain\n') for line in worker.stdout)  # so it is trained
        worker.terminate()
    assert worker.returncode == 75
    stood = imbalance_jax('status', f'--plan={plan}', cwd=third)
    assert '1 resumable, 1 never started' in stood.stdout
