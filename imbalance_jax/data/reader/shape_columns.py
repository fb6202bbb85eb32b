"""Which columns of an unknown table may hold boxes or shapes, whatever their form."""

import re
from collections.abc import Collection

from imbalance_jax.data.reader.layout import Images
from imbalance_jax.data.reader.paths import is_image
from imbalance_jax.data.reader.rows import Rows

OF_SHAPES = re.compile(
    '(?i)encoded[ _-]?pixels|(?<![a-z])rle|polygon|segmentation|contour|b(ounding)?[ _-]?box|(?<![a-z])boxes'
)
OF_POINTS = re.compile('(?i)points|vert(ices|ex)|geometry|coord|(?<![a-z])wkt|shape|outline|annotation')
OF_OBJECTS = re.compile(r"""\s*(?:\[\s*)?{.*['"](x|y|points|left|x_?min|bbox)['"]""", re.I)
NUMBER, SEVERAL = re.compile('[0-9]+'), 4
OF_CENTRE = re.compile(
    '(?:(?:center|centre|coord|pos)[a-z]*[ _-]?)?([xy])(?:[ _-]?(?:center|centre|coord|pos)[a-z]*)?', re.I
)
OF_RADIUS = re.compile('radius|diameter', re.I)


def are_circles(columns: Collection[str]) -> bool:
    """Whether columns are a point of each axis and a radius, or a diameter."""
    axes = {match[1].lower() for name in columns if (match := OF_CENTRE.fullmatch(name.strip()))}
    return {'x', 'y'} <= axes and any(OF_RADIUS.search(name) for name in columns)


def may_be_shapes(rows: Rows, column: str) -> bool:
    """Whether a column is called as shapes are, or as coordinates and has several numbers in each cell."""
    cells = [text for text in map(str, rows.columns[column]) if text.strip(' []{}')]
    if OF_SHAPES.search(column):
        return bool(cells) and not all(is_image(text.strip(), Images()) for text in cells)
    called = OF_POINTS.search(column) or any(OF_OBJECTS.match(text) for text in cells)
    count = [len(NUMBER.findall(text)) for text in cells]  # none where an object lists nothing
    return bool(called and any(count)) and all(one >= SEVERAL for one in count if one)
