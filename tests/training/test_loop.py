"""Training whole populations: waves, shared batches, members that leave, and a trace of it."""

import copy
import gzip
import json
import shutil

import jax
import numpy as np
import pytest

from imbalance_jax.data import samplers
from imbalance_jax.system import provenance
from imbalance_jax.system import workdir as writer
from imbalance_jax.system.files import read_json
from imbalance_jax.training import build, loop, run, trained


@pytest.fixture
def config(tiny_config):
    return copy.deepcopy(tiny_config)


def lines(workdir) -> list[dict]:
    return [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]


@pytest.fixture
def compiled(monkeypatch) -> list:
    """The members of every program that is compiled."""
    members, compile_members = [], loop.compile_members

    def watched(experiment, strategy, indices):
        members.append(list(indices))
        return compile_members(experiment, strategy, indices)

    monkeypatch.setattr(loop, 'compile_members', watched)
    return members


def test_what_was_trained_on_two_devices_goes_on_and_is_explained_on_one(study, config, tmp_path, monkeypatch, capsys):
    """A plan of two devices that share batches, asked of one; the data set lies elsewhere, too."""
    folder = tmp_path / 'run'
    shutil.copytree(study, folder)
    shutil.copytree(config.data.folder, tmp_path / 'moved')
    writer.write_json(folder / 'plan.json', {**read_json(folder / 'plan.json'), 'strategy': 'data:2:shard:map'})
    before = writer.read_arrays(folder / 'predictions.npz')
    (folder / 'predictions.npz').unlink()
    one = jax.devices()[:1]
    monkeypatch.setattr(jax, 'devices', lambda *_: one)
    monkeypatch.setattr(jax, 'local_devices', lambda *_: one)
    config.population.strategy, config.data.folder = 'auto', str(tmp_path / 'moved')
    run.run(config, folder)
    out = capsys.readouterr().out
    assert 'has the strategy data:2:shard:map' in out
    assert 'here it goes on with shard:map' in out
    assert 'was also trained on 2 x' in out
    after = writer.read_arrays(folder / 'predictions.npz')
    np.testing.assert_allclose(after['logits_test'], before['logits_test'], rtol=1e-5, atol=1e-5)
    assert read_json(folder / 'provenance.json')['train']['elsewhere'][0]['devices'] == 2
    assert read_json(folder / 'plan.json')['strategy'] == 'data:2:shard:map', 'two devices go on as they began'
    population = trained.load(folder)
    assert (population.place.mesh.size, population.place.strategy) == (1, 'shard:map')
    assert read_json(folder / 'config.json')['data']['folder'] == str(tmp_path / 'moved')
    config.data.phantom.num_patients = 61
    with pytest.raises(ValueError, match='num_patients: 60 -> 61'):
        run.run(config, folder)


def test_waves_give_what_all_at_once_gives(study, config, tmp_path, monkeypatch):
    """Not all members fit; the run stops after the first wave and goes on with the next."""
    needed = read_json(study / 'plan.json')['bytes']
    config.data.stream = 'never'
    config.population.memory_gib = 0.93 * needed / 2**30  # most of it is images
    caught = loop._catch_signals
    monkeypatch.setattr(loop, 'predict', lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run.run(config, tmp_path)
    monkeypatch.undo()
    assert loop._catch_signals is caught
    plan = read_json(tmp_path / 'plan.json')
    assert len(plan['waves']) > 1
    assert plan['bytes'] <= plan['limit'] < needed
    assert [row for wave in plan['waves'] for row in range(*wave)] == list(range(6))
    assert {row['arm'] for row in lines(tmp_path)} < {row['arm'] for row in lines(study)}
    run.run(config, tmp_path)
    assert len(list((tmp_path / 'checkpoints').iterdir())) == len(plan['waves'])
    assert_trained_alike(tmp_path, study)


def test_a_lost_log_of_metrics_may_be_accepted(study, config, tmp_path, capsys):
    workdir = shutil.copytree(study, tmp_path / 'run')
    (workdir / 'metrics.jsonl').unlink()
    table = (workdir / 'results' / 'convergence.parquet').read_bytes()
    with pytest.raises(FileNotFoundError, match=r'metrics\.jsonl is missing: .*`imbalance-jax accept'):
        run.run(config, workdir)
    provenance.accept(workdir)
    run.run(config, workdir)
    assert 'is trained already' in capsys.readouterr().out
    assert (workdir / 'results' / 'convergence.parquet').read_bytes() == table


@pytest.mark.slow
def test_a_wave_that_dies_leaves_the_others(study, config, tmp_path, capsys):
    """A wave whose members have all diverged is over."""
    config.data.stream = 'never'
    config.population.memory_gib = 0.93 * read_json(study / 'plan.json')['bytes'] / 2**30
    with config.unlocked():
        config.arms['weighted_sampling'].learning_rate = 1e38
    run.run(config, tmp_path / 'one')
    plan = read_json(tmp_path / 'one' / 'plan.json')
    assert plan['waves'][-1][0] >= 4, 'the last wave is to hold nobody else'
    said = capsys.readouterr().out
    assert f'wave {len(plan["waves"])}' in said
    lost = '2 of 6 members are not alive: their loss became non-finite, and no result counts them'
    assert f'{lost}: arm weighted_sampling (seed 0), arm weighted_sampling (seed 1).' in said
    result = writer.read_arrays(tmp_path / 'one' / 'predictions.npz')
    np.testing.assert_array_equal(result['alive'], [True] * 4 + [False] * 2)
    assert [row['alive'] for row in lines(tmp_path / 'one')] == [True] * 8 + [False] * 2
    run.run(config, tmp_path / 'one')
    assert 'is trained already' in capsys.readouterr().out


def test_a_sampler_that_fails_late_is_named_before_training(study, monkeypatch):
    trained_study = trained.load(study)

    def late(labels, progress):
        return np.full(len(labels), float(progress < 0.5))

    monkeypatch.setitem(samplers.SAMPLERS, 'weighted_sampling', late)
    with pytest.raises(ValueError, match="Sampler 'weighted_sampling' gives weights from 0 to 0"):
        build.build(trained_study.config, trained_study.dataset, trained_study.members)


def test_all_waves_dead_is_an_error_and_one_is_said(capsys):
    waves = [loop.Outcome(None, np.zeros(2), np.zeros(2), np.array(alive)) for alive in ([False] * 2, [True, False])]
    for order in (waves, waves[::-1]):
        for number in (1, 2):
            loop._check_alive(order[:number], 2)
    assert capsys.readouterr().out.split('\n')[:2] == [
        'No member of wave 1 of 2 is alive; the other waves go on.',
        'No member of wave 2 of 2 is alive; the other waves go on.',
    ]
    loop._check_alive(waves[:1], 2)
    with pytest.raises(FloatingPointError, match='No member is alive'):
        loop._check_alive([waves[0], waves[0]], 2)


def assert_trained_alike(one, other) -> None:
    """Every epoch of every member is the same up to rounding, and so is what its best epoch predicts.

    Rounding may decide which of two epochs with all but one validation AUROC is the best.
    """
    by_epoch = [
        {(line['arm'], line['seed'], line['epoch']): line for line in lines(workdir)} for workdir in (one, other)
    ]
    assert by_epoch[0].keys() == by_epoch[1].keys()
    for name, tolerance in (('train_loss', 1e-4), ('validation_auroc', 1e-2)):
        values = [[line[name] for _, line in sorted(of.items())] for of in by_epoch]
        np.testing.assert_allclose(*values, rtol=tolerance, err_msg=name)
    result, expected = (writer.read_arrays(path / 'predictions.npz') for path in (one, other))
    np.testing.assert_array_equal(result['alive'], expected['alive'])
    np.testing.assert_allclose(result['best_score'], expected['best_score'], rtol=1e-2)
    same = result['best_epoch'] == expected['best_epoch']
    assert same.any()
    for name in ('logits_test', 'logits_validation'):
        np.testing.assert_allclose(result[name][same], expected[name][same], rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_population_whose_images_stream_is_the_same_to_the_bit(study, config, tmp_path):
    """Training, validation, the best epoch and what it predicts."""
    config.data.stream = 'always'
    run.run(config, tmp_path)
    assert read_json(tmp_path / 'plan.json')['stream'] == config.train.steps_per_dispatch
    assert lines(tmp_path) == lines(study)
    result, expected = (writer.read_arrays(path / 'predictions.npz') for path in (tmp_path, study))
    for name in expected:
        np.testing.assert_array_equal(result[name], expected[name], err_msg=name)


def test_devices_that_share_batches_train_the_same_members(study, config, tmp_path):
    config.population.strategy = 'data:2:shard:map'
    run.run(config, tmp_path)
    result, expected = (writer.read_arrays(path / 'predictions.npz') for path in (tmp_path, study))
    np.testing.assert_array_equal(result['alive'], expected['alive'])
    # Sums over a batch in another order, eight Adam steps later.
    np.testing.assert_allclose(result['logits_test'], expected['logits_test'], atol=2e-3)


def test_dead_members_leave_the_program(study, config, tmp_path, compiled):
    with config.unlocked():
        for arm in ('multi_task', 'weighted_sampling'):
            config.arms[arm].learning_rate = 1e38
    run.run(config, tmp_path)
    assert compiled == [[0, 1]]  # the program of all came with the plan
    result, expected = (writer.read_arrays(path / 'predictions.npz') for path in (tmp_path, study))
    np.testing.assert_allclose(result['logits_test'][:2], expected['logits_test'][:2], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(result['alive'], [True] * 2 + [False] * 4)
    assert [(row['epoch'], row['arm'], row['alive']) for row in lines(tmp_path)][2:] == [
        (1, 'multi_task', False),
        (1, 'multi_task', False),
        (1, 'weighted_sampling', False),
        (1, 'weighted_sampling', False),
        (2, 'bce', True),
        (2, 'bce', True),
    ]


def test_patience_stops_members_that_do_not_improve(config, tmp_path):
    config.train.epochs, config.train.patience, config.train.learning_rate = 6, 2, 3e-2
    config.arms, config.seeds = {'bce': {}}, (0, 1, 2)
    run.run(config, tmp_path)
    result = writer.read_arrays(tmp_path / 'predictions.npz')
    members = read_json(tmp_path / 'members.json')
    for row, best in zip(members, result['best_epoch'], strict=True):
        of_row = [line for line in lines(tmp_path) if (line['arm'], line['seed']) == (row['arm'], row['seed'])]
        assert [line['epoch'] for line in of_row] == list(range(1, min(best + 2, 6) + 1))
        scores = [line['validation_auroc'] for line in of_row]
        assert int(np.argmax(scores)) + 1 == best
    assert min(result['best_epoch']) < 4  # somebody did stop


def test_a_profile_names_the_costliest_operations(config, tmp_path, capsys):
    config.train.epochs = 1
    run.run(config, tmp_path, profile=True)
    assert 'share' in capsys.readouterr().out
    [trace] = (tmp_path / 'profile').rglob('perfetto_trace.json.gz')
    assert json.loads(gzip.decompress(trace.read_bytes()))['traceEvents']


@pytest.mark.parametrize(('warmup', 'total', 'said'), [(1000, 4, True), (3, 4, True), (2, 4, False), (0, 4, False)])
def test_a_warm_up_of_most_of_training_is_said(warmup, total, said):
    line = run.slow_to_begin(warmup, total)
    assert bool(line) == said
    assert not said or f'{warmup:,} of the {total} steps' in line
