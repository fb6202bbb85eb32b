"""Nobody reads what is said, as in `imbalance-jax VERB | head -1`: no verb ends for that, and none has a traceback."""

import io
import json
import sys

import numpy as np
import pytest
from noise_study import make_workdir
from PIL import Image

from imbalance_jax import cli
from imbalance_jax.launch import console
from imbalance_jax.system import files, layout, progress, seals, signals, workdir

OUTSIDE = cli.Outside(console.base, console.report, console.sweep_report, ['false'])


class Closed(io.StringIO):
    """A pipe without a reader, of a program that has written one line."""

    lines = 0

    def write(self, text):
        self.lines += text.count('\n')
        if self.lines > 1:
            raise BrokenPipeError(32, 'Broken pipe')
        return super().write(text)


@pytest.fixture
def leave(monkeypatch):
    """Runs a command line into closed pipes; returns its exit status and what was read."""

    monkeypatch.setattr(signals, 'leave_when_asked', lambda *_, **__: None)

    def run(*arguments: str) -> tuple[int, str]:
        streams = Closed(), Closed()
        monkeypatch.setattr(sys, 'argv', ['imbalance-jax', *arguments])
        for name, stream in zip(('stdout', 'stderr'), streams, strict=True):
            monkeypatch.setattr(sys, name, stream)
        with pytest.raises(SystemExit) as left:
            cli.main(OUTSIDE)
        return left.value.code or 0, ''.join(stream.getvalue() for stream in streams)

    return run


@pytest.mark.parametrize('name', cli.VERBS)
def test_a_verb_works_to_its_end(name, leave, monkeypatch):
    done = []

    def work(*_):
        for number in range(3):
            print(number)
            print(number, file=sys.stderr, flush=True)
        with progress.show('work', 2) as update:
            update(1)
            update(2, note='whole')
        done.append(name)
        return 75

    monkeypatch.setitem(cli.VERBS, name, cli.VERBS[name]._replace(run=work))
    assert leave(*name.split())[0] == 75
    assert done == [name]


@pytest.mark.parametrize('name', cli.VERBS)
def test_its_help_and_its_errors_leave_with_their_status(name, leave):
    assert leave(*name.split(), '--help')[0] == 0
    assert leave(*name.split(), '--no-such-flag')[0] == 2


@pytest.mark.parametrize('words', [['--help'], ['--version'], ['plan', '--help'], ['data', 'guess', '{folder}']])
def test_an_answer_that_could_not_be_written_is_no_success(words, monkeypatch, tmp_path, capsys):
    (tmp_path / 'table.csv').write_text('image,mass\n0.png,1\n')
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / '0.png')
    monkeypatch.setattr(sys, 'argv', ['imbalance-jax', *(word.format(folder=tmp_path) for word in words)])
    with open('/dev/full', 'w') as full:
        monkeypatch.setattr(sys, 'stdout', full)
        with pytest.raises(SystemExit) as left:
            cli.main(OUTSIDE)
        monkeypatch.undo()
    assert left.value.code == 1
    assert 'standard output takes no more' in capsys.readouterr().err


def test_what_verbs_make_is_there(leave, tmp_path):
    """The verbs that need no program compiled, as they are."""
    run, images, plan = tmp_path / 'run', tmp_path / 'images' / 'a', tmp_path / 'sweep.jsonl'
    make_workdir(run)
    assert leave('report', str(run)) == (0, f'{run / layout.REPORT}\n')
    (run / layout.DATA).write_text((run / layout.DATA).read_text() + ' ')
    assert leave('accept', str(run))[0] == 0
    assert 'accept' in json.loads((run / layout.PROVENANCE).read_text())
    images.mkdir(parents=True)
    for number in range(4):
        Image.fromarray(np.full((8, 8), 40 * number, np.uint8)).save(images / f'{number}.png')
    (images.parent / 'table.csv').write_text('image,mass\n0.png,1\n1.png,0\n2.png,1\n3.png,0\n')
    assert leave('data', 'guess', str(images.parent), f'--out={tmp_path / "guessed.py"}')[0] == 0
    assert (tmp_path / 'guessed.py').exists()
    assert leave('plan', '--config=configs/quickstart.py', f'--out={plan}')[0] == 0
    assert leave('status', str(plan))[0] == 75
    [facts] = map(json.loads, plan.read_text().splitlines())
    job = plan.with_suffix('') / facts['id']
    make_workdir(job, arms=facts['config']['arms'], seeds=facts['config']['seeds'])
    workdir.write_json(job / layout.CONFIG, facts['config'])
    done = {'state': 'done', 'note': '', 'seconds': 1.0, 'starts': 1, 'parts': ['.']}
    files.write_json(job.with_suffix('.json'), seals.seal(done))
    assert leave('status', str(plan))[0] == 0
    assert leave('collect', str(plan))[0] == 0
    assert (plan.with_suffix('') / 'report.html').exists()
    assert leave('work', str(plan))[0] == 1, 'its program is `false`'
