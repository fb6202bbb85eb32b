"""The phantom: procedural frontal chest radiographs with eight findings, exact masks and a knob for a shortcut."""

import inspect
import numbers
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.dataset import SPLITS, Allocate, Dataset, in_memory
from imbalance_jax.data.sources.phantom_anatomy import draw_patient, draw_visit, scene
from imbalance_jax.data.sources.phantom_findings import FINDINGS, draw_tube, paint_tube, reshape
from imbalance_jax.data.sources.phantom_people import GROUPS, draw_person, draw_view
from imbalance_jax.data.streams import on_all_cores
from imbalance_jax.names import lookup

CLASSES = tuple(FINDINGS)
ANATOMY = ('Lungs', 'Heart', 'Ribs', 'Diaphragm')
CONCEPTS = (*CLASSES, 'Tube', *ANATOMY)
FRAME = 1024
VISITS = (0.48, 0.24, 0.14, 0.08, 0.06)  # probability of 1 to 5 films per patient: mean 2

# Most to least common, as in ChestX-ray14, and how likely a film shows the patient's chronic state of a finding.
PERSISTENCE = {
    'Infiltration': 0.5,
    'Effusion': 0.6,
    'Atelectasis': 0.5,
    'Nodule': 0.9,
    'Mass': 0.9,
    'Pneumothorax': 0.5,
    'Cardiomegaly': 0.95,
    'Pneumonia': 0.4,
}

SPLIT, BUILD, STATE, FILM, NOISE, FINDING, TUBE, DEVICE = range(8)  # purposes of random streams
PERSON, VIEW = 100, 101  # of which no film depends


def stream(seed: int, *path: int) -> np.random.Generator:
    """The random stream of one purpose and place: (purpose, patient, film, class)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=path)))


def prevalences(common_prevalence: float, imbalance_ratio: float) -> np.ndarray:
    """Probability [K] of each class: geometric from the commonest to `common_prevalence / imbalance_ratio`."""
    rank = np.array([list(PERSISTENCE).index(name) for name in CLASSES])
    return common_prevalence * imbalance_ratio ** (-rank / (len(CLASSES) - 1))


def draw_states(seed: int, patient: int, prevalence: np.ndarray) -> list[dict]:
    """What each film of a patient shows: {class name: episode}, equal episodes being one and the same lesion.

    A film copies the patient's chronic state with the class's persistence and is drawn afresh otherwise, so that every
    film has probability `prevalence` whatever the persistence.
    """
    rng = stream(seed, STATE, patient)
    films = 1 + int(np.searchsorted(np.cumsum(VISITS)[:-1], rng.random(), side='right'))
    chronic = rng.random(len(CLASSES)) < prevalence
    persistence = np.array([PERSISTENCE[name] for name in CLASSES])
    states = []
    for film in range(films):
        copied = rng.random(len(CLASSES)) < persistence
        present = np.where(copied, chronic, rng.random(len(CLASSES)) < prevalence)
        states.append({CLASSES[k]: 0 if copied[k] else film + 1 for k in np.flatnonzero(present)})
    return states


def has_tube(
    seed: int,
    patient: int,
    film: int,
    *,
    state: dict,
    shortcut_class: str,
    shortcut_probability: float,
    shortcut_background: float,
) -> bool:
    """Whether the shortcut's chest drain is on a film, from a random stream that decides nothing else."""
    if not shortcut_class:
        return False
    probability = shortcut_probability if shortcut_class in state else shortcut_background
    return stream(seed, TUBE, patient, film).random() < probability


@lru_cache(maxsize=4)
def _build(seed: int, patient: int) -> dict:
    return draw_patient(stream(seed, BUILD, patient))


def groups(seed: int, patient: int, film: int) -> tuple[int, int, int]:
    """Sex, age band and view of a film, indices into `GROUPS`; the film is as it would be without them."""
    build = _build(seed, patient)
    visit = draw_visit(stream(seed, FILM, patient, film), build)
    return *draw_person(stream(seed, PERSON, patient), build), draw_view(stream(seed, VIEW, patient, film), visit)


def expose(rng: np.random.Generator, density: np.ndarray, chest: dict) -> np.ndarray:
    """Brightness [size, size] of the film: 255 (1 - exp(-density)) with exposure, scattered light and fall-off."""
    exposure, contrast = rng.uniform(-0.04, 0.04), rng.uniform(2.3, 3.5)
    veil, fall = rng.uniform(0.0, 0.15), rng.uniform(0.0, 0.25)
    film = 255.0 * (1.0 - np.exp(-contrast * np.maximum(density + exposure, 0.01)))
    film = (1 - veil) * film + veil * 150.0
    square = chest['a'] ** 2 + (chest['y'] - 0.5) ** 2
    return film * (1.0 - fall * square)


def render(
    seed: int, patient: int, film: int, *, image_size: int, findings: dict, tube: bool = False
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One film [size, size] uint8 of a patient, and its masks {concept: [size, size] bool}.

    A mask holds the pixels whose centre is inside; anatomy is where it lies, whether a finding hides it or not.

    `findings` is {class name: episode} as `draw_states` gives it. Every part has its own random stream: taking away a
    finding or the tube leaves the rest of the film as it was.
    """
    visit = draw_visit(stream(seed, FILM, patient, film), _build(seed, patient))
    lesions = {
        name: FINDINGS[name][0](stream(seed, FINDING, patient, episode, CLASSES.index(name)))
        for name, episode in findings.items()
    }
    chest = scene(reshape(visit, lesions), image_size)
    painted = {name: FINDINGS[name][1](chest, p) for name, p in lesions.items()}
    if tube:
        painted['Tube'] = paint_tube(chest, draw_tube(stream(seed, DEVICE, patient, film)))
    density, air, vessels = chest['tissue'], chest['visit']['air'] * chest['air'], chest['vessels']
    for change in painted.values():
        air = air * change.get('air', 1.0)
        vessels = vessels * change.get('vessels', 1.0)
        density = density + change.get('density', 0.0)
    noise = stream(seed, NOISE, patient, film)
    picture = expose(noise, density - air + vessels, chest)
    picture += (0.5 + 2.0 * noise.random() ** 2) * noise.standard_normal(picture.shape)
    fields = {name: change['field'] for name, change in painted.items()} | {
        'Lungs': np.minimum(chest['lung'], -chest['silhouette']),
        'Heart': chest['heart'],
        'Ribs': chest['ribs'],
        'Diaphragm': chest['diaphragm'],
    }
    # The pixel nearest to a region that falls between pixel centres stands for it.
    masks = {name: field >= min(0.0, field.max()) for name, field in fields.items()}
    return np.rint(np.clip(picture, 0.0, 255.0)).astype(np.uint8), masks


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
