"""The films of the phantom: what each patient has and each film shows, and how it is drawn, with exact masks."""

from functools import lru_cache

import numpy as np

from imbalance_jax.data.sources.phantom_anatomy import draw_patient, draw_visit, scene
from imbalance_jax.data.sources.phantom_findings import FINDINGS, draw_tube, paint_tube, reshape
from imbalance_jax.data.sources.phantom_people import draw_person, draw_view

CLASSES = tuple(FINDINGS)
ANATOMY = ('Lungs', 'Heart', 'Ribs', 'Diaphragm')
CONCEPTS = (*CLASSES, 'Tube', *ANATOMY)
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
