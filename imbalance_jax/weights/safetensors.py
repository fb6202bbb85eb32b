"""Safetensors, read and written: 8 bytes that say how long the header is, a header in JSON, and the numbers."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.names import lookup
from imbalance_jax.system.files import atomic
from imbalance_jax.weights.dtypes import SAFETENSORS
from imbalance_jax.weights.stored import Damaged, require

HEADER = 100_000_000  # bytes, the most that the format allows
METADATA = '__metadata__'
NAMES = {dtype: name for name, dtype in SAFETENSORS.items()}


def looks_like(content: bytes) -> bool:
    """Whether a file begins as safetensors do."""
    return len(content) > 8 and content[8:9] == b'{' and int.from_bytes(content[:8], 'little') <= HEADER


def read(content: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata of a file's bytes; Damaged for headers and offsets that cannot be.

    The numbers must be laid out without gaps and overlaps, as the format wants it.
    """
    length = int.from_bytes(content[:8], 'little')
    require(8 + length <= len(content), f'its header is said to take {length:,} bytes, and it has {len(content):,}')
    header = _header(content[8 : 8 + length])
    metadata = header.pop(METADATA, {})
    texts = isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    require(texts, 'its metadata are no texts by name')
    data = memoryview(content)[8 + length :]
    spans = {key: _span(key, entry, len(data)) for key, entry in header.items()}
    end = 0
    for key, (start, stop, *_) in sorted(spans.items(), key=lambda item: item[1][:2]):
        require(start == end, f'tensor {key!r} begins at byte {start:,}, and what is before it ends at {end:,}')
        end = stop
    require(end == len(data), f'{len(data) - end:,} bytes at its end belong to no tensor')
    tensors = {
        key: np.frombuffer(data[start:stop], dtype).reshape(shape).copy()
        for key, (start, stop, dtype, shape) in spans.items()
    }
    return tensors, metadata


def _header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise Damaged(f'its header is no JSON ({" ".join(str(error).split())[:80]})') from error
    require(isinstance(header, dict), 'its header is no table of tensors')
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    require(len(result) == len(pairs), 'its header has a key twice')
    return result


def _span(key: str, entry: Any, size: int) -> tuple[int, int, np.dtype, tuple[int, ...]]:
    """Start, stop, dtype and shape of a tensor."""
    require(isinstance(entry, dict) and entry.keys() >= {'dtype', 'shape', 'data_offsets'}, f'{key!r} is no tensor')
    require(isinstance(entry['dtype'], str), f'the dtype of {key!r} is no name')
    try:
        dtype = lookup(SAFETENSORS, entry['dtype'], f'dtype of tensor {key!r}')
    except ValueError as error:
        raise Damaged(str(error).rstrip('.')) from error
    shape, offsets = entry['shape'], entry['data_offsets']
    for numbers, what in ((shape, 'shape'), (offsets, 'data_offsets')):
        whole = isinstance(numbers, list) and all(type(one) is int and one >= 0 for one in numbers)
        require(whole, f'{what} of {key!r} is no list of whole numbers')
    require(len(shape) <= 32, f'tensor {key!r} has {len(shape)} axes')
    require(len(offsets) == 2 and offsets[0] <= offsets[1] <= size, f'{key!r} lies at {offsets}, of {size:,} bytes')
    wanted = math.prod(shape) * dtype.itemsize
    said = f'tensor {key!r} {shape} takes {wanted:,} bytes, and has {offsets[1] - offsets[0]:,}'
    require(wanted == offsets[1] - offsets[0], said)
    return offsets[0], offsets[1], dtype, tuple(shape)


def write(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Writes tensors and metadata, which are texts, as a safetensors file.

    Larger elements come first, so that each tensor is aligned. Raises ValueError for a dtype that the format has not.
    """
    arrays = {key: np.ascontiguousarray(value).reshape(np.shape(value)) for key, value in tensors.items()}
    for key, array in arrays.items():
        if array.dtype not in NAMES:
            raise ValueError(f'Tensor {key!r} is {array.dtype}; safetensors hold {", ".join(map(str, NAMES))}.')
    order = sorted(arrays, key=lambda key: (-arrays[key].dtype.itemsize, key))
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    end = 0
    for key in order:
        start, end = end, end + arrays[key].nbytes
        entry = {'dtype': NAMES[arrays[key].dtype], 'shape': list(arrays[key].shape), 'data_offsets': [start, end]}
        header[key] = entry
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)

    def pour(file: Any) -> None:
        file.write(len(text).to_bytes(8, 'little') + text)
        for key in order:
            file.write(arrays[key].tobytes())

    atomic(Path(path), pour)
