"""Which files lie in a folder, and which of them a table speaks of."""

import fnmatch
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from imbalance_jax.data.reader.layout import Images
from imbalance_jax.data.reader.spelling import FIELD, fields_of

TAILS = (3, 2)  # parts of a path that are looked up at once: thousands of files may share a name, few two folders, too
# Of files that are no images whatever the suffixes of images are.
NO_IMAGES = ('.csv', '.tsv', '.txt', '.json', '.jsonl', '.parquet', '.xml', '.xls', '.xlsx', '.md', '.pdf', '.gz')
OF_PATHS = {'path', 'stem', 'parent', 'class'}  # names in patterns of masks that are not of a table's cells
SKIPPED = ('__MACOSX',)  # and everything hidden
HIDDEN = ('.', '~$')  # the latter of files that an office program has open


class Files(NamedTuple):
    """Files below a folder. paths: relative, with '/', sorted; by_name, by_stem: lower case -> positions; by_tail: the
    same of stems with the one or two folders that they lie in."""

    paths: list[str]
    by_name: dict[str, list[int]]
    by_stem: dict[str, list[int]]
    by_tail: dict[str, list[int]]


def scan(folder: Path, unreadable: list[str]) -> list[str]:
    """All files below a folder that are not hidden, relative and sorted; links are followed, circles are not.

    FileNotFoundError if there is no such folder. Folders that cannot be listed are named in `unreadable`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder} is no folder.')
    found: list[str] = []
    seen: set[str] = set()
    waiting, links = [''], list[str]()
    while waiting or links:
        below = waiting.pop() if waiting else links.pop()  # a folder is called as it is, not as a link to it
        real = os.path.realpath(folder / below)
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(folder / below), key=lambda entry: entry.name)
        except OSError:
            unreadable.append(below)
            continue
        for entry in entries:
            path = f'{below}/{entry.name}' if below else entry.name
            if entry.name.startswith(HIDDEN) or entry.name in SKIPPED:
                continue
            if _is_folder(entry) and not _is_empty_image(entry):
                (links if entry.is_symlink() else waiting).append(path)
            else:
                found.append(path)
    return sorted(found)


def _is_folder(entry: os.DirEntry) -> bool:
    """Whether it is a folder; a link to itself is none, and an image that cannot be read."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_empty_image(entry: os.DirEntry) -> bool:
    """Whether a folder is called as an image is and has nothing in it: an image that cannot be read."""
    try:
        return entry.name.lower().endswith(Images.suffixes) and not os.listdir(entry.path)
    except OSError:
        return False


def stem(path: str) -> str:
    """A file's name without its folders and suffix."""
    return path.rsplit('/', 1)[-1].rpartition('.')[0]


def is_image(path: str, images: Images) -> bool:
    """Whether a file is one of the images that a layout means."""
    name = path.rsplit('/', 1)[-1]
    suffixes = (*images.suffixes, *images.decoders)
    known = name.lower().endswith(tuple(suffix.lower() for suffix in suffixes if suffix))
    if not known and ('' not in suffixes or name.lower().endswith(NO_IMAGES)):
        return False
    if any(fnmatch.fnmatch(name, one) or fnmatch.fnmatch(path, one) for one in images.exclude):
        return False
    return any(_below(path, folder) for folder in images.folders)


def pictures(listed: Iterable[str], images: Images, masks: Iterable[str]) -> list[str]:
    """Those of the files that are images of a layout: no masks, where other files are left.

    masks: patterns of mask files. One without a word of its own, such as '{stem}.png', may mean images as well.
    """
    found = [path for path in listed if is_image(path, images)]
    of_masks = [_as_expression(one) for one in masks if has_own_word(one)]
    return [path for path in found if not any(one.fullmatch(path) for one in of_masks)] or found


def has_own_word(pattern: str) -> bool:
    """Whether a pattern of files says more of their names than columns and a suffix."""
    words = FIELD.sub('', pattern)
    return any(map(str.isalnum, words.rpartition('.')[0] if '.' in words else words))


def is_of_cells(pattern: str) -> bool:
    """Whether a pattern of mask files is what cells of a table name, such as '{mask}', and nothing else."""
    return not any(map(str.isalnum, FIELD.sub('', pattern))) and not set(fields_of(pattern)) <= OF_PATHS


def _as_expression(pattern: str) -> re.Pattern:
    """A pattern with columns in braces, each any name without folders; without a folder it is of files in any."""
    parts = [re.escape(FIELD.sub('\0', one)) for one in (pattern if '/' in pattern else f'**/{pattern}').split('**/')]
    text = '(?:.*/)?'.join(parts)
    for escaped, meaning in ((re.escape('*'), '.*'), (re.escape('?'), '.'), (re.escape('\0'), '[^/]+')):
        text = text.replace(escaped, meaning)
    return re.compile(text)


def _below(path: str, folder: str) -> bool:
    folder = folder.strip('/')
    return folder in ('', '.') or fnmatch.fnmatch(path, f'{folder}/*')


def index(paths: Iterable[str]) -> Files:
    """Files to be looked up by name."""
    listed = sorted(paths)
    by_name: dict[str, list[int]] = {}
    by_stem: dict[str, list[int]] = {}
    by_tail: dict[str, list[int]] = {}
    for position, path in enumerate(listed):
        spelt = composed(path).lower()
        name = spelt.rsplit('/', 1)[-1]
        by_name.setdefault(name, []).append(position)
        by_stem.setdefault(name.rpartition('.')[0], []).append(position)
        stems = spelt.rpartition('.')[0].split('/')
        for depth in TAILS:
            if len(stems) >= depth:
                by_tail.setdefault('/'.join(stems[-depth:]), []).append(position)
    return Files(listed, by_name, by_stem, by_tail)


def like(path: str, pattern: str) -> bool:
    """Whether a pattern with * and ? means a path; `**/` is any number of folders, also none."""
    return any(fnmatch.fnmatchcase(path, one) for one in {pattern, pattern.replace('**/', '')})


def of_any(pattern: str) -> str:
    """The pattern of all files that a pattern with columns in braces may mean, of whatever image."""
    wanted = FIELD.sub('*', pattern)
    return wanted if '/' in wanted else f'*{wanted}'


def composed(text: str) -> str:
    """A text with each letter and its marks as one character, as tables have them and macOS's file names do not."""
    return unicodedata.normalize('NFC', text)


def normal(text: str) -> str:
    """A path as it is compared: '/' between folders, none at the beginning, no drive, no '.' in it."""
    text = re.sub('^[A-Za-z]:', '', composed(text).strip().replace('\\', '/'))
    return '/'.join(part for part in text.split('/') if part not in ('', '.', '..'))


def find(files: Files, text: str, parts: int = 1) -> tuple[list[int], int]:
    """Which files a path may mean: the positions of those that agree with it in most parts from the end, in how many.

    [], 0 if none does, in at least `parts` of them. A suffix may be missing or another's, and the case of letters
    differ; of several the one in the very letters, and then the one at exactly this path.
    """
    wanted = normal(text).split('/')
    candidates = _candidates(files, [part.lower() for part in wanted], parts)
    if not candidates:
        return [], 0
    agreed = [_agreeing(composed(files.paths[one]).split('/'), wanted) for one in candidates]
    best = max(agreed)
    found = [one for one, score in zip(candidates, agreed, strict=True) if score == best]
    if len(found) > 1:
        found = [one for one in found if _is_spelt(files.paths[one], wanted[-best:])] or found
    if len(found) > 1:
        found = [one for one in found if composed(files.paths[one]).count('/') == len(wanted) - 1] or found
    return found, best


def _is_spelt(path: str, wanted: Sequence[str]) -> bool:
    """Whether the last parts of a path are these in their very letters, with its suffix or without."""
    ends = '/'.join(composed(path).split('/')[-len(wanted) :])
    return '/'.join(wanted) in (ends, ends.rpartition('.')[0])


def _candidates(files: Files, wanted: Sequence[str], parts: int) -> list[int]:
    """Positions of the files that may agree most with a path in lower case."""
    name = wanted[-1]
    stem, _, suffix = name.rpartition('.')
    for depth in TAILS:
        if len(wanted) >= depth:
            folders = '/'.join(wanted[-depth:-1])
            found = files.by_tail.get(f'{folders}/{stem}', []) if f'.{suffix}' in Images.suffixes else []
            exact = [one for one in found if f'/{composed(files.paths[one]).lower()}'.endswith(f'/{name}')]
            if found := exact or files.by_tail.get(f'{folders}/{name}', []) or found:
                return found
        if depth <= parts:
            return []
    found = files.by_name.get(name) or files.by_stem.get(name) or []
    return found or (files.by_stem.get(stem, []) if f'.{suffix}' in Images.suffixes else [])  # a converted copy


def _agreeing(path: Sequence[str], wanted: Sequence[str]) -> int:
    count = 1  # the names agree
    while count < min(len(path), len(wanted)) and path[-count - 1].lower() == wanted[-count - 1].lower():
        count += 1
    return count


def unique_names(paths: Sequence[str]) -> list[str]:
    """The names of files, each with as many folders as tell it from the others."""
    depth = 1
    longest = max((path.count('/') + 1 for path in paths), default=1)
    while depth <= longest:
        names = ['/'.join(path.split('/')[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
        depth += 1
    return list(paths)
