"""What weights want of an image: by what is known of published ones, by name, or as the config gives it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from imbalance_jax.config.fields import PREPROCESSING
from imbalance_jax.data.sources.folder import plain
from imbalance_jax.names import lookup
from imbalance_jax.training import exported

BLOCK = 'config.model.preprocessing'
IMAGENET: dict[str, Any] = {
    'mean': (0.485, 0.456, 0.406),
    'std': (0.229, 0.224, 0.225),
    'low': 0.0,
    'high': 1.0,
    'channels': 3,
}
XRV: dict[str, Any] = {'mean': (0.0,), 'std': (1.0,), 'low': -1024.0, 'high': 1024.0, 'channels': 1}
OWN: dict[str, Any] = {'mean': None, 'std': None, 'low': 0.0, 'high': 1.0, 'channels': 0}  # as many as the weights have
GIVEN: dict[str, Any] = {'mean': (), 'std': (), 'low': 0.0, 'high': 1.0}  # fields of 'given', and what they are unset
CHOICES = (
    "'imagenet' (red, green and blue by ImageNet's mean and standard deviation), 'xrv' (torchxrayvision: one channel "
    "in -1024..1024), 'own' (the data set's mean 0 and standard deviation 1) or 'given' (by mean, std, low and high)"
)


def preprocessing_of(
    setting: Mapping[str, Any], name: str, known: Any, path: Path, metadata: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """What the weights of a file want: the fields of `weights.Preprocessing`, and no mean for the data set's own.

    setting: `config.model.preprocessing`; name: one of `PREPROCESSING`, or '' for what is known; known: of
    `weights.known`; metadata: of the file, which `export` writes. Raises ValueError where nothing is known and nothing
    is said, and for values that cannot be.
    """
    published = asdict(known.preprocessing) if known is not None and known.preprocessing is not None else {}
    published = published or exported.preprocessing(metadata)
    if name and published.get('source') == exported.SOURCE:
        print(f'{path} says what it wants of an image, and {BLOCK}.name = {name!r} takes its place.', flush=True)
    if not name and not published:
        raise ValueError(f'What {path} wants of an image is not known: set {BLOCK}.name to {CHOICES}.')
    values = {**values_of(setting, name), 'source': f'{BLOCK}.name = {name!r}'} if name else {}
    interpolation = published.get('interpolation') or setting['interpolation']
    return {**published, **values, **_size(setting, published, path), 'interpolation': interpolation}


def values_of(setting: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Channels and range that a name of `PREPROCESSING` stands for; ValueError for fields of 'given' that cannot be."""
    lookup(dict.fromkeys(PREPROCESSING), name, f'name of {BLOCK}:')
    if name != 'given':
        return {'imagenet': IMAGENET, 'xrv': XRV, 'own': OWN}[name]
    mean, std, low, high = (setting[field] for field in ('mean', 'std', 'low', 'high'))
    if len(mean) not in (1, 3) or len(std) != len(mean):
        raise ValueError(f'{BLOCK}: mean is {mean} and std {std}; give 1 or 3 numbers of each, one per channel.')
    if not np.isfinite((*mean, *std)).all() or min(std) <= 0:
        raise ValueError(f'{BLOCK}: mean is {mean} and std {std}; they must be finite, and std more than 0.')
    if not np.isfinite((low, high)).all() or low >= high:
        raise ValueError(f'{BLOCK}: low is {low} and high {high}; both must be finite, and low less than high.')
    if not all(low <= value <= high for value in mean):
        wide = 'low and high say between which numbers grey values lie, 0 and 255 for a mean of 255 grey levels'
        raise ValueError(f'{BLOCK}: mean is {tuple(mean)}, beyond {low:g} to {high:g}; {wide}.')
    return {'mean': tuple(mean), 'std': tuple(std), 'low': low, 'high': high, 'channels': len(mean)}


def without_effect(setting: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """What to say of fields of 'given' that are set where no weights are prepared so. names: of `PREPROCESSING`, ''
    where it is that of published weights."""
    changed = [field for field, unset in GIVEN.items() if plain(setting[field]) != plain(unset)]
    kinds = sorted({repr(name) if name else 'that of published weights' for name in names})
    if not changed or "'given'" in kinds:
        return []
    named = ', '.join(f'{BLOCK}.{field}' for field in changed)
    return [f"Without effect, as preprocessing is {' and '.join(kinds)}, not 'given': {named}."]


def _size(setting: Mapping[str, Any], published: Mapping[str, Any], path: Path) -> dict[str, int]:
    """What images are resized and cropped to, 0 for not at all."""
    given = {field: setting[field] for field in ('resize', 'crop') if setting[field]}
    if setting['size'] == 'set':
        if given:
            raise ValueError(f"{BLOCK}.size is 'set', which leaves images as they are; with {given} it is 'weights'.")
        return {'resize': 0, 'crop': 0}
    sizes = {field: given.get(field) or published.get(field) or 0 for field in ('resize', 'crop')}
    if not any(sizes.values()) and not published:
        raise ValueError(f"{BLOCK}.size is 'weights', and that of {path} is not known: set {BLOCK}.resize and crop.")
    return sizes
