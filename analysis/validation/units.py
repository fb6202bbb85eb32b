"""Units: detectors, linear probes, TCAV and unit AUROC on patients with one and with several films."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from imbalance_jax import concepts
from imbalance_jax.analysis.validation.simulation import Measured, Simulation
from imbalance_jax.concepts import directions, nulls
from imbalance_jax.metrics.on_device import ranking
from imbalance_jax.metrics.statistics import holm

IMAGES, FILMS = 144, (1, 2, 9)  # images, and films of each patient
SHARED = 0.5  # of the variance of a unit that is its patient's
PERSISTS = 0.9  # chance that a film shows what its patient has
ROUNDS = 60
SIDE, CELLS, UNITS, CONCEPTS = 16, 4, 8, 2  # of images, maps, units and concepts to be dissected
CLASSES, WIDTH = 3, 64  # of TCAV: classes with a concept each, and units
PREVALENCE = 0.3


def patients(films: int) -> np.ndarray:
    """Of `IMAGES` images, [N]."""
    return np.arange(IMAGES) // films


def responses(rng: np.random.Generator, whose: np.ndarray, units: int) -> np.ndarray:
    """[N,units] normal values of variance 1, of which `SHARED` is the patient's."""
    own, of_film = rng.normal(size=(whose.max() + 1, units))[whose], rng.normal(size=(len(whose), units))
    return np.sqrt(SHARED) * own + np.sqrt(1 - SHARED) * of_film


def findings(rng: np.random.Generator, whose: np.ndarray, number: int) -> np.ndarray:
    """Which of some concepts each image shows, [N,number] bool: a patient's, on most films."""
    has = rng.random((whose.max() + 1, number)) < PREVALENCE
    return has[whose] & (rng.random((len(whose), number)) < PERSISTS)


def dissected(rng: np.random.Generator, films: int, *, planted: int) -> np.ndarray:
    """Detectors [UNITS,CONCEPTS] where the first `planted` units show concept 0, which keeps its place in a patient."""
    whose = patients(films)
    shown, place = findings(rng, whose, CONCEPTS), rng.integers(0, SIDE - 5, (whose.max() + 1, CONCEPTS, 2))[whose]
    inside = np.arange(SIDE) - place[..., None]
    inside = (inside >= 0) & (inside < 5)  # [N,S,2,SIDE]
    masks = np.moveaxis(inside[:, :, 0, :, None] & inside[:, :, 1, None] & shown[..., None, None], 1, -1)
    noise = rng.normal(size=(IMAGES, CELLS, CELLS, UNITS)) + responses(rng, whose, UNITS)[:, None, None]
    step = SIDE // CELLS
    cells = masks[..., 0].reshape(IMAGES, CELLS, step, CELLS, step).mean((2, 4))
    noise[..., :planted] += 4 * cells[..., None]
    maps = np.maximum(noise, 0).astype(np.float32)
    key = int(rng.integers(2**31))
    return concepts.dissect(maps, masks, 0.05, 'image_permutation', ROUNDS, key, patients=whose)['detector']


def detectors(runs: int, *, seed: int) -> list[Measured]:
    """Any false detector among all pairs of a unit and a concept, and planted ones that are found."""
    measured = []
    for films in FILMS:
        rng, regime = np.random.default_rng(seed), f'{films} films per patient'
        false = np.mean([dissected(rng, films, planted=0).any() for _ in range(runs)])
        measured.append(Measured('any false detector', regime, false, 0, 0.05, runs))
        found = np.mean([dissected(rng, films, planted=2)[:2, 0].mean() for _ in range(max(runs // 4, 1))])
        measured.append(Measured('planted detectors found', regime, found, 0.5, 1, max(runs // 4, 1)))
    return measured


@partial(jax.jit, static_argnames='count')
def _probe(x, every, fold, *, count):
    return ranking(directions.held_out(x, every, fold, count=count), every, jnp.ones_like(every))['auroc']


def probed(rng: np.random.Generator, films: int, *, signal: float) -> float:
    """p of a linear probe, of a concept that moves one unit in 16 by `signal`, with 19 controls."""
    whose, key = patients(films), jax.random.key(int(rng.integers(2**31)))
    x, present = responses(rng, whose, 16), findings(rng, whose, 1)[:, 0]
    x[:, 0] += signal * present
    orders = nulls.exchanges(whose, 19, key)
    every = np.concatenate([present[None], present[orders]]).T.astype(np.float32)
    aurocs = np.asarray(_probe(x.astype(np.float32), every, directions.folds(whose, 4, key), count=4))
    return float(directions.one_sided(aurocs[:1], aurocs[None, 1:])[0])


def probes(runs: int, *, seed: int) -> list[Measured]:
    """p <= .05 of linear probes of concepts that are not there and of some that are."""
    measured = []
    for films in FILMS:
        rng, regime = np.random.default_rng(seed), f'{films} films per patient'
        for what, signal, low, high in (('probe of nothing, p <= .05', 0.0, 0, 0.05), ('probe found', 2.0, 0.5, 1)):
            number = runs if not signal else max(runs // 4, 1)
            share = np.mean([probed(rng, films, signal=signal) <= 0.05 + 1e-9 for _ in range(number)])
            measured.append(Measured(what, regime, float(share), low, high, number))
    return measured


@jax.jit
def _tcav(x, every, slopes):
    return directions.tcav(slopes, directions.fit(x, every)[1], jnp.ones(slopes.shape[:2]))['derivative']


def asked(rng: np.random.Generator, films: int, *, there: bool, used: bool, same: bool) -> np.ndarray:
    """p [CLASSES], by Holm, of each class with its own concept, on 32 images of each class.

    there: each concept moves 4 units by 2; used: the logit rises with these; same: slopes are those of a linear head.
    """
    whose, key = patients(films), jax.random.key(int(rng.integers(2**31)))
    x, present = responses(rng, whose, WIDTH), findings(rng, whose, CLASSES)
    slopes = np.repeat(rng.normal(size=(CLASSES, 1, WIDTH)), 32, axis=1)
    for s in range(CLASSES):
        shown = slice(4 * s, 4 * s + 4)
        x[:, shown] += 2 * there * present[:, s, None]
        slopes[s, :, shown] = 3.0 * used
    if not same:
        slopes = slopes + rng.normal(size=slopes.shape)
    orders = nulls.exchanges(whose, ROUNDS, key)
    every = np.concatenate([present[..., None], np.moveaxis(present[orders], 0, -1)], -1).reshape(IMAGES, -1)
    derivative = _tcav(*(np.asarray(a, np.float32) for a in (x, every, slopes)))
    derivative = np.asarray(derivative).reshape(CLASSES, CLASSES, -1)
    size, among = directions.in_spreads(derivative[..., 0], derivative[..., 1:])
    p = [directions.pooled_p(size[:, s], among[:, s])[s] for s in range(CLASSES)]
    return holm(np.array(p))


def tcav(runs: int, *, seed: int) -> list[Measured]:
    """Any false pair among classes and their own concepts, and pairs that are found, of an early layer and a head."""
    measured = []
    for films in FILMS:
        for layer, same in (('early layer', False), ('before a linear head', True)):
            rng, where = np.random.default_rng(seed), f'{layer}, {films} films per patient'
            for regime, there in (('concepts not there', False), ('concepts there, not used', True)):
                ps = [asked(rng, films, there=there, used=False, same=same) for _ in range(runs)]
                any_false = float(np.mean([np.min(p) <= 0.05 for p in ps]))
                measured.append(Measured('any false own pair', f'{regime}, {where}', any_false, 0, 0.05, runs))
            number = max(runs // 4, 1)
            ps = [asked(rng, films, there=True, used=True, same=same) for _ in range(number)]
            found = float(np.mean([np.mean(p <= 0.05) for p in ps]))
            measured.append(Measured('own pairs found', f'concepts used, {where}', found, 0.5, 1, number))
    return measured


def unit_auroc(runs: int, *, seed: int) -> list[Measured]:
    """Coverage of the interval of a unit's AUROC, and p <= .05 where it is .5."""
    measured = []
    for films in FILMS:
        for carriers in (9, 26):
            whose = np.repeat(np.arange(160 if films < 9 else 60), films)
            for shift in (0.0, 1.5):
                rng = np.random.default_rng(seed)
                covered, small = np.zeros(2), 0.0
                for _ in range(runs):
                    has = rng.permutation(whose.max() + 1) < carriers
                    labels = (has[whose] & (rng.random(len(whose)) < PERSISTS))[:, None]
                    x = responses(rng, whose, 4) + shift * labels
                    result = concepts.unit_auroc(x, labels.astype(np.uint8), patients=whose)
                    truth = stats.norm.cdf(shift / np.sqrt(2))
                    inside = (result['low'] <= truth) & (truth <= result['high'])
                    covered += [inside.mean(), 1]
                    small += (result['p_value'] <= 0.05).mean()
                regime = f'{carriers} patients with the class, AUROC {truth:.2f}, {films} films per patient'
                measured.append(Measured('coverage', regime, covered[0] / runs, 0.93, 0.97, runs))
                if not shift:
                    measured.append(Measured('p <= .05', regime, small / runs, 0, 0.05, runs))
    return measured


SIMULATIONS: dict[str, Simulation] = {
    'detectors': detectors,
    'probes': probes,
    'tcav': tcav,
    'unit_auroc': unit_auroc,
}
