"""Image files of any kind as squares of 8 bits, and the geometry that takes boxes and masks along."""

import io
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from imbalance_jax.names import lookup
from imbalance_jax.system.files import regular

MAX_PIXELS = 2**28  # 16384 x 16384: more is a mistake or a decompression bomb
GREY_LEVELS = (8, 10, 12, 14, 16)  # bits of which a 16-bit file may use as many
DICOM = ('.dcm', '.dicom')
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # a tag of TIFF, and what it may say
ORIENTATION, UPRIGHT = 0x0112, 1  # EXIF's tag of how a camera was held, 1 to 8, and that it was held upright
ON_ITS_SIDE = range(5, 9)  # orientations in which height and width of the stored pixels are exchanged
JPEG_SCAN, JPEG_END = b'\xff\xda', b'\xff\xd9'  # markers before the pixels and after them (ITU-T T.81, B.1.1.3)
ROUNDED = 2  # grey values by which the channels of a grey image may differ
OVERSHOOT = 1.5  # up to which grey values of floating point are shares of white, which resampling made too large
ADDRESS = re.compile(' at 0x[0-9a-f]+')  # of an object, in a message
Image.MAX_IMAGE_PIXELS = None  # `MAX_PIXELS` is asked instead, and refuses rather than warns


class Unreadable(ValueError):
    """A file that is no whole image; the message is a few words."""


class NeedsPackage(ValueError):
    """A file that a package reads which is not installed."""


class Picture(NamedTuple):
    """What a file shows. pixels: [h,w] or [h,w,3], uint8 or uint16, the right way up, of 16 bits as many as are used;
    orientation: of `ORIENTATION`, from which they were turned upright; has_more: frames or pages than this first one;
    values: of DICOM, those that become black and white, by which each file is scaled; windowed: by the window that it
    states; patient: of DICOM, the PatientID
    """

    pixels: np.ndarray
    orientation: int = UPRIGHT
    has_more: bool = False
    values: tuple[float, float] | None = None
    windowed: bool = False
    patient: str = ''


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


def geometry(height: int, width: int, size: int, resize: str) -> Geometry:
    """How a file of that size becomes a square of `size`, by one of `RESIZES`."""
    return lookup(RESIZES, resize, 'way to resize (images.resize)')(height, width, size)


def decode(path: Path, *, window: bool = False, decoders: Mapping[str, Callable] | None = None) -> np.ndarray:
    """The pixels of `open_picture`; raises Unreadable."""
    return open_picture(path, window=window, decoders=decoders).pixels


def open_picture(path: Path, *, window: bool = False, decoders: Mapping[str, Callable] | None = None) -> Picture:
    """What a file shows, its first frame or page.

    Raises Unreadable. MONOCHROME1 is inverted once, after a window, which is stated for rescaled values.
    """
    suffix = path.suffix.lower()
    own = (decoders or {}).get(suffix)
    try:
        path = regular(path)
        if own:
            return Picture(np.asarray(own(path)))
        if suffix == '.npy':
            return Picture(_array(np.load(path, allow_pickle=False)))
        return _dicom(path, window) if _is_dicom(path) else _pillow(path)
    except (Unreadable, NeedsPackage):
        raise
    except MemoryError as error:
        raise Unreadable('too large') from error
    except UnidentifiedImageError as error:
        raise Unreadable('cannot identify image file') from error
    except Exception as error:  # a damaged file ends parsers in any way
        words = ADDRESS.sub('', ' '.join(str(error).split()))  # problems are the same whenever they are found
        raise Unreadable(words[:100] or type(error).__name__) from error


def _is_dicom(path: Path) -> bool:
    """Whether a file is of DICOM: by its suffix, or by how it begins (PS3.10, 7.1), as archives drop suffixes."""
    if path.suffix.lower() in DICOM:
        return True
    with path.open('rb') as file:
        return file.read(132)[128:] == b'DICM'


def _pillow(path: Path) -> Picture:
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
        held = image.getexif().get(ORIENTATION, UPRIGHT)  # a TIFF is turned, and its tag dropped, as it is loaded
        image.load()
        held = image.getexif().get(ORIENTATION, held)
        pixels = _pixels(ImageOps.exif_transpose(image), rounds=image.format == 'WEBP')
        if image.mode.startswith('I;16') and getattr(image, 'tag_v2', {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:
            # Pillow turns TIFF of 8 bits alone.
            pixels = np.uint16(65535) - pixels
        return Picture(pixels, held if held in range(UPRIGHT, 9) else UPRIGHT, _has_more(image))


def _has_more(image: Image.Image) -> bool:
    """Whether there are frames or pages after the first; one that cannot be found is none."""
    try:
        return bool(getattr(image, 'is_animated', False))
    except Exception:  # a damaged end ends parsers in any way
        return False


def _pixels(image: Image.Image, *, rounds: bool) -> np.ndarray:
    """Colour as [h,w,3]; grey, one bit and 16 bits as [h,w]. Alpha is dropped, a palette looked up. rounds: whether
    lossy compression may have made the channels of a grey image differ."""
    mode = image.mode
    if mode in ('I', 'F') or mode.startswith('I;'):
        return _of_numbers(np.asarray(image, np.float64), shares=mode == 'F')
    if mode in ('LA', 'RGBA') and _is_stencil(image):
        raise Unreadable('one colour everywhere; its picture is how transparent that is (alpha channel)')
    if mode in ('1', 'L', 'LA', 'La'):
        return np.asarray(image.convert('L'))
    if mode == 'P':
        image = image.convert('RGBA')  # Pillow warns where a palette with transparency goes to another mode directly
    colour = np.asarray(image.convert('RGB'))
    if rounds and np.ptp(colour.astype(np.int16), axis=2).max(initial=0) <= ROUNDED:
        return np.asarray(image.convert('L'))
    return _grey_if_equal(colour)


def _of_numbers(values: np.ndarray, *, shares: bool) -> np.ndarray:
    """Values of 16 bits; shares: of white, if none is larger, as 8 bits."""
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)) or low < 0 or high > 65535:
        raise Unreadable(f'grey values from {low:g} to {high:g} are not of 16 bits')
    if shares and high <= OVERSHOOT:
        return np.round(np.minimum(values, 1) * 255).astype(np.uint8)
    return np.round(values).astype(np.uint16)


def _array(values: np.ndarray) -> np.ndarray:
    """Pixels of an array as NumPy saves it: of 8 or 16 bits as they are, of other numbers as TIFF's."""
    values = values[..., 0] if values.ndim == 3 and values.shape[-1] == 1 else values
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[-1] != 3) or not values.size:
        raise Unreadable(f'an array {list(values.shape)}; expected [h, w] or [h, w, 3]')
    if values.dtype.kind not in 'buif':
        raise Unreadable(f'an array of {values.dtype}; expected numbers')
    if values.dtype.kind == 'b':
        values = values.astype(np.uint8) * np.uint8(255)
    if values.dtype not in (np.uint8, np.uint16):
        values = _of_numbers(values.astype(np.float64), shares=values.dtype.kind == 'f')
    return _grey_if_equal(values) if values.ndim == 3 else values


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


def _grey_if_equal(pixels: np.ndarray) -> np.ndarray:
    """[h,w] of [h,w,3] whose channels are one."""
    red = pixels[..., 0]
    equal = np.array_equal(red, pixels[..., 1]) and np.array_equal(red, pixels[..., 2])
    return np.ascontiguousarray(red) if equal else pixels


def _dicom(path: Path, window: bool) -> Picture:
    try:
        import pydicom
        from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut
    except ModuleNotFoundError as error:
        raise NeedsPackage(f'{path} is a DICOM file; reading it needs pydicom: pip install pydicom.') from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            data = pydicom.dcmread(path)
            pixels = data.pixel_array  # of YBR's kinds as RGB
    except Exception as error:
        raise Unreadable(f'no DICOM image: {" ".join(str(error).split())[:100]}') from error
    if data.get('RescaleSlope', 1) == 0:
        raise Unreadable('its RescaleSlope is 0, by which all its values are one')
    photometric = str(data.get('PhotometricInterpretation', 'MONOCHROME2'))
    patient = str(data.get('PatientID') or '').strip()
    if photometric == 'PALETTE COLOR' and pixels.ndim == 2:
        colour = apply_color_lut(pixels, data)[..., :3]
        return Picture(_grey_if_equal(_of_eight_bits(colour, 8 * colour.dtype.itemsize)), patient=patient)
    if pixels.ndim == 3 and pixels.shape[-1] == 3:
        return Picture(_grey_if_equal(_of_eight_bits(pixels, int(data.get('BitsStored', 8)))), patient=patient)
    if pixels.ndim != 2:
        raise Unreadable(f'{len(pixels)} frames; one is expected')

    stated = all(str(data.get(name) or '').strip('[] ') for name in ('WindowCenter', 'WindowWidth'))
    windowed = window and (stated or bool(data.get('VOILUTSequence')))

    def transformed(stored: np.ndarray) -> np.ndarray:
        """Rescaled, then in the window if one is asked for and stated (PS3.3, C.11.2.1.2)."""
        values = apply_modality_lut(stored, data)
        return np.asarray(apply_voi_lut(values, data) if windowed else values, float)

    return _monochrome(data, pixels, photometric, transformed)._replace(windowed=windowed, patient=patient)


def _of_eight_bits(colour: np.ndarray, bits: int) -> np.ndarray:
    """Colour values of so many bits as uint8."""
    return (colour >> max(bits - 8, 0)).astype(np.uint8)


def _monochrome(data: Any, pixels: np.ndarray, photometric: str, transformed: Callable) -> Picture:
    """Stored values as uint16 of 16 bits, of all that `BitsStored` can hold, bright where the body absorbs."""
    bits = int(data.get('BitsStored', data.get('BitsAllocated', 16)))
    least = -(2 ** (bits - 1)) if int(data.get('PixelRepresentation', 0)) else 0
    count = min(2**bits, 2**16)  # no table has more entries, and whatever is no table is largest at an end
    every = transformed(np.linspace(least, least + 2**bits - 1, count).round().astype(pixels.dtype)[None])
    low, high = float(every.min()), float(every.max())
    scaled = np.clip((transformed(pixels) - low) / max(high - low, 1e-9), 0, 1)
    if photometric == 'MONOCHROME1':
        scaled = 1 - scaled
    if (padding := data.get('PixelPaddingValue')) is not None:  # what is around the image shows nothing (C.7.5.1.1.2)
        ends = int(padding), int(data.get('PixelPaddingRangeLimit', padding))
        outside = (pixels >= min(ends)) & (pixels <= max(ends))
        scaled[outside] = np.minimum(scaled[outside], scaled[~outside].min(initial=1.0))
    return Picture(np.round(scaled * 65535).astype(np.uint16), values=(low, high))


def bits_of(largest: int) -> int:
    """How many bits of 16 a set uses whose largest grey value is this."""
    return next(bits for bits in GREY_LEVELS if largest < 2**bits)


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
    placed = _placed(image, geometry(height, width, size, resize), size)
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
