"""Which columns of an unknown table are a box, the corners of a shape, or the size of the image they are drawn on."""

import ast
import contextlib
import functools
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.reader.rows import Rows
from imbalance_jax.data.reader.spelling import is_empty, number

SIDES = {'left': 'x low', 'right': 'x high', 'top': 'y low', 'bottom': 'y high', 'upper': 'y upper', 'lower': 'y lower'}
SIDES |= {'links': 'x low', 'rechts': 'x high', 'oben': 'y low', 'unten': 'y high'}
CODES = {'ul': 'upper left', 'lu': 'upper left', 'lr': 'lower right', 'll': 'lower left', 'ur': 'upper right'} | {
    first + second: f'{one} {other}'
    for one, other in (('top', 'left'), ('bottom', 'right'), ('bottom', 'left'), ('top', 'right'))
    for first, second in ((one[0], other[0]), (other[0], one[0]))
}
AXES = {'x': 'x', 'col': 'x', 'column': 'x', 'y': 'y', 'row': 'y'}
LENGTHS = {'width': 'x', 'w': 'x', 'wd': 'x', 'height': 'y', 'h': 'y', 'ht': 'y'}
ENDS = (
    dict.fromkeys(('min', 'minimum', 'start', 'begin', 'from', 'first', 'low', 'lo', 'initial'), 'low')
    | dict.fromkeys(('max', 'maximum', 'end', 'stop', 'to', 'last', 'high', 'hi', 'final'), 'high')
    | dict.fromkeys(('d', 'delta', 'size', 'len', 'length', 'extent', 'span'), 'size')
    | dict.fromkeys(('center', 'centre', 'mid', 'middle'), 'centre')
)
LETTERS = {'l': 'x low', 'r': 'x high', 't': 'y low', 'b': 'y high'}  # sides
PAIRS = {'i': 'f', 's': 'e', 'a': 'b', 'l': 'r'}  # letters of two corners: one means something beside the other alone
OF_BOXES = ('bbox', 'bounding', 'box', 'bb', 'roi', 'rect', 'rectangle', 'coord', 'coordinate', 'coordinates', 'corner',
            'pos', 'position', 'point', 'pt', 'p', 'px', 'pixel', 'pixels')  # fmt: skip
WORD = re.compile(
    '|'.join(sorted({*SIDES, *CODES, *AXES, *LENGTHS, *ENDS, *OF_BOXES} - set('whdp'), key=len, reverse=True))
)
CODE = re.compile('(?<![a-z])([xy]{4}|xywh|cxcywh|ltrb|ltwh)(?![a-z])')  # forms in letters
FORMS = {  # those first that a name more often means
    'xyxy': (('x', 'low'), ('y', 'low'), ('x', 'high'), ('y', 'high')),
    'xywh': (('x', 'low'), ('y', 'low'), ('x', 'size'), ('y', 'size')),
    'cxcywh': (('x', 'centre'), ('y', 'centre'), ('x', 'size'), ('y', 'size')),
}
# Letters of the two axes in names such as minr or v0, where all four have one of a pair.
OF_AXES = {'r': 'y', 'c': 'x'}, {'u': 'x', 'v': 'y'}, {'h': 'x', 'v': 'y'}
ONE_LETTER = re.compile(
    '(?:min|max|start|end|lo|hi|from|to)?[_ .-]?([a-z])[_ .-]?(?:min|max|start|end|lo|hi|from|to|[0-9])?'
)
RADIUS = re.compile('(?i)(?<![a-z])(radius|diameter)')
MOST = 12  # columns among which four are looked for
CALLED = re.compile('(?i)b(ounding)?[ _-]?box|(?<![a-z])(box|boxes|rois?|rect|rectangles?)(?![a-z])')  # one of lists
CORNERS = tuple(tuple(f'{axis}{k}' for k in range(least, least + 4) for axis in 'xy') for least in (1, 0))  # of a shape


class Named(NamedTuple):
    """What the name of a column says of a box. axis: x or y, '' of none; end: 'low', 'high', 'size' or 'centre', a word
    that may be either, or ''; number: such as of x1; rest: other words; is_letter: whether the axis is x or y in one
    letter."""

    axis: str
    end: str
    number: str
    rest: tuple[str, ...]
    is_letter: bool


def _words(name: str) -> list[str]:
    """The words and numbers of a name, also of such as startX or ulx."""
    spaced = re.sub('(?i)b(ounding)?[ _-]?box', ' bbox ', name)
    spaced = re.sub('(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', ' ', spaced).lower()
    words = []
    for chunk in re.findall('[^\\W0-9_]+|[0-9]+', spaced):
        known = WORD.findall(chunk)
        if ''.join(known) == chunk:
            words += known
        elif of_index := re.fullmatch('(min|max)[_ ]?([rc])', chunk):
            words += [of_index[1], {'r': 'row', 'c': 'col'}[of_index[2]]]
        elif len(chunk) == 2 and {*chunk} & {'x', 'y'}:
            words += [*chunk]
        elif chunk in ('bw', 'bh'):
            words += ['bb', chunk[1]]
        else:
            words.append(chunk)
    return words


def _named(words: Sequence[str]) -> Named:
    """What the words of a name say."""
    plain = [part for word in words for part in CODES.get(word, word).split()]
    axes = {AXES[word] for word in plain if word in AXES}
    lengths = {LENGTHS[word] for word in plain if word in LENGTHS}
    sides = [SIDES[word].split() for word in plain if word in SIDES]
    of_centre = {'c'} & {*plain} if {'x', 'y'} & {*plain} else set()  # of cx
    ends = {ENDS[word] for word in plain if word in ENDS} | ({'centre'} if of_centre else set())
    numbers = [word for word in plain if word.isdigit()]
    letters = [word for word in plain if word in {*LETTERS, *PAIRS, *PAIRS.values()}]
    known = {*AXES, *LENGTHS, *SIDES, *ENDS, *numbers, *letters, *of_centre}
    rest = tuple(word for word in plain if word not in known)
    if not axes and len(letters) == 1 and letters[0] in LETTERS:
        axes = {LETTERS[letters[0]][0]}
    axes = axes or lengths or {axis for axis, _ in sides}
    axis = next(iter(axes)) if len(axes) == 1 and lengths <= axes else ''
    found = {'size'} if lengths else ends or {*letters}
    own = {end for of, end in sides if of == axis} or {end for _, end in sides if end in ('upper', 'lower')}
    found = found or own if lengths or not sides else own
    if len(found) > 1 or len(numbers) > 1 or (sides and not found):
        axis = ''
    end = next(iter(found), '')
    return Named(axis, end, numbers[0] if numbers else '', rest, bool({'x', 'y'} & {*plain}))


def axes_of(names: Sequence[str]) -> tuple[str, ...]:
    """The axis of each of four columns, 'x' or 'y', () where not all names say it."""
    letters = [match[1] if (match := ONE_LETTER.fullmatch(name.strip().lower())) else '' for name in names]
    for of_pair in OF_AXES:
        if {*letters} == {*of_pair}:
            return tuple(of_pair[letter] for letter in letters)
    axes = tuple(_named(_words(name)).axis for name in names)
    return axes if all(axes) else ()


def are_of_centre(names: Sequence[str]) -> bool:
    """Whether columns, or one with lists of four, are called as the centre of a box is."""
    if len(names) == 1:
        return (form_in(names[0]) or ('',))[0] == 'cxcywh'
    return sum(_named(_words(name)).end == 'centre' for name in names) > 1


def form_of(names: Sequence[str]) -> tuple[tuple[str, ...], str] | None:
    """The names of four columns in the order of a box, and the form as which they are called; None where they do not
    say it."""
    found = _form([_words(name) for name in names])
    return (tuple(names[k] for k in found[0]), found[1]) if found else None


def form_in(name: str) -> tuple[str, bool] | None:
    """The form that the name of one column with lists of four says, as bbox_xyxy or 'x1, y1, x2, y2' do, and whether
    in the order of a box; None where it does not."""
    code = CODE.search(name.lower())
    if code and {*code[0]} == {'x', 'y'}:
        return ('xyxy', code[0] == 'xyxy') if sorted(code[0]) == ['x', 'x', 'y', 'y'] else None
    if code:
        return {'ltrb': 'xyxy', 'ltwh': 'xywh'}.get(code[0], code[0]), True
    words = [word for word in _words(name) if word not in OF_BOXES]
    axes = [k for k, word in enumerate(words) if word in AXES]
    ways = [[_words(one) for one in re.split('[,;|/]', name)], [[word] for word in words]]
    if axes and axes[0] == 0:
        ways.append([words[begin:end] for begin, end in zip(axes, [*axes[1:], len(words)], strict=True)])
    if axes and axes[-1] == len(words) - 1:
        ends = [one + 1 for one in axes]
        ways.append([words[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)])
    for four in ways:
        if len(four) == 4 and (found := _form(four)):
            return found[1], found[0] == (0, 1, 2, 3)
    return ('xyxy', True) if words in (['tl', 'br'], ['ul', 'lr'], ['lt', 'rb']) else None


def _form(of_names: Sequence[Sequence[str]]) -> tuple[tuple[int, ...], str] | None:
    """Which of four names are x, y and the other two, and the form that their words say."""
    named = [_named(words) for words in of_names]
    rests = {tuple(word for word in one.rest if word not in OF_BOXES) for one in named}
    if len(named) != 4 or len(rests) > 1 or not all(one.axis for one in named):
        return None
    alike = len({one.number for one in named}) == 1
    numbers = sorted({int(one.number or -1) for one in named if not one.end and not alike})
    ends = {one.end for one in named}
    turned = any(one.axis == 'x' and one.end in ('upper', 'lower') for one in named)
    places = []
    for one in named:
        end = one.end
        if not end:
            end = 'low' if alike or int(one.number or -1) == numbers[0] else 'high'
        elif one.number and not alike and end != 'size':
            return None
        elif end in ('upper', 'lower'):
            end = 'low' if (end == 'lower') == turned else 'high'
        elif len(end) == 1:
            first = next((low for low, high in PAIRS.items() if ends == {low, high}), '')
            side = LETTERS.get(end, '  ').split()
            end = ('low' if end == first else 'high') if first else side[1] if side[:1] == [one.axis] else ''
        places.append((one.axis, end))
    if len(numbers) > 2:
        return None
    for form, expected in FORMS.items():
        if sorted(places) == sorted(expected):
            bare = any(not one.is_letter and not one.end for one in named)
            return None if bare and form != 'xyxy' else (tuple(map(places.index, expected)), form)
    return None


def corners_of(names: Iterable[str]) -> tuple[str, ...]:
    """The eight columns of the corners of a shape, () where there are none."""
    known = {name.strip().lower(): name for name in names}
    return next((tuple(known[one] for one in corner) for corner in CORNERS if all(one in known for one in corner)), ())


def box_of(rows: Rows) -> tuple[tuple[str, ...], str]:
    """The four columns of a box and its form, however their names are written."""
    corners = corners_of(rows.columns)
    named = {name: one for name in rows.columns if (one := _named(_words(name))).axis and name not in corners}
    named = {name: one for name, one in named.items() if not _is_of_two_tables(name, rows.columns)}
    boxes = [*_boxes(named, rows, ()), *_boxes(named, rows, OF_BOXES)]
    if boxes:
        return min(boxes, key=lambda one: [*FORMS].index(one[1]))
    if corners and _are_upright(rows, corners):
        return (*corners[:2], *corners[4:6]), 'xyxy'
    return (), 'xywh'


def _is_of_two_tables(name: str, names: Collection[str]) -> bool:
    """Whether a column is one of two that a merge made of one name, such as y2_x and y2_y."""
    base, sign, suffix = name.rpartition('_')
    return (
        bool(sign)
        and suffix in ('x', 'y')
        and {f'{base}_x', f'{base}_y'} <= {*names}
        and bool(_named(_words(base)).axis)
    )


def places_of(rows: Rows) -> list[str]:
    """Columns of numbers that are called as places in an image, or as sizes beside two such; [] without two axes."""
    named = {name: _named(_words(name)) for name in rows.columns}
    of_axis = {name: one for name, one in named.items() if one.axis and not {*one.rest} - {*OF_BOXES}}
    placed = [name for name, one in of_axis.items() if one.end != 'size' and np.isfinite(largest(rows, [name]))]
    if {of_axis[name].axis for name in placed} != {'x', 'y'}:
        return []
    return [*placed, *(name for name in rows.columns if RADIUS.search(name))]


def in_one_cell(value: Any) -> tuple[list[Any], str]:
    """The numbers of a box in one cell, and their form, '' where only the layout says it.

    value: a list, an object such as {'x': 1, 'y': 2, 'width': 3, 'height': 4}, a list of one such, or the text of
    these. Keys are read as names of columns are.
    """
    if isinstance(value, str) and re.match(r'\s*\[?\s*{', value):
        with contextlib.suppress(ValueError, SyntaxError, RecursionError):
            value = ast.literal_eval(value.strip())
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if isinstance(value, (list, tuple)):
        return list(value), ''
    if not isinstance(value, Mapping):
        return str(value).strip('[]() ').replace(',', ' ').split(), ''
    named = _form_of_keys(tuple(key for key in value if isinstance(key, str)))
    return ([value[key] for key in named[0]], named[1]) if named else ([value], '')


@functools.lru_cache
def _form_of_keys(keys: tuple[str, ...]) -> tuple[tuple[str, ...], str] | None:
    """`form_of` of the first four of these keys that say one."""
    return next(filter(None, map(form_of, itertools.combinations(keys, 4))), None) if len(keys) <= MOST else None


def box_in_one(rows: Rows) -> tuple[str, str]:
    """A column that is called as boxes are and has one in each cell, and its form; the form '' where neither name nor
    keys nor numbers tell corners from a width and a height; both '' without such a column."""
    for name in filter(CALLED.search, rows.columns):
        cells = [in_one_cell(cell) for cell in rows.columns[name] if not is_empty([cell])]
        boxes = np.array([[number(str(one)) for one in flat] for flat, _ in cells if len(flat) == 4])
        if not cells or len(boxes) < len(cells) or not np.isfinite(boxes).all():
            continue
        forms, of_name = {form for _, form in cells}, form_in(name)
        if len(forms) == 1 and '' not in forms:
            return name, min(forms)
        if of_name and of_name[1] and forms == {''}:
            return name, of_name[0]
        return name, 'xywh' if forms == {''} and (boxes[:, 2:] <= boxes[:, :2]).any() else ''
    return '', ''


def _boxes(named: Mapping[str, Named], rows: Rows, without: Collection[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Columns that are called as a box, those first that number nothing, of names that are alike but for words that
    are not counted (without)."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, one in named.items():
        alike.setdefault(tuple(word for word in one.rest if word not in without), []).append(name)
    for names in alike.values():
        plain = [name for name in names if not named[name].number]
        for pool in (plain, names if len(names) - len(plain) <= len(FORMS['xyxy']) else []):
            for four in itertools.combinations(pool, 4) if len(pool) <= MOST else ():
                if (found := form_of(four)) and all(np.isfinite(largest(rows, [name])) for name in four):
                    yield found


def _are_upright(rows: Rows, corners: Sequence[str]) -> bool:
    """Whether the four corners of every row are those of a box, from its left top around to the left bottom."""
    cells = np.array([[number(str(text)) for text in rows.columns[name]] for name in corners])
    x1, y1, x2, y2, x3, y3, x4, y4 = cells[:, np.isfinite(cells).all(0)]
    boxes = (x1 < x3) & (y1 < y3) & (x2 == x3) & (y2 == y1) & (x4 == x1) & (y4 == y3)
    return bool(len(boxes) and boxes.all())


def largest(rows: Rows, box: Sequence[str]) -> float:
    cells = [in_one_cell(cell)[0] if len(box) == 1 else [cell] for name in box for cell in rows.columns[name]]
    values = np.array([number(str(one)) for cell in cells for one in cell])
    return float(np.nanmax(values)) if np.isfinite(values).any() else np.inf
