"""Where labels say of one image that there is no finding, and that there is one."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from imbalance_jax.data.dataset import PRESENT
from imbalance_jax.data.policies import DEVICES
from imbalance_jax.data.reader.layout import NO_FINDING
from imbalance_jax.data.reader.rows import NAMED
from imbalance_jax.data.reader.spelling import matches
from imbalance_jax.names import some

SEPARATORS = '|;,/+&'  # that people write between names in one cell


def of_names(named: Sequence[Sequence[str]], none: str, where: Callable[[int], str]) -> list[str]:
    """A sentence about rows that name `none` and a finding, which devices are not. where: row -> how it is called."""
    return _said(
        [where(row) for row, names in enumerate(named) if none in names and any(map(_is_finding, {*names} - {none}))]
    )


def of_cells(readings: Sequence[np.ndarray], classes: Sequence[str], image_id: Sequence[str]) -> list[str]:
    """The same of images that a reading, cells [N,K], gives a class like 'No Finding' and a finding."""
    none = np.array([matches(name, NO_FINDING) for name in classes], bool)
    findings = ~none & [_is_finding(name) for name in classes]
    both = [(cells[:, none] == PRESENT).any(1) & (cells[:, findings] == PRESENT).any(1) for cells in readings]
    return _said([image_id[row] for row in np.flatnonzero(np.logical_or.reduce(both)).tolist()]) if both else []


def of_separators(classes: Sequence[str]) -> list[str]:
    """A sentence about classes that look like several names in one, or like a list of names."""
    if lists := [name for name in classes if name[:1] in '[({' and name[-1:] in '])}']:
        return [f"Classes look like lists ({some(lists, NAMED)}): are they, labels.separator = 'list'?"]
    for separator in SEPARATORS:
        parts = {name: [part.strip() for part in name.split(separator)] for name in classes if separator in name}
        shared = Counter(part for of in parts.values() for part in of) + Counter(classes)
        if several := [name for name, of in parts.items() if any(shared[part] > 1 for part in of)]:
            shown = some(several, NAMED)
            return [f'Classes look like several names ({shown}): are they, labels.separator = {separator!r}?']
    return []


def _is_finding(name: str) -> bool:
    return bool(name) and name.casefold() not in DEVICES


def _said(where: Sequence[str]) -> list[str]:
    what = 'Said to be without a finding, and to have one, which counts'
    return [f'{what}: {len(where)} ({some(where, NAMED)}).'] if where else []
