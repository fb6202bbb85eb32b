"""Which feature of a TFDS data set is the image, the label, the boxes, and what the label's numbers mean."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.dataset import ABSENT, NOT_MENTIONED, PRESENT, UNCERTAIN
from imbalance_jax.names import lookup

CELLS = {
    'positive': PRESENT,
    'negative': ABSENT,
    'uncertain': UNCERTAIN,
    'unmentioned': NOT_MENTIONED,
    'not mentioned': NOT_MENTIONED,
}
# Labels whose classes TFDS does not name: {data set: classes in its order}.
CLASSES = {
    'chexpert': (
        'No Finding',
        'Enlarged Cardiomediastinum',
        'Cardiomegaly',
        'Lung Opacity',
        'Lung Lesion',
        'Edema',
        'Consolidation',
        'Pneumonia',
        'Atelectasis',
        'Pneumothorax',
        'Pleural Effusion',
        'Pleural Other',
        'Fracture',
        'Support Devices',
    )
}


class Roles(NamedTuple):
    """What the features of a data set are for.

    label: its name, '' if the objects' labels are the labels; kind: 'one' number per image, 'several' numbers, 'flags'
    (0 or 1 per class), or 'cells' (a word of `CELLS` per class); classes: names; words: what the numbers of 'cells'
    mean; objects: the feature of boxes, box and box_label: their names in it, '' without; object_names: of what the
    boxes are; channels: 1, 3, or 0 if it is not said
    """

    image: str
    label: str
    kind: str
    classes: tuple[str, ...]
    words: tuple[int, ...]
    objects: str
    box: str
    box_label: str
    object_names: tuple[str, ...]
    channels: int


def roles(info: Any, image: str, label: str, classes: Sequence[str]) -> Roles:
    """The roles of the features in a `tfds.core.DatasetInfo`; finds those not named, ValueError where unclear."""
    import tensorflow_datasets as tfds

    features = dict(info.features.items())
    supervised = [name if isinstance(name, str) else '' for name in info.supervised_keys or ('', '')]
    plain = [name for name, one in features.items() if type(one) is tfds.features.Image]
    image = image or _only([supervised[0]] if supervised[0] in plain else plain, features, 'image', info.name)
    if image not in plain:
        lookup(features, image, f'feature of {info.name} (option image)')
        raise ValueError(
            f'{info.name}: the feature {image!r} is no image; its images are {", ".join(plain) or "none"}.'
        )
    objects, box, box_label = _objects(features, tfds)
    candidates = [name for name, one in features.items() if _kind(one, tfds)]
    if not label:
        named = [name for name in (supervised[1], 'label', 'labels') if name in candidates]
        label = named[0] if named else ''
    if not label and not objects:
        label = _only(candidates, features, 'label', info.name)
    channels = features[image].shape[-1] or 0
    names = tuple(features[objects].feature[box_label].names) if objects else ()
    if not label:
        return Roles(image, '', 'several', names, (), objects, box, box_label, names, channels)
    kind = _kind(lookup(features, label, f'feature of {info.name} (option label)'), tfds)
    if not kind:
        raise ValueError(
            f'{info.name}: the feature {label!r} is no label; labels are {", ".join(candidates) or "none"}.'
        )
    found, words = _classes(features[label], kind, tuple(classes), info.name, label)
    return Roles(image, label, 'cells' if words else kind, found, words, objects, box, box_label, names, channels)


def cells(roles: Roles, value: Any, where: str) -> np.ndarray:
    """Cells [K] int8 of an example's label; ValueError where it does not fit the classes."""
    value, count = np.asarray(value).ravel(), len(roles.classes)
    if roles.kind in ('flags', 'cells'):
        if len(value) != count:
            raise ValueError(f'{where}: {roles.label} has {len(value)} values for {count} classes.')
        if roles.kind == 'cells':
            return np.array(roles.words, np.int8)[value]
        if not np.isin(value, (0, 1)).all():
            raise ValueError(f'{where}: {roles.label} is {value.tolist()}; expected 0 or 1 per class.')
        return value.astype(np.int8)
    if len(value) and not (value.min() >= 0 and value.max() < count):
        raise ValueError(f'{where}: {roles.label or "a label"} is {value.tolist()}; expected 0 to {count - 1}.')
    row = np.zeros(count, np.int8)
    row[value.astype(int)] = PRESENT
    return row


def _kind(feature: Any, tfds: Any) -> str:
    """How a feature says labels; '' if it is none."""
    if isinstance(feature, tfds.features.ClassLabel):
        return 'one'
    if isinstance(feature, tfds.features.Sequence):
        return 'several' if isinstance(feature.feature, tfds.features.ClassLabel) else ''
    numbers = type(feature) in (tfds.features.Tensor, tfds.features.Scalar) and np.dtype(feature.np_dtype).kind in 'iub'
    if numbers and len(feature.shape) == 1 and feature.shape[0]:
        return 'flags'
    return 'one' if numbers and feature.shape == () else ''


def _classes(
    feature: Any, kind: str, classes: tuple[str, ...], name: str, label: str
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names of the classes, and what the numbers of a label mean that has a word per class."""
    inner = feature.feature if kind == 'several' else feature
    own = tuple(getattr(inner, 'names', None) or ())
    words = tuple(CELLS[one.lower()] for one in own if one.lower() in CELLS)
    if kind == 'several' and len(words) == len(own) > 1:
        classes = classes or CLASSES.get(name, ())
        own = ()
    else:
        words = ()
    if not (classes or own):
        raise ValueError(f'{name}: TFDS does not name the classes of {label!r}; give their names as option classes.')
    if classes and own and len(classes) != len(own):
        raise ValueError(
            f'{name}: option classes has {len(classes)} names; {label!r} has {len(own)}: {", ".join(own)}.'
        )
    if kind == 'flags' and len(classes) != feature.shape[0]:
        raise ValueError(f'{name}: option classes has {len(classes)} names; {label!r} has {feature.shape[0]} values.')
    return classes or own, words


def _objects(features: Mapping[str, Any], tfds: Any) -> tuple[str, str, str]:
    """The first feature of boxes with labels, and the names of both in it."""
    for name, one in features.items():
        inner = getattr(one, 'feature', None)
        if isinstance(one, tfds.features.Sequence) and inner is not None and hasattr(inner, 'items'):
            boxes = [key for key, part in inner.items() if isinstance(part, tfds.features.BBoxFeature)]
            labels = [key for key, part in inner.items() if isinstance(part, tfds.features.ClassLabel)]
            if boxes and labels:
                return name, boxes[0], labels[0]
    return '', '', ''


def _only(names: Sequence[str], features: Mapping[str, Any], what: str, name: str) -> str:
    if len(names) == 1:
        return names[0]
    which = f'several that could be: {", ".join(names)}' if names else f'none; its features are {", ".join(features)}'
    raise ValueError(f'{name}: which feature is the {what}? There are {which}. Say so as option {what}.')
