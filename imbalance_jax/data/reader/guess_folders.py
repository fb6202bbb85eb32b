"""Which folders of the images may be classes, and which are splits, people, magnifications or mere order."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from imbalance_jax.data.reader import paths
from imbalance_jax.data.reader.class_columns import MOST_CLASSES, not_known
from imbalance_jax.data.reader.companions import FOLDERS as MASKS
from imbalance_jax.data.reader.companions import WORDS
from imbalance_jax.data.reader.guess_tables import Read
from imbalance_jax.data.reader.layout import SPLIT_NAMES
from imbalance_jax.data.reader.rows import NAMED
from imbalance_jax.data.reader.spelling import canonical, first_group, table_of
from imbalance_jax.names import some

LEAST = 0.3  # share of the images whose folder has a name of its own, at a level that may be one of classes
FEW = 12  # names that may be classes, however few images each has
# Words of classes: a level of folders that are called so is the one that is meant.
OF_CLASSES = {'normal', 'abnormal', 'benign', 'malignant', 'healthy', 'unhealthy', 'sick', 'disease', 'diseased'}
OF_CLASSES |= {'positive', 'negative', 'covid', 'pneumonia', 'tuberculosis', 'cancer', 'tumor', 'tumour', 'notumor'}
OF_CLASSES |= {'glioma', 'meningioma', 'pituitary', 'melanoma', 'nevus', 'polyp', 'polyps', 'infected', 'uninfected'}
OF_CLASSES |= {'parasitized', 'yes', 'no', 'mild', 'moderate', 'severe', 'proliferative', 'cnv', 'dme', 'drusen'}
OF_CLASSES |= {'cyst', 'stone', 'glaucoma', 'cataract', 'opacity', 'effusion', 'hemorrhage', 'stroke', 'fractured'}
# Words before numbers that are classes; numbers behind others are of people, lesions, videos ...
OF_GRADES = {'class', 'classe', 'klasse', 'label', 'grade', 'stage', 'level', 'score', 'type', 'category', 'cat'}
OF_GRADES |= {'birads', 'group', 'cluster', 'degree', 'severity', 'phase', 'pattern', 'subtype', 'gleason', 'tier'}
OF_GRADES |= {'code', 'target'}
OF_CENTRE = re.compile('(images?|imgs?|pictures?|data|frames?)[ _-]?[A-Za-z]?[0-9]{1,2}', re.I)  # images_C1
COUNTED = re.compile('([A-Za-z]{3,})[ _-]*[0-9]+')
# Words of folders that only hold images, and of those that hold parts of a set.
OF_ORDER = {'image', 'images', 'img', 'imgs', 'picture', 'pictures', 'photo', 'photos', 'data', 'dataset', 'file'}
OF_ORDER |= {'files', 'all', 'raw', 'original', 'originals', 'png', 'jpg', 'jpeg', 'tif', 'tiff', 'bmp', 'dicom', 'dcm'}
OF_ORDER |= {'part', 'batch', 'chunk'}
OF_KIND = {'cxr'}  # of images of one kind, where no folders of others are beside
OF_PARTS = {*table_of(SPLIT_NAMES), 'trainval'}
OF_SPLIT = '(?i)(?<![a-z])({})(?![a-z])[^/]*/'  # {}: words
OF_SETS = {'set', 'dataset', 'part', 'batch', 'chunk', 'site', 'hospital', 'center', 'centre', 'fold', 'task'}
MAGNIFICATION = re.compile('[0-9]+ ?x', re.I)
PEOPLE = re.compile(
    '((patient|pat|subject|subj|sub|person|participant|case|study|donor|pid)[ _-]*[0-9]+|p[ _-]*[0-9]{2,})'
    '(?![A-Za-z0-9]).*',
    re.I,
)
DATE = re.compile(
    '(?<![0-9])([0-9]{1,2}[-_.][0-9]{1,2}[-_.](19|20)[0-9]{2}|(19|20)[0-9]{2}([-_.]?)[0-9]{2}\\4[0-9]{2})(?![0-9])'
)
UID = re.compile('[0-9]+([.][0-9]+){4,}')  # DICOM's, of a study, a series or an image
YEAR = re.compile('(?<![0-9])(19|20)[0-9]{2}(?![0-9])')
# Within a name: P_00001 of Mass_P_00001_CC.
PERSON = '(?<![A-Za-z])(?:patient|pat|subject|subj|sub|person|p)[ _-]?[0-9]+'
PARENT = '([^/]+)/[^/]+$'  # as labels.path = 'parent'
SEQUENCES = {'flair', 't1', 't1c', 't1ce', 't1gd', 't1n', 't1w', 't2', 't2f', 't2w', 'pd', 'dwi', 'adc', 'swi'}
VIEWS = {'left', 'right', 'l', 'r', 'od', 'os', 'cc', 'mlo', 'pa', 'ap', 'lateral', 'frontal'}


MOSTLY = 0.9  # share of the folders of a level that are people, by a table


class Known(NamedTuple):
    """What is known of files but for their folders. people: folders of one patient each, by a table; splits: of each
    file, '' where nothing says it."""

    people: Collection[str]
    splits: Sequence[str]


SESSION = re.compile('(ses|session|visit|time[ _-]?point|tp|run|exam|study|day|week|month)[ _-]?[0-9]+', re.I)
SPLIT_ALONE = re.compile('train(ing)?|test(ing)?|val(id(ation)?)?', re.I)


class Level(NamedTuple):
    """Folders at one place of the images' paths. path: the regular expression that takes them, or 'parent'; names: of
    the folders that may mean something, in their order; share: of the images that are in one; what: 'classes' by their
    words, 'folders' of any name, or what else they are."""

    path: str
    names: tuple[str, ...]
    share: float
    what: str


def are_of_splits(pictures: Sequence[str], *, whole: bool) -> bool:
    """Whether images are in folders of several splits; whole: all of them."""
    known = table_of(SPLIT_NAMES)
    splits = [{known.get(canonical(part)) for part in path.split('/')[:-1]} - {None} for path in pictures]
    return len(set().union(*splits)) > 1 and (all(splits) or not whole)


def level_of_splits(pictures: Sequence[str]) -> str:
    """The pattern of the outermost level whose folders are all called as splits, of paths of which some have folders of
    two splits, as test/TR; '' where there is none."""
    known = table_of(SPLIT_NAMES)
    folders = [[known.get(canonical(part), '') for part in path.split('/')[:-1]] for path in pictures]
    if not any(len({*of_path} - {''}) > 1 for of_path in folders):
        return ''
    levels = range(min(map(len, folders), default=0))
    front = next((at for at in levels if all(of_path[at] for of_path in folders)), None)
    return '' if front is None else _at_level(front)


def _at_level(front: int) -> str:
    """The pattern of the folder that has so many before it."""
    return f'^(?:[^/]+/){{{front}}}([^/]+)/' if front else '^([^/]+)/'


def words_of_splits(pictures: Sequence[str]) -> str:
    """The pattern of words for splits in the names of folders, as of a. Training Set, where every image is in such a
    folder, of several splits; '' where not."""
    known = table_of(SPLIT_NAMES)
    words = [first_group(OF_SPLIT.format('|'.join(sorted(known, key=len, reverse=True))), path) for path in pictures]
    if not all(words) or len({known[canonical(word)] for word in words}) < 2:
        return ''
    return OF_SPLIT.format('|'.join(sorted({word.lower() for word in words}, key=lambda word: (-len(word), word))))


def classes_of(pictures: Sequence[str], known: Known, block: dict[str, Any], unsure: list[str]) -> bool:
    """Whether a level of folders is one of classes, and people; proposes them, and names the other levels."""
    levels = levels_of(pictures, known)
    able = [one for one in levels if one.what in ('classes', 'folders')]
    chosen = max(able, key=lambda one: (one.what == 'classes', one.share >= 0.9), default=None)
    others = '; '.join(f'labels.path = {one.path!r} has {one.what} {some(one.names, NAMED)}' for one in levels)
    if chosen is None:
        if others:
            unsure.append(f'labels: folders are not taken for classes; {others}.')
        return False
    classes = tuple(name for name in chosen.names if not SPLIT_ALONE.fullmatch(name))  # a class may be called TR
    classes = classes if len(classes) > 1 else chosen.names
    block['labels'] = {'path': chosen.path, 'classes': classes, 'none': ()}
    block['task'] = 'multi_class'
    of_class = class_of(pictures, block['labels'])
    outside = [path for path in pictures if path not in of_class]
    if outside:
        block['labels']['others'] = 'ignore'
        unsure.append(
            f'labels: {len(outside)} of {len(pictures)} images are in none of these folders, and are left out: '
            f'{some(outside, NAMED)}.'
        )
    if unknown := not_known(classes):
        unsure.append(
            f'labels: {some(unknown, NAMED)} counts as a class; labels.none = {unknown!r} would make it none.'
        )
    rest = [one for one in levels if one != chosen]
    others = '; '.join(f'{one.path!r} has {one.what} {some(one.names, NAMED)}' for one in rest)
    unsure.append(
        f'labels: the {len(classes)} folders {some(classes, NAMED)} are taken for classes'
        f'{f". Other levels, for labels.path: {others}" if others else ""}.'
    )
    return True


def only_in(one: Read, pictures: Sequence[str]) -> str:
    """The folders of classes that all images of a table lie in which says no class of them, where there are others;
    '' of any other table."""
    kinds, block = one.kinds, dict[str, Any]()
    if kinds.labels or kinds.names or kinds.box or kinds.segmentation:
        return ''
    if not classes_of(pictures, Known((), [''] * len(pictures)), block, []):
        return ''
    of = class_of(pictures, block['labels'])
    files = paths.index(list(pictures))
    places = {place for text in map(str, one.rows.columns[one.column]) for place in paths.find(files, text)[0]}
    named = sorted({of[files.paths[place]] for place in places if files.paths[place] in of})
    people = {str(text).strip() for text in one.rows.columns[kinds.patient]} if kinds.patient else set()
    if {*named} <= people:  # folders of people, and others
        return ''
    return some(named, NAMED) if len(named) < len(set(of.values())) else ''


def people_of(pictures: Sequence[str], known: Known) -> tuple[str, tuple[str, ...]] | None:
    """The pattern of people whose folders the highest such level has, else of studies, and these; None without one."""
    levels = [one for one in reversed(levels_of(pictures, known)) if one.share >= 0.9]
    level = next((one for what in ('people', 'studies') for one in levels if one.what == what), None)
    if level is None:
        return None
    path = PARENT if level.path == 'parent' else level.path
    if all(re.search(PERSON, name, re.I) for name in level.names):
        path = '(?i)' + path.replace('([^/]+)', f'[^/]*?({PERSON})[^/]*')
    return path, level.names


def class_of(pictures: Sequence[str], labels: Mapping[str, Any]) -> dict[str, str]:
    """{image: its class}, where folders are classes."""
    pattern = labels.get('path', '')
    if not pattern:
        return {}
    expression = PARENT if pattern == 'parent' else pattern
    named = {path: first_group(expression, path) for path in pictures}
    return {path: name for path, name in named.items() if name in labels['classes']}


def levels_of(pictures: Sequence[str], known: Known) -> list[Level]:
    """The levels of folders that tell images apart, the deepest first."""
    folders = [path.split('/')[:-1] for path in pictures]
    deepest = max(map(len, folders), default=0)
    even = min(map(len, folders), default=0) == deepest
    found: dict[tuple[str, ...], Level] = {}
    for back in range(deepest):
        named = [parts[-1 - back] if len(parts) > back else '' for parts in folders]
        behind = f'(?:[^/]+/){{{back}}}' if back else ''
        expression = 'parent' if not back else f'([^/]+)/{behind}[^/]+$'
        if even and back:
            expression = _at_level(deepest - 1 - back)
        found.setdefault(tuple(named), _level(expression, named, known))
    for front in reversed(range(0 if even else deepest)):
        named = [parts[front] if len(parts) > front else '' for parts in folders]
        found.setdefault(tuple(named), _level(_at_level(front), named, known))
    return [one for one in found.values() if len(one.names) > 1 and one.share >= LEAST]


def _level(path: str, named: Sequence[str], known: Known) -> Level:
    counted = {name: _says_something(name, OF_ORDER) for name in dict.fromkeys(named)}
    if sum(counted[name] and not OF_KIND & {*_words(name)} for name in counted) < 2:
        counted = {name: _says_something(name, OF_ORDER | OF_KIND) for name in counted}
    of_splits = [name for name in counted if canonical(name) in table_of(SPLIT_NAMES)]
    if len(of_splits) < sum(counted.values()) > 1:  # among classes: TR of AR, MR, TR
        counted |= dict.fromkeys(of_splits, True)
    meant = sorted({canonical(name): name for name, counts in counted.items() if counts}.values())
    if words := _class_words(meant):
        within = f'[^/]*?({"|".join(sorted(words, key=len, reverse=True))})[^/]*'
        path = '(?i)' + (PARENT if path == 'parent' else path).replace('([^/]+)', within)
        meant = words
    there = sum(counted[name] for name in named)
    in_splits = {(name, split) for name, split in zip(named, known.splits, strict=True) if split and counted[name]}
    several = len(in_splits) > len({name for name, _ in in_splits})
    theirs = len({*meant} & {*known.people})
    what = 'people' if meant and theirs >= MOSTLY * len(meant) else _what(meant, there, several=several)
    return Level(
        path, tuple(meant), there / len(named), 'people of several splits' if what == 'people' and several else what
    )


def _says_something(name: str, of_order: set[str]) -> bool:
    """Whether a folder is no split, and does more than to hold images. of_order: words of such that do no more."""
    words = {word for word in _words(name) if not word.isdigit()}
    return bool(name) and canonical(name) not in table_of(SPLIT_NAMES) and not (words and words <= of_order)


def _class_words(names: Sequence[str]) -> list[str]:
    """The words of classes that numbered folders have, one each: of study1_positive; [] where they have not."""
    words = [OF_CLASSES & set(_words(name)) for name in names]
    single = all(len(one) == 1 and re.search('[0-9]', name) for one, name in zip(words, names, strict=True))
    found = sorted(set().union(*words))
    return found if single and len(found) > 1 and len(names) > 1 else []


def _are_parts_of_splits(names: Sequence[str]) -> bool:
    """Whether folders are called by words of splits, images and masks alone: trainval-image, imagesTr, test_labels."""
    words = [set(_words(name)) for name in names]
    known = OF_PARTS | OF_ORDER | MASKS
    return all(of <= known for of in words) and any(of & OF_PARTS for of in words)


def _words(name: str) -> list[str]:
    """The words of a folder's name, in lower case and without numbers at their ends."""
    return [word.lower().rstrip('0123456789') or word for word in WORDS.split(name)]


def _what(names: Sequence[str], images: int, *, several: bool) -> str:
    """What folders of these names are; images: how many are in them; several: whether one is in several splits, as
    folders of classes are and those of people are not."""
    if not names:
        return 'folders'
    if all(MAGNIFICATION.fullmatch(name) for name in names):
        return 'magnifications'
    if words_of_splits([f'{name}/' for name in names]) or _are_parts_of_splits(names):
        return 'splits'
    if all(name.lower() in VIEWS for name in names):
        return 'views'
    if all(name.lower() in SEQUENCES for name in names):
        return 'sequences'
    if all(OF_SETS & set(_words(name)) for name in names):
        return 'parts'
    if all(PEOPLE.fullmatch(name) for name in names):
        return 'people'
    if all(OF_CENTRE.fullmatch(name) for name in names):
        return 'parts'
    if 2 * sum(bool(OF_CLASSES & set(_words(name))) for name in names) >= len(names):
        return 'classes'
    if all(DATE.match(name) or SESSION.fullmatch(name) for name in names):
        return 'studies'
    if all(UID.fullmatch(name) for name in names):
        return 'folders of an image each' if 2 * images < 3 * len(names) else 'studies'
    counted = {(match := COUNTED.fullmatch(name)) and match[1].casefold() for name in names}
    if len(counted) == 1 and None not in counted and not counted & (OF_GRADES | OF_CLASSES):
        return 'people of several splits' if several else 'people'
    names = [YEAR.sub('', name) for name in names]
    digits = '[0-9]' if len(names) > FEW else '[0-9]{4}'
    if all(re.search(digits, name) for name in names):
        if several:  # of classes they have many images, such as 2889 or n01440760
            return 'folders' if images >= 3 * len(names) else 'people of several splits'
        return 'people'
    if 2 * images < 3 * len(names):
        return 'folders of an image each'
    many = len(names) > FEW and (2 * len(names) > images or (len(names) > MOST_CLASSES and 20 * len(names) > images))
    return 'many names' if many else 'folders'
