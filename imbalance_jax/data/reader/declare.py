"""A layout from plain blocks of a config, every field checked: unknown names, wrong kinds and values are one line."""

import dataclasses
import re
import typing
from collections.abc import Mapping
from typing import Any

from imbalance_jax.data.policies import POLICIES, parse
from imbalance_jax.data.reader import contradictions, drawn_files, geometry, region_blocks, shapes
from imbalance_jax.data.reader.layout import (
    Group,
    Images,
    Labels,
    Layout,
    Names,
    Patient,
    Regions,
    Split,
    Table,
    Values,
)
from imbalance_jax.data.reader.spelling import FIELD, fields_of
from imbalance_jax.names import lookup

# What a text, or a tuple of texts, in the place of a block stands for.
SHORT: dict[type, str] = {Table: 'file', Images: 'file', Patient: 'column', Split: 'column', Group: 'column'}
CHOICES = {
    ('images', 'resize'): tuple(geometry.RESIZES),
    ('images', 'channels'): (0, 1, 3),
    ('images', 'others'): ('named', 'counted'),
    ('labels', 'others'): ('error', 'ignore'),
    ('labels', 'unnamed'): ('absent', 'not_mentioned'),
    ('patient', 'unknown'): ('left_out', 'own'),
    ('split', 'others'): ('left_out', 'train', 'validation', 'test'),
    ('regions', 'others'): ('error', 'ignore', 'add'),
    ('regions', 'form'): ('xywh', 'xyxy', 'cxcywh'),
    ('regions', 'unit'): ('pixel', 'fraction'),
    ('regions', 'kind'): ('', *shapes.KINDS),
    ('tables', 'kind'): ('', 'csv', 'tsv', 'json', 'jsonl', 'parquet', 'coco', *drawn_files.KINDS),
    ('layout', 'task'): ('multi_label', 'multi_class'),
}
FILLED = {('images', 'file'), ('images', 'id'), ('regions', 'files')}
PATTERNS = {('labels', 'path'), ('patient', 'pattern'), ('split', 'path')}
SEVERAL: tuple[tuple[Any, type, str], ...] = (
    (tuple[Table, ...], Table, 'tables'),
    (tuple[Labels, ...], Labels, 'labels'),
    (tuple[Regions, ...], Regions, 'regions'),
)
NOT_DECLARED = ('read', 'decoders')  # functions, which a block of a config cannot hold


def layout(block: Mapping[str, Any], name: str) -> Layout:
    """The layout that config.data.NAME declares; ValueError naming the field, and what would be right."""
    where = f'config.data.{name}'
    result = _built(Layout, {'name': name, **block}, where, 'layout')
    if isinstance(result.policy, str):
        lookup(POLICIES, result.policy, f'label policy, {where}.policy:')
    else:
        parse(name, result.policy, f'{where}.policy')
    for number, labels in enumerate(result.labels):
        _check_labels(labels, f'{where}.labels' + (f' (number {number + 1})' if number else ''))
    for regions in result.regions:
        _check_regions(regions, f'{where}.regions')
    _check_shares(result.split, f'{where}.split')
    contradictions.check(result, where)
    for regions, own in zip(result.regions, _several(block.get('regions', ()), Regions), strict=True):
        if not isinstance(own, Regions) and 'form' not in own:
            region_blocks.check_form_is_said(regions, f'{where}.regions')
    return result


def _built(kind: type, block: Any, where: str, part: str) -> Any:
    """A dataclass from a block, or from what `SHORT` says that a text stands for."""
    if isinstance(block, kind):
        return block
    if isinstance(block, str) and kind in SHORT:
        block = {SHORT[kind]: _as_pattern(block) if kind is Images else block}
    elif kind is Labels and isinstance(block, (str, tuple, list)):
        block = {'column' if isinstance(block, str) else 'columns': block}
    if not isinstance(block, Mapping):
        raise ValueError(f"{where} is {block!r}; it must be a block, such as {{'{_example(kind)}': ...}}.")
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(kind) if field.name not in NOT_DECLARED}
    values = {}
    for key, value in block.items():
        lookup(known, key, f'field of {where}:')
        values[key] = _value(hints[key], value, f'{where}.{key}', (part, key))
    lacking = [name for name, field in known.items() if _is_needed(field) and name not in values]
    if lacking:
        raise ValueError(f'{where} has no {lacking[0]!r}; known fields are {", ".join(known)}.')
    return kind(**values)


def _as_pattern(text: str) -> str:
    """The name of a column is the pattern of its text."""
    return text if '{' in text else f'{{{text}}}'


def _example(kind: type) -> str:
    return next(field.name for field in dataclasses.fields(kind))


def _is_needed(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _value(hint: Any, value: Any, where: str, place: tuple[str, str]) -> Any:
    """A field's value as its kind wants it."""
    parts = {Images: 'images', Patient: 'patient', Split: 'split'}
    if hint in parts:
        return _built(hint, value, where, parts[hint])
    if hint == Mapping[str, Group]:
        return {key: _built(Group, one, f'{where}.{key}', 'groups') for key, one in _block(value, where).items()}
    for several, kind, part in SEVERAL:
        if hint == several:
            return tuple(_built(kind, one, where, part) for one in _several(value, kind))
    result = _plain(hint, value, where)
    if place in CHOICES and result not in CHOICES[place]:
        raise ValueError(f'{where} is {value!r}; it must be one of {", ".join(map(repr, CHOICES[place]))}.')
    if place in PATTERNS:
        _check_pattern(result, where)
    if place in FILLED:
        _check_filled(result, where)
    if place in {('images', 'file'), ('images', 'id')} and result and not fields_of(result):
        raise ValueError(f'{where} is {result!r}, the same for all rows; a column stands in braces, as {{{result}}}.')
    return result


def _several(value: Any, kind: type) -> list[Any]:
    """Blocks, of one block or several; texts are several tables, but the columns of one reading of labels."""
    listed = isinstance(value, (tuple, list))
    if kind is Labels and listed and all(isinstance(one, str) for one in value):
        return [value]
    return list(value) if listed else [value]


def _plain(hint: Any, value: Any, where: str) -> Any:
    if hint in (str, int, float, bool):
        right = isinstance(value, hint) or (hint is float and isinstance(value, int))
        if not right or (isinstance(value, bool) and hint is not bool):
            kinds = {str: 'a word', int: 'a whole number', float: 'a number', bool: 'True or False'}
            raise ValueError(f'{where} is {value!r}; it must be {kinds[hint]}.')
        return float(value) if hint is float else value
    if hint == Names:
        return _words(value, where)
    if hint == Values:
        return {str(key): _words(one, f'{where}.{key}') for key, one in _block(value, where).items()}
    if hint == Mapping[str, str]:
        return {str(key): _plain(str, one, f'{where}.{key}') for key, one in _block(value, where).items()}
    if hint == Mapping[str, tuple[str, str, str]]:
        return {str(key): _derivation(one, f'{where}.{key}') for key, one in _block(value, where).items()}
    if hint == tuple[float, ...]:
        return tuple(_plain(float, one, where) for one in _listed(value, where))
    if hint == tuple[Any, ...]:
        return tuple(_listed(value, where))
    return value  # a policy, which `policies.parse` checks


def _derivation(value: Any, where: str) -> tuple[str, str, str]:
    """A column, a regular expression and a template."""
    words = _words(value, where)
    if len(words) != 3:
        raise ValueError(f'{where} is {value!r}; it must be (column, regular expression, template).')
    _check_pattern(words[1], where)
    _check_template(words[2], words[1], where)
    return words[0], words[1], words[2]


def _words(value: Any, where: str) -> Names:
    values = [value] if isinstance(value, (str, int, float)) else _listed(value, where)
    if not all(isinstance(one, (str, int, float)) for one in values):
        raise ValueError(f"{where} is {value!r}; it must be a word or several, such as ('a', 'b').")
    return tuple(str(one) for one in values)


def _listed(value: Any, where: str) -> list[Any]:
    if not isinstance(value, (tuple, list)):
        raise ValueError(f"{where} is {value!r}; it must be a tuple, such as ('a', 'b').")
    return list(value)


def _block(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} is {value!r}; it must be a block, such as {{'name': ...}}.")
    return value


def _check_pattern(pattern: str, where: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f'{where} is {pattern!r}, which is no regular expression: {error}.') from error


def _check_template(template: str, pattern: str, where: str) -> None:
    groups = re.compile(pattern).groups
    try:
        re.sub(f'{pattern}|', template, '')  # the empty text is found, if by nothing else
    except (re.error, IndexError) as error:
        raise ValueError(
            f'{where}: the template {template!r} does not fit {pattern!r}, which has {groups} groups: {error}.'
        ) from error


def _check_filled(pattern: str, where: str) -> None:
    """ValueError for braces that hold no column, or a format that no text has."""
    left = FIELD.sub('', pattern)
    if '{' in left or '}' in left or '' in fields_of(pattern):
        raise ValueError(f'{where} is {pattern!r}; a column stands between two braces, such as {{image}}.png.')
    for _, form in FIELD.findall(pattern):
        try:
            format('text', form)
        except ValueError as error:
            raise ValueError(
                f'{where} is {pattern!r}, and {form!r} is no format of a text, as .8, its first letters, is: {error}.'
            ) from error


def _check_labels(labels: Labels, where: str) -> None:
    ways = [name for name in ('columns', 'column', 'path', 'regions') if getattr(labels, name)]
    if len(ways) > 1:
        raise ValueError(f'{where} has {" and ".join(ways)}; one of them says where the labels are.')
    if not ways and not labels.classes:
        raise ValueError(f'{where} says nothing; give columns (one per class), column (of names), path, or regions.')
    if len(set(labels.classes)) < len(labels.classes):
        raise ValueError(f'{where}.classes names a class twice: {labels.classes}.')


def _check_regions(regions: Regions, where: str) -> None:
    ways = [name for name in ('box', 'code', 'files') if getattr(regions, name)]
    if len(ways) != 1 and ways != ['box', 'code']:
        raise ValueError(f'{where} has {" and ".join(ways) or "none of box, code and files"}; one says what they are.')
    if not (regions.column or regions.concept or regions.values):
        raise ValueError(f"{where}: give concept, a name or 'label', or column, of names.")
    if len(regions.box) not in (0, 1, 4) or len(regions.crop) not in (0, 1, 4):
        raise ValueError(f'{where}: a box is four columns, or one with a list of four numbers.')
    if len(regions.frame) not in (0, 2):
        raise ValueError(f'{where}.frame is {regions.frame!r}; it must be (height, width).')
    if regions.code and not regions.kind:
        raise ValueError(f'{where}.kind is missing; code may be one of {", ".join(shapes.KINDS)}.')


def _check_shares(split: Split, where: str) -> None:
    for name in ('validation', 'test'):
        share = getattr(split, name)
        if not 0 <= share < 1:
            raise ValueError(f'{where}.{name} is {share!r}; it must be a share of the patients, 0 or more, below 1.')
    if (both := split.validation + split.test) >= 1:
        raise ValueError(f'{where}: validation and test are {both:g} of the patients together; expected less than 1.')
