"""Boxes in pixels of the original image as masks of any size."""

import numpy as np


def _covered(low: np.ndarray, high: np.ndarray, length: int) -> np.ndarray:
    """Which of `length` pixels have their centre in [low, high), bool [..., length]."""
    centres = np.arange(length) + 0.5
    return (low[..., None] <= centres) & (centres < high[..., None])


def _holding(point: np.ndarray, length: int) -> np.ndarray:
    """Which of `length` pixels holds the point, bool [..., length]."""
    return np.minimum(np.floor(point), length - 1)[..., None] == np.arange(length)


def rasterise(boxes: np.ndarray, frame: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """The union of each image's boxes as a mask, bool [B, H, W].

    `boxes` [B, n, 4] are x0 y0 x1 y1 in pixels of the original image, whose (height, width) is `frame`; `size` is
    (H, W). A pixel belongs to a box if its centre does: x0 <= x < x1, y0 <= y < y1, so that at the frame's own size
    whole-number boxes are the slices [y0:y1, x0:x1]. A box that covers no pixel centre gets the one pixel that holds
    its own centre: no finding may vanish because the mask is coarse. Boxes without area inside the frame are left out:
    padding (-1 -1 -1 -1), reversed, not finite, or outside. Raises ValueError for another shape of `boxes`.
    """
    boxes = np.asarray(boxes, np.float64)
    if boxes.ndim != 3 or boxes.shape[-1] != 4:
        raise ValueError(f'boxes must be [B, n, 4], x0 y0 x1 y1, not {list(boxes.shape)}.')
    finite = np.isfinite(boxes).all(-1)
    (frame_height, frame_width), (height, width) = frame, size
    limits = np.array([frame_width, frame_height, frame_width, frame_height])
    # From here on in units of mask pixels.
    scaled = np.clip(np.where(finite[..., None], boxes, 0), 0, limits) * [width, height, width, height] / limits
    x0, y0, x1, y1 = np.moveaxis(scaled, -1, 0)
    valid = finite & (x1 > x0) & (y1 > y0)
    columns = _covered(x0, x1, width)
    rows = _covered(y0, y1, height)
    missed = valid & ~(columns.any(-1) & rows.any(-1))
    columns[missed] = _holding((x0 + x1)[missed] / 2, width)
    rows[missed] = _holding((y0 + y1)[missed] / 2, height)
    masks = np.zeros((len(boxes), height, width), bool)
    for box in range(boxes.shape[1]):
        masks |= rows[:, box, :, None] & columns[:, box, None, :] & valid[:, box, None, None]
    return masks
