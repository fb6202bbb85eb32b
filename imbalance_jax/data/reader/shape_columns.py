"""Which columns of an unknown table may hold boxes or shapes, whatever their form."""

import re

from imbalance_jax.data.reader.rows import Rows

OF_SHAPES = re.compile(
    '(?i)encoded[ _-]?pixels|(?<![a-z])rle|polygon|segmentation|contour|b(ounding)?[ _-]?box|(?<![a-z])boxes'
)
OF_POINTS = re.compile('(?i)points|vert(ices|ex)|geometry|coord|(?<![a-z])wkt|shape|outline|annotation')
OF_OBJECTS = re.compile(r"""\s*(?:\[\s*)?{.*['"](x|y|points|left|x_?min|bbox)['"]""", re.I)
NUMBER, SEVERAL = re.compile('[0-9]+'), 4


def may_be_shapes(rows: Rows, column: str) -> bool:
    """Whether a column is called as shapes are, or as coordinates and has several numbers in each cell."""
    cells = [text for text in map(str, rows.columns[column]) if text.strip(' []{}')]
    if OF_SHAPES.search(column):
        return bool(cells)
    called = OF_POINTS.search(column) or any(OF_OBJECTS.match(text) for text in cells)
    count = [len(NUMBER.findall(text)) for text in cells]  # none where an object lists nothing
    return bool(called and any(count)) and all(one >= SEVERAL for one in count if one)
