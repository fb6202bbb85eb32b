"""A working directory that was changed by hand and accepted as it is: a page, or one line that says what it lacks."""

import json
import shutil

import pytest
from noise_study import make_workdir

from imbalance_jax import cli
from imbalance_jax.analysis.report import page as report
from imbalance_jax.analysis.report import trust
from imbalance_jax.launch import console
from imbalance_jax.system import layout, provenance, signals

OUTSIDE = cli.Outside(console.base, console.report, console.sweep_report, [])


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    return make_workdir(tmp_path_factory.mktemp('whole') / 'run')


@pytest.mark.parametrize(
    ('name', 'edit', 'said'),
    [
        (layout.CONFIG, {'arms': {}}, 'it must have at least one arm'),
        (layout.CONFIG, {'seeds': [5, 6]}, 'one is of another population'),
        (layout.CONFIG, {'reference': 'z'}, "has the reference 'z'"),
        (layout.CONFIG, {'attribution': 3}, 'was accepted as it is'),
        (layout.CONFIG, {'plugins': 7}, 'was accepted as it is'),
        (layout.CONFIG, {'train': {'epochs': 'many'}}, 'config.train.epochs'),
        (layout.CONFIG, None, 'bring it back from a copy'),
        (layout.DATA, {'classes': 7}, 'data.json, make no report: TypeError'),
    ],
)
def test_what_was_edited_and_accepted_is_one_line(whole, tmp_path, monkeypatch, name, edit, said):
    monkeypatch.setattr(signals, 'leave_when_asked', lambda **_: None)
    run = shutil.copytree(whole, tmp_path / 'run')
    content = json.loads((run / name).read_text())
    (run / name).write_text('' if edit is None else json.dumps({**content, **edit}))
    for accepted in (False, True):
        if accepted:
            provenance.accept(run)
        with pytest.raises(ValueError, match=said if accepted else 'changed by hand') as error:
            cli.run(['report', str(run)], OUTSIDE)
        assert '\n' not in str(error.value)
        assert str(run) in str(error.value)


def test_a_lost_log_of_metrics_that_was_accepted_leaves_the_rest(whole, tmp_path, capsys):
    run = shutil.copytree(whole, tmp_path / 'run')
    (run / layout.METRICS).unlink()
    with pytest.raises(FileNotFoundError, match=r'metrics\.jsonl is missing'):
        report.write(run)
    provenance.accept(run)
    assert 'metrics.jsonl' in report.write(run).read_text()  # among what was accepted
    assert not capsys.readouterr().err
    assert trust.said_of([run]) == [
        f'{run}: Files that are not as they were written, and were accepted: metrics.jsonl.'
    ]
