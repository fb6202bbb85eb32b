"""Files of any kind as squares of 8 bits, and where boxes and masks come to lie in them."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from imbalance_jax.data.reader import dicom as dicom_files
from imbalance_jax.data.reader import geometry, images
from imbalance_jax.data.reader.picture import Unreadable, bits_of

GREY = (np.arange(48).reshape(6, 8) * 5).astype(np.uint8)


def save(folder, array, name, mode=None, **options):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'a.bmp', 'a.gif', 'a.webp'])
def test_grey_files_are_what_was_saved(tmp_path, name):
    options = {'lossless': True} if name.endswith('webp') else {}
    np.testing.assert_array_equal(images.decode(save(tmp_path, GREY, name, **options)), GREY)


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'LA', 'P'])
def test_grey_in_colour_is_grey(tmp_path, mode):
    np.testing.assert_array_equal(images.decode(save(tmp_path, GREY, 'a.png', mode)), GREY)


def test_grey_of_lossy_webp_is_grey_and_colour_is_not(tmp_path):
    smooth = np.uint8(np.add.outer(np.arange(40), np.arange(40)) * 3)
    Image.fromarray(smooth).save(tmp_path / 'a.webp', quality=80)
    found = images.decode(tmp_path / 'a.webp')
    assert found.ndim == 2
    assert np.abs(found.astype(int) - smooth).max() < 12
    Image.fromarray(np.dstack([smooth, 255 - smooth, smooth])).save(tmp_path / 'b.webp', quality=80)
    assert images.decode(tmp_path / 'b.webp').ndim == 3


@pytest.mark.parametrize('mode', ['RGBA', 'LA'])
def test_a_picture_in_the_alpha_channel_is_said_and_no_black_image(tmp_path, mode):
    stencil = Image.new(mode[:-1], GREY.shape[::-1])
    stencil.putalpha(Image.fromarray(GREY))
    stencil.save(tmp_path / 'a.png')
    with pytest.raises(Unreadable, match='alpha channel'):
        images.decode(tmp_path / 'a.png')


def test_colour_stays_and_one_bit_is_black_and_white(tmp_path):
    colour = np.dstack([GREY, 255 - GREY, GREY // 2])
    np.testing.assert_array_equal(images.decode(save(tmp_path, colour, 'a.png')), colour)
    bits = images.decode(save(tmp_path, GREY > 100, 'b.png'))
    np.testing.assert_array_equal(bits, np.where(GREY > 100, 255, 0))


def test_twelve_bits_in_sixteen_have_all_their_grey_levels(tmp_path):
    values = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    for name in ('a.png', 'a.tif'):
        pixels = images.decode(save(tmp_path, values, name))
        np.testing.assert_array_equal(pixels, values)
        assert bits_of(int(pixels.max())) == 12
        small = geometry.fit(pixels, 64, 'stretch', bits=12)
        np.testing.assert_allclose(small, values / 4095 * 255, atol=0.51)
    assert bits_of(4096) == 14
    assert bits_of(65535) == 16


def test_a_turned_photograph_stands_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right by 90 degrees
    path = save(tmp_path, GREY, 'a.png', exif=exif)
    np.testing.assert_array_equal(images.decode(path), np.rot90(GREY, -1))


@pytest.mark.parametrize(
    ('content', 'reason'), [(b'', 'empty file'), (b'no image', 'cannot identify'), (b'\x89PNG\r\n\x1a\n1234', '.')]
)
def test_what_is_no_image_says_so(tmp_path, content, reason):
    (tmp_path / 'a.png').write_bytes(content)
    with pytest.raises(Unreadable, match=reason):
        images.decode(tmp_path / 'a.png')


def test_half_a_file_and_a_bomb_are_refused(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    for name in ('a.png', 'a.jpg', 'a.tif'):
        path = save(tmp_path, noise, name)
        path.write_bytes(path.read_bytes()[:1500])
        with pytest.raises(Unreadable):
            images.decode(path)
    monkeypatch.setattr(images, 'MAX_PIXELS', 100)
    with pytest.raises(Unreadable, match='64 x 64 pixels are too many'):
        images.decode(save(tmp_path, noise, 'b.png'))


@pytest.mark.parametrize('resize', ['stretch', 'pad', 'crop'])
@pytest.mark.parametrize('shape', [(40, 60), (64, 32), (37, 53), (20, 20)])
def test_boxes_go_where_pixels_go(resize, shape):
    """The bright rectangle of an image lies, when resized, where its box says: to half a pixel."""
    height, width = shape
    box = np.array([width * 0.4, height * 0.4, width * 0.65, height * 0.6]).round()
    pixels = np.zeros(shape, np.uint8)
    pixels[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = 255
    square = geometry.fit(pixels, 128, resize).astype(float) / 255
    assert square.shape == (128, 128)
    x0, y0, x1, y1 = geometry.into_square(height, width, 128, resize).boxes(box[None])[0]
    centre = np.array([(square.sum(axis) * (np.arange(128) + 0.5)).sum() / square.sum() for axis in (0, 1)])
    np.testing.assert_allclose(centre, [(x0 + x1) / 2, (y0 + y1) / 2], atol=0.5)
    assert square.sum() == pytest.approx((x1 - x0) * (y1 - y0), rel=0.03)


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        (np.arange(64, dtype=np.uint8).reshape(8, 8), None),
        (np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000, None),
        (np.arange(192, dtype=np.uint8).reshape(8, 8, 3), None),
        (np.arange(64.0).reshape(8, 8) / 63, np.round(np.arange(64).reshape(8, 8) / 63 * 255)),
        (np.eye(8, dtype=bool), np.eye(8) * 255),
        (np.arange(64).reshape(8, 8, 1), np.arange(64).reshape(8, 8)),
    ],
)
def test_arrays_as_numpy_saves_them_are_images(tmp_path, values, expected):
    np.save(tmp_path / 'a.npy', values)
    np.testing.assert_array_equal(images.decode(tmp_path / 'a.npy'), values if expected is None else expected)


@pytest.mark.parametrize(
    ('values', 'said'),
    [
        (np.zeros((2, 8, 8), np.uint8), r'an array \[2, 8, 8\]; expected \[h, w\]'),
        (np.full((8, 8), -1000), 'grey values from -1000 to -1000 are not of 16 bits'),
        (np.array([['a']]), 'expected numbers'),
        (np.array([{}]), 'allow_pickle'),
    ],
)
def test_arrays_that_are_no_images_are_said(tmp_path, values, said):
    np.save(tmp_path / 'a.npy', values)
    with pytest.raises(Unreadable, match=said):
        images.decode(tmp_path / 'a.npy')


def test_padding_is_black_and_cropping_keeps_the_middle():
    pixels = np.full((20, 40), 200, np.uint8)
    padded = geometry.fit(pixels, 40, 'pad')
    assert (padded[:10] == 0).all()
    assert (padded[30:] == 0).all()
    assert (padded[10:30] == 200).all()
    pixels[:, :10] = pixels[:, 30:] = 0
    assert (geometry.fit(pixels, 20, 'crop') == 200).all()


def test_reducing_averages_over_what_a_pixel_covers():
    checks = np.indices((64, 64)).sum(0) % 2 * 255
    assert np.ptp(geometry.fit(checks.astype(np.uint8), 8, 'stretch').astype(int)) <= 2


def dicom(path, values, **tags):
    pydicom = pytest.importorskip('pydicom', reason='DICOM needs the extra `dicom`')
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID = ExplicitVRLittleEndian, generate_uid()
    meta.MediaStorageSOPClassUID = '1.2.840.10008.5.1.4.1.1.1.1'
    data = pydicom.Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Rows, data.Columns = values.shape
    data.SamplesPerPixel, data.PixelRepresentation, data.BitsAllocated = 1, 0, 16
    data.BitsStored, data.HighBit, data.PhotometricInterpretation = 12, 11, 'MONOCHROME2'
    for name, value in tags.items():
        setattr(data, name, value)
    data.PixelData = values.astype(np.uint16).tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


def test_dicom_is_scaled_by_its_bits_and_inverted_once(tmp_path):
    values = np.linspace(0, 4095, 64).reshape(8, 8).astype(np.uint16)
    plain = images.decode(dicom(tmp_path / 'a.dicom', values))
    np.testing.assert_allclose(plain / 65535, values / 4095, atol=1e-4)
    inverted = images.decode(dicom(tmp_path / 'b.dcm', values, PhotometricInterpretation='MONOCHROME1'))
    np.testing.assert_allclose(inverted / 65535, 1 - values / 4095, atol=1e-4)


@pytest.mark.parametrize(('kind', 'padding'), [('MONOCHROME2', 4095), ('MONOCHROME1', 0)])
def test_padding_of_dicom_is_no_brighter_than_the_rest(tmp_path, kind, padding):
    values = np.linspace(400, 3600, 64).reshape(8, 8).astype(np.uint16)
    around = np.pad(values, 2, constant_values=padding)
    shown = images.decode(dicom(tmp_path / 'IM1', around, PhotometricInterpretation=kind, PixelPaddingValue=padding))
    inside = images.decode(dicom(tmp_path / 'a.dcm', values, PhotometricInterpretation=kind))
    np.testing.assert_array_equal(shown[2:-2, 2:-2], inside)
    assert (shown[0] == inside.min()).all()
    dark = images.decode(dicom(tmp_path / 'b.dcm', np.pad(values, 2), PixelPaddingValue=0))
    assert (dark[0] == 0).all()  # what is dark stays so


def test_a_window_is_applied_before_inverting(tmp_path):
    values = np.linspace(0, 4095, 64).reshape(8, 8).astype(np.uint16)
    tags = {'PhotometricInterpretation': 'MONOCHROME1', 'WindowCenter': 1000, 'WindowWidth': 1000}
    path = dicom(tmp_path / 'a.dcm', values, **tags)
    shown = np.clip((values - 499.5) / 999, 0, 1)  # DICOM PS3.3 C.11.2.1.2
    np.testing.assert_allclose(images.decode(path, window=True) / 65535, 1 - shown, atol=2e-3)
    np.testing.assert_allclose(images.decode(path) / 65535, 1 - values / 4095, atol=1e-4)


def test_a_window_is_stated_for_rescaled_values_and_of_all_images_the_same(tmp_path):
    """Hounsfield units: intercept -1024, a window of 400 around 40; an image that fills a part of it stays so."""
    values = np.linspace(1000, 1100, 64).reshape(8, 8).astype(np.uint16)
    tags = {'RescaleSlope': 1, 'RescaleIntercept': -1024, 'WindowCenter': 40, 'WindowWidth': 400}
    shown = np.clip((values - 1024.0 - 39.5) / 399 + 0.5, 0, 1)
    found = images.decode(dicom(tmp_path / 'a.dcm', values, **tags), window=True) / 65535
    np.testing.assert_allclose(found, shown, atol=2e-3)
    windowed = images.open_picture(tmp_path / 'a.dcm', window=True)
    assert windowed.windowed
    assert windowed.has_window
    of_zero = dicom(tmp_path / 'b.dcm', values, **{**tags, 'WindowCenter': 0})
    assert images.open_picture(of_zero, window=True).windowed
    stored = images.open_picture(tmp_path / 'a.dcm')
    assert (stored.values, stored.windowed, stored.has_window) == ((-1024, 3071), False, True)


def test_a_negative_slope_is_undone(tmp_path):
    values = np.linspace(0, 4095, 64).reshape(8, 8).astype(np.uint16)
    path = dicom(tmp_path / 'a.dcm', values, RescaleSlope=-1, RescaleIntercept=4095)
    np.testing.assert_allclose(images.decode(path) / 65535, 1 - values / 4095, atol=1e-4)


def test_a_palette_is_looked_up(tmp_path):
    values = np.arange(64).reshape(8, 8).astype(np.uint16)
    tags = {'PhotometricInterpretation': 'PALETTE COLOR'}
    for number, colour in enumerate(('Red', 'Green', 'Blue')):
        tags[f'{colour}PaletteColorLookupTableDescriptor'] = [64, 0, 16]
        table = (np.arange(64) * 256 * (number + 1)).astype(np.uint16)
        tags[f'{colour}PaletteColorLookupTableData'] = table.tobytes()
    found = images.decode(dicom(tmp_path / 'a.dcm', values, **tags))
    np.testing.assert_array_equal(found, np.stack([values * n % 256 for n in (1, 2, 3)], -1))


def test_colour_of_more_than_eight_bits_keeps_its_highest(tmp_path):
    colour = (np.arange(64 * 3).reshape(8, 8, 3) * 21).astype(np.uint16)  # of 12 bits
    path = dicom(tmp_path / 'a.dcm', colour.reshape(8, 24), Columns=8, SamplesPerPixel=3, PlanarConfiguration=0,
                 PhotometricInterpretation='RGB')  # fmt: skip
    np.testing.assert_array_equal(images.decode(path), colour >> 4)


@pytest.mark.parametrize('photometric', ['RGB', 'YBR_FULL'])
def test_colour_of_dicom_is_converted_once(tmp_path, photometric):
    red, green, blue = 200.0, 60.0, 40.0
    luma = 0.299 * red + 0.587 * green + 0.114 * blue  # PS3.3, C.7.6.3.1.2
    ybr = luma, 128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402
    stored = np.round(np.broadcast_to((red, green, blue) if photometric == 'RGB' else ybr, (8, 8, 3))).astype(np.uint8)
    tags = {'SamplesPerPixel': 3, 'PlanarConfiguration': 0, 'PhotometricInterpretation': photometric}
    path = dicom(tmp_path / 'a.dcm', stored.reshape(8, 24).view(np.uint16), Columns=8, BitsAllocated=8, BitsStored=8,
                 HighBit=7, **tags)  # fmt: skip
    assert np.abs(images.decode(path).astype(int) - [200, 60, 40]).max() <= 2


def test_a_window_that_is_there_and_empty_is_none(tmp_path):
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 60
    bare, empty = (
        dicom(tmp_path / f'{name}.dcm', values, **tags)
        for name, tags in (('a', {}), ('b', {'WindowCenter': '', 'WindowWidth': ''}))
    )
    pictures = [images.open_picture(path, window=True) for path in (bare, empty)]
    assert [one.windowed for one in pictures] == [False, False]
    np.testing.assert_array_equal(*(one.pixels for one in pictures))


@pytest.mark.parametrize(('bits', 'kind'), [(8, '<u1'), (16, '<u2')])
def test_a_tiff_whose_zero_is_white_is_turned(tmp_path, bits, kind):
    stored = (np.arange(400).reshape(20, 20) % 200).astype(kind)
    tags = [(256, 20), (257, 20), (258, bits), (259, 1), (262, 0), (273, 122), (277, 1), (278, 20), (279, 50 * bits)]
    entries = b''.join(struct.pack('<HHII', tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in tags)
    head = b'II*\0' + struct.pack('<IH', 8, 9) + entries + struct.pack('<I', 0)
    (tmp_path / 'a.tif').write_bytes(head + stored.tobytes())
    np.testing.assert_array_equal(images.decode(tmp_path / 'a.tif'), 2**bits - 1 - stored.astype(int))


def test_a_dicom_whose_values_are_all_made_one_is_said(tmp_path):
    path = dicom(tmp_path / 'a.dcm', np.arange(64, dtype=np.uint16).reshape(8, 8), RescaleSlope=0, RescaleIntercept=0)
    with pytest.raises(Unreadable, match='its RescaleSlope is 0'):
        images.decode(path)


def test_a_file_that_only_claims_to_be_dicom(tmp_path):
    pytest.importorskip('pydicom', reason='DICOM needs the extra `dicom`')
    (tmp_path / 'a.dcm').write_bytes(b'<html>')
    with pytest.raises(Unreadable, match='no DICOM image'):
        images.decode(tmp_path / 'a.dcm')


def test_messages_are_the_same_at_every_reading(tmp_path):
    (tmp_path / 'a.png').write_bytes(b'no image')
    (tmp_path / 'b.own').write_bytes(b'1')

    def own(path):
        raise RuntimeError(f'{object()} is broken')

    for name, words in (('a.png', 'cannot identify image file'), ('b.own', '<object object> is broken')):
        with pytest.raises(Unreadable) as caught:
            images.decode(tmp_path / name, decoders={'.own': own})
        assert str(caught.value) == words


def test_a_jpeg_without_its_end_is_no_image(tmp_path):
    """Of a download into a file that had its size: the rest is zeros, which decoders take for grey."""
    path = save(tmp_path, np.kron(GREY, np.ones((9, 9), np.uint8)), 'a.jpg')
    whole = path.read_bytes()
    images.decode(path)
    path.write_bytes(whole + bytes(100))
    images.decode(path)
    for kept in (0.5, 0.8):
        length = int(len(whole) * kept)
        path.write_bytes(whole[:length] + bytes(len(whole) - length))
        with pytest.raises(Unreadable):
            images.decode(path)


def test_shares_of_white_that_resampling_made_too_large_are_white(tmp_path):
    shares = (GREY / 255).astype(np.float32)
    shares[0, 0] = 1.04
    wanted = GREY.copy()
    wanted[0, 0] = 255
    np.testing.assert_array_equal(images.decode(save(tmp_path, shares, 'a.tif')), wanted)


def test_thirty_two_bits_are_scaled_by_their_ends():
    values = np.array([[0, 2**31, 2**32 - 1]], np.uint32)
    found = dicom_files._monochrome({'BitsStored': 32}, values, 'MONOCHROME2', lambda stored: stored.astype(float))
    np.testing.assert_array_equal(found.pixels, [[0, 32768, 65535]])


HOUNSFIELD = np.linspace(-1024, 2000, 64 * 64).reshape(64, 64).round()
BETWEEN = np.clip((HOUNSFIELD + 1000) / 1400, 0, 1)  # of -1000 and 400


@pytest.mark.parametrize('name', ['float.npy', 'signed.npy', 'float.tif', 'shifted.png'])
def test_levels_are_what_becomes_black_and_white(tmp_path, name):
    path, shift = tmp_path / name, 32768 if name == 'shifted.png' else 0
    values = (HOUNSFIELD + shift).astype({'float': np.float32, 'signed': np.int16, 'shifted': np.uint16}[path.stem])
    if path.suffix == '.npy':
        np.save(path, values)
    else:
        save(tmp_path, values, name)
    found = images.decode(path, levels=(shift - 1000, shift + 400))
    np.testing.assert_array_equal(found, np.round(BETWEEN * 65535))


def test_levels_of_dicom_are_of_rescaled_values(tmp_path):
    stored = (HOUNSFIELD + 1024).astype(np.uint16)
    path = dicom(tmp_path / 'a.dcm', stored, RescaleSlope=1, RescaleIntercept=-1024)
    picture = images.open_picture(path, levels=(-1000, 400))
    np.testing.assert_array_equal(picture.pixels, np.round(BETWEEN * 65535))
    assert picture.values is None  # all files are scaled alike


def test_levels_leave_eight_bits_as_they_are(tmp_path):
    np.testing.assert_array_equal(images.decode(save(tmp_path, GREY, 'a.png'), levels=(0, 99)), GREY)


def png_of_sixteen_bits(grey):
    """Grey and alpha [h,w] of 16 bits, which Pillow does not write."""
    pixels = np.stack([grey, np.full_like(grey, 65535)], -1).astype('>u2')
    chunks = {
        b'IHDR': struct.pack('>IIBBBBB', *grey.shape[::-1], 16, 4, 0, 0, 0),
        b'IDAT': zlib.compress(b''.join(b'\0' + row.tobytes() for row in pixels)),
        b'IEND': b'',
    }
    parts = [
        struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        for kind, data in chunks.items()
    ]
    return b'\x89PNG\r\n\x1a\n' + b''.join(parts)


def test_sixteen_bits_a_channel_of_which_eight_are_read_are_known(tmp_path):
    path = tmp_path / 'a.png'
    path.write_bytes(png_of_sixteen_bits(GREY.astype(np.uint16) * 256))
    picture = images.open_picture(path)
    assert picture.halved
    np.testing.assert_array_equal(picture.pixels, GREY)
    for other in (GREY, GREY.astype(np.uint16)):
        assert not images.open_picture(save(tmp_path, other, 'b.png')).halved
