"""The prepared form of a data set: arrays in a folder that appears whole or not at all."""

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
import zlib
from pathlib import Path

import numpy as np

from imbalance_jax.system.files import naming

SPLITS = ('train', 'validation', 'test')
LEFT_OUT = 255
PRESENT, ABSENT, UNCERTAIN, NOT_MENTIONED, NOT_READ = 1, 0, -1, -2, -3  # what a cell of a label table says
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set in memory. Regions are annotated areas: findings, anatomy, devices.

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
                    licence; groups ({grouping: [names]}, such as sex) if `groups` are known
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


ARRAYS = tuple(field.name for field in dataclasses.fields(Dataset) if field.name != 'info')
# Arrays that a data set, or a folder that was prepared earlier, need not have.
OPTIONAL = ('groups', 'cells', 'region_reader', 'source_size')


def fingerprint(options: dict) -> str:
    """Sixteen hexadecimal digits that name a data set by what it is made from."""
    text = json.dumps({'format': FORMAT, **options}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _crc32(path: Path) -> int:
    with open(path, 'rb') as file:
        crc = 0
        while chunk := file.read(1 << 22):
            crc = zlib.crc32(chunk, crc)
    return crc


def save(dataset: Dataset, folder: Path) -> None:
    """Writes `folder`; it is renamed into place as the last act, so a reader never meets half of it."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f'.{folder.name}.'))
    try:
        with naming(folder):
            names = [name for name in ARRAYS if getattr(dataset, name) is not None]
            for name in names:
                np.save(partial / f'{name}.npy', getattr(dataset, name), allow_pickle=False)
            crc32 = {name: _crc32(partial / f'{name}.npy') for name in names}
            (partial / 'info.json').write_text(json.dumps({'info': dataset.info, 'crc32': crc32}, indent=1))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def leftovers(folder: Path) -> list[Path]:
    """What `save` has left of `folder` where it was killed; only for whoever alone saves there."""
    return [path for path in Path(folder).parent.glob(f'.{Path(folder).name}.*') if path.is_dir()]


def load(folder: Path) -> Dataset:
    """Reads what `save` wrote. Raises FileNotFoundError if absent, ValueError naming the file if damaged."""
    folder = Path(folder)
    try:
        record = json.loads((folder / 'info.json').read_text())
        info, crc32 = record['info'], record['crc32']
        names = [name for name in ARRAYS if name in crc32 or name not in OPTIONAL]
        crc32 = {name: crc32[name] for name in names}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{folder}/info.json is damaged ({error!r}).') from error
    for name in names:
        if not (folder / f'{name}.npy').exists() or _crc32(folder / f'{name}.npy') != crc32[name]:
            raise ValueError(f'{folder / name}.npy does not match its checksum: the prepared data set is damaged.')
    return Dataset(**{name: _read(folder / f'{name}.npy') for name in names}, info=info)


def _read(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f'{path} is no array that can be loaded safely ({error}).') from error
