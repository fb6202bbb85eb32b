"""What the files of a folder show: sizes and colour of images, people by their names, and files that nothing reads."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data.reader import images, json_files, paths, pixel_notes
from imbalance_jax.data.reader.layout import Images
from imbalance_jax.data.reader.picture import NeedsPackage, Unreadable
from imbalance_jax.data.reader.rows import NAMED
from imbalance_jax.data.reader.text_files import content
from imbalance_jax.names import some

# Of a file's path, whose first group is a person.
SIDES = r'(?i)([^/]+?)(?:[ _-]|(?<=[0-9]))(?:left|right|l|r|od|os)\.[^./]+$'
# Words for people with a number behind them; the short ones only where a name begins.
PEOPLE = re.compile(
    r'(?:(?:^|[/_ -])(patient|person|subject|participant)|(?:^|/)(subj|sub|case|pat|pt|p))[ _-]?[0-9]+'
    r'(?![0-9a-z])[^/]*$',
    re.I,
)
END = re.compile('[_-]([A-Za-z0-9]{1,12})[.][^./]+$')  # the last word of a file's name
OF_IMAGES = {'image', 'images', 'img', 'imgs', 'picture', 'pictures', 'photo', 'photos', 'jpegimages'}  # folders
FEW = 5  # words in which names of files end, if they may be classes
LOOKED_AT = 24  # image files that are opened
# Kinds of files of annotation that nothing here reads, and what to do.
UNREAD = {
    ('xlsx', 'xls', 'ods', 'numbers'): 'save each sheet as CSV',
    ('xml',): 'Pascal VOC of one image each is read, called as the image; else write one CSV, a row per box',
    ('mat', 'npz', 'npy', 'h5', 'hdf5', 'pkl', 'pickle', 'sqlite', 'db'): 'export labels as CSV, and masks as PNG',
    ('psv', 'dat', 'lst', 'tab'): 'save it as .csv or .tsv',
    ('feather', 'arff', 'yaml', 'yml', 'toml', 'rds', 'dta', 'sav'): 'write one CSV, a row per image',
    ('nii', 'nii.gz', 'nrrd', 'mha'): 'export slices and masks as PNG',
}
# Of files with one image's annotation each.
BESIDE = {
    'txt': "YOLO's boxes and polygons are read; else write one CSV of all, with the name of the image in each row",
    'json': "LabelMe's are read; else write one CSV or one COCO file, with the name of the image in each row",
    'csv': 'write one CSV of all, with the name of the image in each row',
}
LEAST = 3  # files that are called as images are
OF_SYSTEMS = {'thumbs.db', 'ehthumbs.db', 'desktop.ini'}  # written by an operating system into folders


def of_one_image(listed: Sequence[str]) -> dict[str, str]:
    """{file: suffix} of text files that are called as an image each, of kinds with several such files."""
    stems = {paths.stem(path).lower() for path in listed if paths.is_image(path, Images())}
    found = {path: path.rpartition('.')[2].lower() for path in listed if paths.stem(path).lower() in stems}
    counted = Counter(suffix for suffix in found.values() if suffix in BESIDE)
    return {path: suffix for path, suffix in found.items() if counted[suffix] >= LEAST}


def unread(listed: Sequence[str], beside: Mapping[str, str]) -> list[str]:
    """Sentences about files that may be annotation and are not read. beside: those that are of one image each."""
    by_advice: dict[tuple[str, str], list[str]] = {}
    for path in listed:
        name = path.rsplit('/', 1)[-1].lower()
        if _is_of_system(path):
            continue
        for suffixes, advice in UNREAD.items():
            if suffix := next((one for one in suffixes if name.endswith(f'.{one}')), ''):
                by_advice.setdefault((suffix, advice), []).append(path)
        if path in beside:
            by_advice.setdefault((beside[path], BESIDE[beside[path]]), []).append(path)
    return [
        f'tables: {len(files)} .{suffix} file{"s" * (len(files) > 1)} may be annotation and cannot be read '
        f'({some(files, NAMED)}): {advice}.'
        for (suffix, advice), files in by_advice.items()
    ]


def of_flags(folder: Path, beside: Mapping[str, str]) -> list[str]:
    """A sentence about flags of whole images in LabelMe's files. beside: files that are of one image each."""
    names = dict[str, None]()
    for path in [path for path, suffix in beside.items() if suffix == 'json'][:LOOKED_AT]:
        try:
            data = json_files.parsed(content(folder / path), path)
        except (ValueError, OSError):
            continue
        flags = data.get('flags') if json_files.is_labelme(data) else None
        if isinstance(flags, dict) and flags:
            names |= dict.fromkeys(map(str, flags))
    if not names:
        return []
    what = f'{some([*names], NAMED)} are flags of whole images in files of LabelMe'
    return [f'labels: {what}, and are not read: a table with a column of each of them is.']


def of_other_suffixes(listed: Sequence[str]) -> str:
    """What to say of files that may be images of suffixes that are not read, '' without any."""
    others = [path for path in listed if paths.is_image(path, Images(suffixes=('',))) and not _is_of_system(path)]
    counted = Counter(path.rsplit('/', 1)[-1].rpartition('.')[2].lower() for path in others if '.' in path)
    if not counted:
        return f' but {len(others)} without a suffix, such as {others[0]!r},' if others else ''
    (suffix, count), *_ = counted.most_common(1)
    example = next(path for path in others if path.lower().endswith(f'.{suffix}'))
    return f' but {count} .{suffix} file{"s" * (count > 1)}, such as {example!r} (images.suffixes),'


def _is_of_system(path: str) -> bool:
    """Whether an operating system wrote a file into a folder."""
    return path.rsplit('/', 1)[-1].lower() in OF_SYSTEMS


def folder_of_images(names: Iterable[str], pictures: Sequence[str], unsure: list[str]) -> str:
    """The first folder of a path, 'images/', that is meant where names of images are each those of several files: the
    one that is called as folders of images are; '' where no name is, or nothing tells. names: of a table."""
    files = paths.index(pictures)
    several = [found for name in dict.fromkeys(map(str, names)) if len(found := paths.find(files, name)[0]) > 1]
    if not several:
        return ''
    firsts = [{files.paths[place].split('/')[0] for place in found} for found in several]
    meant = {first for first in set.intersection(*firsts) if first.lower() in OF_IMAGES}
    named = some([' and '.join(files.paths[place] for place in found) for found in several], NAMED)
    taken = f'those in {min(meant)} are taken' if len(meant) == 1 else 'images.folders says which are meant'
    unsure.append(f'images: {len(several)} names are those of several files ({named}): {taken}.')
    return f'{meant.pop()}/' if len(meant) == 1 else ''


def of_images(
    folder: Path, pictures: Sequence[str], exclude: Sequence[str], block: dict[str, Any], unsure: list[str]
) -> None:
    """What a sample of the files shows: sizes and colour."""
    found: dict[str, Any] = {}
    if exclude:
        found['exclude'] = tuple(exclude)
    shapes, drawn = [], []
    for at in np.unique(np.linspace(0, len(pictures) - 1, min(LOOKED_AT, len(pictures))).astype(int)):
        try:
            pixels = images.decode(folder / pictures[at])
        except (Unreadable, NeedsPackage) as error:
            unsure.append(f'images: {pictures[at]} could not be read ({error}).')
            continue
        shapes.append(pixels.shape)
        if pixel_notes.is_drawn(pixels):
            drawn.append(pictures[at])
    if 0 < len(drawn) < len(shapes):
        unsure.append(
            f'images: {len(drawn)} of {len(shapes)} looked at have few grey values, as masks have, and others have not '
            f'(images.exclude, regions.files): {some(drawn, NAMED)}.'
        )
    if any(shape[0] != shape[1] for shape in shapes):
        found['resize'] = 'pad'
        unsure.append("images: not all are square; they are padded with black. 'stretch' and 'crop' are the others.")
    block['images'] = found
    coloured = any(len(shape) == 3 for shape in shapes)
    block['modality'] = 'photograph' if coloured else 'radiograph'
    unsure.append(
        f'modality: {block["modality"]!r}, as the files are {"coloured" if coloured else "grey"}; it decides which '
        "augmentation is allowed ('radiograph', 'photograph', 'ultrasound', 'mri', ...)."
    )


def people_of_sides(pictures: Sequence[str]) -> str:
    """The pattern of people of images that are called as a left and a right one of somebody, '' where they are not."""
    found = [re.search(SIDES, path) for path in pictures]
    people = [one[1] for one in found if one]
    return SIDES if len(people) > 0.9 * len(pictures) and len(set(people)) < 0.9 * len(people) else ''


def people_of_words(pictures: Sequence[str]) -> str:
    """The pattern of people of images whose names all have one word for them with a number, several of somebody; ''
    where they have not."""
    found = [PEOPLE.search(path) for path in pictures]
    words = {(one[1] or one[2]).lower() for one in found if one}
    if not all(found) or len(words) != 1:
        return ''
    pattern = f'(?i)(?:^|[/_ -])({words.pop()}[ _-]?[0-9]+)(?![0-9a-z])[^/]*$'
    people = {match[1] for path in pictures if (match := re.search(pattern, path))}
    return pattern if LEAST <= len(people) < len(pictures) else ''


def ends_of_names(pictures: Sequence[str]) -> str:
    """What to say of the words in which the names of images end, as those of films of health and disease: _0 and _1."""
    found = Counter(one[1] for path in pictures if (one := END.search(path)))
    if not 1 < len(found) <= FEW or found.total() < len(pictures) or min(found.values()) < LEAST:
        return ''
    words = sorted(found)
    pattern = f'[_-]({"|".join(words)})[.]'
    return f'; names of files end in {", ".join(words)}, which labels.path = {pattern!r} would take'
