"""Where regions, labels and sizes of files say two things of one image."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import scipy

from imbalance_jax.data.dataset import PRESENT
from imbalance_jax.data.reader.cases import Cases
from imbalance_jax.data.reader.layout import NO_FINDING, Layout
from imbalance_jax.data.reader.placing import Planned, Region, Size, are_alike, as_stored
from imbalance_jax.data.reader.region_rows import may_be_corners
from imbalance_jax.data.reader.rows import NAMED, Found
from imbalance_jax.data.reader.spelling import matches
from imbalance_jax.data.reader.squares import Square
from imbalance_jax.names import some

MANY = 8  # images with a box, from which on all boxes in one corner are no chance
FEW = 3  # boxes, from which on most outside their images are doubted
SOME = 0.25  # share of boxes outside their images, from which on they are doubted if all may be corners
MANY, NEARLY = 8, 0.9  # images with a box, and share of them, from which on one box is no chance
ALIKE = 0.1  # share of the images with a mask that have one and the same, from which on that is no chance
WRITTEN = {1, 255}  # what inside is in a mask of zero and one, and of black and white
WHOLE = 0.98  # share of an image from which on a region covers it
MOST = 0.8  # share of a class's images with a region, from which on the others lack one; of masks that are hollow
LOOKED_AT, HOLLOW = 100, 2.0  # masks of a concept; what an outline and all within are of the outline


def of_regions(cases: Cases, concepts: Sequence[str], regions: Sequence[Sequence[Region]], size: int) -> list[str]:
    """Sentences about regions of images that cover these, or all but a hole, that all lie in one corner, and about
    regions that lack. size: of the square."""
    whole, outside, soft, several, coloured = [], [], [], [], []
    for row, of_image in enumerate(regions):
        for one in of_image:
            name = f'{cases.image_id[row]} {concepts[one.concept]}'
            if one.placed.share >= WHOLE:
                whole.append(name)
            elif one.placed.has_rim:
                outside.append(name)
            if one.placed.is_soft:
                soft.append(name)
            if one.placed.colours:
                coloured.append(f'{name} ({one.placed.colours})')
            elif one.placed.values:
                several.append(f'{name} ({" ".join(map(str, one.placed.values))})')
    said = {
        'Regions that cover their whole image, so that every map points into them': whole,
        'Masks that hold the whole rim of their image or crop, as where inside and outside are exchanged': outside,
        'Masks with grey edges, as where one was enlarged or reduced: all that is not black counts as inside': soft,
        'Masks with several grey values, as where one means another finding or what is to be ignored: all that is not '
        'black counts as inside (regions.values tells them apart)': several,
        'Masks with several colours, as where each means another finding: all that is not black counts as inside (save '
        'each as a mask of its own, or as a grey value that regions.values tells apart)': coloured,
    }
    listed = [f'{words}: {len(names)} ({some(names, NAMED)}).' for words, names in said.items() if names]
    listed += [*_of_other_values(concepts, regions), *_of_crops(cases, concepts, regions)]
    listed += [*_of_one_mask(cases, concepts, regions), *_of_equal_readers(concepts, regions)]
    listed += _of_outlines(cases, concepts, regions)
    return [*listed, *_in_a_corner(regions, size), *_lacking(cases, regions)]


def _of_one_mask(cases: Cases, concepts: Sequence[str], regions: Sequence[Sequence[Region]]) -> list[str]:
    """Sentences about concepts of which several images have one mask file to the pixel, a good part of all that do, or
    nearly all of many one box."""
    images: dict[tuple[int, str], dict[str, list[str]]] = {}
    for row, of_image in enumerate(regions):
        kinds = {(one.concept, 'mask' if one.placed.digest else 'box', _looks(one)) for one in of_image}
        for concept, kind, looks in kinds:
            images.setdefault((concept, kind), {}).setdefault(looks, []).append(str(cases.image_id[row]))
    said = []
    for (concept, kind), by_looks in sorted(images.items()):
        alike, count = max(by_looks.values(), key=len), sum(map(len, by_looks.values()))
        least, share = (FEW, ALIKE) if kind == 'mask' else (MANY, NEARLY)
        if len(alike) >= least and len(alike) >= share * count:
            what = f'{len(alike)} of {count} images with a {kind} of {concepts[concept]} have the same one to the pixel'
            said.append(f'{what}, as where a template was copied: {some(alike, NAMED)}.')
    return said


def _of_equal_readers(concepts: Sequence[str], regions: Sequence[Sequence[Region]]) -> list[str]:
    """Sentences about two readers whose masks of a concept are the same to the pixel, in all images of both."""
    same: dict[tuple[int, str, str], list[bool]] = {}
    for of_image in regions:
        drawn = [one for one in of_image if one.reader and one.placed.digest]
        for one, other in itertools.combinations(drawn, 2):
            if one.concept == other.concept and one.reader != other.reader:
                first, second = sorted((one.reader, other.reader))
                same.setdefault((one.concept, first, second), []).append(one.placed.digest == other.placed.digest)
    return [
        f'Readers {first} and {second} drew {concepts[concept]} the same to the pixel in all {len(equal)} images.'
        for (concept, first, second), equal in same.items()
        if len(equal) >= FEW and all(equal)
    ]


def _of_outlines(cases: Cases, concepts: Sequence[str], regions: Sequence[Sequence[Region]]) -> list[str]:
    """Sentences about concepts whose masks are hollow, nearly all of those that are looked at."""
    masks: dict[int, list[tuple[str, np.ndarray]]] = {}
    for row, of_image in enumerate(regions):
        for one in of_image:
            of_concept = masks.setdefault(one.concept, [])
            if one.placed.digest and one.placed.mask is not None and len(of_concept) < LOOKED_AT:
                of_concept.append((str(cases.image_id[row]), np.unpackbits(one.placed.mask, axis=-1)))
    said = []
    for concept, drawn in sorted(masks.items()):
        filled = (scipy.ndimage.binary_fill_holes(mask).sum() for _, mask in drawn)
        hollow = [name for (name, mask), whole in zip(drawn, filled, strict=True) if whole >= HOLLOW * mask.sum() > 0]
        if len(hollow) >= max(FEW, MOST * len(drawn)):
            what = f'{len(hollow)} of {len(drawn)} masks of {concepts[concept]} are hollow, as outlines are'
            said.append(f'{what}, and what is within counts as outside: {some(hollow, NAMED)}.')
    return said


def _looks(region: Region) -> str:
    return region.placed.digest or ' '.join(f'{end:.2f}' for end in region.placed.box)


def _of_other_values(concepts: Sequence[str], regions: Sequence[Sequence[Region]]) -> list[str]:
    """Sentences about concepts whose mask files have one grey value each, and not the same, but for 1 and 255, as which
    inside is written."""
    count: dict[int, Counter[int]] = {}
    for one in itertools.chain(*regions):
        if one.placed.value:
            count.setdefault(one.concept, Counter())[one.placed.value] += 1
    what = 'have one grey value each, and not the same, as where each means another finding; all count as inside'
    listed = {k: ', '.join(f'{value} in {number}' for value, number in sorted(of.items())) for k, of in count.items()}
    odd = [k for k, of in count.items() if len(of) > 1 and set(of) != WRITTEN]
    return [f'Mask files of {concepts[k]} {what}: {listed[k]}.' for k in odd]


def _of_crops(cases: Cases, concepts: Sequence[str], regions: Sequence[Sequence[Region]]) -> list[str]:
    """A sentence about masks of another size than their crop, where most have that of theirs, or of another shape: not
    those that all were resized to one."""
    crops = [
        (f'{cases.image_id[row]} {concepts[one.concept]}', one.placed.of_crop[:2], one.placed.of_crop[2:])
        for row, of_image in enumerate(regions)
        for one in of_image
        if one.placed.of_crop
    ]
    odd = [one for one in crops if np.abs(np.subtract(one[1], one[2])).max() > 1]
    if 2 * len(odd) > len(crops):
        several = len({mask for _, mask, _ in crops}) > 1
        odd = [one for one in odd if one[1] == one[2][::-1] or (several and not are_alike(one[1], one[2]))]
    named = some([f'{name} ({_size(mask)}, crop {_size(crop)})' for name, mask, crop in odd], NAMED)
    what = 'Masks of another size (height x width) than their crop (regions.crop), stretched into it'
    return [f'{what}: {len(odd)} ({named}).'] if odd else []


def _in_a_corner(regions: Sequence[Sequence[Region]], size: int) -> list[str]:
    """A sentence about boxes that are counted in pixels of a smaller image, as far as that shows."""
    boxes = np.array([one.placed.box for of_image in regions for one in of_image if one.placed.mask is None])
    if sum(map(bool, regions)) < MANY or not len(boxes) or boxes.max() > size / 2:
        return []
    return [
        f'All {len(boxes)} boxes lie in the upper left quarter of their images, as those of a smaller image do: '
        'regions.frame says in whose pixels they are.'
    ]


def of_placing(problems: Mapping[str, Sequence[str]], cases: Cases, layout: Layout, count: int) -> list[str]:
    """A sentence about boxes that nearly all leave their images, or some where all would be corners. count: of regions
    that do not."""
    lost = len(problems.get('box_outside_image', ()))
    form = next((one.form for one in layout.regions if one.box), '')
    most = lost >= FEW and lost > count
    if not form or not lost or not (most or (lost >= SOME * (lost + count) and may_be_corners(cases, layout, FEW))):
        return []
    other = 'xyxy' if form == 'xywh' else 'xywh'
    return [
        f'{lost} boxes of {lost + count} regions leave their images: regions.form is {form!r}; are they {other!r}, or '
        'in pixels of another image (regions.frame)?'
    ]


def _lacking(cases: Cases, regions: Sequence[Sequence[Region]]) -> list[str]:
    """Positives without a region, of classes that nearly all have one."""
    present = np.logical_or.reduce([one.cells == PRESENT for one in cases.readings])
    drawn = np.zeros_like(present)
    for row, of_image in enumerate(regions):
        drawn[row, [one.concept for one in of_image if one.concept < drawn.shape[1]]] = True
    said = []
    for k, name in enumerate(cases.classes):
        lacking = np.flatnonzero(present[:, k] & ~drawn[:, k])
        count, own = present[:, k].sum(), (present & drawn)[:, k].sum()
        if len(lacking) and own >= MOST * count and not matches(name, NO_FINDING):
            names = some(cases.image_id[lacking].tolist(), NAMED)
            said.append(f'{len(lacking)} of {count} images with {name} have no region of it: {names}.')
    return said


def say_frames(cases: Cases, plan: Sequence[Sequence[Planned]], sizes: Sequence[Size], found: Found) -> None:
    """Says which frames are of another size than the files, which is no doubt where one of the same shape was declared;
    ValueError for width and height exchanged in all."""
    declared: dict[int, tuple[float, ...]] = {}
    stated: dict[int, tuple[float, ...]] = {}
    for row, of_image in enumerate(plan):
        for frame in (one.frame for one in of_image):
            for kind, size in ((declared, frame.declared), (stated, () if frame.declared else frame.stated)):
                if size:
                    kind[row] = size
    _refuse_exchanged(cases, declared, sizes)
    of_table = 'The size of the image that its table states is of another'
    scaled, stretched = _of_others(cases, declared, sizes, ('regions.frame is of another', 'stretched'))
    left = "taken in the file's pixels; regions.frame would stretch them"
    found.notes.extend(scaled)
    found.doubts.extend([*stretched, *itertools.chain(*_of_others(cases, stated, sizes, (of_table, left)))])


def refuse_in_one_point(cases: Cases, plan: Sequence[Sequence[Planned]], squares: Sequence[Square]) -> None:
    """ValueError where all regions are in the first pixel of their images, as where a frame is far too large."""
    ends = [max(one.placed.box) for square in squares for one in square.regions]
    if not ends or max(ends) > 1 or squares[0].size.square == 1:
        return
    for row, (of_image, square) in enumerate(zip(plan, squares, strict=True)):
        own = square.size[:2]
        for frame in (one.frame.of(square.size) for one in of_image):
            if tuple(frame) != own and square.regions:
                raise ValueError(
                    f'regions.frame: in a frame of {_size(frame)} (height x width), as declared or stated of image '
                    f'{cases.image_id[row]}, whose file is {_size(own)}, all {len(ends)} regions lie in the first '
                    'pixel; frame is the size of the image that their numbers are measured in.'
                )


def _refuse_exchanged(cases: Cases, frames: dict[int, tuple[float, ...]], sizes: Sequence[Size]) -> None:
    """ValueError where every frame that is not square is its file's size with height and width exchanged."""
    uneven = {row: frame for row, frame in frames.items() if frame[0] != frame[1]}
    if uneven and all(
        frame == (sizes[row].width, sizes[row].height) and not as_stored(sizes[row], frame)
        for row, frame in uneven.items()
    ):
        row, frame = next(iter(uneven.items()))
        raise ValueError(
            f'regions.frame of image {cases.image_id[row]} is {frame[0]:g} high and {frame[1]:g} wide, and its file is '
            f'{sizes[row].height} high and {sizes[row].width} wide: frame is (height, width); exchange the two.'
        )


def _of_others(
    cases: Cases, frames: dict[int, tuple[float, ...]], sizes: Sequence[Size], words: tuple[str, str]
) -> tuple[list[str], list[str]]:
    """Sentences about images with a frame of another size than their file, and of another shape. words: how they
    begin, and what becomes of regions where the shapes differ."""
    other = {row: frame for row, frame in frames.items() if frame != sizes[row][:2]}
    scaled = {row for row, frame in other.items() if are_alike(frame, sizes[row][:2]) or as_stored(sizes[row], frame)}
    said: tuple[list[str], list[str]] = [], []
    kinds = (scaled, 'size', 'scaled'), (other.keys() - scaled, 'shape', words[1])
    for sentences, (rows, what, became) in zip(said, kinds, strict=True):
        both = {row: f'({_size(other[row])}, file {_size(sizes[row][:2])})' for row in sorted(rows)}
        names = some([f'{cases.image_id[row]} {text}' for row, text in both.items()], NAMED)
        how = f'{what} (height x width) than the file, for {len(rows)} of {len(frames)} images: {names}'
        sentences += [f'{words[0]} {how}. Regions are {became}.'] if rows else []
    return said


def _size(size: Sequence[float]) -> str:
    """Height and width."""
    return f'{size[0]:g} x {size[1]:g}'
