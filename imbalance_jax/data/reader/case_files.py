"""Which image file each row of a table is of."""

from collections.abc import Sequence

import numpy as np

from imbalance_jax.data.reader import companions, paths
from imbalance_jax.data.reader.layout import Images, Layout
from imbalance_jax.data.reader.rows import FILES, NAMED, PATH, SHOWN, Found, Rows, path_columns
from imbalance_jax.data.reader.spelling import fields_of, fill
from imbalance_jax.data.reader.tables import derived
from imbalance_jax.names import repeated, some


def shown(rows: Rows, layout: Layout) -> list[str]:
    """What rows are called: their images, or by their first two columns where those don't name the image."""
    pattern = layout.images.file
    if pattern and set(fields_of(pattern)) <= rows.columns.keys():
        return _filled(pattern, rows)
    return [' '.join(map(str, values)) for values in zip(*list(rows.columns.values())[:2], strict=True)]


def rows_of_files(listed: Sequence[str], images: Images) -> Rows:
    """A row of each file, with what its path says."""
    count = len(listed)
    rows = Rows(path_columns(listed), np.zeros(count, np.int64), np.arange(1, count + 1), (FILES,))
    return derived(rows, images.derive)


def without_masks(files: paths.Files, rows: Rows, layout: Layout) -> paths.Files:
    """The files without those that cells name as masks (`regions.files`), where others are left."""
    patterns = [one.files for one in layout.regions if one.files and paths.is_of_cells(one.files)]
    named = {paths.normal(text).lower() for pattern in patterns for text in _filled(pattern, rows) if text}
    left = [path for path in files.paths if paths.normal(path).lower() not in named]
    return paths.index(left) if 0 < len(left) < len(files.paths) else files


def images_of_rows(
    rows: Rows, files: paths.Files, layout: Layout, found: Found, with_files: bool
) -> tuple[np.ndarray, list[str], list[str]]:
    """Which image each row is of, and the paths and names of the images."""
    pattern = layout.images.file or f'{{{PATH}}}'
    if not layout.images.file and PATH not in rows.columns:
        named = f'images.file says which column of {rows.files[0]} names files, of {some(list(rows.columns), SHOWN)}'
        raise ValueError(f'{named}; or, if its rows are of patients or studies of several files each, give it `on`.')
    for name in fields_of(pattern):
        rows.column_of_all(name, 'images.file')
    texts = _filled(pattern, rows)
    found.add('rows_without_image', [rows.where(row) for row, text in enumerate(texts) if not text])
    position = {}
    if with_files:
        position = _found_files(texts, files, layout.images.parts, found)
        if not position:
            example = next(iter(dict.fromkeys(texts)), '')
            if several := found.problems.get('several_files'):
                raise ValueError(
                    f'Each image that {rows.files[0]} names is there several times, such as {several[0]!r}: say '
                    'which folder or suffix is meant (images.folders; images.file, as {id}.jpg).'
                )
            parts = layout.images.parts
            by_parts = f' by {parts} parts of their paths (images.parts)' if parts > Images().parts else ''
            raise FileNotFoundError(
                f'None of the {len(set(texts))} images that {rows.files[0]} names is there{by_parts}, such as '
                f'{example!r}; there are {len(files.paths)} images, such as {files.paths[0]!r}.'
            )
        unnamed = set(range(len(files.paths))) - set(position.values())
        of_masks = [paths.of_any(one.files) for one in layout.regions if one.files]
        unnamed = {one for one in unnamed if not any(paths.like(files.paths[one], mask) for mask in of_masks)}
        if layout.images.others == 'counted' and unnamed:
            found.notes.append(f'{len(unnamed)} of {len(files.paths)} images are in no row that is used.')
        else:
            found.add('not_in_table', [files.paths[one] for one in sorted(unnamed)])
        keys = [position.get(text, -1) for text in texts]
    else:
        keys = list(range(len(texts)))
        place: dict[str, int] = {}
        keys = [place.setdefault(text, len(place)) if text else -1 for text in texts]
    order = {key: number for number, key in enumerate(dict.fromkeys(key for key in keys if key >= 0))}
    image = np.array([order.get(key, -1) for key in keys], np.int64)
    path = [files.paths[key] for key in order] if with_files else ['' for _ in order]
    first = first_rows(image, len(order))
    if layout.images.id:
        names = _filled(layout.images.id, rows.take(first))
    else:
        names = paths.unique_names(path) if with_files else [texts[row] for row in first]
    if twice := repeated(names):
        raise ValueError(
            f'images.id {layout.images.id!r} gives {twice[0]!r} for two files; a name belongs to one image.'
        )
    return image, path, names


def _filled(pattern: str, rows: Rows) -> list[str]:
    """The pattern of each row; '' where one of its columns is empty."""
    names = fields_of(pattern)
    columns = [rows.column(name, f'pattern {pattern!r}') for name in names]
    filled = []
    for values in zip(*columns, strict=True):
        texts = [str(value).strip() for value in values]
        filled.append(fill(pattern, dict(zip(names, texts, strict=True))) if all(texts) else '')
    return filled


def _found_files(texts: Sequence[str], files: paths.Files, parts: int, found: Found) -> dict[str, int]:
    """{text: position of its file}. A file belongs to the text that agrees with it most."""
    scored = {text: paths.find(files, text, parts) for text in dict.fromkeys(texts) if text}
    least = min((score for positions, score in scored.values() if len(positions) == 1), default=1)
    for text, (positions, score) in scored.items():  # of the names of many, and in none of the folders of the others
        scored[text] = ([], 0) if len(positions) > 1 and score < least else (positions, score)
    missing = [text for text, (positions, _) in scored.items() if not positions]
    ambiguous = _beside_the_others(scored, files, found)
    owner: dict[int, str] = {}
    others: dict[str, str] = {}  # texts of the file of another text
    for text, (positions, score) in scored.items():
        if len(positions) == 1:
            other = owner.get(positions[0])
            if other is not None and paths.normal(other).lower() != paths.normal(text).lower():
                better = score > scored[other][1]
                kept, left = (text, other) if better else (other, text)
                others[left], text = kept, kept
            owner[positions[0]] = text
    found.add('missing', missing)
    found.add('of_the_file_of_another_row', [f'{left} ({kept})' for left, kept in others.items()])
    found.add('several_files', ambiguous)
    lost = {*missing, *ambiguous, *others}
    return {text: places[0] for text, (places, _) in scored.items() if places and text not in lost}


def _beside_the_others(scored: dict[str, tuple[list[int], int]], files: paths.Files, found: Found) -> list[str]:
    """Of texts that may mean several files the one in no folder of masks, or in a folder of images that are there once,
    if it is one, as where masks are called as images are; it is said. Returns the texts of which it is not known."""
    folder = [path.rpartition('/')[0] for path in files.paths]
    known = {folder[places[0]] for places, _ in scored.values() if len(places) == 1}
    ambiguous, chosen = [], []
    for text, (places, score) in scored.items():
        if len(places) > 1:
            no_masks = [one for one in places if companions.folder_of_masks(files.paths[one]) < 0]
            beside = no_masks if len(no_masks) == 1 else [one for one in places if folder[one] in known]
            if len(beside) == 1:
                scored[text] = beside, score
                chosen.append(files.paths[beside[0]])
            else:
                ambiguous.append(text)
    if chosen:
        what = (
            'images are there several times, and the one in no folder of masks, or beside the others is taken '
            '(images.folders says which)'
        )
        found.doubts.append(f'{len(chosen)} {what}: {some(chosen, NAMED)}.')
    return ambiguous


def first_rows(image: np.ndarray, count: int) -> np.ndarray:
    first = np.full(count, -1, np.int64)
    rows = np.flatnonzero(image >= 0)[::-1]
    first[image[rows]] = rows
    return first
