"""Which published set a folder holds, by files and headers that only that one has."""

import fnmatch
import glob
from collections.abc import Collection, Sequence
from pathlib import Path

from imbalance_jax.data.reader import paths
from imbalance_jax.data.reader.layout import Images, Table
from imbalance_jax.data.reader.rows import Found, Rows
from imbalance_jax.data.reader.tables import read_table

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
# Files, or folders, that only one version of a set has -> that version.
VERSIONS = {'cxr-lt-2024': '2024', 'CXRLT_2026*.csv': '2026', 'nih-*lt_single-label_*.csv': 'single-label'}
# Headers of tables whose names many sets share.
PUBLIC_COLUMNS = {
    ('Path', 'Sex', 'Age', 'Frontal/Lateral', 'AP/PA'): 'chexpert',
    ('image_id', 'class_name', 'class_id', 'rad_id', 'x_min'): 'vindr_cxr',
    ('image_name', 'annotation'): 'object_cxr',
}
# The files that have such headers, of sets whose headers others have.
CALLED = {
    'object_cxr': ('train.csv', 'dev.csv'),
    'vindr_cxr': ('train.csv', 'annotations/annotations_train.csv', 'annotations/annotations_test.csv'),
}
# Columns that tell a set from its siblings, whose files are called alike: VinDr-PCXR from VinDr-CXR.
NEEDED = {'annotations_train.csv': 'rad_id', 'image_labels_train.csv': 'Aortic enlargement'}
NEEDED |= {'master_spreadsheet*.csv': 'PngPath', 'train-rle.csv': 'EncodedPixels'}
# The folder in which a set has a file, and its siblings have not.
WITHIN = dict.fromkeys(('annotations_train.csv', 'image_labels_train.csv'), 'annotations')
MOST_LETTERS = 1 << 20  # of a line


def reader_of(folder: Path, listed: Sequence[str], tables: Sequence[str], known: Collection[str]) -> str:
    """The reader of a published set that has these files, '' if none."""
    parts = _ends(listed)
    for pattern, reader in PUBLIC.items():
        if reader in known and any(fnmatch.fnmatch(part, pattern) for part in parts):
            if pattern in NEEDED and not _has_column(folder, listed, pattern):
                continue
            if pattern in WITHIN and not any(f'/{path}'.endswith(f'/{WITHIN[pattern]}/{pattern}') for path in listed):
                continue
            return 'chexpert' if reader == 'chexlocalize' and 'train.csv' in parts and 'chexpert' in known else reader
    arrays = any(path.endswith('.npz') and 'mnist' in path for path in listed)
    if 'medmnist' in known and arrays and not any(paths.is_image(path, Images()) for path in listed):
        return 'medmnist'
    for path in tables:
        rows = try_table(folder, path)
        for columns, reader in PUBLIC_COLUMNS.items():
            called = reader not in CALLED or any(f'/{path.lower()}'.endswith(f'/{one}') for one in CALLED[reader])
            if rows is not None and reader in known and called and set(columns) <= set(rows.columns):
                return reader
    return ''


def version_of(listed: Sequence[str]) -> dict[str, str]:
    """The option that says which version of a published set these files are of, {} for its usual one."""
    parts = _ends(listed)
    found = [of for pattern, of in VERSIONS.items() if any(fnmatch.fnmatch(part, pattern) for part in parts)]
    return {'version': found[0]} if len(found) == 1 else {}


def _ends(listed: Sequence[str]) -> set[str]:
    """The first part and the last of all paths."""
    return {part for path in listed for part in (path.split('/')[0], path.split('/')[-1])}


def _has_column(folder: Path, listed: Sequence[str], name: str) -> bool:
    """Whether a file of that name has the column that its set is known by."""
    tables = (try_table(folder, path) for path in listed if fnmatch.fnmatch(path.rsplit('/', 1)[-1], name))
    return any(rows is not None and NEEDED[name] in rows.columns for rows in tables)


def try_table(folder: Path, path: str, why: list[str] | None = None, *, header: bool = True) -> Rows | None:
    """A table, or None for a file that is none; the reason is added to `why`."""
    kind = kind_of(folder, path)
    try:
        return read_table(folder, Table(glob.escape(path), kind=kind, header=header), Found())
    except (ValueError, OSError) as error:
        if why is not None:
            why.append(f'tables: {path} is left out, as it cannot be read: {error}')
        return None


def kind_of(folder: Path, path: str) -> str:
    """'jsonl' of a file of JSON lines that is called as one of JSON, else '': the suffix says it."""
    if not path.lower().endswith('.json'):
        return ''
    with (folder / path).open(encoding='utf-8-sig', errors='replace') as file:
        lines = [line for line in (file.readline(MOST_LETTERS).strip() for _ in range(2)) if line]
    return 'jsonl' if len(lines) == 2 and all(one[0] == '{' and one[-1] == '}' for one in lines) else ''
