"""What the phantom is drawn with: edges, unions and ellipses as fields over the film, and clouds.

A field is positive inside what it describes and near the border it is the distance to it.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike


def smooth(field: ArrayLike, width: ArrayLike) -> np.ndarray:
    """Rises from 0 to 1 while `field` crosses zero over `width`: an anti-aliased edge."""
    t = np.clip(np.asarray(field) / width + 0.5, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def union(a: ArrayLike, b: ArrayLike, blend: float) -> np.ndarray:
    """The union of two fields with the groove between them filled to a depth of `blend`."""
    gap = np.maximum(blend - np.abs(np.subtract(a, b)), 0.0)
    return np.maximum(a, b) + gap * gap / (4.0 * blend)


def ellipse(
    x: np.ndarray, y: np.ndarray, centre: tuple[float, float], radii: tuple[float, float], *, angle: float = 0.0
) -> np.ndarray:
    """Field of an ellipse with `centre` x, y and `radii` along x, y, turned by `angle` radians."""
    (cx, cy), (rx, ry) = centre, radii
    dx, dy = x - cx, y - cy
    if angle:
        cos, sin = np.cos(angle), np.sin(angle)
        dx, dy = cos * dx + sin * dy, cos * dy - sin * dx
    return (1.0 - np.sqrt((dx / rx) ** 2 + (dy / ry) ** 2)) * min(rx, ry)


@lru_cache(maxsize=32)
def _spline(size: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """First knot [size] and four cubic B-spline weights [4, size, 1] at the pixel centres of a row of `cells` cells."""
    position = (np.arange(size) + 0.5) / size * cells
    first = np.floor(position).astype(np.int64)
    t = position - first
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    return first, weights[:, :, None]


def lattice(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Draws the knots of a `cloud` of `cells` x `cells` cells."""
    return rng.standard_normal((cells + 3, cells + 3))


def cloud(knots: np.ndarray, size: int) -> np.ndarray:
    """Smooth noise [size, size] of about unit variance, the same picture at every size."""
    first, weights = _spline(size, len(knots) - 3)

    def stretch(rows):  # four taps and no matrix product: BLAS differs between machines
        return sum(weights[tap] * rows[first + tap] for tap in range(4))

    return 2.0 * stretch(stretch(knots).T).T
