"""Plain data that parse and are something else than what was written: one line that names the file and the place."""

import copy
import json
import random

import pytest
from trees import places

from imbalance_jax.system import layout, locks, records, workdir

SOUND = {
    layout.CONFIG: {
        'arms': {'bce': {}},
        'seeds': [0, 1],
        'data': {'name': 'phantom'},
        'model': {'name': 'cnn'},
        'train': {'epochs': 2},
        'reference': 'bce',
    },
    layout.MEMBERS: [{'member': 0, 'arm': 'bce', 'loss': 'bce', 'seed': 0}],
    layout.DATA: {'name': 'phantom', 'fingerprint': 'ab12'},
    layout.PROVENANCE: {'train': {'seconds': 1.5, 'starts': 1}},
}
READERS = {
    layout.CONFIG: records.config,
    layout.MEMBERS: records.members,
    layout.DATA: records.fingerprint,
    layout.PROVENANCE: records.provenance,
}
ODD = [None, True, 7, 'text', [], {}, [[]], [7], {'odd': 1}]


@pytest.mark.parametrize('name', SOUND)
def test_what_was_written_is_read(tmp_path, name):
    (tmp_path / name).write_text(json.dumps(SOUND[name]))
    sound = SOUND[name]['fingerprint'] if name == layout.DATA else SOUND[name]
    assert READERS[name](tmp_path) == sound


@pytest.mark.parametrize('name', SOUND)
@pytest.mark.parametrize('odd', ODD, ids=str)
def test_another_shape_is_one_line(tmp_path, name, odd):
    (tmp_path / name).write_text(json.dumps(odd))
    if name == layout.PROVENANCE and odd == {}:
        assert READERS[name](tmp_path) == {}
        return
    with pytest.raises(ValueError, match=r'is damaged: ') as caught:
        READERS[name](tmp_path)
    assert str(tmp_path / name) in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', SOUND)
@pytest.mark.parametrize('seed', range(20))
def test_a_lost_key_or_a_changed_kind_is_one_line_or_does_no_harm(tmp_path, name, seed):
    """Any one place of the tree, at random: what is read has all that its readers rely on."""
    draw, value = random.Random(seed), copy.deepcopy(SOUND[name])
    tree, key = draw.choice(places(value))
    if isinstance(tree, dict) and draw.random() < 0.5:
        del tree[key]
    else:
        tree[key] = draw.choice(ODD)
    (tmp_path / name).write_text(json.dumps(value))
    try:
        got = READERS[name](tmp_path)
    except ValueError:
        with pytest.raises(ValueError, match=name.replace('.', r'\.')):
            READERS[name](tmp_path)
        return
    if name == layout.MEMBERS:
        assert all({'member', 'arm', 'loss', 'seed'} <= row.keys() for row in got)
    elif name == layout.CONFIG:
        assert isinstance(got['data'], dict)
        assert isinstance(got['train'], dict)


METRIC = {'epoch': 1, 'arm': 'bce', 'seed': 0, 'alive': True, 'validation_auroc': 0.5}


def test_a_damaged_line_of_metrics_is_named_and_half_a_line_is_none(tmp_path):
    path = tmp_path / layout.METRICS
    path.write_text(f'{json.dumps(METRIC)}\n{json.dumps(METRIC)[:20]}')
    assert list(records.metrics(tmp_path)) == [METRIC]
    for odd in ('[1]', '7', '{', json.dumps({**METRIC, 'epoch': 'one'})):
        path.write_text(f'{json.dumps(METRIC)}\n{odd}\n')
        with pytest.raises(ValueError, match=r'metrics\.jsonl, line 2 is damaged'):
            list(records.metrics(tmp_path))
        with pytest.raises(ValueError, match=r'metrics\.jsonl, line 2 is damaged'):
            workdir.rewind_metrics(tmp_path, 1, {('bce', 0)})


@pytest.mark.parametrize('odd', ['7', '[]', '"x"', '{"pid": "y"}', '\xff', ''])
def test_an_odd_lock_is_nobody_s(tmp_path, odd):
    path = tmp_path / 'lock'
    path.write_bytes(odd.encode('latin-1'))
    assert locks.owner(path) is None
    with locks.acquire(path, 'it'):
        assert locks.owner(path)['pid']
