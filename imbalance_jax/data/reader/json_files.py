"""Tables of JSON: objects by row or by name, lists by column, lines, and COCO's images with their annotations."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data.reader import runs
from imbalance_jax.data.reader.layout import Table
from imbalance_jax.data.reader.rows import NAMED, Found, Rows, as_rows, objects
from imbalance_jax.data.reader.spelling import plain_key
from imbalance_jax.data.reader.text_files import content, lines_of
from imbalance_jax.names import lookup, repeated, some

APART_PIXELS, APART_SHARE = 2, 0.1  # of a side of a box, by which its shape may end elsewhere
LOOKED_AT = 200  # annotations of runs that are held against their boxes
COCO = {'images': ('id', 'file_name'), 'annotations': ('image_id', 'category_id'), 'categories': ('id', 'name')}


def read(path: Path, table: Table, found: Found, name: str) -> Rows:
    text = content(path, table.encoding, found)
    lines = path.name.removesuffix('.gz').endswith('.jsonl') or table.kind == 'jsonl'
    if lines:
        numbered = [(k, line) for k, line in enumerate(lines_of(text), 1) if line.strip()]
        data: Any = [parsed(line, f'{path}, line {number}') for number, line in numbered]
        return as_rows(_of_records(records(data, path)), name, np.array([k for k, _ in numbered], np.int64))
    data = parsed(text, str(path))
    if is_labelme(data):
        raise ValueError(f"{path} is LabelMe's, of one image: kind = 'labelme' of its table reads it.")
    if isinstance(data, dict) and {'images', 'annotations'} <= data.keys():
        return as_rows(coco_columns(data, path, found), name)
    if isinstance(data, dict) and len(data.keys() & {'images', 'categories', 'licenses', 'info'}) > 1:
        keys = some(list(data), NAMED)
        raise ValueError(f"{path} is of COCO's kind and has no 'images' or no 'annotations', but {keys}.")
    return as_rows(_of_records(records(data, path)), name)


def parsed(text: str, where: str) -> Any:
    """The value of JSON; ValueError for what is none, or has an object with one key twice."""
    twice: list[str] = []

    def built(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        one = dict(pairs)
        if len(one) < len(pairs):
            twice.extend(repeated(key for key, _ in pairs))
        return one

    try:
        data = json.loads(text, object_pairs_hook=built)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{where} is not JSON: {error}.') from error
    if twice:
        raise ValueError(f'{where}: an object has the key {twice[0]!r} twice; expected one value of each key.')
    return data


def is_labelme(data: Any) -> bool:
    """Whether parsed JSON is what LabelMe writes of one image."""
    return isinstance(data, dict) and isinstance(data.get('shapes'), list) and 'imagePath' in data


def records(data: Any, path: Path) -> list[Mapping[str, Any]]:
    """The rows of JSON: a list of objects, objects by name (the column 'key'), columns as lists or as objects by the
    row's number, or one such inside."""
    if isinstance(data, list) and all(isinstance(one, dict) for one in data):
        return data
    if isinstance(data, dict):
        values = list(data.values())
        lists = [value for value in values if isinstance(value, list)]
        if values and all(isinstance(value, dict) for value in values):
            numbers = [str(number) for number in range(len(values[0]))]
            if len(numbers) and all(list(value) == numbers for value in values):  # as pandas writes a table
                return [{name: data[name][number] for name in data} for number in numbers]
            return [{'key': key, **value} for key, value in data.items()]
        inside = [value for value in lists if value and all(isinstance(one, dict) for one in value)]
        if len(inside) == 1:
            return inside[0]
        if len(lists) == len(values) and len({len(value) for value in lists}) == 1:
            return [dict(zip(data, row, strict=True)) for row in zip(*lists, strict=True)]
    raise ValueError(f'{path} holds no table: expected a list of objects, one per row.')


def coco_columns(data: Mapping[str, Any], path: Path, found: Found) -> dict[str, np.ndarray]:
    """COCO's images and annotations as rows, one per annotation, and one per image that has none.

    Columns: file_name, height, width, category, bbox, segmentation, iscrowd, image_id. Ids are compared as text, 2.0 as
    2. What is of no image, and a file without annotations, is said; ValueError if all is of no image.
    """
    for kind, needed in COCO.items():
        entries = data.get(kind, [])
        if not isinstance(entries, list):
            raise ValueError(f'{path} is not whole COCO: {kind} is {str(entries)[:60]}; expected a list.')
        for number, one in enumerate(entries):
            if lacking := [key for key in needed if not isinstance(one, dict) or one.get(key, '') in ('', None)]:
                raise ValueError(f'{path}, {kind}[{number}] has no {lacking[0]!r}: {str(one)[:80]}.')
    try:
        for kind, of in (('images', 'file_name'), ('categories', 'name')):
            _check_apart(data.get(kind, []), of, f'{path}, {kind}')
        named = data['categories'] if data['annotations'] else data.get('categories', [])
        if twice := repeated(str(image['file_name']) for image in data['images']):
            found.doubts.append(f'{path.name}: files that are images under two ids: {some(twice, NAMED)}.')
        if data['images'] and not data['annotations']:
            found.doubts.append(f'{path.name} has no annotations: its {len(data["images"])} images count as without.')
        if data['annotations'] and all('score' in one for one in data['annotations']):
            found.doubts.append(f'{path.name}: every annotation has a score, as what a network predicts has.')
        drawn = [one for one in data['annotations'] if one.get('bbox') and one.get('segmentation')]
        of_runs = [one for one in drawn if isinstance(one['segmentation'], dict)]
        drawn = [one for one in drawn if isinstance(one['segmentation'], list)] + of_runs[:LOOKED_AT]
        apart = sum(map(_are_apart, drawn))
        if 2 * apart > len(drawn):
            what = f'bbox and segmentation are of other places in {apart} of {len(drawn)} annotations'
            found.doubts.append(f'{path.name}: {what}, as where one was scaled alone; shapes count.')
        names = {plain_key(one['id']): str(one['name']) for one in named}
        if twice := repeated(names.values()):
            found.doubts.append(f'{path.name}: categories that are one concept under two ids: {some(twice, NAMED)}.')
        by_image: dict[Any, list[Mapping[str, Any]]] = {}
        for one in data['annotations']:
            by_image.setdefault(plain_key(one['image_id']), []).append(one)
        _check_images(by_image, {plain_key(one['id']) for one in data['images']}, path, found)
        rows = []
        for image in data['images']:
            of_image = {key: image.get(key, '') for key in ('file_name', 'height', 'width')}
            of_image |= {key: value for key, value in image.items() if not isinstance(value, (dict, list))}
            for one in by_image.get(plain_key(image['id']), [{}]):
                what = f'category of an annotation of image {image["id"]} in {path}:'
                category = lookup(names, plain_key(one['category_id']), what) if one else ''
                of_shape = {key: one.get(key, '') for key in ('bbox', 'segmentation', 'iscrowd')}
                rows.append({**of_image, 'image_id': image['id'], 'category': category, **of_shape})
    except (KeyError, TypeError) as error:
        raise ValueError(f'{path} is not whole COCO: {error} is missing or of another kind.') from error
    return _of_records(rows)


def _are_apart(annotation: Mapping[str, Any]) -> bool:
    """Whether the box of an annotation and that around its shape lie a tenth of their sides apart, or two pixels."""
    across, down = _extent(annotation['segmentation'])
    if not len(across):
        return False
    x, y, width, height = map(float, annotation['bbox'])
    for low, length, ends in ((x, width, across), (y, height, down)):
        allowed = max(APART_PIXELS, APART_SHARE * length)
        if abs(min(ends) - low) > allowed or abs(max(ends) - low - length) > allowed:
            return True
    return False


def _extent(shape: Any) -> tuple[Sequence[float], Sequence[float]]:
    """The x and y of the corners of polygons, or of where runs end; of runs that are none, none."""
    if isinstance(shape, list):
        corners = [float(value) for polygon in shape for value in polygon]
        return corners[::2], corners[1::2]
    try:
        rows, columns = np.nonzero(runs.decode('coco', shape, shape['size']))
    except (ValueError, TypeError, KeyError):  # which is said where they are read
        return (), ()
    if not len(rows):
        return (), ()
    return (columns.min(), columns.max() + 1), (rows.min(), rows.max() + 1)


def _check_images(of: Mapping[str, Sequence[Any]], known: Collection[str], path: Path, found: Found) -> None:
    """Says which annotations, by image_id, are of no image; ValueError if all are."""
    lost = [one for one in of if one not in known]
    if not lost:
        return
    count = f'{sum(len(of[one]) for one in lost)} annotations are of no image: image_id {some(lost, NAMED)}'
    if len(lost) == len(of):
        raise ValueError(f'{path}: all {count}; the ids of images are {some(sorted(known), NAMED)}.')
    found.doubts.append(f'{path.name}: {count}.')


def _check_apart(entries: Sequence[Mapping[str, Any]], of: str, where: str) -> None:
    """ValueError for an id of two entries: annotations would be of the wrong one."""
    if twice := repeated(plain_key(one['id']) for one in entries):
        both = ' and '.join(repr(one.get(of, '')) for one in entries if plain_key(one['id']) == twice[0])
        raise ValueError(f'{where}: {both} have one id, {twice[0]}; an id is of one.')


def _of_records(rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Columns of objects; what an object within one says is a column, too, called 'labels.mass'."""
    names = dict.fromkeys(key for row in rows for key in row)
    columns = {str(name): objects([row.get(name, '') for row in rows]) for name in names}
    for name, values in list(columns.items()):
        if not any(isinstance(value, dict) for value in values):
            continue
        inner = [value if isinstance(value, dict) else {} for value in values]
        for key in dict.fromkeys(key for one in inner for key in one):
            if not any(isinstance(one.get(key), (dict, list)) for one in inner):
                columns.setdefault(f'{name}.{key}', objects([one.get(key, '') for one in inner]))
    return columns
