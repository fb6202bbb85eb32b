"""Which columns of an unknown table are a box, the corners of a shape, or the size of the image they are drawn on."""

import re
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from imbalance_jax.data.reader.rows import Rows
from imbalance_jax.data.reader.spelling import number

BOXES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ('xyxy', ('x_min', 'y_min', 'x_max', 'y_max')),
    ('xyxy', ('xmin', 'ymin', 'xmax', 'ymax')),
    ('xyxy', ('x0', 'y0', 'x1', 'y1')),
    ('xyxy', ('x1', 'y1', 'x2', 'y2')),
    ('xyxy', ('left', 'top', 'right', 'bottom')),
    ('xyxy', ('start_x', 'start_y', 'end_x', 'end_y')),
    ('xyxy', ('xstart', 'ystart', 'xend', 'yend')),
    ('xyxy', ('minx', 'miny', 'maxx', 'maxy')),
    ('xyxy', ('xtl', 'ytl', 'xbr', 'ybr')),
    ('xywh', ('x', 'y', 'width', 'height')),
    ('xywh', ('x', 'y', 'w', 'h')),
    ('xywh', ('bbox_x', 'bbox_y', 'bbox_width', 'bbox_height')),
    ('xywh', ('bbox_x', 'bbox_y', 'bbox_w', 'bbox_h')),
    *(
        ('xywh', (*corner, *size))
        for corner in (('left', 'top'), ('x1', 'y1'), ('x0', 'y0'), ('xmin', 'ymin'), ('x_min', 'y_min'))
        for size in (('width', 'height'), ('w', 'h'))
    ),
)
SIZES = ('imageheight', 'imagewidth'), ('imgheight', 'imgwidth'), ('originalheight', 'originalwidth')  # letters alone
WITH_SIZES: tuple[set[str], ...] = (  # tables of boxes whose height and width are those of the image
    {'file_name', 'image_id', 'category', 'bbox', 'segmentation', 'height', 'width'},  # COCO
    {'filename', 'class', 'xmin', 'ymin', 'xmax', 'ymax', 'height', 'width'},  # Pascal VOC as one table
)
CORNERS = tuple(tuple(f'{axis}{k}' for k in range(least, least + 4) for axis in 'xy') for least in (1, 0))  # of a shape


def corners_of(names: Iterable[str]) -> tuple[str, ...]:
    """The eight columns of the corners of a shape, () where there are none."""
    known = {name.strip().lower(): name for name in names}
    return next((tuple(known[one] for one in corner) for corner in CORNERS if all(one in known for one in corner)), ())


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


def box_of(rows: Rows) -> tuple[tuple[str, ...], str]:
    """The four columns of a box and its form, however their names are written."""
    known = {name.strip().lower(): name for name in rows.columns}
    corners = corners_of(rows.columns)
    for form, names in BOXES:
        if all(name in known for name in names) and not {known[name] for name in names} <= set(corners):
            return tuple(known[name] for name in names), form
    if corners and _are_upright(rows, corners):
        return (*corners[:2], *corners[4:6]), 'xyxy'
    return (), 'xywh'


def _are_upright(rows: Rows, corners: Sequence[str]) -> bool:
    """Whether the four corners of every row are those of a box, from its left top around to the left bottom."""
    cells = np.array([[number(str(text)) for text in rows.columns[name]] for name in corners])
    x1, y1, x2, y2, x3, y3, x4, y4 = cells[:, np.isfinite(cells).all(0)]
    boxes = (x1 < x3) & (y1 < y3) & (x2 == x3) & (y2 == y1) & (x4 == x1) & (y4 == y3)
    return bool(len(boxes) and boxes.all())


def largest(rows: Rows, box: Sequence[str]) -> float:
    values = np.array([number(str(text)) for name in box for text in rows.columns[name]])
    return float(np.nanmax(values)) if np.isfinite(values).any() else np.inf
