"""Patterns of the mask files that lie among the images of a folder, each tried on the files before it is proposed."""

import glob
import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imbalance_jax.data.reader import paths
from imbalance_jax.data.reader.companions import FOLDERS, WORDS, Mask, folder_of_masks, patterns_of
from imbalance_jax.data.reader.guess_folders import OF_PARTS, SEQUENCES
from imbalance_jax.data.reader.rows import NAMED, PARENT, STEM
from imbalance_jax.data.reader.spelling import fill
from imbalance_jax.names import some

TRIED = 200  # images on which a pattern is tried
OF_ALL = {'*', 'manual', 'ground', 'binary', 'image', 'images', 'img'}  # say nothing of what masks are of


class Alike(NamedTuple):
    """What masks that one pattern may mean have in common: the name of their folder of masks, '' if their own names
    say so; what these have after the image's; the folder of their kind within that of masks, '' where images have masks
    of one; the suffix; how many folders there are, -1 beside the image."""

    folder: str
    word: str
    inner: str
    suffix: str
    depth: int


def excluded(pictures: Sequence[str], masks: Mapping[str, Mask], unsure: list[str]) -> tuple[str, ...]:
    """What images.exclude is for masks: also for those in folders of masks that are numbered as the images are."""
    found = patterns_of(dict(masks))
    inside = {path: folder_of_masks(path) for path in pictures if path not in masks}
    numbers = {_number(path) for path, folder in inside.items() if folder < 0}
    lone = {path: Mask('', '', folder) for path, folder in inside.items() if folder >= 0}
    if lone and '' not in (of := {_number(path) for path in lone}) and of <= numbers:
        found = tuple(sorted({*found, *patterns_of(lone)}))
        pattern = _with_word_before(list(lone), {paths.stem(path) for path, folder in inside.items() if folder < 0})
        way = f'= {pattern!r} names them' if pattern else 'names them by a column, or if they are called as images are'
        unsure.append(
            f'images: {len(lone)} files in folders of masks are called as no image is: {some(list(lone), NAMED)}. They '
            f'are left out (images.exclude); regions.files {way}.'
        )
    return found


def _with_word_before(lone: Sequence[str], stems: Collection[str]) -> str:
    """The pattern of files that are called as images are with one word before, in one folder; '' where they are not."""
    folder, suffix, name = lone[0].rpartition('/')[0], lone[0].rpartition('.')[2], paths.stem(lone[0])
    words = [name[:at] for at in range(1, len(name)) if name[at:] in stems]
    for word in words:
        if all(one.startswith(f'{folder}/{word}') and paths.stem(one)[len(word) :] in stems for one in lone):
            return f'{folder}/{word}{{stem}}.{suffix}'
    return ''


def _number(path: str) -> str:
    return ' '.join(re.findall('[0-9]+', path.rsplit('/', 1)[-1]))


def proposed(
    pictures: Sequence[str], masks: Mapping[str, Mask], classes: Mapping[str, str], unsure: list[str]
) -> list[tuple[str, str]]:
    """(pattern, concept) of each kind of masks, the concept '' where the name of its folder says none.

    classes: {image: its class}, of images whose class is known. Masks for which no pattern is right are named.
    """
    by_kind: dict[Alike, list[str]] = {}
    inner: dict[str, set[str]] = {}
    for path, mask in masks.items():
        inner.setdefault(mask.of, set()).add(_inner(path, mask))
    in_own = any(len(of_image) > 1 for of_image in inner.values())
    for path, mask in masks.items():
        by_kind.setdefault(_kind(path, mask, _inner(path, mask) if in_own else ''), []).append(path)
    several = len({kind[:3] for kind in by_kind if kind.folder}) > 1
    found = []
    for kind, of_kind in by_kind.items():
        pattern = _pattern(kind, of_kind, masks, classes)
        if pattern and _gives_each_its_own(pattern, pictures, of_kind, masks, classes):
            found.append((pattern, _concept(kind) if several else ''))
            continue
        named = some([f'{path} of {masks[path].of}' for path in of_kind], NAMED)
        unsure.append(
            f'regions: {len(of_kind)} files are taken for masks, {named}, and no one pattern of regions.files gives '
            'each image its own: none is proposed. A column of their paths, {mask}, would.'
        )
    return found


def _inner(path: str, mask: Mask) -> str:
    """The folder of a mask, if it lies within that of masks."""
    parts = path.split('/')
    return parts[-2] if 0 <= mask.folder < len(parts) - 2 else ''


def _kind(path: str, mask: Mask, inner: str) -> Alike:
    folders = path.split('/')[:-1]
    beside = path.rpartition('/')[0] == mask.of.rpartition('/')[0]
    folder = in_any_split(folders[mask.folder]) if mask.folder >= 0 else ''
    return Alike(folder, mask.word, inner, path.rpartition('.')[2], -1 if beside else len(folders))


def in_any_split(folder: str) -> str:
    """A folder's name with its words of splits left open: *_labels of train_labels."""
    return ''.join('*' if part.lower() in OF_PARTS else part for part in re.split(f'({WORDS.pattern})', folder))


def _concept(kind: Alike) -> str:
    """What masks of a kind are of: 'Exudates' of their own folder 3. Exudates, or what their names have after the
    image's there, or 'left' of a folder leftMask."""
    if not kind.folder:
        return ''
    return _said(kind.inner) or kind.word.strip(' _-') or _said(kind.folder)


def _said(folder: str) -> str:
    """The words of a folder that are no number, and none of masks."""
    words = [word for word in WORDS.split(folder) if word.lower() not in FOLDERS | OF_ALL]
    return ' '.join(word for word in words if not re.fullmatch('[0-9]+[.)]?', word))


def _pattern(kind: Alike, of_kind: Sequence[str], masks: Mapping[str, Mask], classes: Mapping[str, str]) -> str:
    """The pattern that these masks have in common: folders by name if all have it, else by that of the image's folder
    or class; '' where a name cannot stand in a pattern."""
    word, alone = glob.escape(kind.word), kind.word.isalnum()
    length = {path: len(kind.word) + (0 if alone else len(paths.stem(masks[path].of))) for path in of_kind}
    rest = '*' if any(len(paths.stem(path)) > length[path] for path in of_kind) else ''
    stem = f'{word}{rest}' if alone else f'{word}{{stem}}' if kind.word[:1].isalnum() else f'{{stem}}{word}{rest}'
    name = f'{stem}.{kind.suffix}'
    folders = []
    for at in range(kind.depth):
        named = {path: path.split('/')[at] for path in of_kind}
        if len(set(named.values())) == 1:
            literal = next(iter(named.values()))
            if '{' in literal or '}' in literal:
                return ''
            folders.append(glob.escape(literal))
        elif all(named[path] == _parent(masks[path].of) for path in of_kind):
            folders.append('{parent}')
        elif all(named[path] == classes.get(masks[path].of) for path in of_kind):
            folders.append('{class}')
        else:
            apart = {in_any_split(glob.escape(one)) for one in named.values()}
            folders.append(apart.pop() if len(apart) == 1 else '*')
    return '/'.join([*folders, name])


def _parent(path: str) -> str:
    return path.split('/')[-2] if '/' in path else ''


def _gives_each_its_own(
    pattern: str,
    pictures: Sequence[str],
    of_kind: Sequence[str],
    masks: Mapping[str, Mask],
    classes: Mapping[str, str],
) -> bool:
    """Whether a pattern means, of a sample of images, their own masks of a kind and no others."""
    own: dict[str, set[str]] = {}
    for path in of_kind:
        own.setdefault(masks[path].of, set()).add(path)
    by_stem: dict[str, list[str]] = {}
    for path in own:
        by_stem.setdefault(paths.stem(path), []).append(path)
    lowered = [(path, path.lower()) for path in (*pictures, *masks)]
    for at in np.unique(np.linspace(0, len(pictures) - 1, min(TRIED, len(pictures))).astype(int)):
        image = pictures[at]
        beside = image.rpartition('/')[0]
        values = {STEM: paths.stem(image), PARENT: _parent(image), 'class': classes.get(image, '')}
        wanted = fill(pattern, {key: glob.escape(text) for key, text in values.items()})
        wanted = wanted if '/' in wanted or not beside else f'{glob.escape(beside)}/{wanted}'
        spelt = str if any(one in pattern for one in '*?') else str.lower  # as the reader finds files
        stem = values[STEM].lower()
        near = [path for path, small in lowered if path != image and (stem in small or path.startswith(f'{beside}/'))]
        alike = [one for one in by_stem.get(values[STEM], ()) if _is_other_sequence(one, image)]
        of_image = own.get(image) or own.get(alike[0] if alike else '', set())
        if {path for path in near if paths.like(spelt(path), spelt(wanted))} != of_image:
            return False
    return True


def _is_other_sequence(one: str, other: str) -> bool:
    """Whether two images are one slice in two sequences of MRI, by their folders: flair/3.png and t1/3.png."""
    pairs = [(a, b) for a, b in zip(one.split('/'), other.split('/'), strict=False) if a != b]
    return one.count('/') == other.count('/') and len(pairs) == 1 and {word.lower() for word in pairs[0]} <= SEQUENCES
