"""Other data sets by name, and a trained population on its own test split as if it were another data set."""

import copy
import shutil

import numpy as np
import pytest

from imbalance_jax.system import layout
from imbalance_jax.system.workdir import claim, read_arrays, read_table
from imbalance_jax.training import other_sets


def test_an_entry_is_a_name_with_or_without_a_split():
    assert other_sets.entry('chexpert') == ('chexpert', 'test')
    assert other_sets.entry('my_folder:all') == ('my_folder', 'all')
    assert other_sets.entry('tfds:chexpert') == ('tfds:chexpert', 'test')
    assert other_sets.entry('tfds:chexpert:train') == ('tfds:chexpert', 'train')
    assert layout.tested('w', 'tfds:chexpert').name == 'tfds_chexpert'


def test_what_cannot_be_tested_on_is_said(tiny_config):
    config = copy.deepcopy(tiny_config)
    config.data.test_on = ('fantom',)
    with pytest.raises(ValueError, match="Unknown data set 'fantom'"):
        other_sets.check(config)
    config.data.test_on = ('phantom', 'phantom:all')
    with pytest.raises(ValueError, match='twice: phantom, phantom:all'):
        other_sets.check(config)
    config.data.test_on = ('phantom',)
    with config.unlocked():
        config.data.label_maps = {'chexpert': {'Mass': ''}}
    with pytest.raises(ValueError, match=r'label_maps\.chexpert: it is not in config'):
        other_sets.check(config)


def test_only_what_is_tested_on_may_change_after_training(tmp_path, tiny_config):
    config = copy.deepcopy(tiny_config)
    claim(tmp_path, config.to_dict())
    config.data.test_on = ('phantom:all',)
    claim(tmp_path, config.to_dict(), other_sets.free_fields(config))
    with pytest.raises(ValueError, match='holds a run of another config'):
        claim(tmp_path, tiny_config.to_dict())
    config.data.image_size = 32
    with pytest.raises(ValueError, match='image_size'):
        claim(tmp_path, config.to_dict(), other_sets.free_fields(config))


@pytest.mark.slow
def test_on_its_own_test_split_a_population_says_the_same_and_nothing_shifts(study, tiny_config, tmp_path):
    from imbalance_jax.explain import run as explain_run
    from imbalance_jax.training import run

    workdir, config = tmp_path / 'run', copy.deepcopy(tiny_config)
    shutil.copytree(study, workdir)
    config.data.test_on = ('phantom',)
    run.run(config, workdir)
    folder = layout.tested_on(workdir, 'phantom')
    own, there = (read_arrays(place / layout.PREDICTIONS) for place in (workdir, folder))
    rows = run.load_dataset(config).rows('test')
    np.testing.assert_allclose(there['logits_test'], own['logits_test'][:, np.isin(rows, there['rows'])], atol=1e-4)
    shift = read_table(folder, 'shift')
    moved = shift[(shift['place'] == 'shift') & (shift['statistic'] == 'mean')]
    if len(there['rows']) == len(rows):
        assert len(moved)
        assert np.abs(moved['value']).max() < 1e-4
    explain_run.run_everywhere(workdir, stages=explain_run.chosen('design'))
    assert not len(read_table(folder, 'conditional'))  # it is about maps, which are not there without `alignment`
    assert len(read_table(workdir, 'conditional'))
    with pytest.raises(ValueError, match="was not tested on 'chexpert'; it was tested on phantom"):
        layout.tested_on(workdir, 'chexpert')
    other_sets.refuse_of_other(workdir, 'export')
    with pytest.raises(ValueError, match='is of a data set that was tested on; export is for the one trained on'):
        other_sets.refuse_of_other(folder, 'export')
    assert not other_sets.lost(workdir, config)
    kept = shutil.copytree(workdir, layout.weights(workdir, 'matched'), ignore=shutil.ignore_patterns('on', 'weights'))
    assert not other_sets.lost(kept, config)
    (folder / layout.PREDICTIONS).unlink()
    assert 'have no predictions there and are left out: on/phantom' in other_sets.lost(workdir, config)
