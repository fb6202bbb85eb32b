"""Where a file's pixels come to lie in a square of 8 bits: turned upright, resized, and boxes along with them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from imbalance_jax.names import lookup

ON_ITS_SIDE = range(5, 9)  # orientations in which height and width of the stored pixels are exchanged


class Geometry(NamedTuple):
    """Where a file's pixels come to lie in a square: x * scale_x + left, y * scale_y + top."""

    scale_x: float
    scale_y: float
    left: float
    top: float

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [n,4], x0 y0 x1 y1, in pixels of the square."""
        scale, offset = (self.scale_x, self.scale_y) * 2, (self.left, self.top) * 2
        return np.asarray(boxes, float) * scale + offset


def _stretch(height: int, width: int, size: int) -> Geometry:
    return Geometry(size / width, size / height, 0.0, 0.0)


def _pad(height: int, width: int, size: int) -> Geometry:
    scale = size / max(height, width)
    across, down = (max(round(length * scale), 1) for length in (width, height))
    return Geometry(across / width, down / height, float((size - across) // 2), float((size - down) // 2))


def _crop(height: int, width: int, size: int) -> Geometry:
    scale = size / min(height, width)
    return Geometry(scale, scale, (size - width * scale) / 2, (size - height * scale) / 2)


RESIZES: dict[str, Callable[[int, int, int], Geometry]] = {'stretch': _stretch, 'pad': _pad, 'crop': _crop}


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels [h,w] as they stand upright, by EXIF's orientation (CIPA DC-008, 4.6.4, tag 274)."""
    if orientation in (2, 4, 5, 7):  # mirrored
        pixels = pixels[:, ::-1]
    return np.rot90(pixels, {3: 2, 4: 2, 5: 1, 6: -1, 7: -1, 8: 1}.get(orientation, 0))


def turned_box(box: Sequence[float], orientation: int, size: Sequence[float]) -> tuple[float, ...]:
    """A box x0 y0 x1 y1 of stored pixels, whose (height, width) is `size`, in the upright image."""
    (x0, y0, x1, y1), (height, width) = box, size
    if orientation in (2, 3, 7, 8):
        x0, x1 = width - x1, width - x0
    if orientation in (3, 4, 6, 7):
        y0, y1 = height - y1, height - y0
    return (y0, x0, y1, x1) if orientation in ON_ITS_SIDE else (x0, y0, x1, y1)


def into_square(height: int, width: int, size: int, resize: str) -> Geometry:
    """How a file of that size becomes a square of `size`, by one of `RESIZES`."""
    return lookup(RESIZES, resize, 'way to resize (images.resize)')(height, width, size)


def eight_bits(pixels: np.ndarray, bits: int) -> np.ndarray:
    """[h,w] or [h,w,3] as float32 grey values 0..255; 16-bit values are of `bits`."""
    values = pixels.astype(np.float32)
    return values if pixels.dtype == np.uint8 else np.minimum(values * (255 / (2**bits - 1)), 255)


def fit(pixels: np.ndarray, size: int, resize: str, bits: int = 16) -> np.ndarray:
    """A square [size,size] or [size,size,3] uint8 of pixels [h,w] or [h,w,3].

    Pillow's BILINEAR, a triangle as wide as the reduction, antialiases and draws no rims around what is bright.
    """
    height, width = pixels.shape[:2]
    if pixels.ndim == 3:
        return np.stack([fit(pixels[..., c], size, resize, bits) for c in range(pixels.shape[-1])], -1)
    if pixels.dtype == np.uint8:
        image = Image.fromarray(np.ascontiguousarray(pixels))
    else:
        image = Image.fromarray(eight_bits(pixels, bits))
    placed = _placed(image, into_square(height, width, size, resize), size)
    return placed if placed.dtype == np.uint8 else np.clip(np.round(placed), 0, 255).astype(np.uint8)


def _placed(image: Image.Image, place: Geometry, size: int) -> np.ndarray:
    """The image resized and laid into a square of black, or cut to it."""
    if place.left < 0 or place.top < 0:  # cropped: only what is seen is resized
        left, top = -place.left / place.scale_x, -place.top / place.scale_y
        box = left, top, image.width - left, image.height - top
        return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))
    width, height = round(image.width * place.scale_x), round(image.height * place.scale_y)
    resized = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    if (height, width) == (size, size):
        return resized
    square = np.zeros((size, size), resized.dtype)
    top, left = int(place.top), int(place.left)
    square[top : top + height, left : left + width] = resized
    return square
