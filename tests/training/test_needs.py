"""What a study needs is said without running it, is near what XLA counts, and refuses what could not be explained."""

import copy
import re

import jax
import numpy as np
import pytest

from imbalance_jax.explain.run import STAGES
from imbalance_jax.training import build, forecast, needs, network, program, room, run
from imbalance_jax.training.needs import GIB, MIB, Devices


@pytest.fixture(scope='module')
def ready(tiny_config):
    """The config, its experiment, and its population of shapes."""
    dataset, rows = network.load_dataset(tiny_config), build.make_members(tiny_config)
    untrained = network.network(tiny_config, dataset)
    experiment = build.build(tiny_config, dataset, rows, untrained=untrained)
    return tiny_config, experiment, needs.shapes_of(tiny_config, dataset, rows, untrained)


def test_memory_of_devices_as_it_is_typed():
    assert needs.devices_of('80GiB') == (1, int(0.9 * 80 * GIB))
    assert needs.devices_of('8x1.5GB') == (8, int(0.9 * 1.5e9))
    for text in ('', '80', '0GiB', '-1GiB', '80 gb', '0x80GiB', 'x80GiB', '80GiB8'):
        with pytest.raises(ValueError, match='is no memory: give that of one device, 80GiB, or of several, 8x80GiB'):
            needs.devices_of(text)


def test_training_needs_about_what_its_compiled_program_takes(ready):
    config, experiment, _ = ready
    count = len(experiment.members)
    compiled = program.compile_members(experiment, 'map', np.arange(count)).bytes
    alone = copy.deepcopy(config)
    alone.population.strategy = 'map'
    estimated = needs.of_training(alone, experiment, Devices(1, 100 * GIB), tested=10)
    assert 0.5 < estimated.device / compiled < 2
    assert estimated.least < estimated.device
    assert estimated.disk > estimated.host > 0


def test_training_takes_waves_and_more_devices_hold_fewer_members(ready):
    config, experiment, _ = ready
    whole = needs.of_training(config, experiment, Devices(1, 100 * GIB), tested=10)
    spread = needs.of_training(config, experiment, Devices(6, 100 * GIB), tested=10)
    assert whole.stage == spread.stage == 'train'
    assert spread.device < whole.device
    assert spread.disk == whole.disk
    in_waves = needs.of_training(config, experiment, Devices(1, (whole.device + whole.least) // 2), tested=10)
    assert in_waves.stage == 'train, 2 waves'
    assert in_waves.device < whole.device


def test_every_stage_with_programs_says_what_it_needs(ready):
    config, _, population = ready
    found = {one.stage: one for one in needs.of_explain(population, STAGES, Devices(1, 100 * GIB), pairs=20)}
    assert list(found) == ['alignment', 'faithfulness', 'units', 'twins', 'similarity', 'features']
    lies = needs.variables_bytes(population, Devices(1, 100 * GIB))
    began = len({row['seed'] for row in population.members})
    own = sum(leaf.nbytes for leaf in jax.tree.leaves(jax.tree.map(np.array, population.one)))
    assert lies == (2 * len(population.members) + began) * own
    for one in found.values():
        assert one.device >= one.least > lies
    assert found['alignment'].programs == len(config.attribution.methods)
    assert found['alignment'].most == 'maps by integrated_gradients'
    less = {one.stage: one for one in needs.of_explain(population, STAGES, Devices(1, MIB), pairs=20)}
    assert less['alignment'].device < found['alignment'].device
    assert less['alignment'].least == found['alignment'].least


def test_what_could_not_be_explained_is_refused_with_what_would_fit(ready):
    _, _, population = ready
    room.check(population, STAGES, Devices(1, 100 * GIB))
    lies = needs.variables_bytes(population, Devices(1, GIB))
    with pytest.raises(ValueError, match=r"stage 'alignment' .* would fit: devices of .* GiB"):
        room.check(population, STAGES, Devices(1, 2000))
    least = next(needs.of_explain(population, STAGES, Devices(1, GIB), pairs=20)).least
    with pytest.raises(ValueError, match=r'explain could not run the stage .* would fit: at most \d+ members'):
        room.check(population, STAGES, Devices(1, least - lies // 2))


def test_a_budget_of_the_config_that_no_image_fits_is_refused_with_one_that_does(ready):
    _, _, population = ready
    small = population._replace(config=copy.deepcopy(population.config))
    small.config.attribution.memory_mib = 0.01
    with pytest.raises(ValueError, match=r"'alignment'.*memory_mib is 0.0\d*; what would fit: \d+, or 0 for"):
        room.check(small, STAGES, Devices(1, 100 * GIB))
    small.config.attribution.memory_mib = 100.0
    room.check(small, STAGES, Devices(1, 100 * GIB))


def test_training_does_not_begin_where_explain_would_fail(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(run.autotune, 'available', lambda: 10_000)
    with pytest.raises(ValueError, match="explain could not run the stage 'alignment'"):
        run.run(tiny_config, tmp_path / 'run', stages=STAGES)
    assert not (tmp_path / 'run').exists()


def test_a_plan_of_a_known_set_needs_no_image(tiny_config, monkeypatch):
    monkeypatch.setattr(forecast, 'load_dataset', lambda *_: pytest.fail('the data set was loaded'))
    text = forecast.describe(tiny_config, STAGES, '2x1GiB')
    for name in ('train', 'alignment', 'units'):
        assert re.search(rf'^{name} +\d+\.\d\d', text, re.MULTILINE)
    assert '2 devices with 0.90 GiB to give' in text
    assert text.endswith('All stages fit.')
    text = forecast.describe(tiny_config, STAGES, '0.1MiB')
    assert 'alignment does not fit: maps by integrated_gradients needs' in text
