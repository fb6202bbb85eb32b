"""What is drawn on one image per file, as rows: Pascal VOC's XML, YOLO's text, LabelMe's JSON.

Each row is one region, or the one empty row of a file without any, as COCO's images are. All have the columns of a
file: path, stem and parent (`rows.path_columns`); the stem is the image's, whatever is said inside.
"""

import glob
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data.reader import json_files, paths
from imbalance_jax.data.reader.layout import Images, Table
from imbalance_jax.data.reader.rows import NAMED, STEM, Found, Rows, as_rows, objects, path_columns
from imbalance_jax.data.reader.spelling import number
from imbalance_jax.data.reader.text_files import content, lines_of
from imbalance_jax.names import some

OF_CLASS = 'class'  # the column of what a region is of
CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')
BOX = {'voc': CORNERS, 'yolo': ('cx', 'cy', 'w', 'h'), 'labelme': CORNERS}  # columns of boxes
SHAPE = 'shape'  # the column of a polygon
SIZE = ('height', 'width')
COLUMNS = {
    'voc': ('filename', *SIZE, OF_CLASS, *CORNERS, 'difficult'),
    'yolo': (OF_CLASS, *BOX['yolo'], SHAPE),
    'labelme': ('filename', *SIZE, OF_CLASS, *CORNERS, SHAPE),
}
NAMES = ('classes.txt', 'obj.names', 'notes.json')  # beside such files, and of no image
ENCODING = re.compile(rb"""^(\s*<[?]xml[^>]*?)\s+encoding\s*=\s*["']([A-Za-z0-9_.:-]+)["']""")
LEAST = 3  # corners of a polygon, at least
ROUND = 64  # corners of a circle


def read(path: Path, table: Table, found: Found, name: str) -> Rows:
    """The rows of a file, without any for `NAMES`; ValueError for what is none of its kind, by file and line."""
    kind = table.kind or 'voc'
    try:
        rows = [] if path.name in NAMES else KINDS[kind](path, table, found) or [(1, {})]
    except ValueError:
        if _is_of_image(path, name):
            raise
        found.doubts.append(f'{name} is no file of {kind}, nor called as an image of its folder, and is not read.')
        rows = []
    columns = {column: objects([row.get(column, '') for _, row in rows]) for column in COLUMNS[kind]}
    lines = np.array([line for line, _ in rows], np.int64)
    own = path_columns([name] * len(rows))
    own[STEM][:] = [image_stem(name)] * len(rows)
    return as_rows({**columns, **own}, name, lines)


def _is_of_image(path: Path, name: str) -> bool:
    """Whether an image of the folder is called as a file is. name: of the file below the folder."""
    below = Path(name)
    folder = path.parent if below.is_absolute() else path.parents[len(below.parts) - 1]
    called = folder.rglob(f'{glob.escape(image_stem(name))}.*')
    return any(paths.is_image(one.name, Images()) for one in called)


def image_stem(path: str) -> str:
    """The name of a file's image without a suffix: i00 of i00.json and i00.png.json."""
    own = paths.stem(path)
    return paths.stem(own) if paths.is_image(own, Images()) else own


def are_of_one(table: Table) -> bool:
    """Whether each file of a table is of one image."""
    return table.kind in KINDS or (not table.kind and table.file.lower().endswith('.xml'))


def say_called_otherwise(rows: Rows, found: Found) -> None:
    """Doubts files that name another image inside than they are called by."""
    named = dict.fromkeys(zip(rows.columns[STEM], rows.columns.get('filename', ()), strict=False))
    pairs = [(own, inside, image_stem(inside) or inside) for own, inside in named if inside]
    other = [f'{own} ({inside})' for own, inside, stem in pairs if own.lower() != stem.lower()]
    if other:
        what = 'files of annotation name another image inside than they are called by, and are of the latter'
        found.doubts.append(f'{len(other)} {what}: {some(other, NAMED)}.')


def _voc(path: Path, table: Table, found: Found) -> list[tuple[int, dict[str, Any]]]:
    """Of each object its class and box; lines are numbers of objects."""
    data = path.read_bytes()
    try:
        if stated := ENCODING.search(data[:200]):  # of which expat knows few
            data = ENCODING.sub(rb'\1', data.decode(stated[2].decode('ascii')).encode(), count=1)
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise ValueError(f'{path} is not XML: {error}.') from error
    if root.tag != 'annotation':
        raise ValueError(f"{path} holds <{root.tag}>; expected Pascal VOC's <annotation>, of one image.")
    size = {side: _inside(root, f'size/{side}') for side in SIZE}
    of_image = {'filename': _base(_inside(root, 'filename')), **_known(size)}
    rows = []
    for count, one in enumerate(root.findall('object'), 1):
        box = {end: _inside(one, f'bndbox/{end}') for end in CORNERS}
        lacking = [key for key, text in {'name': _inside(one, 'name'), **box}.items() if not text]
        if lacking:
            raise ValueError(f'{path}, object {count} has no {lacking[0]}; expected <name> and <bndbox> of four ends.')
        more = {OF_CLASS: _inside(one, 'name'), 'difficult': _inside(one, 'difficult')}
        rows.append((count, {**of_image, **box, **more}))
    return rows or [(1, of_image)]


def _inside(element: ElementTree.Element, place: str) -> str:
    return (element.findtext(place) or '').strip()


def _base(text: str) -> str:
    """A name without folders, of Windows either."""
    return paths.normal(text).rsplit('/', 1)[-1]


def _known(size: Mapping[str, str]) -> dict[str, str]:
    """The size of an image, where one is stated: 0 x 0 is none."""
    return dict(size) if all(number(side) > 0 for side in size.values()) else {}


def _yolo(path: Path, table: Table, found: Found) -> list[tuple[int, dict[str, Any]]]:
    """Of each line its class's number, and its box, or its polygon of three corners or more, in shares of the image."""
    rows = []
    for count, line in enumerate(lines_of(content(path, table.encoding, found)), 1):
        words = line.split()
        if not words:
            continue
        values = [number(word) for word in words]
        if not np.isfinite(values).all() or not values[0] >= 0 or values[0] % 1:
            raise ValueError(f'{path}, line {count}: {line[:60]!r}; expected numbers, and first that of a class.')
        if len(words) == 5:
            of_region: dict[str, Any] = dict(zip(BOX['yolo'], words[1:], strict=True))
        elif len(words) % 2 and len(words) > 2 * LEAST:
            of_region = {SHAPE: np.reshape(values[1:], (-1, 2)).tolist()}
        else:
            of_six = ', one more than a box has, as predictions with a confidence do' if len(words) == 6 else ''
            raise ValueError(
                f'{path}, line {count} has {len(words)} numbers{of_six}; expected class, x, y of the centre, width and '
                'height, or class and x y of each corner.'
            )
        rows.append((count, {OF_CLASS: str(int(values[0])), **of_region}))
    return rows


def _labelme(path: Path, table: Table, found: Found) -> list[tuple[int, dict[str, Any]]]:
    """Of each shape with an area its class, and its box or polygon; lines are numbers of shapes."""
    data = json_files.parsed(content(path, table.encoding, found), str(path))
    if not json_files.is_labelme(data):
        raise ValueError(f"{path} is not LabelMe's: expected an object with 'shapes' and 'imagePath'.")
    size = {'height': str(data.get('imageHeight') or ''), 'width': str(data.get('imageWidth') or '')}
    of_image = {'filename': _base(str(data['imagePath'])), **_known(size)}
    rows = []
    for count, one in enumerate(data['shapes'], 1):
        if not isinstance(one, Mapping) or not str(one.get('label') or '').strip():
            raise ValueError(f"{path}, shape {count} has no 'label': {str(one)[:80]}.")
        what = str(one.get('shape_type') or 'polygon')
        label = {OF_CLASS: str(one['label']).strip()}
        if what not in AREAS:  # it is said to be there, and not where
            problem = 'shape_without_area' if what in LINES else 'shape_not_understood'
            found.add(problem, [f'{path.name}, shape {count}: {what}'])
            rows.append((count, {**of_image, **label}))
            continue
        try:
            drawn = AREAS[what](np.array(one.get('points'), np.float64).reshape(-1, 2))
        except (ValueError, TypeError) as error:
            raise ValueError(f'{path}, shape {count}, a {what}: {str(one.get("points"))[:60]} ({error}).') from error
        rows.append((count, {**of_image, **label, **drawn}))
    return rows or [(1, of_image)]


def _polygon(points: np.ndarray) -> dict[str, Any]:
    if len(points) < LEAST:
        raise ValueError(f'{len(points)} points; expected {LEAST} or more')
    return {SHAPE: points.tolist()}


def _rectangle(points: np.ndarray) -> dict[str, Any]:
    """A box, given by two opposite corners; a rectangle that may be turned by four."""
    if len(points) == 4:
        return _polygon(points)
    one, other = points
    return dict(zip(CORNERS, np.concatenate([np.minimum(one, other), np.maximum(one, other)]).tolist(), strict=True))


def _circle(points: np.ndarray) -> dict[str, Any]:
    """A circle, given by its centre and a point of its rim."""
    centre, rim = points
    turn = 2 * np.pi * np.arange(ROUND)[:, None] / ROUND
    return _polygon(centre + np.hypot(*(rim - centre)) * np.hstack([np.cos(turn), np.sin(turn)]))


AREAS: dict[str, Callable[[np.ndarray], dict[str, Any]]] = {
    'polygon': _polygon,
    'rectangle': _rectangle,
    'circle': _circle,
    'rotation': _polygon,  # of X-AnyLabeling
}
LINES = 'point', 'points', 'line', 'linestrip'
KINDS: dict[str, Callable[[Path, Table, Found], Sequence[tuple[int, dict[str, Any]]]]] = {
    'voc': _voc,
    'yolo': _yolo,
    'labelme': _labelme,
}
