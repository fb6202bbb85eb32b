"""Remove and retrain (ROAR), as rows: what is left of AUROC without the pixels that a method calls important."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from imbalance_jax.results.rows import MACRO, Row, class_cells, of_member, seed_statistics


def rows(members: Sequence[Row], removed: Sequence[tuple[str, float]], auroc: np.ndarray, *, images: int) -> list[Row]:
    """Macro AUROC [A,S] by removal (method, share of the pixels) and seed, and mean and sd over the seeds.

    members: the S members of the reference arm; images: of the test split.
    """
    result = []
    for (method, share), values in zip(removed, auroc, strict=True):
        what: dict[str, Any] = {'method': method, 'share': share, 'split': 'test'}
        for member, value in zip(members, values, strict=True):
            result.append(of_member(member, 'auroc', value, images, name=MACRO, **what))
        result += seed_statistics(members[0], values[:, None], class_cells([MACRO]), 'auroc', **what)
    return result
