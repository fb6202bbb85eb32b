"""Any data set of TFDS that has an image and a label, through `as_data_source`: TensorFlow is not needed."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from imbalance_jax.data.dataset import NOT_MENTIONED, PRESENT, SPLITS, Allocate, Dataset, in_memory
from imbalance_jax.data.reader import geometry
from imbalance_jax.data.reader.contradictions import check_modality
from imbalance_jax.data.reader.layout import SPLIT_NAMES
from imbalance_jax.data.reader.spelling import numbers_of, share
from imbalance_jax.data.sources import tfds_features
from imbalance_jax.data.sources.tfds_features import Roles
from imbalance_jax.data.streams import on_all_cores
from imbalance_jax.names import lookup
from imbalance_jax.system.files import at_home

READ = 256  # examples at once
IDS = ('image/filename', 'image_id', 'image/id', 'file_name', 'filename', 'name', 'id')


class Part(NamedTuple):
    """Examples of one split of TFDS: its name, how many, and which split of ours they are in."""

    name: str
    images: int
    split: int


class Rows(NamedTuple):
    """What the examples say besides pixels; regions are (image, concept, box in prepared pixels)."""

    ids: list[str]
    patients: list[str]
    cells: list[np.ndarray]
    sizes: list[tuple[int, int]]
    regions: list[tuple[int, int, np.ndarray]]


def make(
    *,
    name: str = '',
    data_dir: str = '',
    image: str = '',
    label: str = '',
    classes: Sequence[str] = (),
    patient: str = '',
    splits: Mapping[str, str] | None = None,
    validation: float = 0.15,
    test: float = 0.2,
    seed: int = 0,
    resize: str = 'stretch',
    channels: int = 0,
    modality: str = 'photograph',
    image_size: int = 224,
    set_name: str = '',
    progress: Callable[[int, int], Any] | None = None,
    allocate: Allocate | None = None,
) -> Dataset:
    """Makes the data set that TFDS calls `name` ('chexpert', 'oxford_iiit_pet:3.2.0'), prepared in `data_dir`.

    Without `name` it is that of config.data.name, 'tfds:chexpert'. It must be prepared in a format with random access
    (`tfds build NAME --file_format=array_record`). `image`, `label` and `patient` name features; the first two are
    found where there is one only. A class label is one of several classes; a sequence of them, or a tensor of 0 and 1,
    is several at once; a word such as 'uncertain' per class is a cell of labels. Boxes with labels are regions.
    `splits` maps ours to theirs, as {'test': 'validation'}; names such as 'valid' are known. A split that is not there
    is drawn from the patients of training, a share of `validation` or `test`, by a hash. Without a feature `patient`
    every image is a patient of its own. Raises ValueError for what is not prepared, has no image or label, or no
    training split.
    """
    check_modality(modality, f'config.data.{set_name or "tfds"}.modality')
    name = _named(name, set_name)
    builder = find(name, data_dir)
    role = tfds_features.roles(builder.info, image, label, classes)
    parts = parts_of(builder.info, splits or {})
    if patient:
        lookup(dict(builder.info.features.items()), patient, f'feature of {builder.info.name} (option patient)')
    colours = channels or (3 if role.channels != 1 and _coloured(builder, role, parts) else 1)
    total = sum(part.images for part in parts)
    pixels = (allocate or in_memory)('images', (total, image_size, image_size, colours), np.uint8)
    rows = Rows([], [], [], [], [])
    for part in parts:
        for examples in _examples(builder, role.image, part):
            squares = on_all_cores(lambda one: _square(one[role.image], image_size, resize, colours), examples)
            for example, (square, size) in zip(examples, squares, strict=True):
                pixels[len(rows.ids)] = square
                place = geometry.into_square(*size, image_size, resize)
                _note(rows, example, role, (part, patient), size, place, image_size)
                if progress:
                    progress(len(rows.ids), total)
    split = _drawn(parts, rows.patients, {'validation': validation, 'test': test}, seed)
    info = {
        'name': builder.info.name,
        'options': {'name': name, 'image_size': image_size},
        'resize': resize,
        'modality': modality,
        'source': f'{builder.info.full_name}, {builder.info.homepage or "TensorFlow Datasets"}',
        'licence': str(builder.info.redistribution_info.license or 'see the source'),
        'notes': []
        if patient
        else ['Nothing says whose images these are: every image counts as a patient of its own.'],
    }
    return _dataset(pixels, split, rows, role, info)


def files(*, name: str = '', data_dir: str = '', set_name: str = '', **_: Any) -> dict[str, Path]:
    """The files of the prepared data set."""
    folder = Path(find(_named(name, set_name), data_dir).info.data_dir)
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}


def _named(name: str, set_name: str) -> str:
    return name or set_name.removeprefix('tfds:')


def find(name: str, data_dir: str) -> Any:
    """The builder of a data set that is prepared; ValueError if TFDS has none of that name, or none in `data_dir`."""
    import tensorflow_datasets as tfds

    folder = str(at_home(data_dir)) if data_dir else None
    try:
        builder = tfds.builder(name, data_dir=folder)
    except Exception as error:  # TFDS raises what it likes: DatasetNotFoundError, ImportError, AssertionError
        reason = str(error).strip().split('\n')[0]
        raise ValueError(f'TFDS has no data set {name!r} in {folder or "its own folder"} ({reason}).') from error
    place = builder.info.data_dir
    if not builder.info.splits and (others := sorted(Path(place).parent.glob('*/dataset_info.json'))):
        builder = tfds.builder_from_directory(others[-1].parent)  # of another version than TFDS's code
    if not builder.info.splits:
        raise ValueError(
            f'{name} is not prepared in {place}; prepare it with `tfds build {name} --file_format=array_record`, '
            'and say where as option data_dir.'
        )
    if str(getattr(builder.info.file_format, 'value', '')) not in ('array_record', 'bagz', 'parquet'):
        raise ValueError(
            f'{place} is written as {builder.info.file_format.value}, which only TensorFlow reads; prepare it with '
            f'`tfds build {name} --file_format=array_record`.'
        )
    return builder


def parts_of(info: Any, splits: Mapping[str, str]) -> list[Part]:
    """The splits of TFDS that are used, in our order; ValueError without one for training."""
    for ours, theirs in splits.items():
        lookup(dict.fromkeys(SPLITS, ''), ours, 'split (option splits)')
        lookup(dict(info.splits.items()), theirs, f'split of {info.name} (option splits)')
    if len(set(splits.values())) < len(splits):
        raise ValueError(f'{info.name}: option splits gives one split two meanings: {dict(splits)}.')
    parts = []
    for number, ours in enumerate(SPLITS):
        known = [one for one in info.splits if one.lower() in SPLIT_NAMES[ours] and one not in splits.values()]
        theirs = splits.get(ours, known[0] if known else '')
        if theirs:
            parts.append(Part(theirs, info.splits[theirs].num_examples, number))
    if not parts or parts[0].split != 0:
        raise ValueError(
            f'{info.name} has the splits {", ".join(info.splits)}; say which is for training as option '
            "splits, such as {'train': 'whole'}."
        )
    return parts


def _examples(builder: Any, image: str, part: Part) -> Iterator[list[dict[str, Any]]]:
    """Yields a split's examples in their order, with images left as they are encoded."""
    import tensorflow_datasets as tfds

    source = builder.as_data_source(part.name, decoders={image: tfds.decode.SkipDecoding()})
    for start in range(0, len(source), READ):
        yield source.__getitems__(list(range(start, min(start + READ, len(source)))))


def _pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        if picture.mode.startswith('I'):
            return np.asarray(picture).astype(np.uint16)
        return np.asarray(picture.convert('L' if picture.mode in ('1', 'L', 'LA') else 'RGB'))


def _square(data: bytes, size: int, resize: str, channels: int) -> tuple[np.ndarray, tuple[int, int]]:
    """The image [size, size, channels] uint8, and the height and width of what was encoded."""
    pixels = _pixels(data)
    height, width = pixels.shape[:2]
    if channels == 1 and pixels.ndim == 3:
        pixels = np.round(pixels @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    square = geometry.fit(pixels, size, resize)
    square = square[..., None] if square.ndim == 2 else square
    return np.broadcast_to(square, (size, size, channels)), (height, width)


def _coloured(builder: Any, role: Roles, parts: Sequence[Part]) -> bool:
    """Whether any of the first images has a colour."""
    first = next(_examples(builder, role.image, parts[0]), [])
    pixels = (_pixels(example[role.image]) for example in first)
    return any(one.ndim == 3 and (one[..., :1] != one[..., 1:]).any() for one in pixels)


def _note(
    rows: Rows,
    example: Mapping[str, Any],
    role: Roles,
    of: tuple[Part, str],
    size: tuple[int, int],
    place: geometry.Geometry,
    image_size: int,
) -> None:
    """Adds an example to the rows."""
    (part, patient), number = of, len(rows.ids)
    text = next((_text(example[key]) for key in IDS if key in example), '')
    rows.ids.append(f'{part.name}/{text}' if text else f'{part.name}/{number:06d}')
    rows.patients.append(_text(example[patient]) if patient else f'image {number}')
    rows.sizes.append(size)
    objects = example[role.objects] if role.objects else {}
    concepts = np.asarray(objects[role.box_label]).ravel() if role.objects else np.zeros(0, int)
    rows.cells.append(tfds_features.cells(role, example[role.label] if role.label else concepts, rows.ids[-1]))
    boxes = np.asarray(objects[role.box], float).reshape(-1, 4) if len(concepts) else np.zeros((0, 4))
    height, width = size
    corners = place.boxes(boxes[:, [1, 0, 3, 2]] * [width, height, width, height])  # TFDS: ymin xmin ymax xmax, 0..1
    for concept, box in zip(concepts.tolist(), np.clip(corners, 0, image_size), strict=True):
        if box[0] < box[2] and box[1] < box[3]:
            rows.regions.append((number, concept, box))


def _text(value: Any) -> str:
    return value.decode('utf-8', 'replace') if isinstance(value, bytes) else str(value)


def _drawn(parts: Sequence[Part], patients: Sequence[str], shares: Mapping[str, float], seed: int) -> np.ndarray:
    """Splits [N]; those that TFDS has not are drawn from training, patient by patient."""
    split = np.repeat(np.array([part.split for part in parts], np.uint8), [part.images for part in parts])
    rank, low = np.array([share(one, seed) for one in patients]), 0.0
    for ours, portion in shares.items():
        number = SPLITS.index(ours)
        if number not in {part.split for part in parts}:
            split[(split == 0) & (rank >= low) & (rank < low + portion)] = number
            low += portion
    return split


def _dataset(pixels: np.ndarray, split: np.ndarray, rows: Rows, role: Roles, info: dict[str, Any]) -> Dataset:
    cells, side, ids = np.stack(rows.cells), pixels.shape[1], rows.ids
    if len(set(ids)) < len(ids):
        ids = [f'{number:06d} {one}' for number, one in enumerate(ids)]
    known = np.isin(cells, (0, PRESENT, NOT_MENTIONED))
    concepts = [*role.classes, *(one for one in role.object_names if one not in role.classes)]
    return Dataset(
        images=pixels,
        labels=(cells == PRESENT).astype(np.uint8),
        label_mask=known.astype(np.uint8),
        split=split,
        patient=numbers_of(rows.patients),
        image_id=np.array(ids, np.str_),
        region_image=np.array([image for image, _, _ in rows.regions], np.int32),
        region_concept=np.array([concepts.index(role.object_names[k]) for _, k, _ in rows.regions], np.int32),
        region_box=np.array([box for _, _, box in rows.regions], np.float32).reshape(-1, 4),
        region_mask=np.zeros((0, side, (side + 7) // 8), np.uint8),
        cells=cells[None] if role.kind == 'cells' else None,
        source_size=np.array(rows.sizes, np.int32),
        info={
            'classes': list(role.classes),
            'concepts': concepts,
            'frame': [side, side],
            'task': 'multi_class' if role.kind == 'one' else 'multi_label',
            'family': info['name'],
            'problems': {},
            **({'readings': [['', '']]} if role.kind == 'cells' else {}),
            **info,
        },
    )
