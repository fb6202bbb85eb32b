"""What a config's `get_hyper(hyper)` is given: points of a sweep from values, products, pairs and chains.

    def get_hyper(hyper):
        return hyper.product([
            hyper.sweep('config.data.phantom.imbalance_ratio', [1.0, 4.0, 16.0]),
            hyper.sweep('config.train.learning_rate', [1e-3, 4e-3]),
        ])

A point is {field: value}; a sweep is a list of points. Names and meaning are those known from big_vision and scenic.
"""

import itertools
from collections.abc import Iterable, Sequence

Point = dict[str, object]


def sweep(name: str, values: Iterable[object]) -> list[Point]:
    """One point per value of one field; ValueError without a value."""
    points = [{name: value} for value in values]
    if not points:
        raise ValueError(f'hyper.sweep({name!r}, ...) has no value: give at least one, or leave it out.')
    return points


def fixed(name: str, value: object, length: int = 1) -> list[Point]:
    """The same value `length` times; ValueError unless that is a whole number, at least 1."""
    if not isinstance(length, int) or length < 1:
        raise ValueError(f'hyper.fixed({name!r}, {value!r}, length={length!r}): length must be whole, 1 or more.')
    return [{name: value} for _ in range(length)]


def product(sweeps: Sequence[list[Point]]) -> list[Point]:
    """Every point of one sweep with every point of the others; the last changes fastest."""
    return [_merge(points) for points in itertools.product(*sweeps)]


def zipit(sweeps: Sequence[list[Point]]) -> list[Point]:
    """The first points of all sweeps as one, then the second ones. A sweep of one point goes with every other's.

    Raises ValueError where lengths differ otherwise.
    """
    length = max((len(points) for points in sweeps), default=0)
    if any(len(points) not in (1, length) for points in sweeps):
        raise ValueError(f'zipit needs sweeps of one length, or of 1; these have {[len(points) for points in sweeps]}.')
    repeated = [points * length if len(points) == 1 else points for points in sweeps]
    return [_merge(points) for points in zip(*repeated, strict=True)]


def chainit(sweeps: Sequence[list[Point]]) -> list[Point]:
    """The points of one sweep after those of another."""
    return list(itertools.chain(*sweeps))


def _merge(points: Iterable[Point]) -> Point:
    merged: Point = {}
    for point in points:
        if twice := sorted(merged.keys() & point.keys()):
            raise ValueError(f'A sweep sets {twice[0]} twice in one point.')
        merged |= point
    return merged
