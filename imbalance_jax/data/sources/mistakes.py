"""What published loaders make of these sets by mistake, against what the files say: computed from the very tables."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imbalance_jax.data.reader import runs, shapes
from imbalance_jax.data.sources import object_cxr, padchest, siim_acr, vindr_cxr
from imbalance_jax.data.sources.text import single_file, text_rows

SHOWN = 5  # names of PadChest that a substring changes most

Box = tuple[float, float, float, float]


class Mistake(NamedTuple):
    """A mistake of a published loader on a data set: what it counts, the right number, the wrong one, and the unit."""

    dataset: str
    what: str
    right: float
    wrong: float
    unit: str


def of(name: str, folder: Path) -> list[Mistake]:
    """The mistakes that are known of the source `name`, on the files in `folder`; none of a source without any.

    Raises FileNotFoundError or ValueError as reading the tables does.
    """
    return MISTAKES[name](Path(folder)) if name in MISTAKES else []


def lines(mistakes: Sequence[Mistake]) -> list[str]:
    """Each mistake as a line of text."""
    return [
        f'{one.what}: {one.right:,.0f} {one.unit} are right, a published loader has {one.wrong:,.0f}{_share(one)}'
        for one in mistakes
    ]


def _share(mistake: Mistake) -> str:
    return f' ({mistake.wrong / mistake.right - 1:+.0%})' if mistake.right else ''


def siim(folder: Path) -> list[Mistake]:
    """SIIM-ACR read by rows, and with the last annotation of an image only."""
    rows = text_rows(single_file(folder, 'train-rle.csv', 'It is the table of SIIM-ACR.'))
    next(rows, None)
    of_image: dict[str, list[str]] = defaultdict(list)
    for _, cells in rows:
        of_image[cells[0]].append(cells[1] if len(cells) > 1 else '')
    whole = last = count = 0
    for texts in of_image.values():
        drawn = [text for text in texts if text not in runs.NO_MASK]
        count += len(texts)
        areas = [sum(map(int, text.split()[1::2])) for text in drawn]
        last += areas[-1] if areas else 0
        whole += areas[0] if len(areas) == 1 else _union(drawn)
    name = siim_acr.LAYOUT.name
    return [
        Mistake(name, 'the last annotation of an image is taken for all of them', whole, last, 'pixels of mask'),
        Mistake(name, 'an image is counted once per annotation', len(of_image), count, 'images'),
    ]


def _union(texts: Sequence[str]) -> int:
    """How many pixels any of the masks has: the length of the union of their runs."""
    starts, ends = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for text in texts:
        gaps, lengths = np.array(text.split(), np.int64).reshape(-1, 2).T
        ends.append(np.cumsum(gaps + lengths))
        starts.append(ends[-1] - lengths)
    start, end = np.concatenate(starts), np.concatenate(ends)
    order = np.argsort(start, kind='stable')
    start, end = start[order], end[order]
    before = np.concatenate([[0], np.maximum.accumulate(end)[:-1]])[: len(end)]
    return int(np.maximum(end - np.maximum(start, before), 0).sum())


def vindr(folder: Path) -> list[Mistake]:
    """VinDr-CXR's boxes as the union over readers, against what most of three readers cover; labels by any reader."""
    pattern = 'train.csv' if list(folder.glob('train.csv*')) else 'annotations/annotations_train.csv'
    rows = text_rows(single_file(folder, pattern, 'It is the table of boxes of VinDr-CXR.'))
    header = next(rows, ('', []))[1]
    image, finding, who, *corners = (header.index(one) for one in ('image_id', 'class_name', 'rad_id', *vindr_cxr.BOX))
    boxes: dict[tuple[str, str], dict[str, list[Box]]] = defaultdict(lambda: defaultdict(list))
    for _, cells in rows:
        if len(cells) > max(corners) and cells[corners[0]]:
            x0, y0, x1, y1 = (float(cells[k]) for k in corners)
            boxes[cells[image], cells[finding]][cells[who]].append((x0, y0, x1, y1))
    areas = np.array([_covered(list(readers.values())) for readers in boxes.values()]).reshape(-1, 2).sum(0)
    most = sum(len(readers) > 1 for readers in boxes.values())
    return [
        Mistake('vindr_cxr', "readers' boxes are united, not put to the vote", areas[1], areas[0], 'pixels of region'),
        Mistake('vindr_cxr', 'what one of three readers says is a label', most, len(boxes), 'positive labels'),
    ]


def _covered(readers: Sequence[Sequence[Box]]) -> tuple[float, float]:
    """Areas that at least one and at least two readers' boxes cover, exactly, on the grid of all edges."""
    xs = np.unique([edge for boxes in readers for box in boxes for edge in (box[0], box[2])])
    ys = np.unique([edge for boxes in readers for box in boxes for edge in (box[1], box[3])])
    votes = np.zeros((len(ys) - 1, len(xs) - 1), int)
    for boxes in readers:
        inside = np.zeros_like(votes, bool)
        for x0, y0, x1, y1 in boxes:
            inside |= ((ys[:-1] >= y0) & (ys[1:] <= y1))[:, None] & ((xs[:-1] >= x0) & (xs[1:] <= x1))[None]
        votes += inside
    cells = np.diff(ys)[:, None] * np.diff(xs)[None]
    return float(cells[votes >= 1].sum()), float(cells[votes >= 2].sum())


def objects(folder: Path) -> list[Mistake]:
    """object-CXR with the type of a shape compared with a number, so that every shape is a polygon."""
    right = wrong = lost = count = 0.0
    for path in sorted(one for name in ('train', 'dev', 'test') for one in folder.glob(f'{name}.csv*')):
        columns = object_cxr.read(path)
        for kind in object_cxr.SHAPES.values():
            for text in filter(None, columns[kind]):
                points = shapes.numbers(text).reshape(-1, 2)
                area, as_polygon = _area(kind, points), _area('polygon', points)
                right, wrong, count = right + area, wrong + as_polygon, count + 1
                lost += as_polygon == 0
    what = 'the type of a shape is compared with a number, so that it is a polygon'
    return [
        Mistake('object_cxr', what, right, wrong, 'pixels of region'),
        Mistake('object_cxr', f'{what} and may have no area', count, count - lost, 'shapes with an area'),
    ]


def _area(kind: str, points: np.ndarray) -> float:
    """The area of a shape in pixels: of a polygon by the shoelace formula."""
    if kind == 'polygon':
        x, y = points.T
        return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
    width, height = np.abs(points[1] - points[0])
    return float(width * height * (np.pi / 4 if kind == 'ellipse' else 1))


def padchest_names(folder: Path) -> list[Mistake]:
    """PadChest with labels matched by substring, and with patients' numbers as a table program shows them."""
    table = text_rows(single_file(folder, padchest.TABLE, 'It is the table of PadChest.'))
    where, header = next(table, ('', []))
    label, patient = header.index('Labels'), header.index('PatientID')
    texts: dict[str, int] = defaultdict(int)
    patients: set[str] = set()
    for _, cells in table:
        texts[cells[label]] += 1
        patients.add(cells[patient])
    exact: dict[str, int] = defaultdict(int)
    for text, images in texts.items():
        for name in set(padchest.labels_in(text, where) or ()) - set(padchest.NO_CLASS):
            exact[name] += images
    inside = {name: sum(images for text, images in texts.items() if name in text) for name in exact}
    changed = sorted(exact, key=lambda name: (exact[name] - inside[name], name))[:SHOWN]
    rounded = {f'{float(one):.2E}' for one in patients if one.isdigit()}
    return [
        *(
            Mistake('padchest', f'{name!r} is looked for as a part of the list', exact[name], inside[name], 'images')
            for name in changed
            if inside[name] != exact[name]
        ),
        Mistake(
            'padchest',
            'numbers of patients are kept as a table program shows them',
            len(patients),
            len(rounded),
            'patients',
        ),
    ]


MISTAKES: dict[str, Callable[[Path], list[Mistake]]] = {
    'object_cxr': objects,
    'padchest': padchest_names,
    'siim_acr': siim,
    'vindr_cxr': vindr,
}
