"""What the maps of twins say, as rows: is the evidence where the image changed, and as large as its effect?"""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from imbalance_jax.metrics.scores import macro
from imbalance_jax.metrics.statistics import weighted_mean
from imbalance_jax.results.alignment import CHANCE
from imbalance_jax.results.contrasts import contrast_rows, level, reference_contrasts
from imbalance_jax.results.rows import (
    MACRO,
    Bootstrap,
    Cells,
    Population,
    Row,
    Sample,
    interval_rows,
    of_kind,
    of_member,
)

OWN_FINDING = 'its own finding'  # concept of a mean over findings: each is held against what it does itself
ABSENT = 'twin without it'  # the null of a map: the same pixels of the same patient without the finding
RANKED, COMPLETE = 'rank_correlation', 'completeness_error'


class Evidence(NamedTuple):
    """Maps of G pairs against what changed: finding [G], row of the image [G], patient [G], share of the pixels that
    changed [G]; measures [F] of methods [A]: figures [A,P,G,F,2], of the image without and with the finding; inside
    [A,P,G]: sum of the map with it where the image changed; delta [P,G]: how far the finding moves its logit; exact
    [P,G]: the sum of the exact map. To be shown, the first pair of each of L findings: which [L], images without and
    with it [L,2,H,W] or [L,2,H,W,3], and the exact map of the first member [L,H,W]."""

    finding: np.ndarray
    rows: np.ndarray
    patient: np.ndarray
    changed: np.ndarray
    methods: np.ndarray
    measures: np.ndarray
    figures: np.ndarray
    inside: np.ndarray
    delta: np.ndarray
    exact: np.ndarray
    which: np.ndarray
    images: np.ndarray
    map: np.ndarray


def living_sample(
    population: Population, values: np.ndarray, resampled: np.ndarray, *, clusters: ArrayLike, means: int = 1
) -> Sample:
    """Values [P,K] and rounds [R,P,K] of the living members.

    Rounds are put further from the values by sqrt(n / (n - m)), n [K] the patients and m the means that were taken of
    them: resampling a fixed number of patients is that much too narrow, which is seen where they are few.
    """
    factor = np.sqrt(np.asarray(clusters) / np.maximum(np.asarray(clusters) - means, 1))
    wider = values + (resampled - values) * factor
    return Sample(population.living(values), np.where(population.alive[:, None], wider, np.nan))


def arm_rows(
    population: Population, sample: Sample, cells: Cells, metric: str, *, clusters: ArrayLike, **columns: Any
) -> list[Row]:
    """Every arm's mean with its interval over patients and seeds; clusters: [K] patients behind each cell."""
    result: list[Row] = []
    for arm, one in sample.by_arm(population.arms).items():
        result += interval_rows(
            population.first[arm], level(one, clusters=clusters), cells, metric, one.seeds, **columns
        )
    return result


def difference_rows(
    population: Population,
    sample: Sample,
    cells: Cells,
    metric: str,
    *,
    clusters: ArrayLike,
    families: Sequence[Hashable],
    **columns: Any,
) -> list[Row]:
    """Differences of the compared arms to the reference, with p; p_adjusted is Holm's over arms and a family's cells.

    families: one name per cell, '' for a cell that is not compared.
    """
    chosen = [i for i, family in enumerate(families) if family]
    of_family, counts = [families[i] for i in chosen], np.broadcast_to(clusters, len(cells))[chosen]
    contrasts = reference_contrasts(population, sample.at(chosen).by_arm(population.arms), clusters=counts)
    what = {'cells': [cells[i] for i in chosen], 'against': population.reference, **columns}
    return contrast_rows(contrasts, metric=metric, families=of_family, **what)


def member_rows(
    population: Population, values: np.ndarray, cells: Cells, metric: str, *, counts: Sequence[int], **columns: Any
) -> list[Row]:
    """Values [P,K] of every member, over counts [K] pairs."""
    return [
        {**of_member(member, metric, values[member['member'], i], counts[i], **columns), **cell}
        for member in population.members
        for i, cell in enumerate(cells)
    ]


def evidence_rows(
    population: Population, evidence: Evidence, *, classes: Sequence[str], bootstrap: Bootstrap
) -> list[Row]:
    """Of every method: its measures, the same above those of the twin without the finding, and differences to the
    reference of that; the correlation of what a map holds in the changed pixels with what the finding did to the logit;
    chance, and how exactly the exact map adds up."""
    present = np.unique(evidence.finding).tolist()
    cells = [{'class': MACRO, 'concept': OWN_FINDING}]
    cells += [{'class': classes[k], 'concept': classes[k]} for k in present]
    groups = Groups(evidence.finding, evidence.patient, bootstrap.weights(evidence.patient))
    counts, clusters = groups.counts, groups.clusters
    of_macro = [MACRO, *[''] * len(present)]
    area = groups.means(evidence.changed[None], np.ones((1, counts[0])))[0, 0]
    result = [
        {**of_kind('null level', 'relevance_mass', value, n, against=CHANCE), **cell}
        for value, n, cell in zip(area, counts, cells, strict=True)
    ]

    def sample(values: np.ndarray) -> Sample:
        """Of values [P,G]."""
        point, rounds = groups.means(values, np.ones((1, counts[0])))[0], groups.means(values, groups.weights)
        return living_sample(population, point, rounds, clusters=clusters)

    for method, figures, inside in zip(evidence.methods.tolist(), evidence.figures, evidence.inside, strict=True):
        for f, measure in enumerate(evidence.measures.tolist()):
            own, above = sample(figures[:, :, f, 1]), sample(figures[:, :, f, 1] - figures[:, :, f, 0])
            what: dict[str, Any] = {'method': method, 'clusters': clusters}
            result += member_rows(population, own.values, cells, measure, counts=counts, method=method)
            result += arm_rows(population, own, cells, measure, **what)
            result += arm_rows(population, above, cells, measure, against=ABSENT, **what)
            result += difference_rows(population, above, cells, measure, families=of_macro, above=ABSENT, **what)
        result += agreement_rows(population, evidence, inside, groups, method=method)
    error = np.abs(evidence.exact - evidence.delta).mean(1) / np.abs(evidence.delta).mean(1)
    return result + member_rows(population, error[:, None], cells[:1], COMPLETE, counts=counts)


class Groups(NamedTuple):
    """Pairs by finding [G], their patients [G], and rounds [R,G] of a bootstrap over patients."""

    finding: np.ndarray
    patient: np.ndarray
    weights: np.ndarray

    @property
    def counts(self) -> list[int]:
        """All pairs, and those of each finding there is."""
        return [len(self.finding), *np.unique(self.finding, return_counts=True)[1].tolist()]

    @property
    def clusters(self) -> np.ndarray:
        """Patients of all pairs, and of those of each finding."""
        by_finding = [len(np.unique(self.patient[self.finding == k])) for k in np.unique(self.finding)]
        return np.array([len(np.unique(self.patient)), *by_finding])

    def means(self, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Mean over the findings that a round has, and of each, of values [P,G] in rounds [R,G]: [R,P,1 + K]."""
        parts = [self.finding == k for k in np.unique(self.finding)]
        each = np.stack([weighted_mean(values[:, part], weights[:, part]) for part in parts], -1)
        return np.concatenate([macro(each)[0][..., None], each], -1)


def agreement_rows(
    population: Population, evidence: Evidence, inside: np.ndarray, groups: Groups, *, method: str
) -> list[Row]:
    """Spearman's correlation within findings, over pairs, of a map's sum in the changed pixels [P,G] with the change of
    the logit: does a map hold more where there is more to hold?"""
    clusters, cells = groups.clusters[:1], [{'class': MACRO, 'concept': OWN_FINDING}]
    values = inside, evidence.delta, evidence.finding
    point, rounds = correlation(*values), correlation(*values, groups.weights)
    sample = living_sample(population, point, rounds, clusters=clusters, means=len(groups.counts) - 1)
    what: dict[str, Any] = {'method': method, 'clusters': clusters}
    return [
        *member_rows(population, point, cells, RANKED, counts=groups.counts, method=method),
        *arm_rows(population, sample, cells, RANKED, **what),
        *difference_rows(population, sample, cells, RANKED, families=[MACRO], **what),
    ]


def correlation(
    inside: np.ndarray, delta: np.ndarray, finding: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Spearman's correlation [P,1] within findings of values [P,G], or [R,P,1] in rounds with weights [R,G].

    Ranks and their means are those of the data in every round.
    """
    a, b = (ranks_within(values, finding) for values in (inside, delta))
    rounds = np.ones((1, len(finding))) if weights is None else np.asarray(weights, np.float64)
    both, *each = (rounds @ product.T for product in (a * b, a * a, b * b))
    with np.errstate(invalid='ignore', divide='ignore'):
        result = (both / np.sqrt(each[0] * each[1]))[..., None]
    return result[0] if weights is None else result


def ranks_within(values: np.ndarray, finding: np.ndarray) -> np.ndarray:
    """Ranks of values [P,G] among the pairs of the same finding, about their mean; ties have one rank."""
    ranks = np.zeros(values.shape)
    for k in np.unique(finding):
        of = values[:, finding == k]
        ranks[:, finding == k] = np.sign(of[:, :, None] - of[:, None, :]).sum(-1) / 2
    return ranks
