"""What the files of a set show that its reader should know: sizes, bits, pages, turned, blank and inverted images."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from imbalance_jax.data.reader import geometry
from imbalance_jax.data.reader.people import NOBODY, ONE_OF_ALL
from imbalance_jax.data.reader.picture import UPRIGHT, Picture
from imbalance_jax.data.reader.rows import NAMED
from imbalance_jax.names import some

DARK = 16  # as many times darker than others is an image whose values are of fewer bits, or of another range
DEEP = 9  # bits, and more, that files of 16 may hold
LEAST, PART = 4, 0.1  # files, and share of them, of other bits than others
NARROW = 63  # between the darkest and the brightest of all images of a set that uses few of 255 grey values
WHITE = 245  # mean of 255 from which on an image shows hardly anything
MOST_CLIPPED = 0.9  # share of pixels that levels may make black or white: soft tissue leaves lungs and air so
FEW = 8  # grey values that a picture may have and be drawn, as masks are
SHADE = 16  # grey values that are one shade
NEARLY_ALL, MOST, CROWD = 99, 85, 32  # per cent of the pixels of an image; grey values that they lie within
HARDLY = 0.005  # of all pixels, a share that does not count
APART = 16  # pixels of which every one is looked at before all are
SIDE = 8  # pixels of a thumbnail
EDGE = 1e-6  # of a pixel: sums of shares are whole to rounding
FACING = 0.5  # correlation with what the set has in common from which on an image goes along with it, or against it
COMMON = 0.4  # share of the thumbnails' variance that one pattern explains, where a set has one
ENOUGH = 8  # images of which a pattern can be had


class Seen(NamedTuple):
    """What reading a file shows. largest: its largest value of 16 bits, 0 of 8 bits; brightest, darkest: of the square,
    of 255; orientation, has_more: as of `Picture`; is_constant: whether all pixels are equal; thumbnail: [8,8]
    uint8, 0 of a coloured image, whose negative would be known by its colours; is_coloured: the file is; is_drawn: as
    `is_drawn` says; values, windowed, has_window, patient, halved: as of `Picture`; clipped: the share of the square
    that is black or white; crowded: of 16 bits, whether nearly all of the square is far darker than a few pixels;
    wrapped: of 16 bits, whether it has values at both ends and none between"""

    largest: int
    brightest: int
    orientation: int
    has_more: bool
    is_constant: bool
    thumbnail: np.ndarray
    is_coloured: bool = False
    values: tuple[float, float] | None = None
    windowed: bool = False
    has_window: bool = False
    darkest: int = 0
    patient: str = ''
    is_drawn: bool = False
    halved: bool = False
    clipped: float = 0.0
    crowded: bool = False
    wrapped: bool = False


def seen(picture: Picture, square: np.ndarray, resize: str) -> Seen:
    """What is kept of a file. square: [H,W] or [H,W,3] uint8, what it became by `resize`."""
    pixels, size = picture.pixels, len(square)
    place = geometry.into_square(pixels.shape[0], pixels.shape[1], size, resize)
    # Of padding, which is the same around a negative, nothing.
    left, top = (int(np.ceil(max(edge, 0.0))) for edge in (place.left, place.top))
    right = max(min(int(place.left + pixels.shape[1] * place.scale_x + EDGE), size), left + 1)
    bottom = max(min(int(place.top + pixels.shape[0] * place.scale_y + EDGE), size), top + 1)
    largest = int(pixels.max()) if pixels.dtype == np.uint16 else 0
    constant = _is_constant(pixels[::APART, ::APART]) and _is_constant(pixels)
    grey = square if square.ndim == 2 else np.zeros(square.shape[:2], np.uint8)
    small = np.asarray(Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BOX, box=(left, top, right, bottom)))
    shown = Seen(largest, int(square.max()), picture.orientation, picture.has_more, constant, small)
    shown = shown._replace(is_drawn=not constant and is_drawn(pixels))
    shown = shown._replace(is_coloured=pixels.ndim == 3, darkest=int(square.min()), patient=picture.patient)
    shown = shown._replace(values=picture.values, windowed=picture.windowed, has_window=picture.has_window)
    shown = shown._replace(halved=picture.halved, clipped=float(((square == 0) | (square == 255)).mean()))
    if pixels.dtype != np.uint16 or constant:
        return shown
    crowded = _is_crowded(square) and len(np.unique(pixels[:: APART // 4, :: APART // 4])) > FEW  # else it is drawn
    return shown._replace(crowded=crowded, wrapped=_is_wrapped(pixels))


def of_people(all_seen: Sequence[Seen], patient: np.ndarray, split: np.ndarray) -> list[str]:
    """A sentence about people who are one by DICOM's PatientID, and several patients [N] of the set; split: [N]. One
    whom more than half of the images are of is nobody."""
    whose: dict[str, list[int]] = {}
    for row, one in enumerate(all_seen):
        if one.patient and not NOBODY.fullmatch(one.patient.casefold()):
            whose.setdefault(one.patient, []).append(row)
    whose = {name: rows for name, rows in whose.items() if len(rows) <= ONE_OF_ALL * len(all_seen)}
    several = {name: rows for name, rows in whose.items() if len(set(patient[rows].tolist())) > 1}
    if not several:
        return []
    across = [name for name, rows in several.items() if len(set(split[rows].tolist())) > 1]
    splits = f'; {len(across)} in several splits ({some(across, NAMED)})' if across else ''
    return [
        f'{len(several)} of {len(whose)} people by the PatientID of DICOM files are several patients here: '
        f'{some(list(several), NAMED)}{splits}. A column of it, as patient, keeps the images of each together.'
    ]


def is_drawn(pixels: np.ndarray) -> bool:
    """Whether a picture [h,w] or [h,w,3] has few values, or two shades, also after lossy compression, as masks have."""
    grey = pixels.max(-1) if pixels.ndim == 3 else pixels
    if len(np.unique(grey[::APART, ::APART])) <= FEW and len(np.unique(grey)) <= FEW:
        return True
    shades = np.bincount(grey.ravel() // (SHADE * (256 if grey.dtype == np.uint16 else 1)), minlength=2) / grey.size
    kept = np.flatnonzero(shades > HARDLY)
    return len(kept) == 2 and int(np.diff(kept)[0]) > 1 and float(shades[kept].sum()) > 1 - 2 * HARDLY


def _is_crowded(square: np.ndarray) -> bool:
    """Whether nearly all of a square has few grey values, below pixels that are far brighter, few or all alike."""
    bright = square > 255 // 2
    if not bright.any() or bright.all():
        return False
    few = 100 * bright.mean() <= 100 - NEARLY_ALL
    alike = 2 * bright.sum() < square.size and np.ptp(np.percentile(square[bright], (10, 90))) < FEW
    low, bulk = np.percentile(square[~bright], (0, NEARLY_ALL if few else MOST))  # beside a border some are between
    return bool((few or alike) and bulk - low < CROWD)


def _is_wrapped(pixels: np.ndarray) -> bool:
    """Whether values of 16 bits lie at both ends and nowhere between, as negative numbers do without their sign."""
    signed = np.ascontiguousarray(pixels).view(np.int16)
    negative = signed[signed < 0]
    both = HARDLY < negative.size / signed.size < 1 - HARDLY and int(signed.max()) - int(signed.min()) < 2**14
    return both and len(np.unique(negative)) > FEW  # one value is a marker, or a code


def _is_constant(pixels: np.ndarray) -> bool:
    return bool((pixels == pixels[0, 0]).all())


def _other_bits(largest: np.ndarray) -> int:
    """The number of bits that a good part of 16-bit files do not go beyond, where all others reach at least twice as
    far; 0 without one. largest: of each file, 0 of 8 bits."""
    deep = largest[largest > 0]
    for bits in range(DEEP, 15):
        few, many = int((deep < 2**bits).sum()), int((deep >= 2 ** (bits + 1)).sum())
        if few + many == len(deep) and min(few, many) >= max(LEAST, PART * len(deep)):
            return bits
    return 0


def of_pixels(all_seen: Sequence[Seen], names: Sequence[str], bits: int) -> list[str]:
    """Sentences about what some images are and others are not, with their number and first names.

    bits: of 16-bit files that are used.
    """
    count, said = len(all_seen), []

    def note(of: Sequence[bool] | np.ndarray, words: str) -> None:
        if found := [name for name, one in zip(names, of, strict=True) if one]:
            said.append(f'{len(found)} of {count} {words}: {some(found, NAMED)}.')

    constant = np.array([one.is_constant for one in all_seen], bool)
    largest = np.array([one.largest for one in all_seen])
    note(constant, 'images are of one value all over and show nothing')
    note([one.has_more for one in all_seen], 'files have several frames or pages, of which the first was read')
    least = (2**bits) // DARK
    few_bits = (largest > 0) & (largest < least)
    if largest.max(initial=0) >= least:
        words = f'16-bit files have no value above {least - 1} where others reach {largest.max()}'
        note(few_bits & ~constant, f'{words}: they are of fewer bits and become nearly black')
    if (deepest := _other_bits(largest)) and not few_bits.any():
        words = f'16-bit files have no value above {2**deepest - 1}, and all others reach {2 ** (deepest + 1)}'
        note((largest > 0) & (largest < 2**deepest), f'{words}: if they are of {deepest} bits, they become too dark')
    brightest = np.array([one.brightest for one in all_seen])
    if brightest.max(initial=0) >= 256 // 2:
        words = f'images have no grey value above {256 // DARK - 1} of 255 where others reach {brightest.max()}'
        note(
            (brightest < 256 // DARK) & ~(few_bits & (largest.max(initial=0) >= least)) & ~constant,
            f'{words}: they are nearly black, as values of another range are',
        )
    halved = np.array([one.halved for one in all_seen], bool) & (brightest <= NARROW) & ~constant
    note(halved, 'files have 16 bits a channel, with colour or alpha, of which the upper 8 are read, and hardly use '
         'these: save them as grey of 16 bits, or with 8 bits that are used')  # fmt: skip
    ends = np.array([one.darkest for one in all_seen])[~constant], brightest[~constant]
    if len(ends[0]) and not halved.any() and (span := int(ends[1].max() - ends[0].min())) <= NARROW:
        stated = any(one.has_window and not one.windowed for one in all_seen)
        way = 'images.window spreads it' if stated else 'images.levels = (low, high) spreads it'
        wider = f': their files have a far wider range than what they show, as CT has; {way}'
        wider = wider if largest.any() or any(one.values for one in all_seen) else ', of the 256 of their files'
        said.append(
            f'All images lie between {ends[0].min()} and {ends[1].max()} of 255, {span + 1} grey values{wider}.'
        )
    wrapped = np.array([one.wrapped for one in all_seen], bool)
    note(wrapped, 'files of 16 bits have values near 0 and near 65535 and none between, as negative numbers read '
         'without their sign have, so that the lowest become white: save them with it, or from 0 on')  # fmt: skip
    note(np.array([one.crowded for one in all_seen], bool) & ~wrapped, f'files of 16 bits have nearly all of '
         f'what is no border within {CROWD} of 255 grey values, below what is far brighter, as a marker is: '
         'images.levels = (low, high) spreads them')  # fmt: skip
    mean = np.array([one.thumbnail for one in all_seen], np.float64).reshape(count, -1).mean(1)
    if np.median(mean) < WHITE:
        note((mean >= WHITE) & ~constant, f'images have a mean above {WHITE} of 255 and are nearly white, as through a '
             'window (images.window) that is not theirs')  # fmt: skip
    drawn = np.array([one.is_drawn for one in all_seen], bool)
    if not (drawn | constant).all():
        note(drawn, f'images have at most {FEW} grey values, or two shades, as masks have, and others have not: '
             'images.exclude leaves masks out, and regions.files makes regions of them')  # fmt: skip
    words = f'16-bit files have grey values above {2**bits - 1}, the largest of {bits} bits (images.bits)'
    note(largest >= 2**bits, f'{words}: what is above it becomes white')
    turned = [one.orientation != UPRIGHT for one in all_seen]
    note(turned, 'images were turned upright, as their EXIF says, and regions go along: they count as drawn on the '
         'upright image, or on the stored pixels if their frame or mask has the shape of these')  # fmt: skip
    negative = facing_away(np.array([one.thumbnail for one in all_seen]).reshape(count, -1))
    note(negative, 'images are like negatives of the others (dark and bright exchanged, as where MONOCHROME1 was taken '
         'for MONOCHROME2)')  # fmt: skip
    return said


def of_levels(all_seen: Sequence[Seen], names: Sequence[str]) -> list[str]:
    """Sentences about images.levels, if it is given: that it leaves hardly a grey value, and leaves files of 8 bits."""
    clipped = float(np.median([one.clipped for one in all_seen]))
    said = [f'images.levels makes {clipped:.0%} of the pixels black or white, in half of the images or more.']
    said = said if clipped > MOST_CLIPPED else []
    flat = [name for name, one in zip(names, all_seen, strict=True) if _is_flat(one)]
    if 0 < len(flat) < len(names):
        what = f'fewer than {FEW} grey values, as where values are of another unit'
        said.append(f'images.levels leaves {len(flat)} of {len(names)} images {what}: {some(flat, NAMED)}.')
    of_bytes = [name for name, one in zip(names, all_seen, strict=True) if not one.largest and not one.is_constant]
    if not of_bytes:
        return said
    beside = 'are shown as they are, and images.levels is of the others'
    what = beside if len(of_bytes) < len(names) else 'images.levels changes none of them'
    return [*said, f'{len(of_bytes)} of {len(names)} files are of 8 bits, and {what}: {some(of_bytes, NAMED)}.']


def _is_flat(one: Seen) -> bool:
    return bool(one.largest) and not one.is_constant and one.brightest - one.darkest < FEW


def of_colour(all_seen: Sequence[Seen], names: Sequence[str], channels: int) -> list[str]:
    """A sentence about coloured files, if they are fewer than the grey ones. channels: of all images."""
    coloured = [name for name, one in zip(names, all_seen, strict=True) if one.is_coloured]
    if not 0 < 2 * len(coloured) < len(names):
        return []
    became = 'all images have three channels' if channels == 3 else 'they became grey'
    named, many = some(coloured, NAMED), len(coloured)
    return [f'{many} of {len(names)} files are coloured and the others grey; {became} (images.channels): {named}.']


def of_values(all_seen: Sequence[Seen], names: Sequence[str], window: bool) -> tuple[list[str], list[str]]:
    """Notes and doubts about DICOM files whose stored values are of different ranges, of which each is scaled by its
    own: a note where all begin at 0, as of radiographs of different depths; a doubt of rescaled values, as of CT."""
    notes, doubts = [], []
    stored = {name: one.values for name, one in zip(names, all_seen, strict=True) if one.values and not one.windowed}
    ranges = Counter(stored.values()).most_common()
    if len(ranges) > 1:
        listed = some([f'{low:g} to {high:g}: {count}' for (low, high), count in ranges], NAMED)
        words = f'DICOM files have {len(ranges)} ranges of values ({listed}), and each is scaled by its own'
        if any(low for (low, _), _ in ranges):
            doubts.append(f'{words}: equal values become different grey values.')
        else:
            notes.append(f'{words}.')
    if window and stored:
        named = some(list(stored), NAMED)
        doubts.append(
            f'{len(stored)} of {len(names)} files state no window (images.window) and are as stored: {named}.'
        )
    return notes, doubts


def facing_away(thumbnails: np.ndarray) -> np.ndarray:
    """Which images [N] are like negatives of the others; none where the set has no pattern in common.

    thumbnails: [N,M]. Of each its mean is taken away and its norm is made 1. The pattern in common is their first
    principal direction, uncentred, so that images and their negatives lie on one axis; the fewer are the negatives.
    """
    values = thumbnails.astype(np.float64)
    mean = values.mean(1)
    values -= mean[:, None]
    norm = np.linalg.norm(values, axis=1)
    there = norm > 0
    if there.sum() < ENOUGH:
        return np.zeros(len(values), bool)
    values[there] /= norm[there, None]
    variances, directions = np.linalg.eigh(values.T @ values / there.sum())
    along = values @ directions[:, -1]
    along = along if (along > 0).sum() * 2 >= there.sum() else -along
    if variances[-1] < COMMON:
        return np.zeros(len(values), bool)
    facing = along < -FACING
    usual = np.median(mean[~facing])  # those of the other side of a body face away, and are as bright
    return facing & (np.abs(mean - (255 - usual)) <= np.abs(mean - usual) + SHADE)


def of_sizes(sizes: np.ndarray, resize: str, size: int) -> list[str]:
    """Sentences about files that are smaller than the square, or not square. sizes: [N,2] height and width."""
    said, count = [], len(sizes)
    if small := (sizes.max(1, initial=0) < size).sum():
        said.append(f'{small} of {count} files are smaller than {size} pixels and were enlarged.')
    if odd := (sizes[:, 0] != sizes[:, 1]).sum():
        how = {'stretch': 'stretched to', 'pad': 'padded with black to', 'crop': 'cropped to'}[resize]
        said.append(f'{odd} of {count} files are not square and were {how} squares (images.resize).')
    return said
