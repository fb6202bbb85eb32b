"""Anything at all may happen to a file that is trusted: it is named, or nothing that is read of it differs.

A plan of two finished populations and a prepared data set; in each round one file is changed at random, and all that a
later step would read is read. In the environment MUTATIONS=1000 asks for more rounds than the suite has,
MUTATIONS_SEED=7 for others.
"""

import hashlib
import io
import json
import os
import pickle
import random
import shutil
import signal
import sys
from argparse import Namespace
from pathlib import Path

import mutating
import pytest
from noise_study import make_dataset, make_workdir
from trees import places

from imbalance_jax.analysis.report import study
from imbalance_jax.configs import base
from imbalance_jax.data import dataset
from imbalance_jax.sweep import cli, hyper, jobs, populations
from imbalance_jax.sweep import plan as plans
from imbalance_jax.system import files, layout, locks, records, seals, workdir

ROUNDS = int(os.environ.get('MUTATIONS', '30'))
SEED = int(os.environ.get('MUTATIONS_SEED', '0'))
ARMS = {'bce': {}, 'focal': {'gamma': 2.0}}
ODD = [None, True, 7, -1.5, 'text', [], {}, [[]], [7], {'odd': 1}, 1e400]


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """A plan with two finished populations, and a prepared data set."""
    import numpy as np

    folder = tmp_path_factory.mktemp('world')
    config = base.get_config()
    with config.unlocked():
        config.arms = ARMS
    config.seeds = (0, 1)
    config.attribution.methods, config.evaluate.bootstrap_rounds = ('grad_cam',), 20
    configs = populations.populations(config, hyper.sweep('data.image_size', [32, 48]))
    for job in plans.write(folder / 'plan.jsonl', configs)[0]:
        make_workdir(job.workdir, arms=ARMS)
        workdir.write_json(job.workdir / layout.CONFIG, job.config)
        facts = {'state': 'done', 'note': '', 'seconds': 1.5, 'starts': 1, 'parts': ['.']}
        files.write_json(folder / 'plan' / f'{job.id}.json', seals.seal(facts))
        with workdir.lock(job.workdir), locks.acquire(folder / 'plan' / f'{job.id}.lock', 'it'):
            pass
    dataset.save(make_dataset(np.random.default_rng(0), ('Mass', 'Edema'), True), folder / 'set')
    return folder


def digest(value) -> str:
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer)
    pickler.fast = True  # equal values are equal bytes, whatever they share
    pickler.dump(value)
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def readers(folder: Path, near: str = ''):
    """Name -> what is read: each file by itself, and what verbs read of all; of `near`, a name in the folder, alone."""
    result = {'set': lambda: vars(dataset.load(folder / 'set')), 'plan': lambda: plans.read(folder / 'plan.jsonl')}
    for place in sorted(path for path in (folder / 'plan').iterdir() if path.is_dir() and '.' not in path.name):
        of_place = {
            'config': lambda place=place: records.config(place),
            'members': lambda place=place: records.members(place),
            'data': lambda place=place: records.data(place),
            'provenance': lambda place=place: records.provenance(place),
            'metrics': lambda place=place: list(records.metrics(place)),
            'report': lambda place=place: study.load(place),
        }
        for path in [*place.glob('explain/*'), place / layout.CONTACT_SHEET]:
            of_place[path.name] = lambda path=path: workdir.read_arrays(path)
        for path in place.glob('results/*.parquet'):
            of_place[path.name] = lambda place=place, path=path: workdir.read_table(place, path.stem).to_csv()
        result |= {f'{place.name}/{name}': read for name, read in of_place.items()}
    return {name: read for name, read in result.items() if name.split('/')[0].startswith(near)}


def outcome(read, folder: Path, complaints: list[str]) -> str | None:
    """The digest of what is read, None if it is refused; what is no line that names a file goes to `complaints`."""

    def is_clear(error):
        return '\n' not in str(error) and str(folder) in str(error)

    return mutating.outcome(
        lambda: digest(read()), complaints, refusals=(ValueError, OSError), is_clear=is_clear, seconds=60
    )


def status(folder: Path) -> str:
    return jobs.table(plans.read(folder / 'plan.jsonl'))[0]


def collected(folder: Path) -> tuple[int, bytes]:
    flags = Namespace(plan=folder / 'plan.jsonl', job='', shard='', mixed=False)
    code = cli.collect_tables(flags, lambda done: folder / 'report.html')
    return code, (folder / 'plan' / 'results.csv').read_bytes()


def reshaped(value, draw: random.Random):
    """Plain data with one place lost, exchanged or of another kind."""
    found = places(value)
    if not found or draw.random() < 0.1:
        return draw.choice(ODD)
    tree, key = draw.choice(found)
    if draw.random() < 0.3:
        del tree[key]
    elif isinstance(tree, list) and draw.random() < 0.5:
        tree.reverse()
    elif type(tree[key]) in (int, float) and draw.random() < 0.5:
        tree[key] *= 2
    else:
        tree[key] = draw.choice(ODD)
    return value


def mutate(path: Path, others: list[Path], draw: random.Random) -> str:
    """Changes a file in one of many ways; returns which."""
    content = path.read_bytes()
    how = draw.choice(['bit', 'bit', 'cut', 'lost', 'foreign', 'empty', 'pipe', 'folder', 'lines', 'shape', 'shape'])
    lines = content.splitlines(keepends=True)
    if how == 'shape' and path.suffix in ('.json', '.jsonl'):
        number = draw.randrange(len(lines)) if path.suffix == '.jsonl' else 0
        one = reshaped(json.loads(lines[number] if path.suffix == '.jsonl' else content), draw)
        text = json.dumps(one).encode() + b'\n'
        path.write_bytes(b''.join([*lines[:number], text, *lines[number + 1 :]]) if path.suffix == '.jsonl' else text)
    elif how in ('lost', 'pipe', 'folder'):
        path.unlink()
        {'lost': str, 'pipe': os.mkfifo, 'folder': os.mkdir}[how](path)
    elif how == 'foreign':
        path.write_bytes(draw.choice(others).read_bytes())
    elif how == 'empty':
        path.write_bytes(b'')
    elif how == 'lines':  # whole ones at the end are lost
        path.write_bytes(b''.join(lines[: draw.randrange(max(1, len(lines)))]))
    elif how == 'cut':
        path.write_bytes(content[: draw.randrange(max(1, len(content)))])
    elif content:
        path.write_bytes(mutating.flipped(content, draw))
    return how


def restore(path: Path, kept: Path) -> None:
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    shutil.copy2(kept, path)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, 'SIGALRM'), reason='waits are ended as on Unix')
def test_whatever_happens_to_a_file_is_said_or_does_no_harm(world, tmp_path, capfd):
    mutating.end_waits()
    kept = shutil.copytree(world, tmp_path / 'kept')
    known = {name: digest(read()) for name, read in readers(world).items()}
    said, whole = status(world), collected(world)
    paths = sorted(path for path in world.rglob('*') if path.is_file() and path.name[:8] != 'results.')
    draw, complaints, refused = random.Random(SEED), [], 0
    for number in range(ROUNDS):
        path = draw.choice(paths)
        others = [one for one in paths if one.suffix == path.suffix and one != path] or paths
        how = mutate(path, others, draw)
        own: list[str] = []
        relative = path.relative_to(world)
        near = relative.parts[min(len(relative.parts) - 1, 1)] if relative.parts[0] == 'plan' else relative.parts[0]
        seen = {name: outcome(read, world, own) for name, read in readers(world, near.split('.')[0]).items()}
        now = outcome(lambda: status(world), world, own)
        changed = [name for name, value in seen.items() if value not in (None, known.get(name))]
        told = now is None or (now != digest(said)) or None in seen.values()
        # What is lost is missed by `status`; a value that differs is not excused by that.
        lost = how in ('lost', 'pipe', 'folder') and now != digest(said)
        own += [f'silent: {name}' for name in changed if not (lost and name.endswith(('/report', '/metrics')))]
        if (
            relative.parent.name == layout.RESULTS
            and now is not None
            and (result := outcome(lambda: collected(world), world, own))
        ):
            own += ['collected as done'] if result != digest(whole) and collected(world)[0] == 0 else []
        refused += told
        complaints += [f'round {number}, {how} of {relative}: {one}' for one in own]
        restore(path, kept / relative)
    capfd.readouterr()
    print(
        f'{ROUNDS} mutations of seed {SEED}, {refused} said, {len(complaints)} complaints',
        *complaints,
        sep='\n',
        file=sys.stderr,
    )
    assert not complaints, '\n'.join(complaints[:20])
    assert refused > ROUNDS / 2
    assert {name: digest(read()) for name, read in readers(world).items()} == known
    assert collected(world) == whole
