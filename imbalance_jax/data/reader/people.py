"""Whose images these are, and which groups they are in."""

from collections.abc import Mapping, Sequence

import numpy as np

from imbalance_jax.data.reader.layout import NOTHING, Group, Patient
from imbalance_jax.data.reader.spelling import canonical, first_group, number, table_of
from imbalance_jax.data.reader.tables import PATH, Found, Rows


def patients(rows: Rows, first: np.ndarray, names: Sequence[str], patient: Patient, found: Found) -> list[str]:
    """Who each image is of, as text; '' where unknown."""
    if not patient.column and not patient.pattern:
        found.notes.append('Nothing says whose images these are: every image counts as a patient of its own.')
        return [f'image {name}' for name in names]
    column = rows.column(patient.column or PATH, 'patient.column')
    texts = []
    for row, name in zip(first, names, strict=True):
        text = plain(column[row])
        if patient.pattern and text:
            text = first_group(patient.pattern, text)
        texts.append(text or (f'image {name}' if patient.unknown == 'own' else ''))
    return texts


def plain(value: object) -> str:
    """An identifier without blanks, '' for what says nothing."""
    text = str(value).strip()
    if text.casefold() in NOTHING:
        return ''
    head, point, tail = text.partition('.')
    return head if point and head.isdigit() and not tail.strip('0') else text


def groupings(
    rows: Rows, first: np.ndarray, groups: Mapping[str, Group]
) -> tuple[np.ndarray | None, dict[str, list[str]]]:
    """The groups [N,G] int8 of images, None without groupings, and {grouping: names of its groups}."""
    if not groups:
        return None, {}
    found = {name: _grouping(rows, first, name, group) for name, group in groups.items()}
    return np.stack([codes for codes, _ in found.values()], 1), {name: names for name, (_, names) in found.items()}


def _grouping(rows: Rows, first: np.ndarray, grouping: str, group: Group) -> tuple[np.ndarray, list[str]]:
    texts = [str(text).strip() for text in rows.column(group.column, f'groups.{grouping}')[first]]
    if group.bands:
        names = _band_names(group.bands)
        values = np.array([age(text) for text in texts])
        known = (values >= 0) & (values <= group.most)
        return np.where(known, np.searchsorted(group.bands, values, side='right'), -1).astype(np.int8), names
    values_of = group.values or {text: () for text in sorted({plain(text) for text in texts} - {''})}
    names = list(values_of)
    if len(names) > 100:
        raise ValueError(f'groups.{grouping}: column {group.column!r} has {len(names)} values; a grouping has few.')
    spelt = table_of(values_of)
    return np.array([names.index(spelt[canonical(t)]) if canonical(t) in spelt else -1 for t in texts], np.int8), names


def _band_names(bands: Sequence[float]) -> list[str]:
    edges = [f'{edge:g}' for edge in bands]
    inner = [f'{low} to {high - 1:g}' for low, high in zip(edges, bands[1:], strict=False)]
    return [f'under {edges[0]}', *inner, f'{edges[-1]} and over']


def age(text: str) -> float:
    """A number, or years of an age such as 058Y, 11M or 3D; the first number of words such as '85 or more'; or NaN."""
    text = text.strip()
    units = {'Y': 1, 'M': 12, 'W': 52, 'D': 365}
    if text[:-1].isdigit() and text[-1:].upper() in units:
        return int(text[:-1]) / units[text[-1].upper()]
    value = number(text)
    return value if value == value else number(text.split(' ')[0].rstrip('+'))
