"""Points of a sweep, the populations that cover them, and plans: numbers are joined, programs are not."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from imbalance_jax import models
from imbalance_jax.configs import base
from imbalance_jax.sweep import estimate, hyper, populations
from imbalance_jax.sweep import plan as plans
from imbalance_jax.system.files import dumps
from imbalance_jax.training import members

ROOT = Path(__file__).parents[2]
SWEPT = """
from imbalance_jax.configs import quickstart

def get_config():
    config = quickstart.get_config()
    config.train.epochs = {epochs}
    return config

def get_hyper(hyper):
    return hyper.product([
        hyper.sweep('config.data.phantom.imbalance_ratio', [1.0, 4.0]),
        hyper.sweep('config.train.learning_rate', [1e-3, 4e-3]),
    ])
"""


@pytest.fixture
def config():
    config = base.get_config()
    with config.unlocked():
        config.arms = {'bce': {}, 'focal': {'gamma': 2.0}}
    return config


def test_sweeps_are_lists_of_points():
    a, b = hyper.sweep('a', [1, 2]), hyper.sweep('b', (3, 4))
    assert a == [{'a': 1}, {'a': 2}]
    assert hyper.fixed('c', 5) == [{'c': 5}]
    assert hyper.fixed('c', 5, length=2) == [{'c': 5}] * 2
    assert hyper.product([a, b]) == [{'a': 1, 'b': 3}, {'a': 1, 'b': 4}, {'a': 2, 'b': 3}, {'a': 2, 'b': 4}]
    assert hyper.zipit([a, b]) == [{'a': 1, 'b': 3}, {'a': 2, 'b': 4}]
    assert hyper.zipit([a, hyper.fixed('c', 5)]) == [{'a': 1, 'c': 5}, {'a': 2, 'c': 5}]
    assert hyper.chainit([a, b]) == [*a, *b]
    assert hyper.product([]) == [{}]
    with pytest.raises(ValueError, match=r'\[2, 3\]'):
        hyper.zipit([a, hyper.sweep('b', [1, 2, 3])])
    with pytest.raises(ValueError, match='a twice'):
        hyper.product([a, a])
    for empty in (
        lambda: hyper.sweep('c', []),
        lambda: hyper.fixed('c', 5, length=-1),
        lambda: hyper.fixed('c', 5, length=2.5),
    ):
        with pytest.raises(ValueError, match=r"'c'.* (at least one|1 or more)"):
            empty()


def test_no_sweep_is_the_config_itself(config):
    [only] = populations.populations(config, [{}])
    assert only == json.loads(dumps(config.to_dict()))


def test_numbers_join_the_population_and_shapes_do_not(config):
    rates, sizes = hyper.sweep('config.train.learning_rate', [1e-3, 4e-3]), hyper.sweep('data.image_size', [32, 64])
    weight, gamma = hyper.sweep('train.weight_decay', [0.0, 1e-4]), hyper.sweep('config.arms.focal.gamma', [1.0, 3.0])
    for points in (hyper.product([rates, sizes, weight, gamma]), hyper.product([gamma, sizes, rates, weight])):
        configs = populations.populations(config, points)
        assert [plain['data']['image_size'] for plain in configs] == [32, 64]
        for plain in configs:
            rates_of = {rate: plain['train'][rate] for rate in populations.RATES}
            rows = members.make_members(plain['arms'], plain['seeds'], plain['reference'], **rates_of)
            numbers = {(r['loss'], r['learning_rate'], r['weight_decay'], r['hyper'].get('gamma')) for r in rows}
            four = [(rate, decay) for rate in (1e-3, 4e-3) for decay in (0.0, 1e-4)]
            expected = {('bce', *pair, None) for pair in four}
            assert numbers == expected | {('focal', *pair, gamma) for pair in four for gamma in (1.0, 3.0)}
            assert len(rows) == 12 * 3
            assert plain['reference'] in plain['arms']


def test_an_arm_that_is_given_once_keeps_its_name(config):
    [plain] = populations.populations(config, hyper.sweep('arms.focal.gamma', [2.0, 0.5]))
    assert plain['arms'] == {
        'bce': {},
        'focal@gamma=2': {'gamma': 2.0, 'loss': 'focal'},
        'focal@gamma=5e-1': {'gamma': 0.5, 'loss': 'focal'},
    }
    assert plain['reference'] == 'bce'


def test_seeds_join_and_stay_apart_where_other_numbers_go_with_them(config):
    [plain] = populations.populations(config, hyper.sweep('seeds', [(0, 1), (1, 2)]))
    assert plain['seeds'] == [0, 1, 2]
    pairs = hyper.zipit([hyper.sweep('seeds', [(0,), (1,)]), hyper.sweep('train.weight_decay', [0.0, 0.1])])
    configs = populations.populations(config, pairs)
    assert [plain['seeds'] for plain in configs] == [[0], [1]]
    assert [plain['reference'] for plain in configs] == ['bce@weight_decay=0', 'bce@weight_decay=1e-1']
    references = ['bce@weight_decay=0', 'bce@weight_decay=1e-1']
    assert populations.differing(configs) == [{'reference': name, 'seeds': [i]} for i, name in enumerate(references)]


@pytest.mark.parametrize(
    ('point', 'said'),
    [
        ({'train.epoch': 3}, "Did you mean 'train.epochs'"),
        ({'config.trian.epochs': 3}, "Did you mean 'train.epochs'"),
        ({'arms.focl.gamma': 3}, "Did you mean 'focal'"),
        ({'train.epochs': 'many'}, 'must be a whole number'),
        ({'train.epochs': 2.5}, 'must be a whole number'),
        ({'train': 3}, 'config.train is a block'),
        ({'data.phantom.num_patient': 3}, "Did you mean 'data.phantom.num_patients'"),
    ],
)
def test_wrong_points_are_named(config, point, said):
    with pytest.raises(ValueError, match=said):
        populations.populations(config, [point])


def test_options_that_no_population_reads_are_not_swept(config):
    widths = hyper.sweep('config.model.resnet18.width', [8, 16])
    with pytest.raises(ValueError, match=r'resnet18\.width is swept, and no population reads it: config\.model'):
        populations.populations(config, widths)
    names = hyper.sweep('model.name', ['cnn', 'resnet18'])
    assert len(populations.populations(config, hyper.product([names, widths]))) == 4
    ratio = hyper.sweep('data.phantom.imbalance_ratio', [1.0, 2.0])
    elsewhere = hyper.product([ratio, hyper.fixed('data.name', 'nih_chest_xray14')])
    with pytest.raises(ValueError, match=r'config\.data\.name is nih_chest_xray14'):
        populations.populations(config, elsewhere)
    tested = hyper.product([elsewhere, hyper.fixed('data.test_on', ('phantom:all',))])
    assert len(populations.populations(config, tested)) == 2


def test_a_plan_comes_back_and_is_the_same_twice(config, tmp_path):
    configs = populations.populations(config, hyper.sweep('data.image_size', [32, 64]))
    jobs, before = plans.write(tmp_path / 'plan.jsonl', configs)
    assert before == []
    first = (tmp_path / 'plan.jsonl').read_bytes()
    again, before = plans.write(tmp_path / 'plan.jsonl', configs)
    assert again == before == jobs
    assert (tmp_path / 'plan.jsonl').read_bytes() == first
    assert [job.config for job in jobs] == configs
    assert [job.id for job in jobs] == [populations.identity(plain) for plain in configs]
    assert [job.differs for job in jobs] == [{'data.image_size': 32}, {'data.image_size': 64}]
    assert 'new: 0' in plans.compared(again, before)


def test_a_changed_plan_says_what_is_new(config, tmp_path):
    one, two = (
        populations.populations(config, hyper.sweep('data.image_size', sizes)) for sizes in ([32, 64], [32, 96])
    )
    plans.write(tmp_path / 'plan.jsonl', one)
    jobs, before = plans.write(tmp_path / 'plan.jsonl', two)
    said = plans.compared(jobs, before)
    assert 'As before: 1, new: 1, gone: 1' in said
    assert f'{before[1].id} with data.image_size: 64 -> 96' in said
    assert f'gone  {before[1].id}' in said


def test_a_plan_changed_by_hand_is_refused(config, tmp_path):
    path = tmp_path / 'plan.jsonl'
    plans.write(path, populations.populations(config, [{}]))
    text = path.read_text()
    path.write_text(text.replace('"epochs": 50', '"epochs": 51'))
    with pytest.raises(ValueError, match='line 1 was changed by hand'):
        plans.read(path)
    plans.write(path, populations.populations(config, hyper.sweep('data.image_size', [32, 64])))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line['differs'] = {'data.image_size': 96 - line['differs']['data.image_size']}
        del line['sha256']
    path.write_text('\n'.join(map(json.dumps, lines)) + '\n')
    with pytest.raises(ValueError, match='line 1 was changed by hand'):
        plans.read(path)
    path.write_text(text[: len(text) // 2])
    with pytest.raises(ValueError, match='line 1 is damaged'):
        plans.read(path)
    with pytest.raises(ValueError, match='ends in'):
        plans.read(tmp_path / 'plan.json')


def test_shares_cover_every_job_once(config, tmp_path):
    configs = populations.populations(config, hyper.sweep('data.image_size', [32, 48, 64, 80, 96]))
    jobs, _ = plans.write(tmp_path / 'plan.jsonl', configs)
    shares = [plans.select(jobs, shard=f'{i}/3') for i in range(3)]
    assert sorted(job.number for share in shares for job in share) == list(range(5))
    assert plans.select(jobs, job='3') == [jobs[3]] == plans.select(jobs, job=jobs[3].id[:8])
    for wrong in ({'job': '5'}, {'shard': '3/3'}, {'shard': '1'}, {'shard': '-1/3'}, {'job': '1', 'shard': '0/2'}):
        with pytest.raises(ValueError, match='--'):
            plans.select(jobs, **wrong)


@pytest.mark.parametrize(
    ('name', 'size', 'options'),
    [('cnn', 64, {'widths': (16, 32, 64, 64), 'stem_stride': 2}), ('resnet18', 64, {'stem': 'small'})],
)
def test_estimates_count_what_models_do(name, size, options):
    model, image = models.make(name, 14, **options), jax.ShapeDtypeStruct((1, size, size, 1), jnp.float32)
    collections = ['params', 'batch_stats']
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros(image.shape), mutable=collections))
    result = estimate.MODELS[name](size, **options)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(variables['params']))
    flops = jax.jit(lambda v, x: model.apply(v, x)[0]).lower(variables, image).cost_analysis()['flops']
    assert result.parameters == pytest.approx(parameters, rel=0.05)
    assert result.multiply_adds == pytest.approx(flops / 2, rel=0.15)


def test_estimates_grow_with_members_and_epochs_and_know_their_limits(config):
    config.train.epochs = 10
    [small], [long] = populations.populations(config, [{}]), populations.populations(config, [{'train.epochs': 20}])
    [many] = populations.populations(config, [{'seeds': tuple(range(9))}])
    few, more, most = map(estimate.estimate, (small, long, many))
    assert few['seconds'] < more['seconds'] < most['seconds']
    assert few['gib'] < most['gib'] < most['gib_batched']
    [unknown] = populations.populations(config, [{'data.name': 'mine'}])
    assert estimate.estimate(unknown) is None


def imbalance_jax(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-X', 'importtime', '-m', 'imbalance_jax.launch.console', *arguments],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip


def test_status_needs_no_jax(tmp_path):
    config, plan = tmp_path / 'swept.py', tmp_path / 'plan.jsonl'
    config.write_text(SWEPT.format(epochs=3))
    planned = imbalance_jax('plan', f'--config={config}', f'--out={plan}')
    assert planned.returncode == 0, planned.stderr
    assert '2 populations, 60 members' in planned.stdout
    stood = imbalance_jax('status', f'--plan={plan}')
    assert stood.returncode == 75
    assert '2 never started' in stood.stdout
    imported = {line.split('|')[-1].strip() for line in stood.stderr.splitlines()}
    assert 'imbalance_jax.sweep.plan' in imported
    assert not imported & {'jax', 'flax', 'pandas', 'numpy', 'matplotlib'}  # `plan` looks at the model, and needs them
    config.write_text(SWEPT.format(epochs=4))
    again = imbalance_jax('plan', f'--config={config}', f'--out={plan}')
    assert 'train.epochs: 3 -> 4' in again.stdout


def test_a_config_with_an_argument_is_planned(tmp_path):
    (tmp_path / 'swept.py').write_text(
        'from imbalance_jax.configs import quickstart\n\n'
        'def get_config(epochs):\n    config = quickstart.get_config()\n    config.train.epochs = int(epochs)\n'
        '    return config\n'
    )
    assert imbalance_jax('plan', f'--config={tmp_path}/swept.py:9', f'--out={tmp_path}/plan.jsonl').returncode == 0
    assert plans.read(tmp_path / 'plan.jsonl')[0].config['train']['epochs'] == 9


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['plan', '--config=configs/quickstart.py'], '--out is missing'),
        (['plan', '--config=configs/quickstart.py', '--out=plan.txt'], 'ends in .jsonl'),
        (['work'], '--plan is missing'),
        (['status', '--plan=nowhere.jsonl'], 'nowhere.jsonl'),
        (['collect', '--plan=nowhere.jsonl'], 'nowhere.jsonl'),
    ],
)
def test_what_is_missing_is_said(arguments, said):
    result = subprocess.run(
        [sys.executable, '-m', 'imbalance_jax.launch.console', *arguments], capture_output=True, text=True, cwd=ROOT
    )
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stderr.count('\n') == 1
