"""Picture files that go with others: masks, by a word of their name or folder, and copies under the same folders."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from imbalance_jax.data.reader.paths import stem
from imbalance_jax.data.reader.rows import NAMED
from imbalance_jax.names import some

OF_MASKS = (
    'masks?|msk|seg|segm|segmentations?|segmented|anno|annot|annotations?|annotated|gt|ground[ _-]?truth|truth|labels?'
    '|labelmap|manual|roi'
)
DRAWN = 'heat[ _-]?map|overlay|contours?|grad[ _-]?cam|saliency|prediction|pred|preview|thumbnail|thumb'
OF_SIDES = 'left|right|binary|final|map'  # behind a word of masks
FINGER = '|thumb'  # which is a picture of one where it is all of a name
OF_IMAGES = 'image', 'img'  # image_1.png of mask_1.png
CHANNEL = '_0000'
FOLDERS_OF_IMAGES = ('images', 'image', 'img', 'imgs')
BETWEEN = re.compile('[ _-]+')
WORDS = re.compile('[ _-]+|(?<=[a-z])(?=[A-Z])')  # between the words of a folder's name: left_mask, leftMask
FOLDERS = {'mask', 'masks', 'segmentation', 'segmentations', 'annotation', 'annotations', 'label', 'labels', 'gt'}
FOLDERS |= {'groundtruth', 'groundtruths', 'truth', 'truths', 'gts', 'roi', 'rois', 'seg', 'segs'}
MORE = re.compile('(?P<stem>.+)(?P<word>[ _-][A-Za-z]+)$')  # of IDRiD_01_MA, in a folder of masks
# Folders of what was made of the images of another one.
DERIVED = re.compile(
    '(?<![a-z])(segmented|augmented|(pre[ _-]?)?processed|enhanced|heat[ _-]?maps?|overlays?|resized|cropped|'
    'thumb(nail)?s?|normali[sz]ed|equali[sz]ed|filtered|clahe|denoised|annotated|masked|grad[ _-]?cam)(?![a-z])',
    re.I,
)

# Names of what was made of another image by a change: x_rot90, aug_x.
CHANGES = '(?:aug(?:mented)?|rot(?:ated?|ation)?|[hv]?flip(?:ped)?|mirror(?:ed)?|noise|noisy|blur(?:red)?|bright|zoom)'
CHANGED = re.compile(f'{CHANGES}[_-](?P<after>.+)|(?P<before>.+?)(?:[_-]{CHANGES}[_-]?[0-9]*)+', re.I)


class Mask(NamedTuple):
    """A mask of an image. of: the image's path; word: what its name has after the image's, as '_mask', or before it, as
    'mask_', or is all of it, '' if it is called alike; folder: the number of the part of its path that says so, -1 if
    its name does."""

    of: str
    word: str
    folder: int


def masks_among(pictures: Sequence[str], words: str = OF_MASKS) -> dict[str, Mask]:
    """Those of the files that are masks of others: called as these and 'mask' or the like, or that alone, or in a
    folder of masks, also with one more word in their name there. words: such of names, an expression."""
    named = f'(?:{words})(?:[ _-]?(?:{words}|{OF_SIDES}))?'
    after = re.compile(f'^(?P<stem>.+?)(?P<suffix>[ _.-]+[(]?{named}[)]?(?P<number>[ _-]?[0-9]*))$', re.I)
    shared = _shared(pictures)
    of_masks = {path: folder_of_masks(path) for path in pictures}
    tasks = {'/'.join(path.split('/')[: at + 1]) for path, of in of_masks.items() for at in range(of)}
    plain = {path: at if at >= shared and not _is_of_task(path, at, tasks) else -1 for path, at in of_masks.items()}
    images = {stem(path).lower(): path for path in reversed(pictures) if plain[path] < 0}
    beside = {path.rpartition('.')[0].lower(): path for path in pictures if plain[path] < 0}
    found: dict[str, Mask] = {}
    for path in pictures:
        name = stem(path)
        match = after.match(name)
        head = path.rpartition('.')[0]
        if match and (
            of := beside.get(head.removesuffix(match['suffix']).lower()) or images.get(match['stem'].lower())
        ):
            found[path] = Mask(of, match['suffix'].removesuffix(match['number']), -1)
        elif plain[path] >= 0 and (of := _counterpart(path, plain[path], beside) or _called(name, images)):
            found[path] = Mask(of, '', plain[path])
        elif plain[path] >= 0 and (more := MORE.match(name)) and (of := images.get(more['stem'].lower())):
            found[path] = Mask(of, more['word'], plain[path])
    found |= _of_one_beginning(pictures, found, after)
    found |= _called_so(pictures, found, words)
    return {path: mask for path, mask in found.items() if mask.of not in found}


def _called(name: str, images: Mapping[str, str]) -> str | None:
    """The image that is called as a mask is, also with the number of its first channel behind that (nnU-Net)."""
    return images.get(name.lower()) or images.get(f'{name.lower()}{CHANNEL}')


def _of_one_beginning(pictures: Sequence[str], known: Collection[str], after: re.Pattern) -> dict[str, Mask]:
    """Masks that are called as a beginning that images of their folder share, and a word: case_seg beside case_t1 and
    case_t2. known: other masks; after: a name with a word behind it."""
    images: dict[str, str] = {}
    called: dict[str, re.Match] = {}
    for path in pictures:
        if path in known:
            continue
        if match := after.match(stem(path)):
            called[path] = match
            continue
        head = path.rpartition('.')[0].lower()
        for end in BETWEEN.finditer(head, head.rfind('/') + 2):
            images.setdefault(head[: end.start()], path)
    found: dict[str, Mask] = {}
    for path, match in called.items():
        head = path.rpartition('.')[0].lower()
        if of := images.get(head.removesuffix(match['suffix'].lower())):
            found[path] = Mask(of, match['suffix'].removesuffix(match['number']), -1)
    return found if len(found) <= len(pictures) - len(called) - len(known) else {}


def _called_so(pictures: Sequence[str], known: Collection[str], words: str) -> dict[str, Mask]:
    """Masks that are called by a word before the name of an image of their folder, or by a word alone, where no more
    are in their folder than images: of its first. known: other masks."""
    alone = re.compile(f'({words.replace(FINGER, "")})[ _-]?[0-9]*', re.I)
    before = re.compile(f'((?:{words})([ _-]))(.+)', re.I)
    by_folder: dict[str, list[str]] = {}
    for path in pictures:
        if path not in known:
            by_folder.setdefault(path.rpartition('/')[0], []).append(path)
    found: dict[str, Mask] = {}
    for of_folder in by_folder.values():
        called = {path: match[1] for path in of_folder if (match := alone.fullmatch(stem(path)))}
        count = Counter(called.values())
        others = {stem(path).lower(): path for path in of_folder if path not in called}
        for path in of_folder:
            match = before.fullmatch(stem(path))
            rest = [match[3], *(f'{word}{match[2]}{match[3]}' for word in OF_IMAGES)] if match else []
            of = next((others[name.lower()] for name in rest if name.lower() in others), '')
            if match and of:
                found[path] = Mask(of, match[1], -1)
            elif path in called and count[called[path]] <= len(others):
                found[path] = Mask(next(iter(others.values())), called[path], -1)
    return found


def _shared(pictures: Sequence[str]) -> int:
    """In how many folders all the files lie, whose names say of none that it is a mask: Dataset_BUSI_with_GT."""
    folders = [path.split('/')[:-1] for path in pictures]
    first, last = min(folders, default=[]), max(folders, default=[])
    pairs = zip([*first, None], [*last, None], strict=False)
    return next((k for k, (one, other) in enumerate(pairs) if one != other), len(first))


def folder_of_masks(path: str) -> int:
    """Which part of a path is a folder that is called as folders of masks are, the last; -1 if none is."""
    folders = path.split('/')[:-1]
    words = [[word.lower() for word in WORDS.split(name)] for name in folders]
    named = [number for number, of_name in enumerate(words) if {of_name[0], of_name[-1]} & FOLDERS]
    return named[-1] if named else -1


def _is_of_task(path: str, at: int, tasks: Collection[str]) -> bool:
    """Whether a path has a folder of images within one called as those of masks are, in which folders of masks lie,
    too: A. Segmentation/images of A. Segmentation/masks. tasks: folders with one of masks below them."""
    parts = path.split('/')[:-1]
    within = any(part.lower() in FOLDERS_OF_IMAGES for part in parts[at + 1 :])
    return at >= 0 and within and '/'.join(parts[: at + 1]) in tasks


def _counterpart(path: str, folder: int, images: dict[str, str]) -> str | None:
    """The image of the same folders but for that of masks: benign/1 or benign/images/1 of benign/masks/1."""
    parts = path.rpartition('.')[0].lower().split('/')
    before, after = parts[:folder], parts[folder + 1 :]
    for between in ([], *([one] for one in FOLDERS_OF_IMAGES)):
        if of := images.get('/'.join([*before, *between, *after])):
            return of
    return None


def copies_among(pictures: Sequence[str]) -> dict[str, str]:
    """{a file: another of the same name and folders} for those that lie deeper, old/benign/1.png of benign/1.png, or
    have another suffix."""
    known = {_without_suffix(path): path for path in reversed(pictures)}
    found: dict[str, str] = {}
    for path in pictures:
        parts = _without_suffix(path).split('/')
        tails = ('/'.join(parts[start:]) for start in range(1, len(parts) - 1))
        of = next((known[tail] for tail in tails if tail in known), known['/'.join(parts)])
        if of != path:
            found[path] = of
    return found | _made_in_folders(pictures) | _made_by_changes(pictures)


def _made_in_folders(pictures: Sequence[str]) -> dict[str, str]:
    """{a file: another of the same name and folders} but for one folder that says that it was made of the other:
    Segmented/a/1.png of Original/a/1.png."""
    parts = {path: _without_suffix(path).split('/') for path in pictures}
    folders = {folder for of_path in parts.values() for folder in of_path[:-1]}
    derived = {folder for folder in folders if DERIVED.search(folder)}
    made: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    known: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}
    for path, of_path in parts.items() if derived else ():
        for at, folder in enumerate(of_path[:-1]):
            rest = tuple(of_path[:at]), tuple(of_path[at + 1 :])
            if folder in derived:
                made[path] = rest
            else:
                known.setdefault(rest, path)
    return {path: known[rest] for path, rest in made.items() if rest in known}


def _made_by_changes(pictures: Sequence[str]) -> dict[str, str]:
    """{a file: another} that its name says it was made of, beside it or in its folders but for such of what was made:
    a/1_rot90.png of a/1.png."""
    of_stem = {_without_suffix(path): path for path in pictures}
    found: dict[str, str] = {}
    for path in pictures:
        folder, _, name = _without_suffix(path).rpartition('/')
        if match := CHANGED.fullmatch(name):
            places = folder, '/'.join(one for one in folder.split('/') if not DERIVED.search(one))
            bases = [f'{place}/{match["after"] or match["before"]}'.lstrip('/') for place in places]
            if of := next((of_stem[one] for one in bases if one in of_stem), ''):
                found[path] = of
    return found


def _without_suffix(path: str) -> str:
    return path.rpartition('.')[0] if '.' in path.rsplit('/', 1)[-1] else path


def patterns_of(masks: dict[str, Mask]) -> tuple[str, ...]:
    """Patterns of the paths of masks, as `images.exclude` has them."""
    found: dict[str, None] = {}
    for path, mask in masks.items():
        if mask.folder < 0 and mask.word[:1].isalnum():
            found[f'{mask.word}{"" if stem(path) == mask.word else "*"}.{path.rpartition(".")[2]}'] = None
        elif mask.folder < 0:
            found[f'*{mask.word}*.{path.rpartition(".")[2]}'] = None
        else:
            found[f'{"*/" if mask.folder else ""}{path.split("/")[mask.folder]}/*'] = None
    return tuple(sorted(found))


def doubts(pictures: Sequence[str]) -> list[str]:
    """Sentences about images of a set that seem to be masks or copies of others."""
    masks, said = masks_among(pictures, f'{OF_MASKS}|{DRAWN}'), []
    if masks:
        named = some([f'{path} of {mask.of}' for path, mask in masks.items()], NAMED)
        said.append(
            f'{len(masks)} of {len(pictures)} images are called as masks of others are, and count as images: {named}. '
            f'images.exclude = {patterns_of(masks)!r} leaves them out; regions.files makes regions of them.'
        )
    copies = {path: of for path, of in copies_among(pictures).items() if path not in masks}
    if copies:
        named = some([f'{path} of {of}' for path, of in copies.items()], NAMED)
        said.append(
            f'{len(copies)} of {len(pictures)} images have name and folders of others, and count as images: {named}. '
            'images.folders or images.exclude says which are meant.'
        )
    return said
