"""Which columns of a table state the size of the image that boxes are drawn on, and what they state."""

import re
from collections.abc import Collection, Sequence

import numpy as np

from imbalance_jax.data.reader.rows import Rows
from imbalance_jax.data.reader.spelling import number

SIZES = ('imageheight', 'imagewidth'), ('imgheight', 'imgwidth'), ('originalheight', 'originalwidth')  # letters alone
WITH_SIZES: tuple[set[str], ...] = (  # tables of boxes whose height and width are those of the image
    {'file_name', 'image_id', 'category', 'bbox', 'segmentation', 'height', 'width'},  # COCO
    {'filename', 'class', 'xmin', 'ymin', 'xmax', 'ymax', 'height', 'width'},  # Pascal VOC's, LabelMe's
)
OWN = ('height', 'width')  # of the image or of the box
PIXEL = 1.5  # by which a size may differ from that of a box, as ends count or not


def size_columns(names: Collection[str]) -> tuple[str, ...]:
    """The two columns (height, width) that by the names of the table's columns state the size of the image that boxes
    are drawn on, () without any."""
    if any(known <= set(names) for known in WITH_SIZES):
        return OWN
    letters = {re.sub('[^a-z]', '', name.lower()): name for name in names}
    return next(((letters[h], letters[w]) for h, w in SIZES if h in letters and w in letters), ())


def sizes_beside(rows: Rows, box: Sequence[str], form: str) -> tuple[str, ...]:
    """The same, or columns `height` and `width` beside the corners of a box in pixels, if all boxes lie within that
    size and it is not that of the boxes themselves. Beside a box of another form they may be its own."""
    if named := size_columns(rows.columns):
        return named
    called = {name.strip().lower(): name for name in rows.columns}
    own = tuple(called[name] for name in OWN if name in called)
    if len(own) < len(OWN) or len(box) != 4 or form != 'xyxy' or {*own} & {*box}:
        return ()
    cells = np.array([[number(str(text)) for text in rows.columns[name]] for name in (*box, *own)])
    left, top, right, bottom, height, width = cells[:, np.isfinite(cells).all(0)]
    of_box = (np.abs(width - (right - left)) <= PIXEL) & (np.abs(height - (bottom - top)) <= PIXEL)
    within = (right <= width + PIXEL) & (bottom <= height + PIXEL)
    return own if len(left) and within.all() and not of_box.any() else ()


def stated_size(columns: Sequence[np.ndarray], row: int) -> tuple[float, ...]:
    """The numbers in those columns of a row, () where they state no size."""
    size = tuple(number(str(column[row])) for column in columns)
    return size if all(np.isfinite(side) and side > 0 for side in size) else ()
