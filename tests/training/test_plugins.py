"""Plugins: added once beside ours, found from anywhere, and refused in one line."""

import shutil
import sys

import numpy as np
import pytest

from imbalance_jax import losses
from imbalance_jax.data import samplers, sources
from imbalance_jax.explain import outputs
from imbalance_jax.system import layout, provenance, records
from imbalance_jax.system.workdir import write_json
from imbalance_jax.training import plugins, run
from imbalance_jax.training.trained import Stage

LOSS = """
from imbalance_jax.losses import LOSSES as ours

LOSSES = {'NAME': ours['focal']}
"""


@pytest.fixture(autouse=True)
def _same_tables(monkeypatch):
    """What a test adds is gone after it."""
    monkeypatch.setattr(sys, 'path', [*sys.path])
    monkeypatch.setattr(plugins, '_origins', {})
    before = {kind: dict(table.entries) for kind, table in plugins.TABLES.items()}
    yield
    provenance.use([])
    for kind, table in plugins.TABLES.items():
        table.entries.clear()
        table.entries.update(before[kind])


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_file_adds_to_a_table_and_a_second_time_nothing(tmp_path):
    write(tmp_path / 'my loss.py', LOSS.replace('NAME', 'mine'))
    for _ in range(2):
        assert plugins.load(['my loss.py'], [tmp_path]) == (str(tmp_path),)
    assert losses.LOSSES['mine'] is losses.LOSSES['focal']
    assert plugins.options('loss', 'mine', {}) == plugins.options('loss', 'focal', {})
    assert 'gamma' in plugins.options('loss', 'mine', {})


def test_a_module_of_a_package_is_found_in_its_folder_and_an_installed_one_needs_none(tmp_path):
    write(tmp_path / 'labour' / '__init__.py', '')
    write(tmp_path / 'labour' / 'losses.py', LOSS.replace('NAME', 'mine'))
    assert plugins.load(['labour.losses'], [tmp_path / 'elsewhere', tmp_path]) == (str(tmp_path),)
    assert 'mine' in losses.LOSSES
    assert plugins.load(['imbalance_jax.losses'], [tmp_path]) == ()  # our own table: nothing new


def test_kept_folders_come_before_the_current_one(tmp_path, monkeypatch):
    write(tmp_path / 'kept' / 'mine.py', LOSS.replace('NAME', 'of_kept'))
    write(tmp_path / 'here' / 'mine.py', LOSS.replace('NAME', 'of_here'))
    monkeypatch.chdir(tmp_path / 'here')
    plugins.load_kept({'plugins': ['mine.py'], 'plugin_folders': [str(tmp_path / 'kept')]})
    assert 'of_kept' in losses.LOSSES
    assert 'of_here' not in losses.LOSSES
    plugins.load_kept({})


def test_a_data_set_may_be_a_bare_function(tmp_path):
    write(tmp_path / 'mine.py', 'def make(*, image_size, seed=3):\n    pass\n\nDATASETS = {"mine": make}\n')
    plugins.load(['mine.py'], [tmp_path])
    assert callable(sources.find('mine').make)
    assert plugins.options('data', 'mine', {}) == {'reader': '', 'seed': 3}  # of every data set


def test_a_stage_has_tables_of_its_own(tmp_path):
    for name, table in (('one', 'performance'), ('other', 'living'), ('third', 'own')):
        stage = f'STAGES = {{"{name}": Stage(print, tables=("{table}",))}}'
        write(tmp_path / f'{name}.py', f'from imbalance_jax.training.trained import Stage\n\n{stage}\n')
    stages = {'there': Stage(print, tables=('living',))}
    with pytest.raises(ValueError, match=r"STAGES\['one'\] of .* writes results/performance, which the suite writes"):
        plugins.load(['one.py'], [tmp_path], stages)
    with pytest.raises(ValueError, match="writes results/living, which stage 'there' writes; name its table otherwise"):
        plugins.load(['other.py'], [tmp_path], stages)
    plugins.load(['third.py'], [tmp_path], stages)
    assert sorted(stages) == ['there', 'third']


@pytest.mark.parametrize(
    ('stage', 'said'),
    [
        ('Stage(lambda trained: None)', 'run of STAGES.* does not take 2 arguments: too many positional arguments'),
        ('Stage(print, check=lambda config: None)', 'check of STAGES.* does not take 4 arguments'),
        ('Stage(print, tables=("mine"))', r"tables of STAGES.* is 'mine'; expected a tuple of names"),
        ('print', 'is a builtin_function_or_method; expected a training.trained.Stage'),
    ],
)
def test_a_stage_that_cannot_run_is_refused_at_once(tmp_path, stage, said):
    write(tmp_path / 'bad.py', f'from imbalance_jax.training.trained import Stage\n\nSTAGES = {{"bad": {stage}}}\n')
    with pytest.raises(ValueError, match=said):
        plugins.load(['bad.py'], [tmp_path], {})


def test_stages_go_where_the_caller_has_them(tmp_path):
    text = (
        'from imbalance_jax.training.trained import Stage\n\nSTAGES = {"mine": Stage(run=print, defaults={"x": 1})}\n'
    )
    write(tmp_path / 'mine.py', text)
    plugins.load(['mine.py'], [tmp_path])  # by who has none: they are for others
    stages = {}
    plugins.load(['mine.py'], [tmp_path], stages)
    assert stages['mine'].defaults == {'x': 1}
    from ml_collections import ConfigDict

    config = ConfigDict({'mine': {'x': 2}}).lock()
    plugins.add_defaults(config, stages)
    assert config.mine.x == 2
    config = ConfigDict({}).lock()
    plugins.add_defaults(config, stages)
    assert config.mine.x == 1


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (LOSS.replace('NAME', 'bce'), "LOSSES of .*mine.py has 'bce', as imbalance_jax.losses has"),
        ('LOSES = {"a": print}\n', "Did you mean 'LOSSES'"),
        ('LOSSES = {"a": print}\nSAMPLER = {"b": print}\n', "Did you mean 'SAMPLERS'"),
        ('x = 1\n', 'mine.py has none of the dicts LOSSES, SAMPLERS'),
        ('LOSSES = {"a": 3}\n', r"LOSSES\['a'\] of .* is 3; it must be a function"),
        ('MODELS = {"a": dict}\n', r"MODELS\['a'\] of .* is <class 'dict'>, whose arguments nothing says; expected"),
        (
            'import no_such_module\n',
            'config.plugins: mine.py failed with ModuleNotFoundError: No module named',
        ),
        ('def f(:\n', 'config.plugins: mine.py failed with SyntaxError'),
    ],
)
def test_what_is_wrong_with_a_plugin_is_one_line(tmp_path, text, message):
    write(tmp_path / 'mine.py', text)
    with pytest.raises(ValueError, match=message) as caught:
        plugins.load(['mine.py'], [tmp_path])
    assert '\n' not in str(caught.value)


def test_a_plugin_that_is_not_there_and_one_name_of_two_plugins(tmp_path):
    for name in ('nowhere.py', 'no_such_lab.losses'):
        with pytest.raises(ValueError, match=f'config.plugins: {name} failed'):
            plugins.load([name], [tmp_path])
    write(tmp_path / 'one.py', LOSS.replace('NAME', 'mine'))
    write(tmp_path / 'two.py', LOSS.replace('NAME', 'mine'))
    with pytest.raises(ValueError, match=r'two.py has .mine., as .*one.py has'):
        plugins.load(['one.py', 'two.py'], [tmp_path])


def test_constants_in_upper_case_are_no_tables(tmp_path):
    write(tmp_path / 'mine.py', 'COLOURS = {"a": 1}\n' + LOSS.replace('NAME', 'mine'))
    plugins.load(['mine.py'], [tmp_path])
    assert 'COLOURS' not in plugins.TABLES
    assert samplers.SAMPLERS.keys() == plugins.TABLES['SAMPLERS'].entries.keys()


@pytest.mark.parametrize('name', [0, 1, None])
def test_a_plugin_is_a_name(name):
    with pytest.raises(ValueError, match=rf'config\.plugins has {name}; expected names of modules or files'):
        plugins.load((name,), ())


def test_the_files_that_have_a_part_are_a_plugin_s_own_and_those_that_it_imports(tmp_path):
    text = LOSS.replace('NAME', 'mine')
    write(tmp_path / 'helper_of_mine.py', 'WEIGHT = 1.0\n\n\ndef weight():\n    return WEIGHT\n')
    write(tmp_path / 'beside.py', 'OTHER = 1\n')
    write(tmp_path / 'mine.py', f'import numpy\nfrom helper_of_mine import weight\n{text}')
    plugins.load(['mine.py'], [tmp_path])
    before = provenance.plugins()
    assert len(before) == 16
    write(tmp_path / 'beside.py', 'OTHER = 2\n')
    assert provenance.plugins() == before
    write(tmp_path / 'helper_of_mine.py', 'WEIGHT = 2.0\n')
    assert provenance.plugins() != before
    plugins.load([], [tmp_path])
    assert provenance.plugins() == ''


@pytest.mark.parametrize(
    'how',
    [
        'from settings import POWER',
        'import settings',
        'def late():\n    import settings',
        'from parts.settings import POWER',
    ],
)
def test_a_module_of_numbers_alone_is_one_that_a_plugin_imports(tmp_path, how):
    home = tmp_path / ('parts' if 'parts' in how else '')
    home.mkdir(exist_ok=True)
    write(home / 'settings.py', 'from deeper import POWER\n')
    write(tmp_path / 'deeper.py', 'POWER = 1.0\n')
    write(tmp_path / 'mine.py', f'{how}\n' + LOSS.replace('NAME', 'mine'))
    for name in ('settings', 'deeper', 'parts', 'parts.settings'):
        sys.modules.pop(name, None)
    plugins.load(['mine.py'], [tmp_path])
    before = provenance.plugins()
    for path, text in ((tmp_path / 'deeper.py', 'POWER = 2.0\n'), (home / 'settings.py', 'POWER = 3.0\n')):
        write(path, text)
        assert provenance.plugins() != before, path
        before = provenance.plugins()


def test_what_was_made_with_another_version_of_a_plugin_is_made_again(tmp_path):
    write(tmp_path / 'mine.py', LOSS.replace('NAME', 'mine'))
    (tmp_path / 'run' / 'explain').mkdir(parents=True)
    (tmp_path / 'run' / layout.PREDICTIONS).write_bytes(b'as they are')
    made = []

    def make():
        made.append(1)
        return {'values': np.array(len(made))}

    def values():
        return outputs.cached(tmp_path / 'run', 'figures', make)['values']

    plugins.load(['mine.py'], [tmp_path])
    assert [values(), values()] == [1, 1]
    write(tmp_path / 'mine.py', LOSS.replace('NAME', 'mine').replace("'focal'", "'bce'"))
    assert [values(), values()] == [2, 2]


def test_training_does_not_go_on_with_plugins_that_were_edited(study, tiny_config, tmp_path, capsys):
    workdir = shutil.copytree(study, tmp_path / 'run')
    known = records.provenance(workdir)
    write_json(workdir / layout.PROVENANCE, {**known, 'train': {**known['train'], 'plugins': '0' * 16}})
    run.run(tiny_config, workdir)
    said = 'The plugins of config.plugins have been edited since training began'
    assert f'is trained already. {said}: to train with them, take another --workdir.' in capsys.readouterr().out
    (workdir / layout.PREDICTIONS).unlink()
    with pytest.raises(ValueError, match=f'{said}: put them back as they were, or take another --workdir'):
        run.run(tiny_config, workdir)
    assert not (workdir / layout.PREDICTIONS).exists()


@pytest.mark.parametrize('name', ['../x', 'a/b', '', 'a\nb'])
def test_names_that_no_file_can_have_are_refused(tmp_path, name):
    write(tmp_path / 'mine.py', f'METHODS = {{{name!r}: print}}\n')
    with pytest.raises(ValueError, match=r'METHODS of .* has the name .*; expected a text of letters'):
        plugins.load(['mine.py'], [tmp_path])


def test_a_file_of_the_same_name_elsewhere_is_said(tmp_path, monkeypatch, caplog):
    for folder, text in (('old', LOSS.replace('NAME', 'of_old')), ('copy', LOSS.replace('NAME', 'of_copy'))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'mine.py').write_text(text)
    monkeypatch.chdir(tmp_path / 'copy')
    plugins.load_kept({'plugins': ('mine.py',), 'plugin_folders': (str(tmp_path / 'old'),)})
    assert (
        f'{tmp_path / "old" / "mine.py"} is used, and {tmp_path / "copy" / "mine.py"}, which is another' in caplog.text
    )
    caplog.clear()
    (tmp_path / 'copy' / 'mine.py').write_text(LOSS.replace('NAME', 'of_old'))
    plugins.load_kept({'plugins': ('mine.py',), 'plugin_folders': (str(tmp_path / 'old'),)})
    assert not caplog.text
