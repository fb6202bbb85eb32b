"""What the columns of an unknown table may be, by their names and by what stands in them."""

import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.reader.layout import FALSE, NOTHING, SPLIT_NAMES, TRUE, UNSURE
from imbalance_jax.data.reader.rows import Rows
from imbalance_jax.data.reader.spelling import canonical, names_in, number, table_of

WHO = 'patient|subject|person|participant|case|pid|lesion|individual'
PATIENT = re.compile(f'^({WHO})([ _-]?(id|number|no|nr|name|key))?s?$', re.I)
SPLIT = re.compile('split|subset|partition|fold|^set$|phase', re.I)
NAMES = re.compile('label|class|diagnos|finding|target|patholog|categor|disease|condition|^dx$', re.I)
GROUPS = {
    'sex': re.compile('^(patient)?[ _-]?(sex|gender)', re.I),
    'age': re.compile('^(patient)?[ _-]?age', re.I),
    'view': re.compile('view|projection', re.I),
    'device': re.compile('device|manufacturer|scanner|^site$|hospital|centre|center', re.I),
}
BOXES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ('xyxy', ('x_min', 'y_min', 'x_max', 'y_max')),
    ('xyxy', ('xmin', 'ymin', 'xmax', 'ymax')),
    ('xyxy', ('x0', 'y0', 'x1', 'y1')),
    ('xyxy', ('x1', 'y1', 'x2', 'y2')),
    ('xyxy', ('left', 'top', 'right', 'bottom')),
    ('xywh', ('x', 'y', 'width', 'height')),
    ('xywh', ('x', 'y', 'w', 'h')),
    ('xywh', ('bbox_x', 'bbox_y', 'bbox_width', 'bbox_height')),
    ('xywh', ('left', 'top', 'width', 'height')),
)
SIZES = ('imageheight', 'imagewidth'), ('imgheight', 'imgwidth'), ('originalheight', 'originalwidth')  # letters alone
WITH_SIZES: tuple[set[str], ...] = (  # tables of boxes whose height and width are those of the image
    {'file_name', 'image_id', 'category', 'bbox', 'segmentation', 'height', 'width'},  # COCO
    {'filename', 'class', 'xmin', 'ymin', 'xmax', 'ymax', 'height', 'width'},  # Pascal VOC as one table
)
SEPARATORS = ('|', ';', ',')
MOST_CLASSES = 60  # names in a column of classes
MOST_GROUPS = 12


class Kinds(NamedTuple):
    """Names of columns, '' or empty where there is none.

    labels: of zeros and ones; names: of classes, separator: between them; exclusive: one class per row; concept: of
    names that are no labels; box, form, fraction: of a box; segmentation: of COCO's shapes
    """

    patient: str
    split: str
    groups: dict[str, Any]
    labels: tuple[str, ...]
    names: str
    separator: str
    exclusive: bool
    concept: str
    box: tuple[str, ...]
    form: str
    fraction: bool
    segmentation: str


def kinds_of(rows: Rows, image: str) -> Kinds:
    """What each column may be; image: the one that names the image."""
    texts = {name: values for name, values in rows.columns.items() if name != image}
    words = {name: set(map(str, values)) for name, values in texts.items()}
    patient = next((name for name in texts if PATIENT.match(name.strip())), '')
    split = next((name for name in texts if SPLIT.search(name) and _are_splits(words[name])), '')
    box, form = _box(rows)
    taken = {patient, split, *box}
    groups = _groups({name: values for name, values in words.items() if name not in taken})
    taken |= {one if isinstance(one, str) else one['column'] for one in groups.values()}
    labels = tuple(name for name in texts if name not in taken and _are_flags(words[name]))
    names, separator, one_each = ('', '', False) if labels else _names(texts, taken)
    if labels and len(labels) > 1:
        positive = np.array([[canonical(str(t)) == '1' for t in texts[name]] for name in labels])
        one_each = bool(len(labels) > 2 and (positive.sum(0) == 1).all())
    concept = next((name for name in texts if NAMES.search(name) and name not in (*taken, *labels)), '')
    fraction = bool(box) and _largest(rows, box) <= 1
    shape = 'segmentation' if 'segmentation' in texts and 'bbox' in texts else ''
    if shape and not any(isinstance(one, (list, dict)) and one for one in texts[shape]):
        shape = ''
    if not box and not shape and {'bbox', 'segmentation', 'category'} <= texts.keys():
        box = ('bbox',)
    return Kinds(patient, split, groups, labels, names, separator, one_each, concept, box, form, fraction, shape)


def size_columns(names: Collection[str]) -> tuple[str, ...]:
    """The two columns (height, width) that state the size of the image that boxes are drawn on, () without any."""
    if any(known <= set(names) for known in WITH_SIZES):
        return 'height', 'width'
    letters = {re.sub('[^a-z]', '', name.lower()): name for name in names}
    return next(((letters[h], letters[w]) for h, w in SIZES if h in letters and w in letters), ())


def stated_size(columns: Sequence[np.ndarray], row: int) -> tuple[float, ...]:
    """The numbers in those columns of a row, () where they state no size."""
    size = tuple(number(str(column[row])) for column in columns)
    return size if all(np.isfinite(side) and side > 0 for side in size) else ()


def _are_splits(words: set[str]) -> bool:
    known = table_of(SPLIT_NAMES)
    return bool(words) and all(canonical(word) in known for word in words if canonical(word) not in NOTHING)


def _are_flags(words: set[str]) -> bool:
    """Whether a column says yes and no: of zeros and ones, or words, with both or only one of them."""
    said = {canonical(word) for word in words} - {canonical(word) for word in NOTHING}
    known = {canonical(word) for word in (*TRUE, *FALSE, *UNSURE)}
    return bool(said) and said <= known and bool(said & {canonical(word) for word in TRUE})


def _names(texts: dict[str, np.ndarray], taken: set[str]) -> tuple[str, str, bool]:
    """The column of names of classes, what separates them, and whether there is one in each row."""
    for name, values in texts.items():
        if name in taken or not NAMES.search(name):
            continue
        listed = [value for value in values if isinstance(value, list)]
        cells = [str(value) for value in values if str(value).strip()]
        if listed or (cells and all(cell.startswith('[') for cell in cells)):
            return name, 'list', False
        for separator in ('', *SEPARATORS):
            found = {one for cell in cells for one in names_in(cell, separator, name)}
            several = any(separator and separator in cell for cell in cells)
            if 1 < len(found) <= MOST_CLASSES and (several or not any(s in cell for cell in cells for s in '|;')):
                return name, separator, not several and len(cells) == len(values)
    return '', '', False


def _groups(words: dict[str, set[str]]) -> dict[str, Any]:
    groups: dict[str, Any] = {}
    for grouping, pattern in GROUPS.items():
        name = next((one for one in words if pattern.search(one.strip())), None)
        if name is None:
            continue
        if grouping == 'age':
            if any(np.isfinite(number(word.rstrip('YyMm'))) for word in words[name]):
                groups['age'] = {'column': name, 'bands': (40, 60)}
        elif len(words[name]) <= MOST_GROUPS:
            groups[grouping] = name
    return groups


def _box(rows: Rows) -> tuple[tuple[str, ...], str]:
    """The four columns of a box and its form, however their names are written."""
    known = {name.strip().lower(): name for name in rows.columns}
    for form, names in BOXES:
        if all(name in known for name in names):
            return tuple(known[name] for name in names), form
    return (), 'xywh'


def _largest(rows: Rows, box: Sequence[str]) -> float:
    values = np.array([number(str(text)) for name in box for text in rows.columns[name]])
    return float(np.nanmax(values)) if np.isfinite(values).any() else np.inf
