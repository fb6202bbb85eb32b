"""Image files of any kind, opened: their pixels, the right way up, and what is to be said of them."""

import io
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from imbalance_jax.data.reader import dicom
from imbalance_jax.data.reader.picture import (
    ORIENTATION,
    UPRIGHT,
    NeedsPackage,
    Picture,
    Unreadable,
    between,
    grey_if_equal,
)
from imbalance_jax.system.files import regular

OF_CHANNELS = ('LA', 'RGB', 'RGBA')  # modes in which Pillow has 8 bits a channel
MAX_PIXELS = 2**28  # 16384 x 16384: more is a mistake or a decompression bomb
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # a tag of TIFF, and what it may say
JPEG_SCAN, JPEG_END = b'\xff\xda', b'\xff\xd9'  # markers before the pixels and after them (ITU-T T.81, B.1.1.3)
ROUNDED = 2  # grey values by which the channels of a grey image may differ
OVERSHOOT = 1.5  # up to which grey values of floating point are shares of white, which resampling made too large
ADDRESS = re.compile(' at 0x[0-9a-f]+')  # of an object, in a message
Image.MAX_IMAGE_PIXELS = None  # `MAX_PIXELS` is asked instead, and refuses rather than warns


def decode(
    path: Path,
    *,
    window: bool = False,
    levels: Sequence[float] = (),
    decoders: Mapping[str, Callable] | None = None,
) -> np.ndarray:
    """The pixels of `open_picture`; raises Unreadable."""
    return open_picture(path, window=window, levels=levels, decoders=decoders).pixels


def open_picture(
    path: Path,
    *,
    window: bool = False,
    levels: Sequence[float] = (),
    decoders: Mapping[str, Callable] | None = None,
) -> Picture:
    """What a file shows, its first frame or page. window, levels: as of `layout.Images`.

    Raises Unreadable. MONOCHROME1 is inverted once, after a window, which is stated for rescaled values.
    """
    suffix = path.suffix.lower()
    own = (decoders or {}).get(suffix)
    try:
        path = regular(path)
        if own:
            return Picture(np.asarray(own(path)))
        if suffix == '.npy':
            return Picture(_array(np.load(path, allow_pickle=False), levels))
        return dicom.open_dicom(path, window, levels) if dicom.is_dicom(path) else _pillow(path, levels)
    except (Unreadable, NeedsPackage):
        raise
    except MemoryError as error:
        raise Unreadable('too large') from error
    except UnidentifiedImageError as error:
        raise Unreadable('cannot identify image file') from error
    except Exception as error:  # a damaged file ends parsers in any way
        words = ADDRESS.sub('', ' '.join(str(error).split()))  # problems are the same whenever they are found
        raise Unreadable(words[:100] or type(error).__name__) from error


def _pillow(path: Path, levels: Sequence[float]) -> Picture:
    data = path.read_bytes()
    if not data:
        raise Unreadable('empty file')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        image = Image.open(io.BytesIO(data))
        if image.width * image.height > MAX_PIXELS:
            raise Unreadable(f'{image.width} x {image.height} pixels are too many')
        if image.format == 'JPEG' and data.rfind(JPEG_END) < data.rfind(JPEG_SCAN):
            raise Unreadable('a JPEG file without its end')  # as of a download that was cut; decoders fill in grey
        if image.format == 'PNG':
            image.verify()  # the checksum of every chunk; decoding alone does not look at them
            image = Image.open(io.BytesIO(data))
        halved = image.mode in OF_CHANNELS and any(';16' in str(tile[-1]) for tile in image.tile)
        held = image.getexif().get(ORIENTATION, UPRIGHT)  # a TIFF is turned, and its tag dropped, as it is loaded
        image.load()
        held = image.getexif().get(ORIENTATION, held)
        pixels = _pixels(ImageOps.exif_transpose(image), rounds=image.format == 'WEBP', levels=levels)
        if image.mode.startswith('I;16') and getattr(image, 'tag_v2', {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:
            # Pillow turns TIFF of 8 bits alone.
            pixels = np.uint16(65535) - pixels
        upright = held if held in range(UPRIGHT, 9) else UPRIGHT
        return Picture(pixels, upright, _has_more(image), halved=halved)


def _has_more(image: Image.Image) -> bool:
    """Whether there are frames or pages after the first; one that cannot be found is none."""
    try:
        return bool(getattr(image, 'is_animated', False))
    except Exception:  # a damaged end ends parsers in any way
        return False


def _pixels(image: Image.Image, *, rounds: bool, levels: Sequence[float]) -> np.ndarray:
    """Colour as [h,w,3]; grey, one bit and 16 bits as [h,w]. Alpha is dropped, a palette looked up. rounds: whether
    lossy compression may have made the channels of a grey image differ."""
    mode = image.mode
    if mode in ('I', 'F') or mode.startswith('I;'):
        values = np.asarray(image, np.float64)
        return between(values, levels) if levels else _of_numbers(values, shares=mode == 'F')
    if mode in ('LA', 'RGBA') and _is_stencil(image):
        raise Unreadable('one colour everywhere; its picture is how transparent that is (alpha channel)')
    if mode in ('1', 'L', 'LA', 'La'):
        return np.asarray(image.convert('L'))
    if mode == 'P':
        image = image.convert('RGBA')  # Pillow warns where a palette with transparency goes to another mode directly
    colour = np.asarray(image.convert('RGB'))
    if rounds and np.ptp(colour.astype(np.int16), axis=2).max(initial=0) <= ROUNDED:
        return np.asarray(image.convert('L'))
    return grey_if_equal(colour)


def _of_numbers(values: np.ndarray, *, shares: bool) -> np.ndarray:
    """Values of 16 bits; shares: of white, if none is larger, as 8 bits."""
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)) or low < 0 or high > 65535:
        raise Unreadable(f'grey values from {low:g} to {high:g} are not of 16 bits; images.levels says which are shown')
    if shares and high <= OVERSHOOT:
        return np.round(np.minimum(values, 1) * 255).astype(np.uint8)
    return np.round(values).astype(np.uint16)


def _array(values: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Pixels of an array as NumPy saves it: of 8 bits as they are, of 16 bits, too, or between levels, of other numbers
    as TIFF's."""
    values = values[..., 0] if values.ndim == 3 and values.shape[-1] == 1 else values
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[-1] != 3) or not values.size:
        raise Unreadable(f'an array {list(values.shape)}; expected [h, w] or [h, w, 3]')
    if values.dtype.kind not in 'buif':
        raise Unreadable(f'an array of {values.dtype}; expected numbers')
    if levels and values.ndim == 2 and values.dtype.itemsize > 1:
        return between(values, levels)
    if values.dtype.kind == 'b':
        values = values.astype(np.uint8) * np.uint8(255)
    if values.dtype not in (np.uint8, np.uint16):
        values = _of_numbers(values.astype(np.float64), shares=values.dtype.kind == 'f')
    return grey_if_equal(values) if values.ndim == 3 else values


def palette_indices(path: Path) -> np.ndarray | None:
    """The indices [h,w] of a file whose pixels are looked up in a palette of colours, None of any other: what label
    maps such as Pascal VOC's mean."""
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image)) if image.mode == 'P' else None
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _is_stencil(image: Image.Image) -> bool:
    """Whether an image with an alpha channel is of one colour, and its alpha is not of one value."""
    spans = [np.ptp(np.asarray(image.getchannel(name))) > 0 for name in image.getbands()]
    return not any(spans[:-1]) and bool(spans[-1])
