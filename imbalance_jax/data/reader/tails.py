"""Names of images that end alike: with other folders before them, backslashes, another case, another suffix or none."""

import functools
from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

from imbalance_jax.data.reader import paths
from imbalance_jax.data.reader.layout import Images
from imbalance_jax.data.reader.rows import NAMED
from imbalance_jax.names import some

Key = tuple[str, ...]
Parts = tuple[Sequence[str], ...]
V = TypeVar('V', bound=Hashable)
DEPTHS = (3, 2, 1)  # parts of a name from its end that are looked up at once, after the whole of it


class Tails(Generic[V]):
    """What keys stand for, looked up by how they end. A key is one name or several, as (patient, image). Where folders
    tell keys apart, one with another folder in its place is none of them.

    apart: {a key that was looked up: the one that it was found as}, where they end alike and have other folders before.
    """

    def __init__(self, values: Iterable[tuple[Key, V]]) -> None:
        self.apart: dict[Key, Key] = {}
        self._exact: dict[Key, V] = {}
        for key, value in values:
            self._exact.setdefault(key, value)

    def find(self, key: Key) -> list[V]:
        """What a key stands for: [] if for nothing, several where that many agree with it in as many parts."""
        if key in self._exact:
            return [self._exact[key]]
        parts = _parts(key)
        for depth, by_tail in self._by_depth.items():
            if found := by_tail.get(_tail(parts, depth)):
                if depth > 1 and len(found) > 1:
                    agreed = [sum(map(_agreeing, _parts(one), parts)) for one in found]
                    found = [one for one, count in zip(found, agreed, strict=True) if count == max(agreed)]
                values = list(dict.fromkeys(self._exact[one] for one in found))
                if len(values) == 1 and _differ(_parts(found[0]), parts):
                    if self._folders_matter:
                        return []
                    self.apart[key] = found[0]
                return values
        return []

    def doubts(self, where: str) -> list[str]:
        """A sentence about the keys that are `apart`, if there are any."""
        pairs = [f'{"/".join(one)} as {"/".join(other)}' for one, other in self.apart.items()]
        what = f'Names of {where} that are found by how they end, and have other folders before that'
        return [f'{what}: {len(pairs)} ({some(pairs, NAMED)}).'] if pairs else []

    @functools.cached_property
    def _folders_matter(self) -> bool:
        """Whether folders tell some keys apart, so that another folder is another one."""
        return any(len({self._exact[one] for one in found}) > 1 for found in self._by_depth[1].values())

    @functools.cached_property
    def _by_depth(self) -> dict[int, dict[Key, list[Key]]]:
        """{depth: {tail: keys}}, 0 the whole; only as deep as a key is."""
        deepest = max((len(one) for key in self._exact for one in _parts(key)), default=1)
        depths = (*([0] if deepest > 1 else []), *(depth for depth in DEPTHS if depth <= deepest))
        by_depth: dict[int, dict[Key, list[Key]]] = {depth: {} for depth in depths}
        for key in self._exact:
            parts = _parts(key)
            for depth, by_tail in by_depth.items():
                by_tail.setdefault(_tail(parts, depth), []).append(key)
        return by_depth


def _parts(key: Key) -> Parts:
    """Folders and name of each text in lower case, without an image's suffix."""
    parts = []
    for text in key:
        *folders, name = paths.normal(text).lower().split('/')
        stem, _, suffix = name.rpartition('.')
        parts.append([*folders, stem if f'.{suffix}' in Images.suffixes else name])
    return tuple(parts)


def _tail(parts: Parts, depth: int) -> Key:
    """The last parts of each text; depth 0: all of them."""
    return tuple('/'.join(one[-depth:]) for one in parts)


def _agreeing(one: Sequence[str], other: Sequence[str]) -> int:
    """How many parts are equal, from the end."""
    pairs = enumerate(zip(reversed(one), reversed(other), strict=False))
    return next((count for count, (mine, theirs) in pairs if mine != theirs), min(len(one), len(other)))


def _differ(one: Parts, other: Parts) -> bool:
    """Whether both have a folder where they no longer agree, in any of their texts."""
    pairs = list(zip(one, other, strict=True))
    return any(_agreeing(mine, theirs) < min(len(mine), len(theirs)) for mine, theirs in pairs)
