"""What files show that their reader should know: blank, of several pages, of fewer bits, turned, and negatives."""

import numpy as np
import pytest
from data.reader.folders import SIZE, doubts_with, loaded, of, picture, table
from PIL import Image, ImageOps

from imbalance_jax.data.reader import geometry, images, pixel_notes
from imbalance_jax.data.reader.picture import ORIENTATION, UPRIGHT

SEEN = pixel_notes.Seen(0, 255, UPRIGHT, False, False, np.zeros((8, 8), np.uint8))


def chest(i, size=(24, 24)):
    """A film of a kind: dark in the corners, bright in the middle, with noise of its own."""
    y, x = np.mgrid[: size[0], : size[1]] / (np.array(size)[:, None, None] - 1) - 0.5
    noise = np.random.default_rng(i).normal(0, 25, size)
    return np.clip(200 - 500 * (x**2 + y**2) + noise, 1, 254).astype(np.uint8)


def labelled(folder, names, resize='stretch'):
    table(folder, 'file,a\n' + ''.join(f'{name},{k % 2}\n' for k, name in enumerate(names)))
    return loaded(folder, tables='t.csv', labels=('a',), images={'file': '{file}', 'resize': resize})


def test_images_without_any_picture_and_files_with_several_are_said(tmp_path):
    for i in range(8):
        Image.fromarray(chest(i)).save(tmp_path / f'{i}.png')
    Image.fromarray(np.full((24, 24), 77, np.uint8)).save(tmp_path / '3.png')
    almost = np.zeros((24, 24), np.uint8)
    almost[5, 7] = 1
    Image.fromarray(almost).save(tmp_path / '4.png')
    pages = [Image.fromarray(chest(i)) for i in (50, 51, 52)]
    pages[0].save(tmp_path / 'b.tif', save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / 'a.gif', save_all=True, append_images=pages[1:], duration=10)
    dataset = labelled(tmp_path, [*(f'{i}.png' for i in range(8)), 'a.gif', 'b.tif'])
    assert doubts_with(dataset, 'one value') == ['1 of 10 images are of one value all over and show nothing: 3.png.']
    assert doubts_with(dataset, 'frames')[0].startswith(
        '2 of 10 files have several frames or pages, of which the first'
    )
    for name in ('a.gif', 'b.tif'):
        assert name in doubts_with(dataset, 'frames')[0]
        np.testing.assert_array_equal(
            dataset.images[of(dataset, name), ..., 0], geometry.fit(chest(50), SIZE, 'stretch')
        )


def test_sixteen_bits_a_channel_that_are_hardly_used_are_said():
    dark = SEEN._replace(brightest=15, halved=True)
    (said,) = pixel_notes.of_pixels([dark] * 4, list('abcd'), 16)
    assert said.startswith('4 of 4 files have 16 bits a channel, with colour or alpha, of which the upper 8 are read')
    assert not pixel_notes.of_pixels([dark._replace(brightest=255)] * 4, list('abcd'), 16)


@pytest.mark.parametrize('suffix', ['png', 'jpg', 'tif'])
def test_images_of_few_values_among_others_are_said_whatever_they_are_called(tmp_path, suffix):
    for i in range(8):
        Image.fromarray(chest(i, (48, 48))).save(tmp_path / f'{i}.png')
        mask = np.zeros((48, 48), np.uint8)
        mask[8 + i : 40, 10:30] = 255
        Image.fromarray(mask).save(tmp_path / f'{i}x.{suffix}', **({'quality': 90} if suffix == 'jpg' else {}))
    films = [f'{i}.png' for i in range(8)]
    dataset = labelled(tmp_path, [*films, *(f'{i}x.{suffix}' for i in range(8))])
    (said,) = doubts_with(dataset, 'grey values, or two shades')
    assert said.startswith('8 of 16 images have at most 8 grey values')
    assert said.count(f'x.{suffix}') == 5
    assert not doubts_with(labelled(tmp_path, films), 'two shades')


def test_eight_bits_in_files_of_sixteen_keep_their_grey_values(tmp_path):
    for i in range(4):
        Image.fromarray(chest(i).astype(np.uint16)).save(tmp_path / f'{i}.png')
    dataset = labelled(tmp_path, [f'{i}.png' for i in range(4)])
    for i in range(4):
        wanted = geometry.fit(chest(i), SIZE, 'stretch').astype(int)
        np.testing.assert_allclose(dataset.images[of(dataset, f'{i}.png'), ..., 0], wanted, atol=1)
    assert 'Of the 16 bits of grey values 8 are used (images.bits).' in dataset.info['notes']
    assert not doubts_with(dataset, 'fewer bits')


def test_eight_bits_beside_twelve_in_files_of_sixteen_are_said(tmp_path):
    for i in range(6):
        scale = 1 if i in (1, 4) else 16
        Image.fromarray(chest(i).astype(np.uint16) * scale).save(tmp_path / f'{i}.png')
    dataset = labelled(tmp_path, [f'{i}.png' for i in range(6)])
    (said,) = doubts_with(dataset, 'fewer bits')
    most = max(int(chest(i).max()) for i in (0, 2, 3, 5)) * 16
    assert said.startswith(f'2 of 6 16-bit files have no value above 255 where others reach {most}: ')
    assert sorted(said.rstrip('.').split('black: ')[1].split(', ')) == ['1.png', '4.png']


def test_values_beyond_the_bits_of_a_layout_are_said(tmp_path):
    for i in range(4):
        Image.fromarray(chest(i).astype(np.uint16) * (257 if i == 2 else 40)).save(tmp_path / f'{i}.png')
    table(tmp_path, 'file,a\n' + ''.join(f'{k}.png,{k % 2}\n' for k in range(4)))
    images_block = {'file': '{file}', 'bits': 14}
    (said,) = doubts_with(loaded(tmp_path, tables='t.csv', labels=('a',), images=images_block), 'becomes white')
    assert said.startswith('1 of 4 16-bit files have grey values above 16383, the largest of 14 bits (images.bits)')
    assert said.endswith(': 2.png.')


@pytest.mark.parametrize('kind', [np.uint8, np.uint16])
@pytest.mark.parametrize('dark', [(2,), (0, 2, 4)])
def test_images_of_another_range_are_said(tmp_path, dark, kind):
    """Half of them saved as 0..15 of 255, also in files of 16 bits."""
    for i in range(6):
        Image.fromarray((chest(i) // 17).astype(kind) if i in dark else chest(i)).save(tmp_path / f'{i}.png')
    (said,) = doubts_with(labelled(tmp_path, [f'{i}.png' for i in range(6)]), 'nearly black')
    assert said.startswith(f'{len(dark)} of 6 images have no grey value above 15 of 255')
    assert sorted(said.rstrip('.').split(' are: ')[1].split(', ')) == [f'{i}.png' for i in dark]


@pytest.mark.parametrize('resize', ['stretch', 'pad', 'crop'])
@pytest.mark.parametrize('inverted', [(), (3,), tuple(range(0, 12, 2)), (1, 2, 5, 6, 9)])
def test_negatives_among_films_are_named(tmp_path, inverted, resize):
    for i in range(13):
        film = chest(i, (24, 24 if resize == 'stretch' else 40))
        Image.fromarray(255 - film if i in inverted else film).save(tmp_path / f'{i}.png')
    dataset = labelled(tmp_path, [f'{i}.png' for i in range(13)], resize)
    said = doubts_with(dataset, 'negatives')
    assert len(said) == bool(inverted)
    if inverted:
        assert said[0].startswith(f'{len(inverted)} of 13 images are like negatives of the others')


def test_coloured_images_are_no_negatives(tmp_path):
    for i in range(13):
        grey = 255 - chest(i) if i < 4 else chest(i)
        Image.fromarray(np.dstack([grey, grey // 2, grey // 3])).save(tmp_path / f'{i}.png')
    assert 'doubts' not in labelled(tmp_path, [f'{i}.png' for i in range(13)]).info


def test_negatives_are_found_wherever_a_set_has_something_in_common():
    """Half of the images inverted, in clear films; none in noise, and none in pictures that have nothing in common."""
    films = np.stack([geometry.fit(chest(i), pixel_notes.SIDE, 'stretch').ravel() for i in range(200)])
    negative = np.arange(200) % 2 == 0
    negative[0] = False  # fewer than half
    films[negative] = 255 - films[negative]
    np.testing.assert_array_equal(pixel_notes.facing_away(films), negative)
    noise = np.random.default_rng(0).integers(0, 255, (200, 64)).astype(np.uint8)
    blank = np.full((20, 64), 9, np.uint8)
    sides = np.stack([np.tile(np.linspace(0, 80, 8), (8, 1))[:, :: 1 if i % 5 else -1].ravel() for i in range(40)])
    for others in (noise, noise[:9], noise[:3], blank, films[:0], sides.astype(np.uint8)):
        assert not pixel_notes.facing_away(others).any()


@pytest.mark.parametrize('orientation', range(1, 9))
def test_what_was_turned_goes_with_its_boxes(tmp_path, orientation):
    """Pillow's way to turn pixels is ours, for pixels, masks and boxes; in PNG, JPEG and TIFF alike."""
    stored, exif = chest(0, (24, 36)), Image.Exif()
    exif[ORIENTATION] = orientation
    inside = np.zeros((24, 36), bool)
    inside[3:9, 5:20] = True
    turned = geometry.turned(inside, orientation)
    rows, columns = np.flatnonzero(turned.any(1)), np.flatnonzero(turned.any(0))
    box = geometry.turned_box((5, 3, 20, 9), orientation, (24, 36))
    assert box == (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(save(tmp_path / 'a.png', stored, exif))))
    for name, tolerance in {'a.png': 0, 'a.tif': 0, 'a.jpg': 40}.items():
        picture = images.open_picture(save(tmp_path / name, stored, exif))
        assert picture.orientation == orientation
        np.testing.assert_allclose(picture.pixels.astype(int), wanted.astype(int), atol=tolerance)
    np.testing.assert_array_equal(geometry.turned(stored, orientation), wanted)


def save(path, pixels, exif):
    Image.fromarray(pixels).save(path, exif=exif)
    return path


def test_an_orientation_that_there_is_not_turns_nothing(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 9
    Image.fromarray(chest(0)).save(tmp_path / 'a.png', exif=exif)
    assert images.open_picture(tmp_path / 'a.png').orientation == UPRIGHT


def test_few_coloured_files_among_grey_ones_are_said(tmp_path):
    for i in range(6):
        picture(tmp_path / f'{i}.png', colour=i == 4)
    dataset = labelled(tmp_path, [f'{i}.png' for i in range(6)])
    assert dataset.images.shape[-1] == 3
    assert doubts_with(dataset, 'coloured') == [
        '1 of 6 files are coloured and the others grey; all images have three channels (images.channels): 4.png.'
    ]
    for i in (0, 1, 2):
        picture(tmp_path / f'{i}.png', colour=True)
    assert not doubts_with(labelled(tmp_path, [f'{i}.png' for i in range(6)]), 'coloured')  # some photographs are grey


def test_dicom_files_that_are_scaled_apart_are_said():
    def shown(low, high, windowed=False):
        return SEEN._replace(values=(low, high), windowed=windowed)

    names = list('abc')
    depths = [shown(0, 4095), shown(0, 4095), shown(0, 16383)]
    notes, doubts = pixel_notes.of_values(depths, names, window=False)
    assert notes == [
        'DICOM files have 2 ranges of values (0 to 4095: 2, 0 to 16383: 1), and each is scaled by its own.'
    ]
    assert not doubts
    hounsfield = [shown(-1024, 3071), shown(-1024, 3071), shown(-2048, 2047)]
    notes, doubts = pixel_notes.of_values(hounsfield, names, window=False)
    assert not notes
    assert doubts[0].endswith('each is scaled by its own: equal values become different grey values.')
    assert pixel_notes.of_values([SEEN, *depths[:2]], names, window=False) == ([], [])
    _, doubts = pixel_notes.of_values([*depths[:2], shown(-160, 240, windowed=True)], names, window=True)
    assert doubts == ['2 of 3 files state no window (images.window) and are as stored: a, b.']


def test_people_whom_dicom_calls_one_and_the_set_several_are_said():
    ids = ['P0', 'P0', 'P1', 'P1', 'anonymous', 'anonymous', '', '', 'P2', 'P2']
    shown = [SEEN._replace(patient=one) for one in ids]
    own, split = np.arange(10), np.array([0, 1, 0, 0, 0, 1, 0, 1, 2, 2])
    (said,) = pixel_notes.of_people(shown, own, split)
    people = '3 of 3 people by the PatientID of DICOM files are several patients here: P0, P1, P2'
    assert said.startswith(f'{people}; 1 in several splits (P0). A column of it')
    of_all = [SEEN._replace(patient='HOSPITAL') for _ in ids]
    assert pixel_notes.of_people(of_all, own, split) == []
    assert pixel_notes.of_people(shown, np.array([0, 0, 1, 1, 2, 3, 4, 5, 6, 6]), split) == []


@pytest.mark.parametrize('scales', [(16, 64), (4, 16)])
def test_twelve_bits_beside_fourteen_are_said(tmp_path, scales):
    for i in range(10):
        Image.fromarray(chest(i).astype(np.uint16) * scales[i % 2]).save(tmp_path / f'{i}.png')
    dataset = labelled(tmp_path, [f'{i}.png' for i in range(10)])
    (said,) = doubts_with(dataset, 'they become too dark')
    assert said.startswith('5 of 10 16-bit files have no value above')


def test_files_of_sixteen_bits_that_differ_by_chance_are_no_doubt(tmp_path):
    for i in range(12):
        Image.fromarray((chest(i) * (10 + 5 * i)).astype(np.uint16)).save(tmp_path / f'{i}.png')
    dataset = labelled(tmp_path, [f'{i}.png' for i in range(12)])
    assert not doubts_with(dataset, 'too dark')


def test_a_marker_that_leaves_the_rest_few_grey_values_is_said(tmp_path):
    for i in range(8):
        film = chest(i, (48, 48)).astype(np.uint16) * 16
        film[:3, :3] = 65535 if i < 4 else 4095
        Image.fromarray(film).save(tmp_path / f'{i}.png')
    (said,) = doubts_with(labelled(tmp_path, [f'{i}.png' for i in range(8)]), 'far brighter')
    assert said.startswith('4 of 8 files of 16 bits have nearly all of what is no border within 32 of 255 grey values')


def test_negative_numbers_without_their_sign_are_said(tmp_path):
    for i in range(8):
        units = chest(i).astype(np.int16) * 8 - 1000
        Image.fromarray(units.view(np.uint16)).save(tmp_path / f'{i}.png')
    (said,) = doubts_with(labelled(tmp_path, [f'{i}.png' for i in range(8)]), 'without their sign')
    assert said.startswith('8 of 8 files')


def test_negatives_are_named_however_narrow_and_padded_the_images_are(tmp_path):
    names = [f'{i}.png' for i in range(20)]
    for i, name in enumerate(names):
        film = chest(i, (40, 32))
        Image.fromarray(255 - film if i < 6 else film).save(tmp_path / name)
    assert len(doubts_with(labelled(tmp_path, names, 'pad'), 'like negatives')) == 1


def test_images_that_levels_leave_flat_are_said():
    def seen(largest, darkest, brightest):
        shown = pixel_notes.Seen(largest, brightest, pixel_notes.UPRIGHT, False, False, np.zeros((8, 8), np.uint8))
        return shown._replace(darkest=darkest)

    usual = [seen(60000, 0, 240) for _ in range(6)]
    names = [f'{i}.npy' for i in range(8)]
    (said,) = pixel_notes.of_levels([*usual, seen(47000, 182, 184), seen(46900, 182, 183)], names)
    assert said.startswith('images.levels leaves 2 of 8 images fewer than 8 grey values')
    assert '6.npy, 7.npy' in said
    assert pixel_notes.of_levels(usual, names[:6]) == []
