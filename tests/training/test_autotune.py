"""The strategy is chosen by measurement, once; what does not fit is said."""

import copy
import os
from types import SimpleNamespace

import jax
import pytest

from imbalance_jax.system import cache
from imbalance_jax.training import autotune, build, grid, network, planning, snapshot


@pytest.fixture(scope='module')
def ready(tiny_config):
    config = copy.deepcopy(tiny_config)
    config.seeds = (0,)
    dataset = network.load_dataset(config)
    return build.build(config, dataset, build.make_members(config)[:1])


def nothing(*_):
    """No progress is shown."""


def test_auto_takes_the_fastest_and_remembers_it(ready, tmp_path, monkeypatch):
    monkeypatch.setenv('IMBALANCE_JAX_CACHE', str(tmp_path))
    seconds = {'shard:map': 300.0, 'data:2:shard:map': 100.0}
    monkeypatch.setattr(grid, 'candidates', lambda *_: list(seconds))
    monkeypatch.setattr(autotune, 'measure', lambda program, *_: seconds[program.place.strategy])
    plan, program = autotune.make_plan(ready, 'auto', 0.0, update=nothing)
    assert plan.strategy == program.place.strategy == 'data:2:shard:map'
    assert plan.seconds == seconds
    assert plan.waves == [[0, 1]]
    monkeypatch.setattr(autotune, 'measure', lambda *_: pytest.fail('measured again'))
    again, _ = autotune.make_plan(ready, 'auto', 0.0, update=nothing)
    assert (again.strategy, again.seconds) == (plan.strategy, plan.seconds)
    assert 'data:2:shard:map 100000.0 ms' in autotune.describe(again)
    larger = ready._replace(described={**ready.described, 'batch': 1})
    assert cache.recall(autotune.conditions(larger, 0.0)) is None


def test_a_strategy_that_fails_is_left_out_and_named(ready, tmp_path, monkeypatch):
    monkeypatch.setenv('IMBALANCE_JAX_CACHE', str(tmp_path))
    monkeypatch.setattr(grid, 'candidates', lambda *_: ['shard:map', 'data:2:shard:map'])
    failing, lines = ['shard:map'], []

    def measure(program, *_):
        if program.place.strategy in failing:
            raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory\nof what')
        return 0.2

    monkeypatch.setattr(autotune, 'measure', measure)
    plan, _ = autotune.make_plan(ready, 'auto', 0.0, update=lambda *line: lines.append(line))
    assert plan.strategy == 'data:2:shard:map'
    assert plan.seconds == {'data:2:shard:map': 0.2}
    assert lines[0] == (1, 2, 'shard:map: left out, as it failed: RESOURCE_EXHAUSTED: Out of memory')


def test_nothing_is_compiled_that_cannot_pay(ready, tmp_path, monkeypatch):
    monkeypatch.setenv('IMBALANCE_JAX_CACHE', str(tmp_path))
    monkeypatch.setattr(grid, 'candidates', lambda *_: ['shard:map', 'data:2:shard:map'])
    monkeypatch.setattr(autotune, 'measure', lambda *_: 0.1 / ready.total_steps)  # less than it takes to compile
    monkeypatch.setattr(cache, 'remember', lambda *_: pytest.fail('the fastest of one'))
    lines = []
    plan, program = autotune.make_plan(ready, 'auto', 0.0, update=lambda *line: lines.append(line))
    assert plan.strategy == program.place.strategy == 'shard:map'
    assert lines[-1] == (2, 2, 'the others would take longer to compile than to train')


def test_where_no_strategy_compiles_the_first_error_is_raised(ready, monkeypatch):
    def compile_members(*_):
        raise jax.errors.JaxRuntimeError('INTERNAL: no kernel')

    monkeypatch.setattr(grid, 'candidates', lambda *_: ['shard:map', 'data:2:shard:map'])
    monkeypatch.setattr(autotune, 'compile_members', compile_members)
    monkeypatch.setattr(cache, 'recall', lambda *_: None)
    with pytest.raises(jax.errors.JaxRuntimeError, match='no kernel'):
        autotune.make_plan(ready, 'auto', 0.0, update=nothing)


def test_what_is_much_slower_is_not_timed_to_the_end(ready, monkeypatch):
    _, program = autotune.make_plan(ready, 'shard:map', 0.0, update=nothing)
    steps, train = [], autotune.train_steps

    def counted(*args, start, stop, **options):
        steps.append(stop - start)
        return train(*args, start=start, stop=stop, **options)

    monkeypatch.setattr(autotune, 'train_steps', counted)
    assert autotune.measure(program, ready, best=1e-9) > 0
    assert steps == [1]
    assert autotune.measure(program, ready, best=60.0) < 60
    assert len(steps) == 5


def test_a_measurement_runs_real_steps(ready):
    _, program = autotune.make_plan(ready, 'shard:map', 0.0, update=nothing)
    assert 0 < autotune.measure(program, ready) < 60
    assert program.bytes > sum(a.nbytes for a in program.train) // len(jax.local_devices())
    memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    assert 0 < autotune.available() <= autotune.SHARE * memory / len(jax.local_devices())


def test_too_little_memory_for_one_member_is_an_error(ready):
    with pytest.raises(ValueError, match=r'batch_size.*memory_gib'):
        autotune.make_plan(ready, 'shard:map', 1e-6, update=nothing)


def test_a_kept_plan_is_carried_on_by_what_there_is_here(ready, monkeypatch):
    kept = autotune.Plan('data:2:shard:vmap', [[0, 1]], {}, 2 * autotune.GIB, 8 * autotune.GIB, 1.0, stream=3)
    here = planning.carried_on(kept, ready, 'auto', 4.0)
    assert here == kept._replace(stream=0, on_host=True), 'its images fit, and all else is as it was'
    assert planning.carried_on(kept, ready, 'auto', 1.0).strategy == 'data:2:shard:map', 'it needs two GiB'
    assert planning.carried_on(kept, ready, 'shard:unroll', 1.0).strategy == 'shard:unroll', 'as the user wants it'
    assert planning.carried_on(kept, ready, 'auto', 4.0, stream='always').stream > 0
    one = jax.devices()[:1]
    monkeypatch.setattr(jax, 'devices', lambda *_: one)
    assert planning.carried_on(kept, ready, 'auto', 4.0).strategy == 'shard:vmap'
    assert planning.carried_on(kept, ready, 'data:2:shard:map', 4.0).strategy == 'shard:map'


def test_waves_that_have_not_begun_are_smaller_where_there_is_less_memory(ready, monkeypatch):
    """A member of these takes a GiB; the plan was made where there were eight."""
    needs = lambda experiment, strategy, indices: SimpleNamespace(bytes=len(indices) * autotune.GIB)  # noqa: E731
    monkeypatch.setattr(planning, 'compile_members', needs)
    waves = [[0, 4], [4, 8], [8, 12]]
    kept = autotune.Plan('shard:vmap', waves, {}, 4 * autotune.GIB, 8 * autotune.GIB, 1.0)
    for gib, ended, wanted in (
        (4.0, [True], waves),
        (2.0, [True], [[0, 4], [4, 6], [6, 8], [8, 10], [10, 12]]),
        (3.0, [True, True], [[0, 4], [4, 8], [8, 10], [10, 12]]),
        (2.0, [True, True, True], waves),
    ):
        here = planning.carried_on(kept, ready, 'auto', gib, ended=ended)
        assert here.waves == wanted
        assert here.strategy == ('shard:vmap' if gib == 4 else 'shard:map')
    for gib, ended, said in (
        (2.0, [True, False], 'Wave 2 of 3 .* needs 4.00 GiB, .* 2.00'),
        (0.5, [True], 'One member'),
    ):
        with pytest.raises(ValueError, match=said) as error:
            planning.carried_on(kept, ready, 'auto', gib, ended=ended)
        assert '\n' not in str(error.value)


def test_how_far_waves_are_is_said_by_their_checkpoints(tmp_path):
    plan = autotune.Plan('map', [[0, 1], [1, 2], [2, 3]], {}, 0, 0, 0.0)
    assert snapshot.ended(plan, tmp_path, 20) == []
    for wave, step in ((1, 10), (1, 20), (2, 10)):
        (tmp_path / 'checkpoints' / f'wave_{wave}' / str(step)).mkdir(parents=True)
    (tmp_path / 'checkpoints' / 'wave_3').mkdir()
    assert snapshot.ended(plan, tmp_path, 20) == [True, False]


def test_a_strategy_that_was_asked_for_is_not_measured(ready, monkeypatch):
    monkeypatch.setattr(autotune, 'measure', lambda *_: pytest.fail('measured'))
    plan, _ = autotune.make_plan(ready, 'map', 0.0, update=nothing)
    assert plan.strategy == 'map'
    assert plan.seconds == {}


def test_a_damaged_or_missing_cache_costs_time_only(tmp_path, monkeypatch):
    monkeypatch.setenv('IMBALANCE_JAX_CACHE', str(tmp_path / 'cache'))
    assert cache.recall({'a': 1}) is None
    cache.remember({'a': 1}, {'strategy': 'map'})
    assert cache.recall({'a': 1}) == {'strategy': 'map'}
    assert cache.recall({'a': 2}) is None
    [path] = (tmp_path / 'cache' / 'strategies').iterdir()
    text = path.read_text()
    for odd in ('{', '7', '[]', '{"result": 7}', text.replace('map', 'nap')):
        path.write_text(odd)
        assert cache.recall({'a': 1}) is None
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('IMBALANCE_JAX_CACHE', str(tmp_path / 'file'))
    cache.remember({'a': 1}, {'strategy': 'map'})
    assert cache.recall({'a': 1}) is None
