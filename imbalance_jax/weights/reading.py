"""One way in for files of weights, whatever their container; nothing in them is executed."""

import hashlib
import io
import json
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.system.files import regular
from imbalance_jax.weights import safetensors, torch_files
from imbalance_jax.weights.stored import ROOM, SAVE_INSTEAD, Damaged, Stored, require

READ = 'safetensors, the .pth, .pt and .bin files of torch.save, and .npz'
PAGE = re.compile(rb'<(!doctype|html|head|body|\?xml|!--|script)', re.I)  # how pages of web sites begin
FOREIGN = (
    (b'\x89HDF\r\n\x1a\n', 'an HDF5 file, as Keras writes them: its networks are of other geometry (ResNet-50 there '
     'is v1: its stride lies on the first 1x1 convolution, and its convolutions have biases), so no weights of Keras '
     'are read; take the PyTorch version of the same weights'),
    (b'GGUF', 'a GGUF file, which holds language models'),
    (b'PK\x05\x06', 'an empty archive'),
)  # fmt: skip
# By the end of the name, where the content has no mark.
ENDINGS = {
    '.onnx': f'an ONNX program, whose weights have lost their names; {SAVE_INSTEAD}',
    '.ckpt.index': f'a TensorFlow checkpoint; {SAVE_INSTEAD}',
    '.index': f'a TensorFlow checkpoint; {SAVE_INSTEAD}',
    '.pb': 'a TensorFlow program, which is not read',
    '.msgpack': 'msgpack, which is not read: save flat arrays with numpy.savez, by names such as params/head/kernel',
    '.keras': 'of Keras, whose networks are of other geometry; take the PyTorch version of the same weights',
    '.tflite': 'a TensorFlow Lite program, which is not read',
}
# What a damaged file makes the standard library raise.
BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    MemoryError,
    OSError,
)


def read(path: Path | str) -> Stored:
    """The tensors of a file of weights; no pickle in it is executed.

    Reads safetensors, also in several files by their `*.index.json`, both containers of `torch.save`, with a state
    dict, a checkpoint that has one, or a whole module, and `.npz`. Raises ValueError, one line, for what is damaged,
    of another kind, or ambiguous, and FileNotFoundError where there is no file.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f'{path} is a folder; give a file of weights: {READ}.')
    if not path.exists():
        raise FileNotFoundError(f'{path}: there is no such file of weights.')
    content = regular(path).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    try:
        if path.name.endswith('.index.json'):
            return _sharded(path, content, digest)
        container, tensors, metadata = _read(path, content)
        require(bool(tensors), 'it holds no tensors')
    except Damaged as error:
        raise ValueError(f'{path} cannot be read as weights: {error}.') from error
    except BROKEN as error:
        what = ' '.join(str(error).split())[:120] or type(error).__name__
        raise ValueError(f'{path} cannot be read as weights: it is damaged ({what}).') from error
    return Stored(tensors, container, digest, metadata, path.name)


def _read(path: Path, content: bytes) -> tuple[str, dict[str, np.ndarray], dict[str, str]]:
    """Container, tensors and metadata of one file."""
    require(bool(content), 'it is empty')
    for mark, what in FOREIGN:
        require(not content.startswith(mark), f'it is {what}')
    for ending, what in ENDINGS.items():
        require(not path.name.endswith(ending), f'it is {what}')
    require('.data-0000' not in path.name, f'it is {ENDINGS[".index"]}')
    if safetensors.looks_like(content):
        return 'safetensors', *safetensors.read(content)
    if content.startswith(b'PK\x03\x04'):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
        require('model.weights.h5' not in names, f'it is {ENDINGS[".keras"]}')
        if names and all(name.endswith('.npy') for name in names):
            return 'npz', _npz(content), {}
        tensors, whole = torch_files.read_zip(content)
        return 'zip module' if whole else 'zip', tensors, {}
    if torch_files.is_legacy(content):
        tensors, whole = torch_files.read_legacy(content)
        return 'legacy module' if whole else 'legacy', tensors, {}
    if content[:1] == b'\x80':
        raise Damaged(f'it is a pickle that torch.save did not write; {SAVE_INSTEAD}')
    if content.startswith(b'version https://git-lfs'):
        raise Damaged('it is a pointer of Git LFS, not the file itself: fetch it with git lfs pull')
    if path.suffix == '.jaxexport':
        raise Damaged('it is a program of jax.export, not weights; model.safetensors beside it has them')
    if PAGE.match(content[:200].lstrip()):
        raise Damaged('it is a page of a web site, not the file itself: download it again')
    raise Damaged(f'its kind is unknown; what is read: {READ}')


def _npz(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of an .npz; object arrays, which are pickles, are refused."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(info.file_size for info in archive.infolist())
    most = torch_files.MOST * len(content) + ROOM
    require(size <= most, f'its archive would unpack to {size:,} bytes, from {len(content):,}')
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {key: _array(arrays, key) for key in arrays.files}


def _array(arrays: Any, key: str) -> np.ndarray:
    try:
        return arrays[key]
    except ValueError as error:
        require('allow_pickle' not in str(error), f'its array {key!r} is of objects; save numbers')
        raise


def _sharded(path: Path, content: bytes, digest: str) -> Stored:
    """The tensors of several files, by the table that says which key lies where."""
    table: Any = json.loads(content.decode()) if len(content) < safetensors.HEADER else None
    places = table.get('weight_map') if isinstance(table, dict) else None
    sound = isinstance(places, dict) and all(isinstance(one, str) and Path(one).name == one for one in places.values())
    require(sound and bool(places), 'its weight_map is no table of files beside it')
    parts = {name: read(path.parent / name) for name in dict.fromkeys((places or {}).values())}
    for key, name in (places or {}).items():
        require(key in parts[name].tensors, f'{name} has no tensor {key!r}')
    tensors = {key: parts[name].tensors[key] for key, name in (places or {}).items()}
    whole = hashlib.sha256(''.join([digest, *(one.sha256 for one in parts.values())]).encode()).hexdigest()
    first = next(iter(parts.values()))
    return Stored(tensors, first.container, whole, first.metadata, path.name)
