"""A planted difference that only maps show, one that only units show, and none: from arrays to the first screen."""

import numpy as np
import pytest
from noise_study import make_workdir

from imbalance_jax.analysis.report import answer, study
from imbalance_jax.analysis.validation import maps as planted
from imbalance_jax.concepts.similarity import linear_cka
from imbalance_jax.data.regions import Pairs
from imbalance_jax.explain.map_distance import standard_ranks
from imbalance_jax.metrics import scores
from imbalance_jax.results import alignment, arm_effect, map_effect, performance
from imbalance_jax.results.rows import Bootstrap, Population
from imbalance_jax.results.schema import write_table
from imbalance_jax.system.files import read_json

SEEDS, CLASSES, METHOD = 8, ('Mass', 'Nodule'), 'grad_cam'
BOOTSTRAP, ARM = Bootstrap(200, 0), 'focal'  # the arm that differs, if any does


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make_workdir(tmp_path_factory.mktemp('arrays'), seeds=tuple(range(SEEDS)), classes=CLASSES)


def plant(folder, rng, *, maps=False, units=False):
    """Writes the tables of a study whose arms rank alike; reads the study."""
    members = read_json(folder / 'members.json')
    population = Population(members, np.ones(len(members), bool), 'bce')
    auroc = ranks(folder, rng, population)
    looks(folder, rng, population, auroc, {ARM: planted.BETTER} if maps else {})
    encodes(folder, rng, population, auroc, {ARM: 1.0} if units else {})
    return study.load(folder)


def ranks(folder, rng, population):
    """Scores of 600 patients that all members see alike but for some noise; AUROC [P,K]."""
    count, shape = 600, (len(population.members), 600, len(CLASSES))
    labels = (rng.random((count, len(CLASSES))) < 0.3).astype(np.uint8)
    logits = 2.5 * labels + rng.normal(size=labels.shape) + 0.1 * rng.normal(size=shape)
    p, truth = 1 / (1 + np.exp(-logits)), performance.Truth(labels, np.ones_like(labels), np.arange(count))
    rows = performance.rows(population, p, truth, corrected=p, classes=CLASSES, bootstrap=BOOTSTRAP)
    write_table(folder, 'performance', [{**row, 'split': 'test'} for row in rows])
    return scores.auroc(p, labels)


def looks(folder, rng, population, auroc, skill):
    """Maps of 150 pairs per finding, at their own region more often for an arm that has more skill."""
    regions, finding = planted.planted_regions(300, 150, rng), np.arange(300) % 2
    easy, shares = rng.normal(0, 0.8, 150)[regions.patient], other_patients(regions.patient, finding)
    own, other, ranked = [], [], []
    for member in population.members:
        log_odds = easy + rng.normal(0, 0.2) + rng.normal(0, 0.8, 150)[regions.patient]
        maps = planted.planted_maps(skill.get(member['arm'], planted.SAME), regions, log_odds, rng)
        hits, iou = (planted.figures(maps, regions.mask, name).astype(float) for name in ('signed_hit_share', 'iou'))
        own.append((hits.diagonal(), iou.diagonal()))
        other.append(((hits * shares).sum(1), (iou * shares).sum(1)))
        ranked.append(np.asarray(standard_ranks(maps.reshape(-1, planted.SIDE, planted.SIDE))))
    pairs = Pairs(np.arange(300), finding, regions.patient, regions.mask.reshape(-1, planted.SIDE, planted.SIDE))
    nulls = alignment.Nulls({}, {alignment.SHUFFLED: {METHOD: measures(other)}})
    what = {'nulls': nulls, 'classes': CLASSES, 'bootstrap': BOOTSTRAP}
    rows = alignment.rows(population, {METHOD: measures(own)}, pairs, **what)
    write_table(folder, 'alignment', [{**row, 'split': 'test'} for row in rows])
    distance = 1 - np.einsum('pnx,qnx->pq', ranked, ranked) / 300
    rows = map_effect.rows(population, {METHOD: distance}, auroc)
    write_table(folder, 'map_effect', [{**row, 'split': 'test'} for row in rows])


def other_patients(patient, finding):
    """Weights [n,n] of the regions of other patients with the finding."""
    other = (patient[:, None] != patient) & (finding[:, None] == finding)
    return other / other.sum(1, keepdims=True)


def measures(figures):
    """[(signed hit share, IoU) of each member] as the measures of `alignment.measure` that the rows need."""
    hits, iou = (np.stack(of) for of in zip(*figures, strict=True))
    shared = {'hits': hits, 'points': np.ones_like(hits), 'iou': iou, 'ior': iou, 'iobb': iou}
    return {**shared, 'empty': np.zeros_like(hits), 'signed_hit_share': hits}


def encodes(folder, rng, population, auroc, shift):
    """Activations [200,12] that share much with all members; an arm may add what it alone encodes."""
    shared, of_arm = rng.normal(size=(200, 12)), rng.normal(size=(200, 12))
    x = [shared + shift.get(one['arm'], 0.0) * of_arm + 0.7 * rng.normal(size=(200, 12)) for one in population.members]
    distance = np.array([[1 - float(linear_cka(a, b, debiased=True)) for b in x] for a in x])
    rows = arm_effect.rows(population, [arm_effect.Distance('1 - CKA', 'stage2', distance)], auroc=auroc)
    write_table(folder, 'arm_effect', [{**row, 'split': 'test'} for row in rows])


def first_screen(loaded):
    found = answer.shown(loaded)
    return answer.headline(loaded, found), answer.of_maps(loaded, found), answer.of_units(loaded, found), found


def test_a_difference_that_only_maps_show(folder):
    headline, of_maps, of_units, _ = first_screen(plant(folder, np.random.default_rng(1), maps=True))
    assert headline.startswith(f'Found: the maps of {ARM} differ from those of bce'), headline
    assert f'{ARM}: Grad-CAM +' in of_maps
    assert 'are not shown to be further apart' in of_units


def test_a_difference_that_only_units_show(folder):
    headline, of_maps, of_units, _ = first_screen(plant(folder, np.random.default_rng(2), units=True))
    assert headline.startswith(f'Found: the units of {ARM} differ from those of bce'), headline
    assert f'shown of {ARM} alone' in of_units
    assert 'maps of none of 2 arms' in of_maps


def test_no_difference(folder):
    headline, _, _, found = first_screen(plant(folder, np.random.default_rng(3)))
    assert headline.startswith('Not found'), headline
    assert [one.state for one in found.performance] == ['shown equal'] * 2
