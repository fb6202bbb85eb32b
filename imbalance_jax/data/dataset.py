"""The prepared form of a data set: arrays in a folder that appears whole or not at all."""

import contextlib
import dataclasses
import errno
import hashlib
import json
import math
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data.streams import Rows, on_all_cores
from imbalance_jax.system import seals
from imbalance_jax.system.files import naming, regular

SPLITS = ('train', 'validation', 'test')
LEFT_OUT = 255
PRESENT, ABSENT, UNCERTAIN, NOT_MENTIONED, NOT_READ = 1, 0, -1, -2, -3  # what a cell of a label table says
FORMAT = 2  # of the folder, and of what is done to data sets of every source: raised, all are made anew


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set, in memory or in files mapped into it. Regions are annotated areas: findings, anatomy, devices.

    images:         [N, H, W, C] uint8
    labels:         [N, K] uint8, 1 where the finding is present
    label_mask:     [N, K] uint8, 0 where a label is uncertain or missing and must count nowhere
    split:          [N] uint8, index into `SPLITS`; LEFT_OUT is in none
    patient:        [N] int64, the unit of splitting and of every cluster bootstrap
    image_id:       [N] str
    region_image:   [R] int32, which image
    region_concept: [R] int32, index into `info['concepts']`
    region_box:     [R, 4] float32, x0 y0 x1 y1 in pixels of the original image, whose size is `info['frame']`
    region_mask:    [R, H, ceil(W / 8)] uint8, exact masks packed along x by `numpy.packbits`, or [0, H, ceil(W / 8)]
                    where the source has boxes only
    info:           JSON: name, classes (K names), concepts (S names, the K classes first), frame [height, width],
                    options (what it was made from), problems ({kind: [file names]} of inputs left out), source,
                    licence; notes, doubts (sentences); groups ({grouping: [names]}, such as sex) if `groups` are known
    groups:         [N, G] int8, index into the names of each grouping, -1 where unknown; None without any
    cells:          [A, N, K] int8, what each of A readings of an image says, of which `labels` and `label_mask` are one
                    reduction: PRESENT, ABSENT, UNCERTAIN, NOT_MENTIONED, or NOT_READ where this reading has not seen
                    the image; None if the labels are all there is. `info['readings']`: A pairs [version, reader]
    region_reader:  [R] int8, index into `info['readers']`, -1 for a consensus; None if nobody says who drew
    source_size:    [N, 2] int32, height and width of the image's file in pixels; None where unknown
    """

    images: np.ndarray
    labels: np.ndarray
    label_mask: np.ndarray
    split: np.ndarray
    patient: np.ndarray
    image_id: np.ndarray
    region_image: np.ndarray
    region_concept: np.ndarray
    region_box: np.ndarray
    region_mask: np.ndarray
    info: dict
    groups: np.ndarray | None = None
    cells: np.ndarray | None = None
    region_reader: np.ndarray | None = None
    source_size: np.ndarray | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """K names, in the order of the labels."""
        return tuple(self.info['classes'])

    @property
    def concepts(self) -> tuple[str, ...]:
        """S names, the classes first."""
        return tuple(self.info['concepts'])

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of one split, ascending."""
        return np.flatnonzero(self.split == SPLITS.index(split))

    def images_of(self, split: str) -> Rows:
        """The images of one split, in the order of `rows`; none is read yet."""
        return Rows(self.images, self.rows(split))


ARRAYS = tuple(field.name for field in dataclasses.fields(Dataset) if field.name != 'info')
# Arrays that a data set, or a folder that was prepared earlier, need not have.
OPTIONAL = ('groups', 'cells', 'region_reader', 'source_size')
MAPPED = ('images', 'region_mask')  # stay in their files
TOLD = ('options', 'problems', 'doubts', 'source', 'licence', 'fingerprint')  # of `info`: what changes no number
BLOCK = 1 << 24  # bytes of a checksum


Allocate = Callable[[str, tuple[int, ...], Any], np.ndarray]  # (field, shape, dtype) -> an array to be filled in place


def key(made_from: dict) -> str:
    """Sixteen hexadecimal digits that name a prepared data set by what it is made from, as plain data."""
    text = json.dumps({'format': FORMAT, **made_from}, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """A value that JSON does not know: blocks of a config as dictionaries, NumPy's numbers, paths as text."""
    if isinstance(value, Mapping) or hasattr(value, 'to_dict'):
        return value.to_dict() if hasattr(value, 'to_dict') else dict(value)
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else str(value)


@contextlib.contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """A hidden neighbour of `folder` to prepare it in, readable as the umask says; gone afterwards."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f'.{folder.name}.{secrets.token_hex(4)}')
    partial.mkdir()
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def allocate(partial: Path, name: str, shape: tuple[int, ...], dtype: Any = np.uint8) -> np.ndarray:
    """A field of a `Dataset` of zeros, as a file of the folder that it is prepared in: memory is only borrowed.

    Raises ValueError for a name that is no field, OSError where the disk has no room for it.
    """
    if name not in ARRAYS:
        raise ValueError(f'{name!r} is no array of a data set. Known: {", ".join(ARRAYS)}.')
    if not all(shape):
        return np.zeros(shape, dtype)
    path, size = partial / f'{name}.npy', math.prod(map(int, shape)) * np.dtype(dtype).itemsize
    if size > (free := shutil.disk_usage(partial).free):
        text = f'{name} {list(shape)} would take {size / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free'
        hint = 'expected a smaller config.data.image_size, or another config.data.folder'
        raise OSError(errno.ENOSPC, f'{text}: {hint}', str(partial.parent))
    array = np.lib.format.open_memmap(path, mode='w+', dtype=np.dtype(dtype), shape=tuple(map(int, shape)))
    with naming(path), open(path, 'r+b') as file:  # a full disk says so now: later, it would end the process
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def in_memory(name: str, shape: tuple[int, ...], dtype: Any = np.uint8) -> np.ndarray:
    """A field of zeros as `allocate` gives it, where no folder is being prepared."""
    return np.zeros(shape, dtype)


def save(dataset: Dataset, folder: Path, partial: Path | None = None) -> None:
    """Writes `folder`; it is renamed into place as the last act, so a reader never meets half of it.

    partial: where arrays of `allocate` lie already. `info['fingerprint']` becomes that of what is written.
    """
    if partial is None:
        with unfinished(folder) as partial:
            save(dataset, folder, partial)
        return
    with naming(folder):
        names = [name for name in ARRAYS if getattr(dataset, name) is not None]
        for name in names:
            _write(getattr(dataset, name), partial / f'{name}.npy')
        crc32 = {name: _crc32(partial / f'{name}.npy') for name in names}
        info = {**dataset.info, 'fingerprint': fingerprint(dataset.info, crc32)}
        (partial / 'info.json').write_text(json.dumps(seals.seal({'info': info, 'crc32': crc32}), indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def fingerprint(info: dict, crc32: dict[str, list[int]]) -> str:
    """Sixteen hexadecimal digits of a data set's arrays and of what they mean, wherever and from what it was made."""
    meaning = {name: value for name, value in info.items() if name not in TOLD}
    return hashlib.sha256(json.dumps([meaning, crc32], sort_keys=True).encode()).hexdigest()[:16]


def _write(array: np.ndarray, path: Path) -> None:
    """An array as a file; one that was allocated there, whole, is there already."""
    mapped: Any = array
    while isinstance(mapped, np.ndarray) and not isinstance(mapped, np.memmap):
        mapped = mapped.base
    if isinstance(mapped, np.memmap):
        mapped.flush()
        if Path(str(mapped.filename)) == path.resolve() and array.flags.c_contiguous:
            there = np.load(path, mmap_mode='r', allow_pickle=False)
            if (there.shape, there.dtype) == (array.shape, array.dtype):  # not a part of it
                return
    other = path.with_suffix('.new')  # what lies at `path` may be what is written
    with open(other, 'wb') as file:
        np.save(file, array, allow_pickle=False)
    os.replace(other, path)


def _crc32(path: Path) -> list[int]:
    """The checksum of every BLOCK bytes of a file, on all cores."""
    with open(path, 'rb') as file:
        starts = range(0, os.fstat(file.fileno()).st_size, BLOCK)
        return list(on_all_cores(lambda start: zlib.crc32(os.pread(file.fileno(), BLOCK, start)), starts))


def leftovers(folder: Path) -> list[Path]:
    """What `save` has left of `folder` where it was killed; only for whoever alone saves there."""
    return [path for path in Path(folder).parent.glob(f'.{Path(folder).name}.*') if path.is_dir()]


def load(folder: Path, check: bool = True) -> Dataset:
    """Reads what `save` wrote; images and masks stay in their files, of which processes share one copy in memory.

    check: whether every byte is held against its checksum, once. Raises FileNotFoundError if absent, ValueError naming
    the file if damaged.
    """
    folder = Path(folder)
    try:
        record = json.loads(regular(folder / 'info.json').read_text(encoding='utf-8'))
        info, crc32 = record['info'], record['crc32']
        of_before = seals.SEAL not in record and info['fingerprint'] != fingerprint(info, crc32)
        if fault := seals.fault_of(record) or ('its fingerprint is that of other facts' if of_before else ''):
            raise ValueError(fault)
        names = [name for name in ARRAYS if name in crc32 or name not in OPTIONAL]
        crc32 = {name: crc32[name] for name in names}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f'{type(error).__name__}: {error}'  # whose repr may have all that was read
        raise ValueError(f'{folder}/info.json is damaged ({reason}).') from error
    for name in names if check else ():
        if not (folder / f'{name}.npy').is_file() or _crc32(folder / f'{name}.npy') != crc32[name]:
            raise ValueError(f'{folder / name}.npy does not match its checksum: the prepared data set is damaged.')
    return Dataset(**{name: _read(folder / f'{name}.npy', name in MAPPED) for name in names}, info=info)


def _read(path: Path, mapped: bool) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode='r' if mapped else None, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f'{path} is no array that can be loaded safely ({error}).') from error
    return np.asarray(array)
