"""The form of a data set: which arrays of which kind and shape a `make` must give, and what its `info` must say."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imbalance_jax.data.dataset import ARRAYS, OPTIONAL, Dataset

INFO = ('name', 'classes', 'concepts', 'frame', 'options', 'problems', 'source', 'licence')  # what `Dataset.info` has
CHOICES = {'task': ('multi_label', 'multi_class'), 'resize': ('stretch', 'pad', 'crop')}
RESERVED = ('macro', 'micro')  # of tables: means over classes
CHANNELS = (1, 3, 4)  # of an axis that comes first by mistake
WHOLE = {
    'labels': '0 and 1, with what is uncertain 0 in label_mask',
    'label_mask': '0 and 1, 0 where a label is uncertain or missing',
    'split': '0 train, 1 validation, 2 test, 255 none',
    'patient': 'one number per patient: numpy.unique(names, return_inverse=True)[1] numbers names',
    'region_image': 'row numbers of the images',
    'region_concept': "places in info['concepts']",
    'groups': "places in the names of info['groups'], -1 unknown",
    'cells': '1 present, 0 absent, -1 uncertain, -2 not mentioned, -3 not read',
    'region_reader': "places in info['readers'], -1 for a consensus",
    'source_size': 'height and width of files in pixels',
}


def check_form(dataset: Any, image_size: int | None = None) -> None:
    """Raises ValueError for anything that is no `Dataset`, or for arrays and an info of another kind than it says.

    image_size: what was asked for, if it is known.
    """
    if not isinstance(dataset, Dataset):
        hint = ': Dataset(**it)' if isinstance(dataset, dict) else ', or has no return' if dataset is None else ''
        raise ValueError(f'make gave a {type(dataset).__name__}; it must give a data.dataset.Dataset{hint}.')
    check_info(dataset.info)
    name = dataset.info['name']
    for field in ARRAYS:
        value = getattr(dataset, field)
        masked = isinstance(value, np.ma.MaskedArray)
        if masked or (not isinstance(value, np.ndarray) and not (value is None and field in OPTIONAL)):
            what = 'a NumPy array without a mask' if masked else 'a NumPy array'
            raise ValueError(f'{name}: {field} is a {type(value).__name__}; {what} is wanted.')
    _check_images(dataset.images, name, image_size)
    for field, meaning in WHOLE.items():
        array = getattr(dataset, field)
        if array is not None and array.dtype.kind not in 'iu':
            gaps = ' with NaN' if array.dtype.kind == 'f' and np.isnan(array).any() else ''
            raise ValueError(f'{name}: {field} holds {array.dtype}{gaps}; whole numbers are wanted ({meaning}).')
    _check_kinds(dataset, name)
    _check_shapes(dataset, name)


def check_info(info: Any) -> None:
    """Raises ValueError for an info that lacks something, contradicts itself, or can't be written as JSON."""
    if not isinstance(info, dict):
        raise ValueError(f'info is a {type(info).__name__}; a dictionary with {", ".join(INFO)} is wanted.')
    name = info.get('name', 'data set')
    if absent := [key for key in INFO if key not in info]:
        raise ValueError(f'{name}: info has no {", ".join(map(repr, absent))}; it must have {", ".join(INFO)}.')
    _check_json(info, name)
    classes, concepts = _names(info, 'classes'), _names(info, 'concepts')
    if not classes:
        raise ValueError(f"{name}: info['classes'] is empty; one class or more is wanted.")
    if concepts[: len(classes)] != classes:
        raise ValueError(f'{name}: the concepts must begin with the classes {classes}; they are {concepts}.')
    if foreign := [one for one in _names(info, 'anatomy') if one not in concepts]:
        raise ValueError(f"{name}: info['anatomy'] has {foreign[0]!r}, which is no concept; they are {concepts}.")
    _check_frame(info['frame'], name)
    for key, known in CHOICES.items():
        if info.get(key, known[0]) not in known:
            raise ValueError(f'{name}: info[{key!r}] is {info[key]!r}; it must be {" or ".join(known)}.')
    problems = info['problems']
    if not isinstance(problems, dict) or not all(isinstance(one, (list, tuple)) for one in problems.values()):
        raise ValueError(f"{name}: info['problems'] is {_short(problems)}; {{kind: [names of files]}} is wanted.")
    for key in ('notes', 'doubts'):
        said = info.get(key, [])
        if not isinstance(said, (list, tuple)) or not all(isinstance(one, str) for one in said):
            raise ValueError(f'{name}: info[{key!r}] is {_short(said)}; a list of sentences is wanted.')
    groups = info.get('groups', {})
    if not isinstance(groups, dict):
        raise ValueError(f"{name}: info['groups'] is {_short(groups)}; {{grouping: [names of groups]}} is wanted.")
    for grouping in groups:
        _names({'name': f"{name}, info['groups']", **groups}, grouping)
    _check_readings(info, name)


def _check_frame(frame: Any, name: str) -> None:
    sides = isinstance(frame, (list, tuple)) and len(frame) == 2 and all(isinstance(x, (int, float)) for x in frame)
    if not sides or not all(x > 0 for x in frame):
        raise ValueError(f'{name}: frame is {frame!r}; [height, width] in pixels is wanted.')


def _check_readings(info: dict, name: str) -> None:
    readings = info.get('readings', [])
    pairs = isinstance(readings, (list, tuple)) and all(
        isinstance(one, (list, tuple)) and len(one) == 2 and all(isinstance(word, str) for word in one)
        for one in readings
    )
    if not pairs:
        raise ValueError(f"{name}: info['readings'] is {_short(readings)}; pairs [version, reader] are wanted.")


def _check_json(value: Any, name: str, place: str = 'info') -> None:
    """The first value, wherever it stands, that JSON has no word for."""
    if isinstance(value, dict):
        for key, one in value.items():
            if not isinstance(key, str):
                raise ValueError(f'{name}: {place} has the key {key!r}; keys are text.')
            _check_json(one, name, f'{place}[{key!r}]')
    elif isinstance(value, (list, tuple)):
        for number, one in enumerate(value):
            _check_json(one, name, f'{place}[{number}]')
    elif not isinstance(value, (str, bool, int, float, type(None))) or isinstance(value, np.generic):
        hint = '.item()' if isinstance(value, np.generic) else '.tolist()' if isinstance(value, np.ndarray) else ''
        advice = f'write it as it{hint}' if hint else 'write it as text, a number or a list, such as str(it)'
        raise ValueError(f'{name}: {place} is {_short(value)}, a {type(value).__name__}; JSON has none: {advice}.')
    else:
        json.dumps(value)


def _names(info: Mapping[str, Any], key: str) -> list[str]:
    """The names under `key`, different ones, [] if there are none."""
    name, names = info['name'], info.get(key, [])
    if not isinstance(names, (list, tuple)) or not all(isinstance(one, str) and one.strip() == one for one in names):
        raise ValueError(f'{name}: info[{key!r}] is {_short(names)}; a list of names without outer blanks is wanted.')
    if twice := [one for number, one in enumerate(names) if one in names[:number]]:
        raise ValueError(f'{name}: info[{key!r}] has {twice[0]!r} twice; a name is there once.')
    if odd := [one for one in names if one in RESERVED or not one]:
        raise ValueError(
            f'{name}: info[{key!r}] has {odd[0]!r}, which tables use for something else; name it otherwise.'
        )
    return list(names)


def _check_images(images: np.ndarray, name: str, image_size: int | None) -> None:
    kind, axes = images.dtype, list(images.shape)
    if kind != np.uint8 or len(axes) != 4:
        hint = ''
        if kind.kind == 'f' and images.size and np.nanmax(images[:1024]) <= 1:
            hint = '; they are in 0..1: numpy.round(255 * images).astype(numpy.uint8)'
        elif len(axes) == 3 and kind == np.uint8:
            hint = '; the axis of channels is missing: images[..., None]'
        raise ValueError(f'{name}: images are {kind}{axes}, not uint8 [N,H,W,C]{hint}.')
    if not axes[0]:
        raise ValueError(f'{name}: there is no image.')
    if axes[1] in CHANNELS and axes[3] > max(CHANNELS):
        raise ValueError(
            f'{name}: images are {axes}, channels first; [N,H,W,C] is wanted: images.transpose(0, 2, 3, 1).'
        )
    if image_size is not None and axes[1:3] != [image_size, image_size]:
        asked = f'{image_size} x {image_size} is asked for (config.data.image_size)'
        raise ValueError(f'{name}: images are {axes[1]} x {axes[2]} pixels; {asked}.')
    if images[:1024].max() <= 1:
        raise ValueError(f'{name}: no pixel is above 1, of 255; images in 0..1 are to be multiplied by 255 first.')


def _check_kinds(dataset: Dataset, name: str) -> None:
    if dataset.image_id.dtype.kind != 'U':
        hint = ': numpy.char.decode' if dataset.image_id.dtype.kind == 'S' else ': numpy.array([str(i) for i in ids])'
        raise ValueError(f'{name}: image_id holds {dataset.image_id.dtype}; text is wanted{hint}.')
    if dataset.region_box.dtype.kind not in 'fiu':
        raise ValueError(f'{name}: region_box holds {dataset.region_box.dtype}; numbers in pixels are wanted.')
    if dataset.region_mask.dtype != np.uint8:
        hint = 'masks packed by numpy.packbits(mask, axis=-1)'
        raise ValueError(f'{name}: region_mask holds {dataset.region_mask.dtype}; uint8 is wanted, {hint}.')


def _check_shapes(dataset: Dataset, name: str) -> None:
    count, classes, regions = len(dataset.images), len(dataset.classes), len(dataset.region_box)
    info = dataset.info
    shapes: dict[str, Sequence[int]] = {
        'labels': (count, classes),
        'label_mask': (count, classes),
        'split': (count,),
        'patient': (count,),
        'image_id': (count,),
        'region_image': (regions,),
        'region_concept': (regions,),
        'region_box': (regions, 4),
        'groups': (count, len(info.get('groups', {}))),
        'cells': (len(info.get('readings', [])), count, classes),
        'region_reader': (regions,),
        'source_size': (count, 2),
    }
    for field, wanted in shapes.items():
        array = getattr(dataset, field)
        if array is not None and array.shape != tuple(wanted):
            raise ValueError(f'{name}: {field} has the shape {list(array.shape)}; {list(wanted)} is wanted.')
    for field, key in (('groups', 'groups'), ('cells', 'readings'), ('region_reader', 'readers')):
        if (getattr(dataset, field) is None) == bool(info.get(key)):
            raise ValueError(f'{name}: {field} and info[{key!r}] go together; one of them is missing.')


def _short(value: Any) -> str:
    text = ' '.join(repr(value).split())
    return text if len(text) <= 80 else f'{text[:77]}...'
