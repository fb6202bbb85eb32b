"""What loaders of one's own get wrong: every mistake is one line that names it and says what would be right."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from imbalance_jax.data import soundness, sources
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.sources import phantom

SIZE = 16


@pytest.fixture(scope='module')
def sound() -> Dataset:
    """The phantom with people, cells, readers and sizes of files."""
    made = phantom.make(num_patients=30, image_size=SIZE, imbalance_ratio=1.0)
    count, regions = len(made.images), len(made.region_box)
    return dataclasses.replace(
        made,
        cells=np.stack([made.labels, made.labels]).astype(np.int8),
        region_reader=np.zeros(regions, np.int8),
        source_size=np.full((count, 2), 1024, np.int32),
        info={**made.info, 'readings': [['', 'ann'], ['', 'bob']], 'readers': ['ann']},
    )


def with_info(**changes):
    return lambda d: dataclasses.replace(d, info={**d.info, **changes})


def without_info(*keys):
    return lambda d: dataclasses.replace(d, info={k: v for k, v in d.info.items() if k not in keys})


def array(field, change):
    return lambda d: dataclasses.replace(d, **{field: change(getattr(d, field))})


def masks(change):
    """Masks made anew of the unpacked ones [R,H,W]."""
    return array('region_mask', lambda packed: change(np.unpackbits(packed, axis=-1)[:, :, :SIZE]))


def at(place, value):
    def put(values):
        values = values.copy()
        values[place] = value
        return values

    return put


MISTAKES = {
    # of the whole
    'a dictionary': (dataclasses.asdict, r'make gave a dict; it must give a data.dataset.Dataset: Dataset\(\*\*it\)'),
    'nothing': (lambda d: None, 'make gave a NoneType.*has no return'),
    'a pair': (lambda d: (d.images, d.labels), 'make gave a tuple'),
    'masked': (array('labels', np.ma.asarray), 'labels is a MaskedArray; a NumPy array without a mask is wanted'),
    'notes': (with_info(notes='abc'), r"info\['notes'\] is 'abc'; a list of sentences is wanted"),
    'a group twice': (with_info(groups={'sex': ['f', 'f'], 'age': [], 'view': []}), "'sex'. has 'f' twice"),
    'groups': (with_info(groups=['sex']), r"info\['groups'\] is \['sex'\]; \{grouping: \[names of groups\]\}"),
    'cells': (array('cells', lambda cells: 1 - cells), 'labels say the contrary of cells, where all readings agree'),
    'lists for arrays': (array('labels', np.ndarray.tolist), 'labels is a list; a NumPy array'),
    'None for an array': (array('region_box', lambda _: None), 'region_box is a NoneType; a NumPy array'),
    # of images
    'images in 0..1': (array('images', lambda x: np.float32(x / 255)), r'images are float32.*in 0..1: numpy.round'),
    'images in 0..1 cast': (array('images', lambda x: (x / 255).astype(np.uint8)), 'no pixel is above 1, of 255'),
    'images of 16 bit': (array('images', lambda x: x.astype(np.uint16)), 'images are uint16'),
    'channels first': (array('images', lambda x: x.transpose(0, 3, 1, 2)), 'channels first; .* images.transpose'),
    'no axis of channels': (array('images', lambda x: x[..., 0]), 'axis of channels is missing: images'),
    'another size': (array('images', lambda x: x.repeat(2, 1).repeat(2, 2)), 'are 32 x 32 pixels; 16 x 16 is asked'),
    'no images': (array('images', lambda x: x[:0]), 'there is no image'),
    # of labels
    'labels as numbers with a point': (array('labels', np.float32), 'labels holds float32; whole numbers'),
    'labels with NaN': (array('labels', lambda x: np.where(x, 1, np.nan)), 'labels holds float64 with NaN'),
    'labels as truths': (array('labels', lambda x: x > 0), 'labels holds bool; whole numbers are wanted .0 and 1'),
    'labels as words': (array('labels', lambda x: np.where(x, 'yes', 'no')), 'labels holds <U3'),
    'labels of -1': (array('labels', lambda x: at((0, 0), -1)(x.astype(int))), 'labels of image .* is -1; it must be'),
    'labels in 0..255': (array('labels', lambda x: x * np.uint8(255)), 'is 255; it must be 0 or 1'),
    'labels turned': (array('labels', np.transpose), r'labels has the shape \[8,'),
    'one number per image': (array('labels', lambda x: x.argmax(1)), r'labels has the shape'),
    'the mask as truths': (array('label_mask', lambda x: x > 0), 'label_mask holds bool'),
    'two classes of one': (with_info(task='multi_class'), 'an image has one class of a multi-class set'),
    'another task': (with_info(task='multiclass'), "info\\['task'\\] is 'multiclass'; it must be multi_label or"),
    # of images' names, splits and patients
    'names as bytes': (array('image_id', np.char.encode), 'image_id holds .S.*text is wanted: numpy.char.decode'),
    'names as objects': (array('image_id', lambda x: x.astype(object)), 'image_id holds object; text is wanted'),
    'names as numbers': (array('image_id', lambda x: np.arange(len(x))), 'image_id holds int64; text'),
    'a name twice': (array('image_id', lambda x: at(0, x[1])(x)), 'is there twice'),
    'a name of nothing': (array('image_id', at(0, '')), "an image has the name ''"),
    'splits as words': (array('split', lambda x: np.array(['train', 'validation', 'test'])[x]), 'split holds <U10'),
    'a split from 1': (array('split', lambda x: x + np.uint8(1)), 'the split of an image must be one of'),
    'NaN patients': (array('patient', lambda x: at(0, np.nan)(x.astype(float))), 'patient holds float64 with NaN'),
    'patients as numbers with a point': (array('patient', np.float64), 'patient holds float64; whole numbers'),
    'patients as words': (array('patient', lambda x: x.astype(str)), 'patient holds <U.*numpy.unique'),
    'an unknown patient': (array('patient', at(0, -1)), 'a patient is a number of 0 or more .*that of'),
    # of regions
    'boxes in 0..1': (array('region_box', lambda x: x / 1024), 'all boxes lie in 0..1, and the frame has 1024 x 1024'),
    'corner and sides': (
        array('region_box', lambda x: np.hstack([x[:, :2] + 400, x[:, 2:] - x[:, :2]])),
        'corners, not sides',
    ),
    'boxes as y x y x': (array('region_box', lambda x: x[:, [1, 0, 3, 2]]), 'they are to be one region'),
    'boxes of another shape': (array('region_box', lambda x: x.reshape(-1, 2, 2)), 'region_box has the shape'),
    'masks not packed': (masks(lambda x: x), r'they are not packed: numpy.packbits\(mask, axis=-1\)'),
    'masks as truths': (masks(lambda x: x > 0), 'region_mask holds bool; uint8 is wanted, masks packed'),
    'masks packed along y': (masks(lambda x: np.packbits(x, axis=1)), 'they are packed along y'),
    'masks of another size': (
        masks(lambda x: np.packbits(x.repeat(2, 1).repeat(2, 2), axis=-1)),
        'they must have the size of the images',
    ),
    'masks packed from the other end': (
        masks(lambda x: np.packbits(x, axis=-1, bitorder='little')),
        'they are to be one region',
    ),
    'masks turned': (masks(lambda x: np.packbits(x.transpose(0, 2, 1), axis=-1)), 'they are to be one region'),
    'an empty mask': (array('region_mask', at(2, 0)), 'the mask of .* in image .* is empty'),
    'masks in another order': (array('region_mask', lambda x: x[::-1]), 'they are to be one region'),
    'masks of some regions': (array('region_mask', lambda x: x[:-1]), 'all or none are wanted'),
    'concepts from 1': (array('region_concept', lambda x: x + x.max()), 'region_concept must have'),
    'concepts as words': (array('region_concept', lambda x: x.astype(str)), 'region_concept holds <U'),
    'a reader that there is not': (array('region_reader', lambda x: x + np.int8(1)), 'region_reader must have numbers'),
    # of info
    'no frame': (without_info('frame'), "info has no 'frame'; it must have"),
    'no problems': (without_info('problems'), "info has no 'problems'"),
    'a list of problems': (with_info(problems=['a.png']), r"info\['problems'\] is \['a.png'\]"),
    'no info': (lambda d: dataclasses.replace(d, info=None), 'info is a NoneType; a dictionary'),
    'a number of NumPy': (with_info(options={'seed': np.int64(3)}), r"info\['options'\]\['seed'\] is .*it.item\(\)"),
    'a number of NumPy in a frame': (with_info(frame=[np.float64(1024), 1024]), r"info\['frame'\]\[0\] is .*it.item"),
    'an array in info': (with_info(frame=np.array([1024, 1024])), r'a ndarray; JSON has none: write it as it.tolist'),
    'a path': (with_info(source=Path('x')), r"info\['source'\] is PosixPath\('x'\), a PosixPath; JSON has none"),
    'a set': (with_info(options={'kept': {'a'}}), 'a set; JSON has none'),
    'a class twice': (with_info(classes=['Mass', 'Mass']), "has 'Mass' twice"),
    'a class with a blank': (with_info(classes=['Mass ']), 'without outer blanks'),
    'a class of a table': (with_info(classes=['macro']), 'which tables use for something else'),
    'no class': (with_info(classes=[]), "info\\['classes'\\] is empty"),
    'one word for classes': (with_info(classes='Mass'), "info\\['classes'\\] is 'Mass'; a list of names"),
    'concepts that begin otherwise': (
        lambda d: with_info(concepts=d.info['concepts'][::-1])(d),
        'the concepts must begin with the classes',
    ),
    'a frame of one side': (with_info(frame=[1024]), r'frame is \[1024\]; \[height, width\]'),
    'a frame of nothing': (with_info(frame=[0, 0]), r'frame is \[0, 0\]'),
    'anatomy that is no concept': (with_info(anatomy=['spleen']), "info\\['anatomy'\\] has 'spleen'"),
    # of people, cells and sizes
    'groups without names': (without_info('groups'), 'groups has the shape'),
    'names without groups': (array('groups', lambda _: None), "groups and info\\['groups'\\] go together"),
    'a group too many': (array('groups', at((0, 0), 2)), 'the group by sex of an image must be from -1'),
    'cells that say nothing known': (array('cells', at((0, 0, 0), 2)), 'cells of an image must be among'),
    'cells without readings': (with_info(readings=[['', 'ann']]), r'cells has the shape \[2,'),
    'readings that are no pairs': (with_info(readings=['ann', 'bob']), 'pairs .version, reader. are wanted'),
    'files without a size': (array('source_size', at((0, 0), 0)), 'source_size must be above 0; that of'),
}  # fmt: skip


def test_what_all_others_are_made_of_is_sound(sound):
    soundness.check(sound, SIZE)
    declared = dataclasses.replace(
        sound, region_box=sound.region_box / np.float32(1024), info={**sound.info, 'frame': [1, 1]}
    )
    soundness.check(declared, SIZE)


def test_a_thin_region_keeps_a_pixel_and_a_box_drawn_by_hand_is_near_enough(sound):
    """A wire that loses all but one pixel lies in its box; a box that is 20 % too small holds its mask well enough."""
    mask = np.zeros((2, SIZE, SIZE), np.uint8)
    mask[0, 7, 8], mask[1, 2:14, 2:14] = 1, 1
    two = dataclasses.replace(
        sound,
        region_image=np.int32([0, 1]),
        region_concept=np.int32([0, 1]),
        region_box=np.float32([[10, 20, 1000, 990], [180, 180, 840, 840]]),
        region_mask=np.packbits(mask, axis=-1),
        region_reader=np.int8([0, -1]),
    )
    soundness.check(two, SIZE)


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_mistake_is_one_line(sound, mistake):
    change, said = MISTAKES[mistake]
    with pytest.raises(ValueError, match=said) as caught:
        soundness.check(change(sound), SIZE)
    text = str(caught.value)
    assert '\n' not in text
    assert len(text) < 700


def test_boxes_in_pixels_of_the_prepared_image_are_suspected(sound, caplog):
    regions = np.arange(40) % len(sound.images)
    boxes = np.tile(np.float32([2, 2, 9, 9]), (40, 1))
    small = dataclasses.replace(
        sound,
        region_image=np.int32(regions),
        region_concept=np.zeros(40, np.int32),
        region_box=boxes,
        region_reader=np.zeros(40, np.int8),
        region_mask=sound.region_mask[:0],
    )
    soundness.check(small, SIZE)
    assert 'is the frame right?' in caplog.text


def test_the_size_that_was_asked_for_is_compared_where_a_set_is_loaded(sound, tmp_path, monkeypatch):
    monkeypatch.setitem(sources.DATASETS, 'mine', lambda *, image_size: sound)
    assert len(sources.load('mine', tmp_path, {'image_size': SIZE}).images) == len(sound.images)
    with pytest.raises(ValueError, match='16 x 16 pixels; 32 x 32 is asked for'):
        sources.load('mine', tmp_path, {'image_size': 32})
