"""Files of weights: equal to what PyTorch reads, and harmless whatever is in them."""

import io
import json
import os
import pickle
import struct
import time
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from imbalance_jax import weights
from imbalance_jax.weights import states
from imbalance_jax.weights.pickled import Global, Record, Tensor

GOLDEN = dict(np.load(Path(__file__).parents[1] / 'golden' / 'torch_files.npz'))
CONTAINERS = ('zip', 'legacy')


def put(folder, name, content):
    path = folder / name
    path.write_bytes(bytes(content))
    return path


def wanted(name):
    return {key.removeprefix(f'{name}/'): value for key, value in GOLDEN.items() if key.startswith(f'{name}/')}


def check_equal(tensors, expected):
    assert list(tensors) == list(expected)
    for key, value in expected.items():
        assert tensors[key].shape == value.shape, key
        np.testing.assert_array_equal(tensors[key].astype(value.dtype), value)


@pytest.mark.parametrize('container', CONTAINERS)
def test_tensors_are_those_of_pytorch(tmp_path, container):
    stored = weights.read(put(tmp_path, 'a.pth', GOLDEN[f'odd.{container}']))
    check_equal(stored.tensors, wanted('odd'))
    assert stored.container == container
    assert stored.tensors['brain'].dtype == ml_dtypes.bfloat16
    assert stored.tensors['half'].dtype == np.float16
    assert stored.tensors['turned'].flags.owndata
    assert stored.tensors['turned'].flags.c_contiguous


@pytest.mark.parametrize('container', CONTAINERS)
def test_a_whole_module_is_its_state_dict(tmp_path, container):
    stored = weights.read(put(tmp_path, 'a.pt', GOLDEN[f'module.{container}']))
    check_equal(stored.tensors, wanted('module'))
    assert stored.container == f'{container} module'


@pytest.mark.parametrize('container', CONTAINERS)
def test_a_checkpoint_gives_its_weights_and_not_their_averages(tmp_path, container):
    stored = weights.read(put(tmp_path, 'a.ckpt', GOLDEN[f'checkpoint.{container}']))
    check_equal(stored.tensors, {f'module.{key}': value for key, value in wanted('module').items()})


def test_safetensors_come_back_as_they_were_written(tmp_path):
    random = np.random.default_rng(0)
    arrays = {
        'a': random.normal(size=(3, 4)).astype(np.float32),
        'b': random.normal(size=(2,)).astype(ml_dtypes.bfloat16),
        'c': np.array(7),
        'd': np.zeros((0, 2), np.float16),
        'e': random.normal(size=(4, 3)).T,
    }
    weights.write_safetensors(tmp_path / 'a.safetensors', arrays, {'about': 'x'})
    stored = weights.read(tmp_path / 'a.safetensors')
    assert stored.metadata == {'about': 'x'}
    assert set(stored.tensors) == set(arrays)
    for key, value in arrays.items():
        assert stored.tensors[key].dtype == value.dtype
        np.testing.assert_array_equal(stored.tensors[key], value)
    (tmp_path / 'a.safetensors.index.json').write_text(json.dumps({'weight_map': {'a': 'a.safetensors'}}))
    assert list(weights.read(tmp_path / 'a.safetensors.index.json').tensors) == ['a']
    (tmp_path / 'a.safetensors.index.json').write_text(json.dumps({'weight_map': {'a': '../a.safetensors'}}))
    with pytest.raises(ValueError, match='no table of files beside it'):
        weights.read(tmp_path / 'a.safetensors.index.json')


def safetensors(header, data=b''):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, 'little') + text + data


ENTRY = {'dtype': 'F32', 'shape': [2], 'data_offsets': [0, 8]}


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (safetensors({'a': ENTRY, 'b': {**ENTRY, 'data_offsets': [4, 12]}}, bytes(12)), "'b' begins at byte 4"),
        (safetensors({'a': ENTRY}, bytes(4)), 'of 4 bytes'),
        (safetensors({'a': {**ENTRY, 'shape': [3]}}, bytes(8)), 'takes 12 bytes, and has 8'),
        (safetensors({'a': {**ENTRY, 'dtype': 'Q4'}}, bytes(8)), "Unknown dtype of tensor 'a' 'Q4'"),
        (safetensors({'a': {**ENTRY, 'shape': [-2]}}, bytes(8)), 'no list of whole numbers'),
        (safetensors({'a': {**ENTRY, 'shape': [2**40, 2**40]}}, bytes(8)), 'takes'),
        (safetensors({'a': ENTRY}, bytes(9)), '1 bytes at its end'),
        (safetensors(b'{"a": 1, "a": 2}'), 'a key twice'),
        (safetensors(b'{' + b'[' * 50_000), 'no JSON'),
        ((10**7).to_bytes(8, 'little') + b'{}', 'said to take 10,000,000 bytes'),
        (b'', 'empty'),
        (b'\x89HDF\r\n\x1a\n' + bytes(100), 'as Keras writes them'),
        (b'version https://git-lfs.github.com/spec/v1', 'git lfs pull'),
        (b'<!DOCTYPE html>', 'page of a web site'),
        (b'nothing', 'kind is unknown'),
        (pickle.dumps({'a': 1}), 'torch.save did not write'),
    ],
)
def test_what_is_damaged_or_foreign_is_refused_in_one_line(tmp_path, content, said):
    with pytest.raises(ValueError, match='cannot be read as weights') as caught:
        weights.read(put(tmp_path, 'a.bin', content))
    assert said in str(caught.value)
    assert '\n' not in str(caught.value)
    assert str(tmp_path / 'a.bin') in str(caught.value)
    with pytest.raises(ValueError, match=r'it is a program of jax\.export, not weights; model\.safetensors beside it'):
        weights.read(put(tmp_path, 'a.jaxexport', b'<abc' + bytes(9)))


class Calls:
    """What pickles as a call of a function of Python's own."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def text(value):
    return b'X' + struct.pack('<I', len(value)) + value.encode()


def tensor(offset=0, shape=(2,), strides=(1,), size=4, kind='FloatStorage', storage='storage'):
    """Opcodes of a dict with one tensor."""
    number = lambda n: b'\x8a\x08' + struct.pack('<q', n)  # noqa: E731
    numbers = lambda values: b'(' + b''.join(map(number, values)) + b't'  # noqa: E731
    pid = b'(' + text(storage) + f'ctorch\n{kind}\n'.encode() + text('0') + text('cpu') + number(size) + b't'
    arguments = b'(' + pid + b'Q' + number(offset) + numbers(shape) + numbers(strides) + b'\x89}t'
    return b'\x80\x02}' + text('a') + b'ctorch._utils\n_rebuild_tensor_v2\n' + arguments + b'Rs.'


def hostile(mark):
    """Pickles that would do harm, or take all memory or time, if they were executed or believed."""
    touch = f'touch {mark}'
    nested = b'\x80\x02' + b'(' * 20_000 + b't' * 20_000 + b'.'
    laughs = b'\x80\x02)' + b'q\x00' + b''.join(b'h%ch%c\x86q%c' % (i, i, i + 1) for i in range(60))
    return {
        'system': pickle.dumps(Calls(os.system, touch), 2),
        'eval': pickle.dumps(Calls(eval, f'__import__("os").system({touch!r})'), 2),
        'inside': pickle.dumps({'state_dict': {'a': Calls(os.system, touch)}}, 2),
        'chain': pickle.dumps(Calls(getattr, Calls(__import__, 'os'), 'system'), 4),
        'instance': b'\x80\x02(S' + repr(touch).encode() + b'\nios\nsystem\n.',
        'object': b'\x80\x02(cos\nsystem\nS' + repr(touch).encode() + b'\no.',
        'build': b'\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}' + text('__code__') + b'K\x01sb.',
        'extension': b'\x80\x02\x82\x01.',
        'nested': nested,
        'laughs': laughs + b'}h%cK\x01s.' % 60,
        'key': laughs + b'}h%ch%cs.' % (60, 60),
        'memo': b'\x80\x02Nr\xff\xff\xff\xff.',
        'bytes': b'\x80\x04\x8e' + struct.pack('<Q', 2**62) + b'x.',
        'long': b'\x80\x02\x8b\xff\xff\xff\x7f1.',
        'digits': b'\x80\x02I' + b'9' * 100_000 + b'\n.',
        'truncated': tensor()[:-5],
        'offset': tensor(offset=-1),
        'beyond': tensor(offset=3),
        'strides': tensor(strides=(2**61,)),
        'negative': tensor(strides=(-1,)),
        'shape': tensor(shape=(2**50,), strides=(0,)),
        'spread': tensor(shape=(2**33,), strides=(0,)),
        'axes': tensor(shape=(1,) * 40, strides=(1,) * 40),
        'size': tensor(size=2**40),
        'minus': tensor(size=-4),
        'kind': tensor(kind='EvilStorage'),
        'pid': tensor(storage='file'),
        'key only': b'\x80\x02X\x01\x00\x00\x00aQ.',
        'stack': b'\x80\x02.',
        'mark': b'\x80\x02(.',
        'recall': b'\x80\x02h\x05.',
        'itself': b'\x80\x02}q\x00' + text('a') + b'h\x00s.',
        'two': b'\x80\x02}' + text('a') + tensor()[2:-1] + b's' + text('b') + tensor()[2:-1] + b's.',
        'copies': b'\x80\x02](' + b'N' * 1000 + b'eq\x00'
        + b'ccollections\nOrderedDict\nh\x00\x85R0' * 1000 + b'.',
    }  # fmt: skip


def as_zip(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('a/data.pkl', content)
        archive.writestr('a/data/0', bytes(16))
    return file.getvalue()


def as_legacy(content):
    start = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({'little_endian': True}, 2)
    return start + content + pickle.dumps(['0'], 2) + struct.pack('<q', 4) + bytes(16)


@pytest.mark.parametrize('container', [as_zip, as_legacy])
def test_a_tensor_of_these_opcodes_is_read(tmp_path, container):
    stored = weights.read(put(tmp_path, 'a.pth', container(tensor(offset=2))))
    np.testing.assert_array_equal(stored.tensors['a'], np.zeros(2, np.float32))


@pytest.mark.parametrize('container', [as_zip, as_legacy])
@pytest.mark.parametrize('name', list(hostile('x')))
def test_hostile_pickles_do_nothing_but_be_refused(tmp_path, container, name):
    mark, begin = tmp_path / 'harm', time.monotonic()
    path = put(tmp_path, 'a.pth', container(hostile(mark)[name]))
    with pytest.raises(ValueError, match='cannot be read as weights') as caught:
        weights.read(path)
    assert '\n' not in str(caught.value)
    assert len(str(caught.value)) < 700
    assert not mark.exists()
    assert time.monotonic() - begin < 20


def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('a/data.pkl', tensor())
        archive.writestr('a/data/0', bytes(10**7))
    with pytest.raises(ValueError, match='would unpack to 10,000,'):
        weights.read(put(tmp_path, 'a.pth', file.getvalue()))


@pytest.mark.parametrize('container', [*CONTAINERS, 'safetensors'])
def test_a_changed_byte_is_refused_or_changes_numbers_only(tmp_path, container):
    if container == 'safetensors':
        tensors = {key: value for key, value in wanted('odd').items() if value.dtype == np.float32}
        weights.write_safetensors(tmp_path / 'good', tensors, {})
        good = (tmp_path / 'good').read_bytes()
    else:
        good = bytes(GOLDEN[f'odd.{container}'])
    random, refused = np.random.default_rng(0), []
    for _ in range(200):
        content = bytearray(good)
        content[random.integers(len(good))] = random.integers(256)
        try:
            stored = weights.read(put(tmp_path, 'a.pth', content))
        except ValueError as error:
            refused.append(str(error))
        else:
            assert all(isinstance(value, np.ndarray) for value in stored.tensors.values())
    assert refused
    assert not any('\n' in one for one in refused)


def test_what_could_be_meant_twice_is_refused(tmp_path):
    both = b'\x80\x02}' + text('a') + tensor()[2:-1] + b's' + text('b') + tensor()[2:-1] + b's.'
    with pytest.raises(ValueError, match=r'more than one place \(a, b\)'):
        weights.read(put(tmp_path, 'a.pth', as_zip(both)))


def test_a_tensor_beside_a_state_dict_is_a_loss_unless_its_name_is_that_of_a_layer():
    layer = Tensor(None, 0, (2,), (1,))
    state = {'fc.weight': layer}
    beside = {'epoch': 3, 'loss': layer, 'torch_rng_state': layer, 'optimizer_state_dict': {'state': {}}}
    assert states.find({'model_state_dict': state, **beside}) == (state, False)
    with pytest.raises(ValueError, match=r'more than one place \(head.weight, model_state_dict\)'):
        states.find({'model_state_dict': state, 'head.weight': layer})


@pytest.mark.parametrize(
    ('kind', 'said'),
    [
        (Global('torch._utils', '_rebuild_qtensor'), 'quantised'),
        (Global('torch._utils', '_rebuild_sparse_tensor'), 'sparse'),
        (Global('torch._utils', '_rebuild_meta_tensor_no_storage'), 'meta'),
        (Global('numpy.core.multiarray', '_reconstruct'), 'an array of NumPy'),
    ],
)
def test_what_stands_for_a_tensor_and_is_none_is_named(kind, said):
    layer, odd = Tensor(None, 0, (2,), (1,)), Record(kind)
    for state in ({'fc.weight': odd}, {'fc.bias': layer, 'fc.weight': odd}, {'model': {'fc.weight': odd}}):
        with pytest.raises(ValueError, match=f"'fc.weight' is .*{said}.*; save plain tensors"):
            states.find(state)
    history = {'model': {'fc.weight': layer}, 'losses': Record(Global('numpy.core.multiarray', '_reconstruct'))}
    assert states.find(history) == ({'fc.weight': layer}, False)


def test_an_array_of_objects_is_named(tmp_path):
    np.savez(tmp_path / 'a.npz', a=np.zeros(2), b=np.array([None, 'x'], object))
    with pytest.raises(ValueError, match="its array 'b' is of objects; save numbers"):
        weights.read(tmp_path / 'a.npz')


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no such file of weights'):
        weights.read(tmp_path / 'none.pth')
    with pytest.raises(ValueError, match='is a folder'):
        weights.read(tmp_path)
