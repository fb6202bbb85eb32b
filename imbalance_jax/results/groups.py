"""Whom a model serves worse, as rows: AUROC by group of people, underdiagnosis, and gaps beside those of chance.

Groups are columns of the data set, such as sex, age and view. A gap, largest minus smallest over the groups, is above
0 by chance alone: its null exchanges the groups of whole patients who have equally many films. Underdiagnosis is the
false-positive rate of "no finding" (Seyyed-Kalantari et al. 2021, Nature Medicine): the share of images with a finding
on which none is called at the operating point.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.metrics import decision, scores
from imbalance_jax.metrics.statistics import moments
from imbalance_jax.results.calibration import Predicted, rounds_of
from imbalance_jax.results.comparison import Claims, Evidence, Truth, evidence_of, patients_by_side, with_macro
from imbalance_jax.results.levels import both
from imbalance_jax.results.rows import MACRO, Bootstrap, Population, Row, Sample, class_cells, of_arm

EXCHANGES = 100
ENOUGH = 2
GAP, WORST = 'gap', 'worst group'
ANY = 'any finding'
CHANCE = 'exchanged patients'


class Grouping(NamedTuple):
    """One grouping of images: its name, the groups' names, and each image's group [N], -1 where unknown."""

    name: str
    groups: Sequence[str]
    codes: np.ndarray


class Figures(NamedTuple):
    """By group: AUROC [1 + R, P, G, K] and underdiagnosis [1 + R, P, G, 1]; index 0 is the data, others are rounds."""

    auroc: np.ndarray
    underdiagnosis: np.ndarray


def rows(
    population: Population,
    predicted: Predicted,
    truth: Truth,
    *,
    groupings: Sequence[Grouping],
    classes: Sequence[str],
    bootstrap: Bootstrap,
    claims: Claims,
) -> list[Row]:
    """Rows of results/groups of one split.

    By group, and as difference to the reference: auroc of every class and their mean, underdiagnosis. The same of the
    worst group and of the gap; the gap has p by exchange of patients, and its mean under exchange against `CHANCE`.
    A class of which groups are too small is in no gap, worst group or mean (`_too_few`).
    """
    rounds, result = rounds_of(truth, bootstrap), []
    for grouping in groupings:
        present = [g for g in range(len(grouping.groups)) if (grouping.codes == g).any()]
        if len(present) > 1:
            evidence = [evidence_of(_within(truth, grouping.codes == g), claims) for g in present]
            result += _grouping_rows(
                population,
                predicted,
                truth,
                rounds,
                grouping=grouping,
                present=present,
                evidence=evidence,
                classes=classes,
                claims=claims,
            )
    return result


def _within(truth: Truth, inside: np.ndarray) -> Truth:
    """The same truth of which only images `inside` [N] count."""
    return truth._replace(label_mask=np.asarray(truth.label_mask) * inside[:, None])


def figures(predicted: Predicted, truth: Truth, weights: Sequence[np.ndarray]) -> Figures:
    """AUROC and underdiagnosis of every group, under every row of its weights [R, N], which are 0 for other groups."""
    abnormal = ((np.asarray(truth.labels) == 1) & (np.asarray(truth.label_mask) > 0)).any(1, keepdims=True) * 1.0
    decisions = predicted.decisions
    missed = 1.0 - decisions.max(-1, keepdims=True, where=np.isfinite(decisions), initial=0.0)
    missed = np.where(np.isfinite(predicted.logits).all(-1, keepdims=True), missed, np.nan)
    auroc = [scores.ranking(predicted.logits, truth.labels, truth.label_mask, of)['auroc'] for of in weights]
    return Figures(np.stack(auroc, 2), np.stack([decision.share(missed, abnormal, of) for of in weights], 2))


def exchanged(patients: np.ndarray, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Codes [N] after patients with equally many images have exchanged theirs, film by film."""
    order = np.argsort(patients, kind='stable')
    _, first, count = np.unique(patients[order], return_index=True, return_counts=True)
    result = codes.copy()
    for number in np.unique(count):
        films = order[first[count == number][:, None] + np.arange(number)]  # [patients, films]
        result[films] = codes[films[rng.permutation(len(films))]]
    return result


def _grouping_rows(
    population: Population,
    predicted: Predicted,
    truth: Truth,
    rounds: np.ndarray,
    *,
    grouping: Grouping,
    present: Sequence[int],
    evidence: Sequence[Evidence],
    classes: Sequence[str],
    claims: Claims,
) -> list[Row]:
    rng = np.random.default_rng(len(rounds))
    known = grouping.codes >= 0
    exchanges = np.stack([_among(known, truth.patients, grouping.codes, rng) for _ in range(EXCHANGES)])
    own = figures(predicted, truth, [rounds * (grouping.codes == g) for g in present])
    null = figures(predicted, truth, [(exchanges == g) * 1.0 for g in present])
    few = _too_few(truth, grouping, present, claims)
    clusters = np.array([one.clusters for one in evidence])
    result = []
    for metric in Figures._fields:
        ranked = metric == 'auroc'
        names = [*classes, MACRO] if ranked else [ANY]
        values = _with_mean(getattr(own, metric), few) if ranked else getattr(own, metric)
        chance = _with_mean(getattr(null, metric), few) if ranked else getattr(null, metric)
        what: dict[str, Any] = {'cells': class_cells(names), 'metric': metric, 'grouping': grouping.name}
        for number, g in enumerate(present):
            of_group = Evidence(clusters[number], np.append(evidence[number].too_few[:-1], few.all()))
            of_group = of_group if ranked else Evidence(np.array([np.inf]), np.array([False]))
            sample = Sample(values[0, :, number], values[1:, :, number])
            result += both(population, sample, group=grouping.groups[g], within_unit=True, evidence=of_group, **what)
        fewest = clusters.min(0) if ranked else np.array([np.inf])
        joint = Evidence(fewest, np.append(few, few.all()) if ranked else np.array([False]))
        worst = values.min(2) if ranked else values.max(2)
        result += both(population, _split(worst), group=WORST, within_unit=True, evidence=joint, **what)
        gap, by_chance = np.ptp(values, axis=2), np.ptp(chance, axis=2)
        result += _not_below_0(both(population, _split(gap), group=GAP, evidence=joint, **what))
        result += _chance_rows(population, gap[0], by_chance, what=what, withheld=joint.too_few)
    return result


def _too_few(truth: Truth, grouping: Grouping, present: Sequence[int], claims: Claims) -> np.ndarray:
    """Classes [K] of which the smallest group would have fewer than `ENOUGH` times the smallest count of positive
    patients if groups had their shares: what chance gives each group must not decide which classes are compared."""
    share = min(np.mean(grouping.codes == g) for g in present)
    return patients_by_side(truth)[0] * share < ENOUGH * claims.smallest_count


def _among(known: np.ndarray, patients: np.ndarray, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`exchanged` among the images whose group is known."""
    result = codes.copy()
    result[known] = exchanged(patients[known], codes[known], rng)
    return result


def _with_mean(values: np.ndarray, few: np.ndarray) -> np.ndarray:
    """Values [...,K] and their mean over the classes that every group has enough patients of."""
    mean = with_macro(np.where(few, np.nan, values))[..., -1:]
    return np.concatenate([values, mean], -1)


def _not_below_0(rows: list[Row]) -> list[Row]:
    """The rows with the lower ends of levels at 0 or above, as a gap is."""
    levels = [row['statistic'] == 'low' and not row.get('against') for row in rows]
    return [
        {**row, 'value': np.maximum(row['value'], 0.0)} if one else row for row, one in zip(rows, levels, strict=True)
    ]


def _split(values: np.ndarray) -> Sample:
    return Sample(values[0], values[1:])


def _chance_rows(
    population: Population, gap: np.ndarray, chance: np.ndarray, *, what: dict[str, Any], withheld: np.ndarray
) -> list[Row]:
    """p of every arm's mean gap, (1 + exchanges with as large a gap) / (1 + exchanges), and the gap above chance.

    gap: [P, C]; chance: [exchanges, P, C].
    """
    cells, metric, result = what['cells'], what['metric'], []
    for arm, index in population.arms.items():
        living = [i for i in index if population.alive[i]]
        if not living:
            continue
        own, null = gap[living].mean(0), chance[:, living].mean(1)
        by_chance = moments(null)  # of the exchanges in which the gap is defined
        p = np.where(withheld | ~np.isfinite(own), np.nan, (1 + (null >= own - 1e-12).sum(0)) / (1 + by_chance.number))
        columns: dict[str, Any] = {'group': GAP, 'grouping': what['grouping'], 'n': len(living)}
        for k, cell in enumerate(cells):
            one = population.first[arm]
            result.append({**of_arm(one, metric, p[k], statistic='p', against=CHANCE, **columns), **cell})
            result.append(
                {**of_arm(one, metric, (own - by_chance.mean)[k], statistic='mean', against=CHANCE, **columns), **cell}
            )
    return result
