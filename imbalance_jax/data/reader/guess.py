"""Proposes a layout for what lies in a folder, and says what of it is not sure."""

import fnmatch
import glob
import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.reader import images, paths
from imbalance_jax.data.reader.columns import Kinds, kinds_of
from imbalance_jax.data.reader.layout import SPLIT_NAMES, Images, Table
from imbalance_jax.data.reader.rows import Found, Rows
from imbalance_jax.data.reader.spelling import canonical, table_of
from imbalance_jax.data.reader.tables import read_table

TABLES = ('.csv', '.tsv', '.txt', '.json', '.jsonl', '.parquet')
MOST_TABLES = 40
SAMPLED = 400  # rows whose files are looked for
LOOKED_AT = 24  # image files that are opened
OF_MASKS = 'mask|masks|seg|segmentation|annotation|gt|label|roi'
MASK = re.compile(f'^(?P<stem>.+?)(?P<suffix>[ _-](?:{OF_MASKS})(?P<number>[_-]?[0-9]*))$', re.I)
MASK_FOLDERS = ('mask', 'masks', 'segmentation', 'segmentations', 'annotations', 'gt', 'groundtruth', 'ground_truth')

# Files that only one published set has -> the reader that knows them.
PUBLIC = {
    'Data_Entry_2017*.csv*': 'nih_chest_xray14',
    'mimic-cxr-2.*.csv*': 'mimic_cxr',
    'cxr-lt-20*': 'cxr_lt',
    'CXRLT_2026*.csv': 'cxr_lt',
    'gt_segmentations_*.json': 'chexlocalize',
    'stage_2_train_labels.csv': 'rsna_pneumonia',
    'miccai2023_nih-cxr-lt_labels_*.csv': 'nih_cxr_lt',
    'nih-lt_single-label_*.csv': 'nih_cxr_lt',
    'annotations_train.csv': 'vindr_cxr',
    'image_labels_train.csv': 'vindr_cxr',
    'PADCHEST_chest_x_ray_images_labels_160K*': 'padchest',
    'grounded_reports_*.json': 'padchest_gr',
    'train-rle.csv': 'siim_acr',
    'ChestX_Det_train.json': 'chestx_det',
    'CLNDAT_EN.txt': 'jsrt',
    'master_spreadsheet*.csv': 'brax',
}
# Headers of tables whose names many sets share.
PUBLIC_COLUMNS = {
    ('Path', 'Sex', 'Age', 'Frontal/Lateral', 'AP/PA'): 'chexpert',
    ('image_id', 'class_name', 'class_id', 'rad_id', 'x_min'): 'vindr_cxr',
    ('image_name', 'annotation'): 'object_cxr',
}


class Guess(NamedTuple):
    """name: of the data set; block: config.data.NAME; unsure: sentences; missing: what the block lacks to be read;
    examined: a sentence about what was found."""

    name: str
    block: dict[str, Any]
    unsure: list[str]
    missing: list[str]
    examined: str


class Read(NamedTuple):
    """A table that names images. share: of its rows whose image is there; images: how many different ones."""

    file: str
    rows: Rows
    column: str
    share: float
    images: int
    kinds: Kinds


def guess(folder: Path, known: Collection[str]) -> Guess:
    """What config.data.NAME may be for a folder. known: readers that there are."""
    folder = Path(folder)
    listed = paths.scan(folder, [])
    name = _name(folder)
    tables = [path for path in listed if path.lower().removesuffix('.gz').endswith(TABLES)][:MOST_TABLES]
    if public := _public(folder, listed, tables, known):
        return Guess(name, {'reader': public, 'manual_dir': str(folder)}, [], [], f'This looks like {public}.')
    pictures = [path for path in listed if paths.is_image(path, Images())]
    if not pictures:
        raise FileNotFoundError(f'{folder} has no image ({", ".join(Images().suffixes)}) and no set that is known.')
    masks, regions = _masks(pictures)
    pictures = [path for path in pictures if path not in masks]
    block: dict[str, Any] = {'reader': 'folder', 'path': str(folder)}
    unsure: list[str] = []
    missing: list[str] = []
    files = paths.index(pictures)
    read = _read_tables(folder, tables, files)
    _of_images(folder, pictures, masks, block, unsure)
    if read:
        _of_tables(read, block, unsure, missing)
    else:
        _of_folders(pictures, block, unsure, missing)
    if regions and 'regions' not in block:
        block['regions'] = regions | {'concept': _concept(block, unsure)}
        unsure.append(f'regions: {len(masks)} files are taken for masks, by their names.')
    return Guess(name, block, unsure, missing, _examined(pictures, masks, read))


def _name(folder: Path) -> str:
    name = re.sub(r'\W+', '_', folder.resolve().name).strip('_').lower() or 'mine'
    return f'set_{name}' if name[0].isdigit() or name in ('folder', 'name', 'order', 'imbalance', 'resample') else name


def _public(folder: Path, listed: Sequence[str], tables: Sequence[str], known: Collection[str]) -> str:
    """The reader of a published set that has these files, '' if none."""
    for pattern, reader in PUBLIC.items():
        parts = {part for path in listed for part in path.split('/')[-1:]} | {p.split('/')[0] for p in listed}
        if reader in known and any(fnmatch.fnmatch(part, pattern) for part in parts):
            return 'chexpert' if reader == 'chexlocalize' and 'train.csv' in parts and 'chexpert' in known else reader
    if 'medmnist' in known and any(path.endswith('.npz') and 'mnist' in path for path in listed):
        return 'medmnist'
    for path in tables:
        rows = _rows(folder, path)
        for columns, reader in PUBLIC_COLUMNS.items():
            if rows is not None and reader in known and set(columns) <= set(rows.columns):
                return reader
    return ''


def _rows(folder: Path, path: str) -> Rows | None:
    """A table, or None for a file that is none."""
    try:
        return read_table(folder, Table(glob.escape(path)), Found({}, []))
    except (ValueError, OSError):
        return None


def _read_tables(folder: Path, tables: Sequence[str], files: paths.Files) -> list[Read]:
    """The tables that name images, the one that names most first."""
    read = []
    for path in tables:
        rows = _rows(folder, path)
        if rows is None or not len(rows):
            continue
        scored = [(*_found(rows.columns[column], files), column) for column in rows.columns]
        share, count, column = max(scored)
        if share >= 0.2:
            read.append(Read(path, rows, column, share, count, kinds_of(rows, column)))
    return sorted(read, key=lambda one: (bool(one.kinds.labels or one.kinds.names), one.images), reverse=True)


def _found(texts: np.ndarray, files: paths.Files) -> tuple[float, int]:
    """The share of a column's texts that are images that are there, and how many different ones."""
    names = list(dict.fromkeys(str(text) for text in texts if isinstance(text, str) and text.strip()))
    sample = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, min(SAMPLED, len(names))).astype(int))]
    there = sum(paths.find(files, text)[0] >= 0 for text in sample)
    return (there / len(sample), len(names)) if sample else (0.0, 0)


def _of_tables(read: Sequence[Read], block: dict[str, Any], unsure: list[str], missing: list[str]) -> None:
    """Tables, labels, patients, splits, groups and boxes of tables that name images."""
    main, others = read[0], list(read[1:])
    block['tables'] = [{'file': main.file}]
    block['images']['file'] = f'{{{main.column}}}'
    if main.share < 1:
        unsure.append(f'images: {1 - main.share:.0%} of the images that {main.file} names are not there.')
    for other in list(others):
        meant = _split_of_name(other.file)
        if meant and set(other.rows.columns) == set(main.rows.columns) and _split_of_name(main.file):
            block['tables'][0]['split'] = _split_of_name(main.file)
            block['tables'].append({'file': other.file, 'split': meant})
            others.remove(other)
    _labels(main, block, unsure, missing)
    kinds = _with_people(main, others, block, unsure)
    if kinds.patient:
        block['patient'] = kinds.patient
        unsure.append(f'patient: the column {kinds.patient!r}, by its name.')
    else:
        unsure.append('patient: no column says whose images these are; every image counts as a patient of its own.')
    if kinds.split:
        block['split'] = kinds.split
    elif not any('split' in table for table in block['tables']):
        unsure.append('split: nothing says it; patients are drawn for validation (15 %) and test (20 %).')
    if kinds.groups:
        block['groups'] = kinds.groups
    _boxes(main, others, block, unsure)
    _second_reader(main, others, block, unsure)
    if block['tables'] == [{'file': main.file}]:
        block['tables'] = main.file
    used = {table['file'] for table in block['tables']} if isinstance(block['tables'], list) else set()
    for other in others:
        if other.file not in used:
            unsure.append(f'tables: {other.file} names images, too, and is not used.')


def _with_people(main: Read, others: list[Read], block: dict[str, Any], unsure: list[str]) -> Kinds:
    """What the main table's columns are, and of a table beside it that says of its images what it does not."""
    kinds, names = main.kinds, {str(text) for text in main.rows.columns[main.column]}
    for other in list(others):
        texts = [str(text) for text in other.rows.columns[other.column]]
        said = {name: getattr(other.kinds, name) for name in ('patient', 'split', 'groups')}
        new = {name: value for name, value in said.items() if value and not getattr(kinds, name)}
        if not new or len(set(texts)) < len(texts) or len(names & set(texts)) < 0.9 * len(names):
            continue
        same = main.column == other.column
        block['tables'].append({'file': other.file, 'on': [main.column if same else f'{main.column}={other.column}']})
        unsure.append(f'tables: {other.file} is joined by the name of the image; it says {", ".join(new)}.')
        others.remove(other)
        kinds = kinds._replace(**new)
    return kinds


def _second_reader(main: Read, others: Sequence[Read], block: dict[str, Any], unsure: list[str]) -> None:
    """Other COCO files of the same images are other readers' regions."""
    names = set(main.rows.columns[main.column])
    again = [one for one in others if one.kinds.segmentation and names & set(one.rows.columns[one.column])]
    if not main.kinds.segmentation or not again:
        return
    own = block['regions']
    block['regions'] = [own | {'as_reader': Path(main.file).stem}]
    for one in again:
        block['tables'].append({'file': one.file, 'name': one.file})
        key = main.column if main.column == one.column else f'{main.column}={one.column}'
        beside = {'table': one.file, 'on': [key], 'as_reader': Path(one.file).stem}
        block['regions'].append(own | beside)
    files = ' and '.join(one.file for one in (main, *again))
    unsure.append(f'regions: {files} draw on the same images: taken for readers. Labels are those of {main.file}.')


def _labels(main: Read, block: dict[str, Any], unsure: list[str], missing: list[str]) -> None:
    kinds = main.kinds
    if kinds.labels:
        block['labels'] = {'columns': kinds.labels}
        unsure.append(f'labels: all {len(kinds.labels)} columns of zeros and ones; leave out what is no class.')
        if kinds.exclusive:
            block['task'] = 'multi_class'
            unsure.append('task: every row has exactly one label, so classes are taken to exclude one another.')
    elif kinds.names:
        block['labels'] = {'column': kinds.names} | ({'separator': kinds.separator} if kinds.separator else {})
        if kinds.exclusive:
            block['task'] = 'multi_class'
            block['labels']['none'] = ()
            unsure.append(f'task: {kinds.names!r} has one name per row, so classes are taken to exclude one another.')
    else:
        missing.append('labels: no column of zeros and ones, and none of names, was found.')


def _boxes(main: Read, others: Sequence[Read], block: dict[str, Any], unsure: list[str]) -> None:
    for one in (main, *others):
        if one.kinds.box:
            regions: dict[str, Any] = {'box': one.kinds.box, 'form': one.kinds.form}
            if one.kinds.fraction:
                regions['unit'] = 'fraction'
            if one is not main:
                block['tables'].append({'file': one.file, 'name': one.file})
                same = one.column == main.column
                regions |= {'table': one.file, 'on': [main.column if same else f'{main.column}={one.column}']}
            concept = one.kinds.names or one.kinds.concept
            regions |= {'column': concept, 'others': 'add'} if concept else {'concept': _concept(block, unsure)}
            block['regions'] = regions
            unsure.append(f'regions: boxes are {one.kinds.form}, in pixels of the files unless frame says more.')
            return
        if one.kinds.segmentation:
            concept = one.kinds.names or one.kinds.concept
            code = {'code': one.kinds.segmentation, 'kind': 'coco_segmentation', 'box': ('bbox',)}
            block['regions'] = {**code, 'column': concept}
            return


def _concept(block: Mapping[str, Any], unsure: list[str]) -> str:
    """What regions without a name are of: the one class of their image, or the only class."""
    labels = block.get('labels', {})
    columns = labels.get('columns', ())
    if len(columns) == 1:
        return str(columns[0])
    if block.get('task') != 'multi_class':
        unsure.append("regions: nothing says what they are of; 'label' is an image's class if it has exactly one.")
    return 'label'


def _of_folders(pictures: Sequence[str], block: dict[str, Any], unsure: list[str], missing: list[str]) -> None:
    """Splits and classes that folders stand for."""
    split_names = table_of(SPLIT_NAMES)
    folders = [path.split('/')[:-1] for path in pictures]
    if len({split_names.get(canonical(part)) for parts in folders for part in parts} - {None}) > 1:
        block['split'] = {'path': 'folder'}
    else:
        unsure.append('split: nothing says it; images are drawn for validation (15 %) and test (20 %).')
    unsure.append('patient: nothing says whose images these are; every image counts as a patient of its own.')
    parents = sorted({parts[-1] for parts in folders if parts and canonical(parts[-1]) not in split_names})
    if len(parents) < 2:
        missing.append('labels: there is no table that names the images, and no folders that could be classes.')
        return
    block['labels'] = {'path': 'parent', 'classes': tuple(parents), 'none': ()}
    block['task'] = 'multi_class'
    unsure.append(f'labels: the {len(parents)} folders are taken for classes.')


def _masks(pictures: Sequence[str]) -> tuple[set[str], dict[str, Any]]:
    """Images that are masks of others, by a suffix of their names or by their folder, and how they are found."""
    stems = {path.rpartition('.')[0] for path in pictures}
    by_suffix: dict[str, str] = {}
    for path in pictures:
        head, _, suffix = path.rpartition('.')
        match = MASK.match(head.rsplit('/', 1)[-1])
        if match and head[: len(head) - len(match['suffix'])] in stems:
            shown = match['suffix'][: len(match['suffix']) - len(match['number'])]
            by_suffix[path] = f'{{stem}}{shown}*.{suffix}'
    if by_suffix:
        patterns = sorted(set(by_suffix.values()))
        return set(by_suffix), {'files': patterns[0]}
    inside = {path for path in pictures if path.split('/')[-2:-1] and path.split('/')[-2].lower() in MASK_FOLDERS}
    plain = {path.rsplit('/', 1)[-1].rpartition('.')[0] for path in pictures if path not in inside}
    paired = {path for path in inside if path.rsplit('/', 1)[-1].rpartition('.')[0] in plain}
    if not paired:
        return set(), {}
    example = sorted(paired)[0]
    return inside, {'files': f'{example.rpartition("/")[0]}/{{stem}}.{example.rpartition(".")[2]}'}


def _of_images(
    folder: Path, pictures: Sequence[str], masks: Collection[str], block: dict[str, Any], unsure: list[str]
) -> None:
    """What a sample of the files shows: sizes and colour."""
    of_images: dict[str, Any] = {}
    if masks:
        of_images['exclude'] = _excluded(masks)
    shapes = []
    for at in np.unique(np.linspace(0, len(pictures) - 1, min(LOOKED_AT, len(pictures))).astype(int)):
        try:
            shapes.append(images.decode(folder / pictures[at]).shape)
        except (images.Unreadable, images.NeedsPackage) as error:
            unsure.append(f'images: {pictures[at]} could not be read ({error}).')
    if any(shape[0] != shape[1] for shape in shapes):
        of_images['resize'] = 'pad'
        unsure.append("images: not all are square; they are padded with black. 'stretch' and 'crop' are the others.")
    block['images'] = of_images
    coloured = any(len(shape) == 3 for shape in shapes)
    block['modality'] = 'photograph' if coloured else 'radiograph'
    unsure.append(
        f'modality: {block["modality"]!r}, as the files are {"coloured" if coloured else "grey"}; it decides which '
        "augmentation is allowed ('radiograph', 'photograph', 'ultrasound', 'mri', ...)."
    )


def _excluded(masks: Collection[str]) -> tuple[str, ...]:
    """Patterns of the names of masks."""
    found: dict[str, None] = {}
    for path in masks:
        head, _, suffix = path.rsplit('/', 1)[-1].rpartition('.')
        match = MASK.match(head)
        if match:
            shown = match['suffix'][: len(match['suffix']) - len(match['number'])]
            found[f'*{shown}*.{suffix}'] = None
        else:
            found[f'{path.rpartition("/")[0]}/*'] = None
    return tuple(sorted(found))


def _split_of_name(file: str) -> str:
    """The split that the name of a file speaks of, '' if none."""
    names = table_of(SPLIT_NAMES)
    words = re.split(r'[^A-Za-z]+', file.rsplit('/', 1)[-1])
    return next((names[canonical(word)] for word in words if canonical(word) in names), '')


def _examined(pictures: Sequence[str], masks: Collection[str], read: Sequence[Read]) -> str:
    named = f', named by {", ".join(one.file for one in read)}' if read else ', and no table that names them'
    return f'{len(pictures)} images{f" and {len(masks)} masks" if masks else ""}{named}.'


TEXT = '''"""{examined}

A proposal for {folder}: read it before you trust it.
"""

from imbalance_jax.configs import base


def get_config():
    config = base.get_config()
{comments}    config.data.name = {name!r}
    config.data.{name} = {block}
    config.data.image_size = 64
    config.seeds = (0, 1)
    config.train.epochs = 20
    config.train.batch_size = 16
    config.train.warmup_steps = 20
    config.train.learning_rate = 1e-3
{arms}    return config
'''


OF_ONE_CLASS = """    # One class per image: losses of a softmax.
    config.arms = {'cross_entropy': {}, 'weighted_cross_entropy': {}, 'softmax_focal': {}, 'balanced_softmax': {}}
    config.reference = 'cross_entropy'
"""


def text(found: Guess, folder: Path) -> str:
    """The proposal as a config file."""
    comments = [line for one in remarks(found) for line in textwrap.wrap(one, 108)]
    return TEXT.format(
        examined=found.examined,
        folder=folder,
        comments=''.join(f'    # {line}\n' for line in comments),
        name=found.name,
        block=_shown(found.block, 4),
        arms=OF_ONE_CLASS if found.block.get('task') == 'multi_class' else '',
    )


def remarks(found: Guess) -> list[str]:
    """What is missing and what is not sure, a line each."""
    return [f'missing: {one}' for one in found.missing] + [f'unsure: {one}' for one in found.unsure]


def _shown(value: Any, indent: int) -> str:
    """A value as Python text, blocks with a field per line."""
    if not isinstance(value, dict) and not (isinstance(value, list) and any(isinstance(one, dict) for one in value)):
        short = repr(tuple(value) if isinstance(value, list) else value)
        return short if len(short) + indent < 110 else _wrapped(value, indent)
    inner = ' ' * (indent + 4)
    if isinstance(value, dict):
        lines = [f'{inner}{key!r}: {_shown(one, indent + 4)},' for key, one in value.items()]
        return '{\n' + '\n'.join(lines) + f'\n{" " * indent}}}'
    return '(\n' + '\n'.join(f'{inner}{_shown(one, indent + 4)},' for one in value) + f'\n{" " * indent})'


def _wrapped(value: Sequence[Any], indent: int) -> str:
    if isinstance(value, str):
        return repr(value)
    inner = ' ' * (indent + 4)
    return '(\n' + '\n'.join(f'{inner}{one!r},' for one in value) + f'\n{" " * indent})'


__all__ = ['Guess', 'guess', 'remarks', 'text']
