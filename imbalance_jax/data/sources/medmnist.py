"""MedMNIST and MedMNIST+ (Yang et al. 2023): twelve sets of two-dimensional medical images, in one npz file each."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from imbalance_jax.data.dataset import Allocate, Dataset, in_memory
from imbalance_jax.data.sources import npz
from imbalance_jax.data.sources.medmnist_subsets import SUBSETS, Subset
from imbalance_jax.names import lookup

SOURCE = (
    'MedMNIST v2, https://zenodo.org/records/10519652. Yang J, Shi R, Wei D, Liu Z, Zhao L, Ke B, Pfister H, Ni B. '
    'MedMNIST v2 - A large-scale lightweight benchmark for 2D and 3D biomedical image classification. Scientific Data '
    '2023. And the source of the subset.'
)
PARTS = ('train', 'val', 'test')


class File(NamedTuple):
    """An npz file of one subset, and the side of its images in pixels."""

    path: Path
    subset: str
    side: int


def make(
    *,
    manual_dir: Path,
    subset: str = '',
    image_size: int = 28,
    progress: Callable[[int, int], Any] | None = None,
    allocate: Allocate | None = None,
) -> Dataset:
    """Makes the data set of the file SUBSET.npz (28 px) or SUBSET_SIZE.npz (64, 128, 224 px) in `manual_dir`.

    `subset` is one of `SUBSETS`; it may be left out where the files of one only are there. Of several sizes the
    smallest that is at least `image_size` is read, or else the largest; images of another size are resized. A subset
    of two values is one class, the abnormal one: 'malignant' of breastmnist, whose label 1 is "normal, benign". Grades
    are classes in an order (`info['ordinal']`). The files don't say whose an image is: every image counts as a patient
    of its own. `info['notes']` says so, and which counts are not as published. Raises FileNotFoundError without a file,
    ValueError for one that is not as MedMNIST's are.
    """
    file = choose(Path(manual_dir), subset, image_size)
    kind = SUBSETS[file.subset]
    counts = _counts(file, kind)
    total = sum(counts)
    images = (allocate or in_memory)('images', (total, image_size, image_size, kind.channels), np.uint8)
    done = 0
    for part in PARTS:
        for piece in npz.pieces(file.path, f'{part}_images'):
            images[done : done + len(piece)] = _resized(piece.reshape(*piece.shape[:3], -1), image_size)
            done += len(piece)
            if progress:
                progress(done, total)
    names = [f'{part}_{row:06d}' for part, count in zip(PARTS, counts, strict=True) for row in range(count)]
    notes = ['Nothing says whose images these are: every image counts as a patient of its own.']
    notes += _unpublished(counts, kind)
    if file.side < image_size:
        notes.append(f'The files are of {file.side} pixels and were enlarged to {image_size}.')
    options = {'image_size': image_size, 'subset': file.subset}
    return _dataset(images, labels(file), counts, names, file, {'options': options, 'problems': {}, 'notes': notes})


def files(*, manual_dir: Path, subset: str = '', image_size: int = 28, **_: Any) -> dict[str, Path]:
    """The one file that `make` reads."""
    path = choose(Path(manual_dir), subset, image_size).path
    return {path.name: path}


def files_in(folder: Path) -> list[File]:
    """The files of two-dimensional subsets in a folder."""
    found = []
    for path in sorted(folder.glob('*.npz')):
        match = re.fullmatch(r'([a-z]+)(?:_(\d+))?', path.stem)
        if match and match[1] in SUBSETS:
            found.append(File(path, match[1], int(match[2] or 28)))
    return found


def choose(folder: Path, subset: str, image_size: int) -> File:
    """The file to read for images of that size; raises as `make`."""
    if image_size < 1:
        raise ValueError(f'image_size is {image_size}; expected a positive number of pixels.')
    if subset:
        lookup(SUBSETS, subset, 'subset of MedMNIST')
    found = [file for file in files_in(folder) if file.subset == (subset or file.subset)]
    if not found:
        wanted = f'{subset}.npz' if subset else 'npz file of a two-dimensional subset, such as chestmnist_64.npz'
        raise FileNotFoundError(f'{folder} has no {wanted}. They are at https://zenodo.org/records/10519652.')
    if len(there := sorted({file.subset for file in found})) > 1:
        raise ValueError(f'{folder} has the subsets {", ".join(there)}; say which as the option subset.')
    enough = [file for file in found if file.side >= image_size]
    return min(enough, key=lambda file: file.side) if enough else max(found, key=lambda file: file.side)


def labels(file: File) -> np.ndarray:
    """Labels [N, K] uint8 of a file's images, in the order train, val, test; ValueError for a value that is none."""
    kind = SUBSETS[file.subset]
    columns = len(kind.values) if kind.task == 'multi_label' else 1
    values = []
    for part in PARTS:
        array = np.concatenate([*npz.pieces(file.path, f'{part}_labels'), np.zeros((0, columns), np.uint8)])
        most = 1 if kind.task == 'multi_label' else len(kind.values) - 1
        if (wrong := np.argwhere((array < 0) | (array > most))).size:
            row, column = wrong[0]
            value = array[row, column]
            raise ValueError(f'{file.path}: {part}_labels, row {row}, is {value}; expected 0 to {most}.')
        values.append(array)
    whole = np.concatenate(values)
    if kind.task == 'multi_label':
        return whole.astype(np.uint8)
    if kind.task == 'binary':
        return (whole == kind.positive).astype(np.uint8)
    return (whole == np.arange(len(kind.values))).astype(np.uint8)


def _counts(file: File, kind: Subset) -> tuple[int, ...]:
    """Images per part; ValueError where arrays are missing or of another shape than MedMNIST's."""
    shapes, columns = npz.shapes(file.path), len(kind.values) if kind.task == 'multi_label' else 1
    wanted_pixels = (file.side, file.side, 3) if kind.channels == 3 else (file.side, file.side)
    counts = []
    for part in PARTS:
        for name, wanted in ((f'{part}_images', wanted_pixels), (f'{part}_labels', (columns,))):
            if name not in shapes:
                raise ValueError(f'{file.path} has no {name}; its arrays are {", ".join(shapes) or "none"}.')
            shape, number = shapes[name]
            if shape[1:] != wanted or number.kind not in 'ui' or (name.endswith('images') and number != np.uint8):
                expected = ['N', *wanted]
                raise ValueError(f'{file.path}: {name} is {number}{list(shape)}; expected whole numbers {expected}.')
        counts.append(shapes[f'{part}_images'][0][0])
        if shapes[f'{part}_labels'][0][0] != counts[-1]:
            raise ValueError(
                f'{file.path}: {counts[-1]} {part}_images, {shapes[f"{part}_labels"][0][0]} {part}_labels.'
            )
    return tuple(counts)


def _unpublished(counts: tuple[int, ...], kind: Subset) -> list[str]:
    parts = zip(PARTS, counts, kind.counts, strict=True)
    return [
        f'{part}: {count} images; {published} are published.' for part, count, published in parts if count != published
    ]


def _resized(images: np.ndarray, size: int) -> np.ndarray:
    """Images [n, H, W, C] at size x size, by a triangle as wide as the reduction: antialiased, without dark rims."""
    if images.shape[1:3] == (size, size):
        return images
    resized = np.empty((len(images), size, size, images.shape[3]), np.uint8)
    for image, out in zip(images, resized, strict=True):
        picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
        out[:] = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR)).reshape(out.shape)
    return resized


def _dataset(
    images: np.ndarray, labels: np.ndarray, counts: tuple[int, ...], names: list[str], file: File, info: dict
) -> Dataset:
    kind, total, side = SUBSETS[file.subset], len(images), images.shape[1]
    return Dataset(
        images=images,
        labels=labels,
        label_mask=np.ones_like(labels),
        split=np.repeat(np.arange(3, dtype=np.uint8), counts),
        patient=np.arange(total, dtype=np.int64),
        image_id=np.array(names, np.str_),
        region_image=np.zeros(0, np.int32),
        region_concept=np.zeros(0, np.int32),
        region_box=np.zeros((0, 4), np.float32),
        region_mask=np.zeros((0, side, (side + 7) // 8), np.uint8),
        source_size=np.full((total, 2), file.side, np.int32),
        info={
            'name': file.subset,
            'classes': list(kind.classes),
            'concepts': list(kind.classes),
            'frame': [side, side],
            'task': 'multi_label' if kind.task == 'binary' else kind.task,
            'family': kind.family,
            'ordinal': kind.ordinal,
            'modality': kind.modality,
            'source': SOURCE,
            'licence': kind.licence,
            **info,
        },
    )
