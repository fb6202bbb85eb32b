"""Image files as squares, each with its regions and with what else it shows: read once, on all cores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.dataset import Allocate
from imbalance_jax.data.reader import geometry, images
from imbalance_jax.data.reader.cases import Cases
from imbalance_jax.data.reader.layout import Images, Layout
from imbalance_jax.data.reader.picture import Unreadable, bits_of
from imbalance_jax.data.reader.pixel_notes import Seen, seen
from imbalance_jax.data.reader.placing import Planned, Region, Size
from imbalance_jax.data.reader.regions import made
from imbalance_jax.data.streams import on_all_cores

NO_PIXELS = np.zeros(0, np.uint8)  # one for all: a view of a mapped file would cost half a kilobyte per image
SAMPLED = 256  # files that say how many bits and channels there are
Progress = Callable[[int, int], Any]


class Square(NamedTuple):
    """An image as it is kept. pixels: [H,W] or [H,W,3] uint8; size: of its file; seen: what else its file shows;
    regions: its regions; left: (kind of problem, name) of those left out"""

    pixels: np.ndarray
    size: Size
    seen: Seen
    regions: list[Region]
    left: list[tuple[str, str]]


class Maker(NamedTuple):
    """Makes squares. bits: of 16-bit files; channels: 1 or 3."""

    folder: Path
    layout: Layout
    size: int
    bits: int
    channels: int

    def square(self, path: str, plan: list[Planned]) -> Square:
        """The image of a file, with its regions; raises `Unreadable`."""
        of_images = self.layout.images
        picture = images.open_picture(self.folder / path, **_options(of_images))
        fitted = geometry.fit(picture.pixels, self.size, of_images.resize, self.bits)
        if fitted.ndim == 3 and self.channels == 1:
            fitted = _luma(fitted)
        height, width = picture.pixels.shape[:2]
        size = Size(height, width, self.size, of_images.resize, picture.orientation)
        return Square(fitted, size, seen(picture, fitted, of_images.resize), *made(plan, size))


def _options(of_images: Images) -> dict[str, Any]:
    """How files are opened."""
    return {'window': of_images.window, 'levels': of_images.levels, 'decoders': of_images.decoders}


def _luma(pixels: np.ndarray) -> np.ndarray:
    return np.round(pixels @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)


def kind_of_pixels(folder: Path, listed: list[str], layout: Layout) -> tuple[int, int]:
    """Bits of 16-bit files, and channels: as declared, or as a sample of the files is."""
    of_images = layout.images
    sample = [listed[i] for i in np.unique(np.linspace(0, len(listed) - 1, min(SAMPLED, len(listed))).astype(int))]
    largest, coloured = 0, False

    def one(path: str) -> np.ndarray | None:
        try:
            return images.decode(folder / path, **_options(of_images))
        except Unreadable:
            return None

    if not (of_images.bits and of_images.channels):
        for pixels in on_all_cores(one, sample):
            if pixels is not None:
                coloured |= pixels.ndim == 3
                largest = max(largest, int(pixels.max())) if pixels.dtype == np.uint16 else largest
    bits = of_images.bits or (bits_of(largest) if largest and not of_images.levels else 16)
    return bits, of_images.channels or (3 if coloured else 1)


def filled(
    maker: Maker, cases: Cases, plan: list[list[Planned]], allocate: Allocate, progress: Progress | None
) -> tuple[np.ndarray, list[Square], dict[int, str], int]:
    """Pixels [N,H,W,C] filled in place; the squares without them; {row: why it cannot be read}; the largest value."""
    count = len(cases.path)
    pixels = allocate('images', (count, maker.size, maker.size, maker.channels), np.uint8)
    squares: list[Square] = []
    failed: dict[int, str] = {}
    largest = 0

    def one(row: int) -> Square | str:
        try:
            return maker.square(cases.path[row], plan[row])
        except Unreadable as error:
            return str(error)

    for row, square in enumerate(on_all_cores(one, range(count))):
        if isinstance(square, str):
            failed[row] = square
            continue
        pixels[row] = square.pixels if square.pixels.ndim == 3 else square.pixels[..., None]
        squares.append(square._replace(pixels=NO_PIXELS))
        largest = max(largest, 0 if maker.layout.images.bits else square.seen.largest)
        if progress:
            progress(row + 1, count)
    return pixels, squares, failed, largest
