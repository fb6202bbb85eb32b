"""What twins say, as rows: effects of a concept on logits, evidence in maps, and answers of units.

Effects are means over the films of one population of patients, each film with and without the concept, so that no
class stands for another. They are given in logits, and in standard deviations of the member's own logit over the test
split: losses stretch and shift logits, and arms are compared in the latter.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.metrics.intervals import over_seeds
from imbalance_jax.metrics.statistics import benjamini_hochberg, weighted_mean
from imbalance_jax.results.rows import MACRO, Bootstrap, Population, Row, interval_rows, of_member
from imbalance_jax.results.twin_maps import (
    OWN_FINDING,
    Evidence,
    arm_rows,
    difference_rows,
    evidence_rows,
    living_sample,
    member_rows,
)

LOGIT, STANDARD = 'logit_change', 'standard_logit_change'
ANSWERING, PRECISION, RECALL = 'answering_units', 'detector_precision', 'detector_recall'
ANY_UNIT = 'any unit'  # the null of both: a unit and a concept taken at random
ALL_CONCEPTS = 'all concepts'
SMALLEST = 0.1  # AUROC above 0.5 from which a unit answers to a concept


class Effects(NamedTuple):
    """What each of C concepts does to P members on M films, one per patient of the test split.

    names [C]; rows [M]; patient [M]; shown [M,S]: which concepts a film shows as it is; logits [2,C,P,M,K]: without
    and with the concept; deviation [P,K]: of each logit over the test split; units [P,C,U]: AUROC of the mean
    activation of each unit of the main layer for with against without, and its p [P,C,U].
    """

    names: np.ndarray
    rows: np.ndarray
    patient: np.ndarray
    shown: np.ndarray
    logits: np.ndarray
    deviation: np.ndarray
    units: np.ndarray
    p_value: np.ndarray


def rows(
    population: Population,
    effects: Effects,
    evidence: Evidence,
    *,
    detectors: np.ndarray | None,
    classes: Sequence[str],
    layer: str,
    bootstrap: Bootstrap,
) -> list[Row]:
    """results/twins; detectors: [P,C,U] bool, what dissection calls a detector, None where there was none."""
    return [
        *effect_rows(population, effects, classes=classes, bootstrap=bootstrap),
        *evidence_rows(population, evidence, classes=classes, bootstrap=bootstrap),
        *unit_rows(population, effects, detectors, layer=layer),
    ]


def changes(effects: Effects, num_classes: int) -> np.ndarray:
    """By how much each concept moves each logit, [C,P,M,K]: with minus without.

    Of a concept that is no class, such as the drain, films that show the class are left out (NaN): what is asked is
    whether it stands in for the finding.
    """
    change = np.asarray(effects.logits[1] - effects.logits[0], np.float64)
    further = np.array([c >= num_classes for c in range(len(effects.names))])
    sick = effects.shown[:, :num_classes]
    return np.where(further[:, None, None, None] & sick[None, None], np.nan, change)


def effect_rows(population: Population, effects: Effects, *, classes: Sequence[str], bootstrap: Bootstrap) -> list[Row]:
    """Mean change of every logit by every concept: members, arms with intervals, differences to the reference.

    Arms are compared in what findings do to their own logits, the macro mean and each, and in what a concept that is no
    finding does to every logit.
    """
    change, names = changes(effects, len(classes)), effects.names.tolist()
    weights, films = bootstrap.weights(effects.patient), len(effects.patient)
    cells = cells_of(names, classes)
    result: list[Row] = []
    for metric, scaled in ((LOGIT, change), (STANDARD, change / effects.deviation[None, :, None, :])):
        by_film = np.moveaxis(scaled, 2, -1).swapaxes(0, 1)  # [P,C,K,M]
        point, rounds = (flat(weighted_mean(by_film, some), names, classes) for some in (np.ones((1, films)), weights))
        sample = living_sample(population, point[0], rounds, clusters=films)
        result += member_rows(population, point[0], cells, metric, counts=[films] * len(cells))
        result += arm_rows(population, sample, cells, metric, clusters=films)
        if metric == STANDARD:
            families = [family_of(cell, classes) for cell in cells]
            result += difference_rows(population, sample, cells, metric, clusters=films, families=families)
    return result


def cells_of(names: Sequence[str], classes: Sequence[str]) -> list[dict[str, str]]:
    """What `flat` holds: the mean over findings of what each does to its own logit, then every concept and logit."""
    every = [{'class': name, 'concept': concept} for concept in names for name in classes]
    return [{'class': MACRO, 'concept': OWN_FINDING}, *every]


def flat(values: np.ndarray, names: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Values [...,C,K] as [...,1 + C K], in the order of `cells_of`."""
    own = np.stack([values[..., names.index(name), k] for k, name in enumerate(classes) if name in names], -1)
    return np.concatenate([own.mean(-1, keepdims=True), values.reshape(*values.shape[:-2], -1)], -1)


def family_of(cell: Mapping[str, str], classes: Sequence[str]) -> str:
    """The family of tests that a cell is in; '' for what a finding does to the logit of another."""
    if cell['concept'] in classes:
        return 'findings' if cell['class'] == cell['concept'] else ''
    return cell['concept']


def unit_rows(population: Population, effects: Effects, detectors: np.ndarray | None, *, layer: str) -> list[Row]:
    """Which units answer to a concept, and what dissection's detectors have to do with it.

    A unit answers where its mean is higher with the concept than without: AUROC at least 0.5 + SMALLEST, and p at most
    .05, corrected (FDR) over units and concepts of a member.
    """
    names, films, units = effects.names.tolist(), len(effects.patient), effects.units.shape[-1]
    cells = [{'concept': name, 'layer': layer} for name in (ALL_CONCEPTS, *names)]
    result: list[Row] = []
    by_member: dict[tuple[str, str], list[np.ndarray]] = {}
    for member in population.members:
        number = member['member']
        auroc, p = effects.units[number], benjamini_hochberg(effects.p_value[number])
        for (c, unit), value in np.ndenumerate(auroc):
            result.append(of_member(member, 'auroc', value, films, concept=names[c], layer=layer, unit=unit))
        answers = (auroc >= 0.5 + SMALLEST) & (p <= 0.05)
        found = None if detectors is None else detectors[number]
        for (metric, against), values in agreement(answers, found).items():
            by_member.setdefault((metric, against), []).append(values)
            what: dict[str, Any] = {'kind': 'null level' if against else 'member', 'against': against}
            result += [
                {**of_member(member, metric, value, units, **what), **cell}
                for value, cell in zip(values, cells, strict=True)
            ]
    for (metric, against), of_members in by_member.items():
        living = population.living(np.stack(of_members))
        what = {'kind': 'null level' if against else 'arm', 'against': against}
        for arm, of in population.arms.items():
            seeds = int(np.isfinite(living[of]).any(1).sum())
            result += interval_rows(population.first[arm], over_seeds(living[of]), cells, metric, seeds, **what)
    return result


def agreement(answers: np.ndarray, detectors: np.ndarray | None) -> Mapping[tuple[str, str], np.ndarray]:
    """Of one member's units [C,U]: (metric, null) -> [1 + C], of all concepts together and of each.

    Precision: the share of dissection's detectors that answer; recall: the share of units that answer that are its
    detectors. NaN where there are none. The null of both takes a unit and a concept at random.
    """

    def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        above, below = (np.array([values.sum(), *values.sum(1)], float) for values in (part & whole, whole))
        return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)

    counts = {(ANSWERING, ''): np.array([answers.any(0).sum(), *answers.sum(1)], float)}
    if detectors is None:
        return counts
    every = np.ones_like(answers)
    return counts | {
        (PRECISION, ''): share(answers, detectors),
        (PRECISION, ANY_UNIT): share(answers, every),
        (RECALL, ''): share(detectors, answers),
        (RECALL, ANY_UNIT): share(detectors, every),
    }
