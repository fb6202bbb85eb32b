"""Synthetic files for the miniatures of public layouts: text tables, grey films, DICOM."""

import gzip
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def table(path: Path, lines: Iterable[str], newline: str = '\n') -> Path:
    """Writes a text table, gzipped if its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = (newline.join(lines) + newline).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == '.gz' else data)
    return path


def pixels(name: str, height: int, width: int) -> np.ndarray:
    """Noise of its own for every name, [H, W] uint8."""
    seed = int.from_bytes(name.encode()[-8:], 'big')
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


def film(path: Path, height: int = 32, width: int = 32, mode: str = 'L') -> Path:
    """Writes a grey film whose format is its suffix's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {'quality': 95} if path.suffix in ('.jpg', '.jpeg') else {}
    Image.fromarray(pixels(str(path.name) + path.parent.parent.name, height, width)).convert(mode).save(path, **options)
    return path


def dicom(path: Path, array: np.ndarray, photometric: str = 'MONOCHROME2', bits: int = 8, **fields: str) -> Path:
    """Writes `array` [H, W] as a DICOM file of `bits` stored bits."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset(str(path), {}, file_meta=meta, preamble=b'\0' * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.Rows, image.Columns = array.shape
    image.SamplesPerPixel, image.PixelRepresentation, image.PhotometricInterpretation = 1, 0, photometric
    image.BitsStored, image.HighBit, image.BitsAllocated = bits, bits - 1, 8 if bits <= 8 else 16
    image.PixelData = array.astype(np.uint8 if bits <= 8 else '<u2').tobytes()
    for field, value in fields.items():
        setattr(image, field, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, image, enforce_file_format=True)
    return path
