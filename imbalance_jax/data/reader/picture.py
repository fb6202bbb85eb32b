"""What an image file shows, whatever kind of file it is."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

GREY_LEVELS = (8, 10, 12, 14, 16)  # bits of which a 16-bit file may use as many
ORIENTATION, UPRIGHT = 0x0112, 1  # EXIF's tag of how a camera was held, 1 to 8, and that it was held upright


class Unreadable(ValueError):
    """A file that is no whole image; the message is a few words."""


class NeedsPackage(ValueError):
    """A file that a package reads which is not installed."""


class Picture(NamedTuple):
    """What a file shows. pixels: [h,w] or [h,w,3], uint8 or uint16, the right way up, of 16 bits as many as are used;
    orientation: of `ORIENTATION`, from which they were turned upright; has_more: frames or pages than this first one;
    values: of DICOM, those that become black and white, by which each file is scaled; has_window, windowed: whether it
    states one, and is shown by it; patient: of DICOM, the PatientID; halved: whether its channels have 16 bits of which
    the upper 8 are read, as of colour
    """

    pixels: np.ndarray
    orientation: int = UPRIGHT
    has_more: bool = False
    values: tuple[float, float] | None = None
    windowed: bool = False
    has_window: bool = False
    patient: str = ''
    halved: bool = False


def between(values: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Grey values as 16 bits: `levels` (low, high) become black and white, and what lies beyond them, too. Raises
    Unreadable for what is not finite."""
    if not np.isfinite(values).all():
        raise Unreadable('values that are not finite')
    low, high = levels
    return np.round(np.clip((values.astype(np.float64) - low) / (high - low), 0, 1) * 65535).astype(np.uint16)


def grey_if_equal(pixels: np.ndarray) -> np.ndarray:
    """[h,w] of [h,w,3] whose channels are one."""
    red = pixels[..., 0]
    equal = np.array_equal(red, pixels[..., 1]) and np.array_equal(red, pixels[..., 2])
    return np.ascontiguousarray(red) if equal else pixels


def bits_of(largest: int) -> int:
    """How many bits of 16 a set uses whose largest grey value is this."""
    return next(bits for bits in GREY_LEVELS if largest < 2**bits)
