"""Image files of NIH ChestX-ray14: how many bits they use, and each as a small grey PNG."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from imbalance_jax.data.reader.picture import bits_of
from imbalance_jax.data.streams import on_all_cores

MAX_PIXELS = 8192**2  # eight times NIH's width; more is a mistake or a decompression bomb
SIGNATURE, DEPTH = b'\x89PNG\r\n\x1a\n', 24  # how a PNG begins, and where its header says how many bits a value has


class Small(NamedTuple):
    """An image as PNG, and height and width of the file that it was."""

    png: bytes
    size: tuple[int, int]


def bits_used(paths: Sequence[Path]) -> int:
    """How many bits the files of 16 bits use, by the largest value of all of them; 16 if there is none."""
    largest = max(on_all_cores(_largest, paths), default=0)
    return bits_of(largest) if largest else 16


def _largest(path: Path) -> int:
    """The largest value of a file of 16 bits, 0 of others: of them only the header is read."""
    try:
        with open(path, 'rb') as file:
            header = file.read(DEPTH + 1)
    except OSError:
        return 0
    if header[:8] != SIGNATURE or header[DEPTH:] != b'\x10':
        return 0
    image = _open(path)
    return int(np.asarray(image).max()) if image is not None and image.mode.startswith('I') else 0


def to_png(path: Path, size: int, bits: int = 16) -> Small | None:
    """Returns an image file as an 8-bit grey PNG of `size` x `size`, or None where the file is not a whole PNG.

    bits: how many of 16 are used, where a file has 16 (`bits_used`).

    Resized by Pillow's BILINEAR, a triangle as wide as the reduction: it antialiases, and unlike bicubic or Lanczos
    has no negative lobes, which draw dark and bright rims around wires and markers for a saliency map to find.
    """
    image = _open(path)
    if image is None:
        return None
    small = _grey(image, bits).resize((size, size), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    small.save(file, 'PNG', compress_level=1)  # a quarter of the default level's time for a sixth more bytes
    return Small(file.getvalue(), (image.height, image.width))


def from_png(data: bytes) -> np.ndarray:
    """Decodes what `to_png` wrote: [H, W] uint8."""
    with Image.open(io.BytesIO(data), formats=['PNG']) as image:
        return np.asarray(image)


def _open(path: Path) -> Image.Image | None:
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data), formats=['PNG']) as image:
            image.verify()  # the checksum of every chunk; decoding alone does not look at them
        image = Image.open(io.BytesIO(data), formats=['PNG'])
        if image.width * image.height > MAX_PIXELS:
            return None
        image.load()
    except Exception:  # a damaged file ends Pillow's parsers in any way: OSError, SyntaxError, ValueError, IndexError
        return None
    return image


def _grey(image: Image.Image, bits: int) -> Image.Image:
    """To 8 bits grey: luma of colour (exact where R = G = B), alpha dropped, 16 bits scaled rather than clipped."""
    if image.mode.startswith('I'):
        return Image.fromarray((np.asarray(image) / ((2**bits - 1) / 255) + 0.5).astype(np.uint8))
    if image.mode == 'P':
        image = image.convert('RGBA')  # Pillow warns where a palette with transparency goes to grey directly
    return image.convert('L')
