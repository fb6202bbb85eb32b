"""The shortcut study as rows: what each arm makes of a chest drain that comes with one finding of the phantom.

The test split is there in two versions, film by film the same but for the drain: confounded, as in training, and clean,
where the drain is as frequent with the finding as without. In each, AUROC is also given in the four groups that films
with the finding, with or without the drain, make with films without it: a model that reads the drain fails where the
two disagree, and the lowest of the four is its worst group.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from imbalance_jax.metrics import intervals, scores
from imbalance_jax.results.alignment import CHANCE
from imbalance_jax.results.contrasts import contrast_rows, end_rows, level, reference_contrasts
from imbalance_jax.results.rows import (
    Bootstrap,
    Population,
    Row,
    Sample,
    class_cells,
    of_kind,
    of_member,
    seed_statistics,
)

CONFOUNDED, CLEAN = 'confounded', 'clean'  # versions of the test split
TUBE, FINDING = 'tube', 'finding'  # regions
MASS = 'relevance_mass'
WORST = 'worst'  # the lowest of the groups
# Group -> whether films with the finding show the drain, and whether those without it do.
GROUPS = {
    'finding with tube, others with tube': (True, True),
    'finding with tube, others without': (True, False),
    'finding without tube, others with tube': (False, True),
    'finding without tube, others without': (False, False),
}


class Version(NamedTuple):
    """One version of the test split: the members' logits [P,N] of the finding, and which films show the drain [N]."""

    logits: np.ndarray
    tube: np.ndarray


class Shortcut(NamedTuple):
    """What was measured: the versions; labels and label_mask [N] of the finding and patients [N] of the films; of films
    that show both, the share of each region [M] by region, and the share of the heat [P,M] that lies on it by method
    and region."""

    versions: Mapping[str, Version]
    labels: np.ndarray
    label_mask: np.ndarray
    patients: np.ndarray
    area: Mapping[str, np.ndarray]
    mass: Mapping[str, Mapping[str, np.ndarray]]


class Ranked(NamedTuple):
    """AUROC of a version, of all films, of each group and of the worst [6]: of the living members [P,6], in rounds
    [R,P,6], films [6] that it is over, and effective patients [6] behind it."""

    sample: Sample
    films: np.ndarray
    clusters: np.ndarray


def rows(
    population: Population, shortcut: Shortcut, name: str, *, bootstrap: Bootstrap, smallest_count: int
) -> list[Row]:
    """Rows of the class `name`: members, arms with intervals, differences, and the areas, which are chance.

    smallest_count: a group needs so many patients with the finding, and so many without, to be given.
    """
    both, result = len(shortcut.area[TUBE]), []
    for region, area in shortcut.area.items():
        if both:
            result.append(of_kind('null level', MASS, area.mean(), both, name=name, against=CHANCE, region=region))
    ranked = {
        version: rank(population, shortcut, version, bootstrap=bootstrap, smallest_count=smallest_count)
        for version in shortcut.versions
    }
    for version, one in ranked.items():
        result += auroc_rows(population, one, name, version=version)
    result += drop_rows(population, ranked, name)
    for method, by_region in shortcut.mass.items():
        for region, mass in by_region.items():
            mean = np.nanmean(mass, axis=1)
            result += _value_rows(population, mean, MASS, both, name=name, method=method, region=region)
    return result


def rank(
    population: Population, shortcut: Shortcut, version: str, *, bootstrap: Bootstrap, smallest_count: int
) -> Ranked:
    """AUROC of one version; a group with fewer patients than `smallest_count` on either side is NaN."""
    logits, tube = shortcut.versions[version]
    positive, known = np.asarray(shortcut.labels) == 1, np.asarray(shortcut.label_mask) > 0
    counted = [known] + [known & (tube == np.where(positive, *group)) for group in GROUPS.values()]
    masks = np.stack(counted, -1)  # [N,5]
    labels = np.broadcast_to(positive[:, None], masks.shape)
    enough = [_enough(positive, mask, shortcut.patients, smallest_count) for mask in masks.T]
    weights = bootstrap.weights(shortcut.patients)
    by_group = np.broadcast_to(population.living(logits)[..., None], (*logits.shape, masks.shape[1]))
    values, resampled = (
        np.where(enough, scores.auroc(by_group, labels, masks, *some), np.nan) for some in ((), (weights,))
    )
    clusters, films = intervals.effective_clusters(labels, masks, shortcut.patients), masks.sum(0)
    lowest = np.min(clusters[1:], where=enough[1:], initial=np.inf)
    sample = Sample(*(np.concatenate([one, _lowest(one[..., 1:])], -1) for one in (values, resampled)))
    return Ranked(sample, np.append(films, films[0]), np.append(clusters, lowest))


def _enough(positive: np.ndarray, mask: np.ndarray, patients: np.ndarray, smallest_count: int) -> bool:
    """Whether a group has so many patients with the finding, and so many without."""
    return all(len(np.unique(patients[mask & of])) >= max(smallest_count, 1) for of in (positive, ~positive))


def _lowest(groups: np.ndarray) -> np.ndarray:
    """The lowest [...,1] of the groups [...,4] that are defined."""
    lowest = np.where(np.isfinite(groups), groups, np.inf).min(-1, keepdims=True)
    return np.where(np.isfinite(lowest), lowest, np.nan)


def auroc_rows(population: Population, ranked: Ranked, name: str, *, version: str) -> list[Row]:
    """AUROC of one version: members, mean, sd and interval of arms, and differences to the reference of all films and
    of the worst group."""
    cells = [{'class': name, 'version': version, 'group': group} for group in ('', *GROUPS, WORST)]
    sample, films, clusters = ranked
    shown = [i for i, cell in enumerate(cells) if not cell['group'] or np.isfinite(sample.values[:, i]).any()]
    result: list[Row] = [
        {**of_member(member, 'auroc', sample.values[member['member'], i], films[i]), **cells[i]}
        for member in population.members
        for i in shown
    ]
    of_shown = [cells[i] for i in shown]
    for arm, one in sample.at(shown).by_arm(population.arms).items():
        member, interval = population.first[arm], level(one, clusters=clusters[shown], within_unit=True)
        result += seed_statistics(member, one.values, of_shown, 'auroc')
        result += end_rows(member, interval, of_shown, 'auroc', one.seeds)
    compared = [0, len(cells) - 1]
    some = sample.at(compared).by_arm(population.arms)
    contrasts = reference_contrasts(population, some, clusters=clusters[compared])
    chosen = [cells[i] for i in compared]
    families, reference = [cell['group'] for cell in chosen], population.reference
    return result + contrast_rows(contrasts, cells=chosen, metric='auroc', against=reference, families=families)


def drop_rows(population: Population, ranked: Mapping[str, Ranked], name: str) -> list[Row]:
    """AUROC of all films of the confounded version minus that of the clean one."""
    (confounded, films, clusters), (clean, _, _) = ranked[CONFOUNDED], ranked[CLEAN]
    cells = [{'class': name, 'version': CONFOUNDED, 'against': CLEAN}]
    drop = Sample(*(np.subtract(*pair)[..., :1] for pair in zip(confounded, clean, strict=True)))
    result: list[Row] = [
        {**of_member(member, 'auroc', drop.values[member['member'], 0], films[0]), **cells[0]}
        for member in population.members
    ]
    for arm, one in drop.by_arm(population.arms).items():
        member = population.first[arm]
        result += seed_statistics(member, one.values, cells, 'auroc')
        result += end_rows(member, level(one, clusters=clusters[:1]), cells, 'auroc', one.seeds)
    return result


def _value_rows(population: Population, values: np.ndarray, metric: str, n: int, *, name: str, **columns) -> list[Row]:
    """Rows of values [P] of the members, and of their arms."""
    result = [
        of_member(member, metric, values[member['member']], n, name=name, **columns) for member in population.members
    ]
    living, cells = population.living(values), class_cells([name])
    for arm, indices in population.arms.items():
        result += seed_statistics(population.first[arm], living[indices][:, None], cells, metric, **columns)
    return result
