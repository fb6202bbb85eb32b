"""The phantom: procedural frontal chest radiographs with eight findings, exact masks and a knob for a shortcut."""

import inspect
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.dataset import SPLITS, Allocate, Dataset, in_memory
from imbalance_jax.data.sources.phantom_films import (
    ANATOMY,
    CLASSES,
    CONCEPTS,
    SPLIT,
    draw_states,
    groups,
    has_tube,
    prevalences,
    render,
    stream,
)
from imbalance_jax.data.sources.phantom_people import GROUPS
from imbalance_jax.data.streams import on_all_cores
from imbalance_jax.names import lookup

FRAME = 1024


def split_patients(seed: int, num_patients: int, *, validation_fraction: float, test_fraction: float) -> np.ndarray:
    """Index into `SPLITS` [num_patients]: a random order of the patients, cut at the rounded fractions."""
    rank = np.argsort(np.argsort(stream(seed, SPLIT).random(num_patients)))
    test, validation = round(test_fraction * num_patients), round(validation_fraction * num_patients)
    if test + validation >= num_patients:
        raise ValueError(
            f'validation_fraction {validation_fraction!r} and test_fraction {test_fraction!r} leave none of '
            f'num_patients {num_patients!r} to train on; lower them or take more patients.'
        )
    names = np.repeat(['test', 'validation', 'train'], [test, validation, num_patients - test - validation])
    return np.array([SPLITS.index(name) for name in names], np.uint8)[rank]


def box(mask: np.ndarray) -> tuple[float, ...]:
    """Tight bounds x0 y0 x1 y1 of a mask, in pixels of a frame of `FRAME` x `FRAME`."""
    x, y = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return tuple(edge * FRAME / len(mask) for edge in (x[0], y[0], x[-1] + 1, y[-1] + 1))


class Drawn(NamedTuple):
    """Films [N,H,W,1] and, of their regions in the films' order, concept [R], box [R,4] in the frame, packed mask."""

    images: np.ndarray
    concept: np.ndarray
    box: np.ndarray
    mask: np.ndarray


RANGES = {
    'image_size': (16, np.inf),
    'num_patients': (1, np.inf),
    'seed': (0, np.inf),
    'imbalance_ratio': (1, np.inf),
    'common_prevalence': (0, 1),
    'shortcut_probability': (0, 1),
    'shortcut_background': (0, 1),
    'validation_fraction': (0, 1),
    'test_fraction': (0, 1),
}


def _check(options: dict) -> None:
    for name, (low, high) in RANGES.items():
        value = options[name]
        whole = name in ('image_size', 'num_patients', 'seed')
        sound = isinstance(value, numbers.Integral if whole else numbers.Real) and low <= float(value) <= high
        if not sound or value == np.inf:
            bounds = f'at least {low}' if high == np.inf else f'from {low} to {high}'
            raise ValueError(f'{name} is {value!r}; it must be a {"whole " if whole else ""}number {bounds}.')
    if options['shortcut_class']:
        lookup(dict.fromkeys(CLASSES), options['shortcut_class'], 'shortcut_class')


def check(**options: Any) -> tuple[str, ...]:
    """The classes; ValueError for options that `make` would refuse."""
    known = inspect.signature(make).parameters
    given = {name: one.default for name, one in known.items() if name not in ('progress', 'allocate')} | options
    _check(given)
    shares = {name: given[name] for name in ('validation_fraction', 'test_fraction')}
    split_patients(given['seed'], given['num_patients'], **shares)
    return CLASSES


def make(
    *,
    image_size: int = 64,
    num_patients: int = 1500,
    seed: int = 0,
    imbalance_ratio: float = 16.0,
    common_prevalence: float = 0.25,
    shortcut_class: str = '',
    shortcut_probability: float = 0.0,
    shortcut_background: float = 0.02,
    validation_fraction: float = 0.15,
    test_fraction: float = 0.25,
    progress: Callable[[int, int], None] | None = None,
    allocate: Allocate = in_memory,
) -> Dataset:
    """Draws phantom chest radiographs of `num_patients` patients, 1 to 5 each and 2 on average.

    image_size:           H = W in pixels, at least 16; the scenes are the same at every size
    seed:                 of everything; a patient's films do not depend on how many patients there are
    imbalance_ratio:      prevalence of the commonest class over that of the rarest, at least 1
    common_prevalence:    of the commonest class
    shortcut_class:       the class whose films tend to show a chest drain, or '' for no drain anywhere
    shortcut_probability: that a film of `shortcut_class` shows it
    shortcut_background:  that any other film does
    validation_fraction, test_fraction: of the patients
    progress:             called as progress(done, total) now and then

    All labels are exact. Findings and drains have a region on every film, anatomy on the films of the test split.
    Raises ValueError for an option out of range and for an unknown `shortcut_class`.
    """
    options = {name: value for name, value in locals().items() if name not in ('progress', 'allocate')}
    _check(options)
    prevalence = prevalences(common_prevalence, imbalance_ratio)
    split = split_patients(seed, num_patients, validation_fraction=validation_fraction, test_fraction=test_fraction)
    films = [
        (patient, film, state)
        for patient in range(num_patients)
        for film, state in enumerate(draw_states(seed, patient, prevalence))
    ]
    tubes = [_tube(options, *film) for film in films]
    shown = [film for film, (patient, _, _) in enumerate(films) if SPLITS[split[patient]] == 'test']
    regions = np.array([len(state) for _, _, state in films]) + tubes
    regions[shown] += len(ANATOMY)
    drawn = _draw_films(films, tubes, regions, options=options, progress=progress, allocate=allocate)
    patient = np.array([patient for patient, _, _ in films], np.int64)
    labels = np.array([[name in state for name in CLASSES] for _, _, state in films], np.uint8)
    return Dataset(
        images=drawn.images,
        labels=labels,
        label_mask=np.ones_like(labels),
        split=split[patient],
        patient=patient,
        image_id=np.array([f'{person:08d}_{film:03d}' for person, film, _ in films]),
        region_image=np.repeat(np.arange(len(films), dtype=np.int32), regions),
        region_concept=drawn.concept,
        region_box=drawn.box,
        region_mask=drawn.mask,
        info=_info(options),
        groups=np.array([groups(seed, person, film) for person, film, _ in films], np.int8),
    )


def _tube(options: dict[str, Any], patient: int, film: int, state: dict) -> bool:
    """Whether a film shows a drain."""
    shortcut = {name: value for name, value in options.items() if name.startswith('shortcut_')}
    return has_tube(options['seed'], patient, film, state=state, **shortcut)


def _draw_films(
    films: list[tuple[int, int, dict]],
    tubes: list[bool],
    regions: np.ndarray,
    *,
    options: dict[str, Any],
    progress: Callable[[int, int], None] | None,
    allocate: Allocate,
) -> Drawn:
    """Draws the films (patient, film, state), with drains or not, and as many regions [N] of each, of which anatomy
    comes last."""
    size, count = options['image_size'], int(regions.sum())
    drawn = Drawn(
        images=allocate('images', (len(films), size, size, 1), np.uint8),
        concept=np.empty(count, np.int32),
        box=np.empty((count, 4), np.float32),
        mask=allocate('region_mask', (count, size, -(-size // 8)), np.uint8),
    )
    first = np.cumsum(regions) - regions

    def draw(row: int) -> None:
        (patient, film, state), stop = films[row], first[row] + regions[row]
        drawn.images[row, :, :, 0], masks = render(
            options['seed'], patient, film, image_size=size, findings=state, tube=tubes[row]
        )
        for place, (name, mask) in zip(range(first[row], stop), masks.items(), strict=False):
            drawn.concept[place], drawn.box[place] = CONCEPTS.index(name), box(mask)
            drawn.mask[place] = np.packbits(mask, axis=-1)

    for row, _ in enumerate(on_all_cores(draw, range(len(films)))):
        if progress and (row % 50 == 49 or row == len(films) - 1):
            progress(row + 1, len(films))
    return drawn


def _info(options: dict[str, Any]) -> dict[str, Any]:
    return {
        'name': 'phantom',
        'classes': list(CLASSES),
        'concepts': list(CONCEPTS),
        'anatomy': ['Lungs', 'Heart'],
        'frame': [FRAME, FRAME],
        'options': options,
        'problems': {},
        'source': 'generated by this package (imbalance_jax.data.sources.phantom)',
        'licence': 'Apache-2.0',
        'groups': {name: list(names) for name, names in GROUPS.items()},
    }
