"""DICOM files, by pydicom where that is installed."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data.reader.picture import NeedsPackage, Picture, Unreadable, grey_if_equal

SUFFIXES = ('.dcm', '.dicom')


def is_dicom(path: Path) -> bool:
    """Whether a file is of DICOM: by its suffix, or by how it begins (PS3.10, 7.1), as archives drop suffixes."""
    if path.suffix.lower() in SUFFIXES:
        return True
    with path.open('rb') as file:
        return file.read(132)[128:] == b'DICM'


def open_dicom(path: Path, window: bool, levels: Sequence[float] = ()) -> Picture:
    """What a DICOM file shows, `window` and `levels` as of `layout.Images`. Raises Unreadable, or NeedsPackage without
    pydicom."""
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
        return Picture(grey_if_equal(_of_eight_bits(colour, 8 * colour.dtype.itemsize)), patient=patient)
    if pixels.ndim == 3 and pixels.shape[-1] == 3:
        return Picture(grey_if_equal(_of_eight_bits(pixels, int(data.get('BitsStored', 8)))), patient=patient)
    if pixels.ndim != 2:
        raise Unreadable(f'{len(pixels)} frames; one is expected')

    stated = all(_says(data.get(name)) for name in ('WindowCenter', 'WindowWidth'))
    has_window = stated or bool(data.get('VOILUTSequence'))
    windowed = window and has_window

    def transformed(stored: np.ndarray) -> np.ndarray:
        """Rescaled, then in the window if one is asked for and stated (PS3.3, C.11.2.1.2)."""
        values = apply_modality_lut(stored, data)
        return np.asarray(apply_voi_lut(values, data) if windowed else values, float)

    picture = _monochrome(data, pixels, photometric, transformed, levels)
    return picture._replace(windowed=windowed, has_window=has_window, patient=patient)


def _says(value: Any) -> bool:
    """Whether an element is there and has a value; 0 is one."""
    return value is not None and str(value).strip('[] ') != ''


def _of_eight_bits(colour: np.ndarray, bits: int) -> np.ndarray:
    """Colour values of so many bits as uint8."""
    return (colour >> max(bits - 8, 0)).astype(np.uint8)


def _monochrome(
    data: Any, pixels: np.ndarray, photometric: str, transformed: Callable, levels: Sequence[float] = ()
) -> Picture:
    """Stored values as uint16 of 16 bits, between levels or of all that `BitsStored` can hold, bright where the body
    absorbs."""
    bits = int(data.get('BitsStored', data.get('BitsAllocated', 16)))
    least = -(2 ** (bits - 1)) if int(data.get('PixelRepresentation', 0)) else 0
    count = min(2**bits, 2**16)  # no table has more entries, and whatever is no table is largest at an end
    every = transformed(np.linspace(least, least + 2**bits - 1, count).round().astype(pixels.dtype)[None])
    low, high = levels or (float(every.min()), float(every.max()))
    scaled = np.clip((transformed(pixels) - low) / max(high - low, 1e-9), 0, 1)
    if photometric == 'MONOCHROME1':
        scaled = 1 - scaled
    if (padding := data.get('PixelPaddingValue')) is not None:  # what is around the image shows nothing (C.7.5.1.1.2)
        ends = int(padding), int(data.get('PixelPaddingRangeLimit', padding))
        outside = (pixels >= min(ends)) & (pixels <= max(ends))
        scaled[outside] = np.minimum(scaled[outside], scaled[~outside].min(initial=1.0))
    return Picture(np.round(scaled * 65535).astype(np.uint16), values=None if levels else (low, high))
