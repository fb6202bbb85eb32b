"""The files of `torch.save`: a zip archive, and the row of pickles that it was before 2020."""

import io
import math
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from imbalance_jax.names import lookup
from imbalance_jax.weights import pickles, states
from imbalance_jax.weights.dtypes import STORAGES, TORCH
from imbalance_jax.weights.pickled import Record, Storage, Tensor
from imbalance_jax.weights.stored import ROOM, SAVE_INSTEAD, Damaged, require

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
MOST = 20  # times the size of its file that weights may take: they hardly compress, and tied ones are few
Bytes = Callable[[Storage, np.dtype], Any]  # where the numbers of a storage lie


def read_zip(content: bytes) -> tuple[dict[str, np.ndarray], bool]:
    """The tensors of a zip archive of `torch.save`, and whether it held a whole module; Damaged for others."""
    archive = zipfile.ZipFile(io.BytesIO(content))
    entries = _entries(archive, len(content))
    [pickle] = [name for name in entries if name == 'data.pkl' or name.endswith('/data.pkl')] or ['']
    require(bool(pickle), f'it is a zip archive without data.pkl; {SAVE_INSTEAD}')
    folder = pickle.removesuffix('data.pkl')
    if f'{folder}constants.pkl' in entries or any(name.startswith(f'{folder}code/') for name in entries):
        raise Damaged(f'it is a TorchScript program, whose weights are not read; {SAVE_INSTEAD}')
    order = archive.read(entries[f'{folder}byteorder']) if f'{folder}byteorder' in entries else b'little'
    require(order in (b'little', b'big'), f'its byte order is {order[:20]!r}')
    kept: dict[str, bytes] = {}

    def find(storage: Storage, dtype: np.dtype) -> Any:
        name = f'{folder}data/{storage.key}'
        require(name in entries, f'its storage {storage.key[:40]!r} is missing')
        if name not in kept:
            kept[name] = archive.read(entries[name])
        return np.frombuffer(kept[name], dtype.newbyteorder('>') if order == b'big' else dtype, _count(storage))

    found, whole = states.find(pickles.load(io.BytesIO(archive.read(entries[pickle]))))
    return _arrays(found, find, len(content)), whole


def _entries(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    entries = {info.filename: info for info in archive.infolist()}
    require(len(entries) == len(archive.infolist()), 'its archive has a name twice')
    sound = all(info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in entries.values())
    require(sound, 'its archive is compressed in a way that PyTorch does not')
    require(not any(info.flag_bits & 1 for info in entries.values()), 'its archive is encrypted')
    total = sum(info.file_size for info in entries.values())
    require(total <= MOST * size + ROOM, f'its archive would unpack to {total:,} bytes, from {size:,}')
    return entries


def is_legacy(content: bytes) -> bool:
    """Whether a file begins as `torch.save` wrote it before 2020."""
    return content[:2] == b'\x80\x02' and content[2:15] == b'\x8a\n' + MAGIC.to_bytes(10, 'little') + b'.'


def read_legacy(content: bytes) -> tuple[dict[str, np.ndarray], bool]:
    """The tensors of a file of `torch.save` from before 2020, and whether it held a whole module.

    Five pickles - a magic number, a protocol, the sizes of C's types, the object, the keys of the storages - and then
    of each storage its number of elements, in 8 bytes, and the elements.
    """
    file = io.BytesIO(content)
    magic, protocol, system, root, keys = (pickles.load(file) for _ in range(5))
    require(magic == MAGIC and protocol == PROTOCOL, 'it is of no known protocol')
    require(isinstance(system, dict) and system.get('little_endian', True) is True, 'its byte order is not little')
    known = isinstance(keys, list) and all(isinstance(key, str) for key in keys) and len(set(keys)) == len(keys)
    require(known, 'the keys of its storages are damaged')
    found, whole = states.find(root)
    kinds = _kinds(root, set(keys))
    places: dict[str, tuple[int, int]] = {}
    at = file.tell()
    for key in keys:
        require(at + 8 <= len(content), f'its storage {key[:40]!r} is missing')
        count = int.from_bytes(content[at : at + 8], 'little', signed=True)
        require(key in kinds, f'its storage {key[:40]!r} is of unknown type')
        stop = at + 8 + count * kinds[key].itemsize
        require(count >= 0 and stop <= len(content), f'its storage {key[:40]!r} goes beyond its end')
        places[key], at = (at + 8, count), stop
    require(at == len(content), f'{len(content) - at:,} bytes at its end belong to no tensor')

    def find(storage: Storage, dtype: np.dtype) -> Any:
        require(storage.key in places, f'its storage {storage.key[:40]!r} is missing')
        start, count = places[storage.key]
        require(_count(storage) <= count, f'its storage {storage.key[:40]!r} has {count:,} elements')
        return np.frombuffer(content, dtype, _count(storage), start)

    return _arrays(found, find, len(content)), whole


def _kinds(root: Any, keys: set[str]) -> dict[str, np.dtype]:
    """The types of all storages in an object; each part is looked at once."""
    kinds: dict[str, np.dtype] = {}
    seen: set[int] = set()
    ahead = [root]
    while ahead:
        one = ahead.pop()
        if isinstance(one, Storage):
            kinds[one.key] = _dtype(one.kind)
        elif isinstance(one, (dict, list, tuple, Record)) and id(one) not in seen:
            seen.add(id(one))
            ahead += _inside(one)
    return {key: kind for key, kind in kinds.items() if key in keys}


def _inside(one: Any) -> list[Any]:
    if isinstance(one, dict):
        return list(one.values())
    if isinstance(one, Record):
        return [one.arguments, one.state, *one.items.values()]
    return list(one)


def _count(storage: Storage) -> int:
    require(storage.size >= 0, f'its storage {storage.key[:40]!r} has {storage.size} elements')
    return storage.size


def _dtype(kind: str) -> np.dtype:
    try:
        return lookup(STORAGES, kind, 'storage')
    except ValueError as error:
        raise Damaged(str(error)[:200].rstrip('.')) from error


def _arrays(found: Mapping[str, Tensor], find: Bytes, size: int) -> dict[str, np.ndarray]:
    """The tensors as arrays of their own; together they may take `MOST` times the size of the file."""
    result, total = {}, 0
    for key, tensor in found.items():
        try:
            array = _view(tensor, find)
        except Damaged as error:
            raise Damaged(f'tensor {key[:100]!r}: {error}') from error
        total += array.size * array.dtype.itemsize
        require(total <= MOST * size + ROOM, f'its tensors would take more than {total:,} bytes, from {size:,}')
        result[key] = array.astype(array.dtype.newbyteorder('='), order='C', copy=True)
    return result


def _view(tensor: Tensor, find: Bytes) -> np.ndarray:
    """A tensor as a view of its storage; Damaged for one that goes beyond it."""
    storage = tensor.storage
    require(isinstance(storage, Storage), 'it has no storage')
    numbers = (tensor.offset, *_whole(tensor.shape), *_whole(tensor.strides))
    require(len(tensor.shape) == len(tensor.strides) <= 32, 'its shape and strides do not go together')
    require(all(type(one) is int and 0 <= one < 2**62 for one in numbers), 'its shape, strides or offset cannot be')
    dtype = _dtype(storage.kind)
    elements = storage
    if tensor.dtype:
        dtype = _torch_dtype(tensor.dtype)
        elements = storage._replace(size=storage.size // dtype.itemsize)
    last = tensor.offset + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    inside = 0 in tensor.shape or last < elements.size
    require(inside, f'it reads element {last:,} of a storage of {elements.size:,}')
    require(math.prod(tensor.shape) < 2**40, 'it is too large')
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, dtype)
    flat = find(elements, dtype)
    strides = tuple(stride * dtype.itemsize for stride in tensor.strides)
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides, writeable=False)


def _whole(numbers: Any) -> tuple[Any, ...]:
    require(isinstance(numbers, (tuple, list)), 'its shape or strides are no numbers')
    return tuple(numbers)


def _torch_dtype(name: str) -> np.dtype:
    try:
        return lookup(TORCH, name, 'type')
    except ValueError as error:
        raise Damaged(str(error)[:200].rstrip('.')) from error
