"""CheXlocalize (Saporta et al. 2022): masks of ten findings on CheXpert's validation and test images."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imbalance_jax.data.reader.layout import Images, Labels, Layout, Patient, Regions, Split, Table
from imbalance_jax.data.sources import chest
from imbalance_jax.data.sources.declared import files, first_there, maker

READERS = ('radiologists', 'human benchmark', 'human benchmark point')
FILES = {
    'gt_segmentations_val': READERS[0],
    'gt_segmentations_test': READERS[0],
    'hb_segmentations_test': READERS[1],
    'hb_salient_pt_test': READERS[2],
}
PLACES = ('', 'CheXlocalize/', 'chexlocalize/', 'chexlocalize/CheXlocalize/')
SOURCE = (
    'CheXlocalize, Stanford AIMI. Saporta A, Gui X, Agrawal A, et al. Benchmarking saliency methods for chest X-ray '
    'interpretation. Nature Machine Intelligence 2022. Images: CheXpert, Irvin et al. 2019.'
)
LICENCE = 'Stanford University Dataset Research Use Agreement: neither images nor tables may be passed on.'


def layout(*, manual_dir: Path, views: str = 'all', human_points: bool = False) -> Layout:
    """CheXpert's validation and test images with masks, without training images: to test on what was trained elsewhere.

    Labels are of radiologists: `val_labels.csv` is validation, `test_labels.csv` test. Readers of the masks are
    'radiologists' and 'human benchmark', radiologists that read the test images again: how well people agree is the
    ceiling of what a map can reach. `human_points` adds the human benchmark's most salient points as regions of one
    pixel, by the reader 'human benchmark point'. An image that the masks' files do not name has none.
    """
    key = {'key': ('Path', r'(patient\d+)/(study\d+)/(view\d+_\w+)', r'\1_\2_\3')}
    shown = {'view': ('Path', r'view\d+_(frontal|lateral)', r'\1')}
    where = {} if views == 'all' else {'view': (views,)}
    chest.of_views('', views)  # a name that there is
    found = {
        split: first_there(manual_dir, *(f'{place}{name}' for place in ('CheXpert/', '', '*/') for name in names))
        for split, names in {'validation': ('val_labels.csv', 'valid.csv'), 'test': ('test_labels.csv',)}.items()
    }
    listed = {split: name for split, name in found.items() if name} or {'test': 'CheXpert/test_labels.csv'}
    return Layout(
        name='chexlocalize',
        tables=(
            *(Table(name, 'images', split=split, derive=key | shown, where=where) for split, name in listed.items()),
            *tables(manual_dir),
        ),
        images=Images('{Path}', id='{key}', suffixes=('.jpg', '.png'), parts=3, channels=1),
        labels=(Labels(columns=chest.OBSERVATIONS, aliases=chest.SAME_AS, version='radiologists'),),
        patient=Patient('Path', r'patient0*(\d+)'),
        split=Split(validation=0, test=0),
        regions=regions(manual_dir, human_points),
        family='chexpert',
        source=SOURCE,
        licence=LICENCE,
    )


def tables(folder: Path) -> list[Table]:
    """The files of masks that are there, one row per image and finding with a mask that is not empty."""
    places = {name: first_there(folder, *(f'{place}{name}.json' for place in PLACES)) for name in FILES}
    return [Table(place, name, read=points if 'salient' in name else masks) for name, place in places.items() if place]


def regions(folder: Path, human_points: bool = False) -> tuple[Regions, ...]:
    """One kind of regions per file of masks."""
    return tuple(
        Regions(
            table=table.name,
            on=('key',),
            column='task',
            aliases=chest.SAME_AS,
            others='add',
            code='mask',
            kind='coco' if table.read is masks else 'rectangle',
            as_reader=FILES[table.name],
        )
        for table in tables(folder)
        if human_points or table.read is masks
    )


def masks(path: Path) -> dict[str, list[Any]]:
    """Columns key, task and mask of a file {key: {task: {'size': [h, w], 'counts': runs}}}; ValueError for another."""
    rows: dict[str, list[Any]] = {'key': [], 'task': [], 'mask': []}
    for key, of_image in _loaded(path).items():
        for task, mask in of_image.items():
            if not isinstance(mask, dict) or 'size' not in mask or not isinstance(mask.get('counts'), (str, list)):
                raise ValueError(f'{path}: {task} of {key} is no mask; expected {{"size": [h, w], "counts": runs}}.')
            if not _empty(mask['counts']):
                _add(rows, key, task, mask)
    return rows


def _empty(counts: Any) -> bool:
    """Whether runs are one run, of zeros: of a text's groups only the last lacks the bit that says that more follow."""
    return sum(not ord(one) - 48 & 32 for one in counts) == 1 if isinstance(counts, str) else len(counts) == 1


def points(path: Path) -> dict[str, list[Any]]:
    """The same columns of a file {key: {task: [[x, y], ...]}}: each point is the pixel that holds it."""
    rows: dict[str, list[Any]] = {'key': [], 'task': [], 'mask': []}
    for key, of_image in _loaded(path).items():
        for task, listed in of_image.items():
            for x, y in listed if task != 'img_size' else ():
                _add(rows, key, task, [int(x), int(y), int(x) + 1, int(y) + 1])
    return rows


def _add(rows: dict[str, list[Any]], key: str, task: str, mask: Any) -> None:
    for column, value in zip(rows.values(), (key, task, mask), strict=True):
        column.append(value)


def _loaded(path: Path) -> Mapping[str, Mapping[str, Any]]:
    try:
        data = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is not JSON: {error}.') from error
    if not isinstance(data, dict) or not all(isinstance(one, dict) for one in data.values()):
        raise ValueError(f'{path} holds no masks; expected {{image: {{finding: mask}}}}.')
    return data


make, files_of = maker(layout), files(layout)
