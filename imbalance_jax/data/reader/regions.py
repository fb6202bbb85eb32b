"""Annotated regions: boxes, shapes, runs and mask files, in pixels of the prepared image."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imbalance_jax.data.reader.cases import Cases
from imbalance_jax.data.reader.layout import Layout
from imbalance_jax.data.reader.tables import Found


class Region(NamedTuple):
    """concept: its number; box: x0 y0 x1 y1 in pixels of the square; mask: [H,W] bool or None; reader: a name or ''."""

    concept: int
    box: tuple[float, float, float, float]
    mask: np.ndarray | None
    reader: str


def concepts_of(cases: Cases, layout: Layout) -> list[str]:
    """The classes, and what else there are regions of."""
    return list(cases.classes)


def planned(
    folder: Path, cases: Cases, layout: Layout, concepts: list[str], found: Found
) -> Callable[[int], Callable[[tuple[int, int]], list[Region]]]:
    """row -> (the size of its file -> its regions)."""
    return lambda row: lambda size: []
