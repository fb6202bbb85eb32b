"""What the maps of twins say, as rows: is the evidence where the image changed, and as large as its effect?"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.metrics.statistics import weighted_mean
from imbalance_jax.results.alignment import CHANCE
from imbalance_jax.results.contrasts import contrast_rows, weights_of, widened
from imbalance_jax.results.rows import MACRO, Bootstrap, Cells, Population, Row, Sample, of_kind, of_member

OWN_FINDING = 'its own finding'  # concept of a mean over findings: each is held against what it does itself
ABSENT = 'twin without it'  # the null of a map: the same pixels of the same patient without the finding
RANKED, COMPLETE = 'rank_correlation', 'completeness_error'


class Evidence(NamedTuple):
    """Maps of G pairs against what changed: finding [G], row of the image [G], patient [G], share of the pixels that
    changed [G]; measures [F] of methods [A]: figures [A,P,G,F,2], of the image without and with the finding; inside
    [A,P,G]: sum of the map with it where the image changed; delta [P,G]: how far the finding moves its logit; exact
    [P,G]: the sum of the exact map. To be shown, the first pair of each of L findings: which [L], images without and
    with it [L,2,H,W], and the exact map of the first member [L,H,W]."""

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


def evidence_rows(
    population: Population, evidence: Evidence, *, classes: Sequence[str], bootstrap: Bootstrap
) -> list[Row]:
    """Of every method: its measures, above those of the twin without the finding, and the difference to the reference
    of that; the correlation of what a map holds in the changed pixels with what the finding did to the logit."""
    present = [k for k in range(len(classes)) if (evidence.finding == k).any()]
    cells = [{'class': classes[k], 'concept': classes[k]} for k in present]
    cells = [{'class': MACRO, 'concept': OWN_FINDING}, *cells]
    weights, patients = weights_of(evidence.patient, bootstrap), len(np.unique(evidence.patient))
    counts = [len(evidence.finding), *(int((evidence.finding == k).sum()) for k in present)]

    def sample(values: np.ndarray) -> Sample:
        """Of values [P,G]."""
        point, rounds = (
            _by_finding(values, evidence.finding, present, w) for w in (np.ones((1, len(weights[0]))), weights)
        )
        each = np.array([patients, *counts[1:]])
        spread = np.stack([widened(point[0], rounds, n)[..., i] for i, n in enumerate(each)], -1)
        return Sample(population.living(point[0]), np.stack([population.living(one) for one in spread]))

    result = [
        {**of_kind('null', 'relevance_mass', value, n, against=CHANCE), **cell}
        for value, n, cell in zip(
            _by_finding(evidence.changed[None], evidence.finding, present, np.ones((1, counts[0])))[0, 0],
            counts,
            cells,
            strict=True,
        )
    ]
    macro = [[True, *[False] * len(present)]]
    for method, figures, inside in zip(evidence.methods.tolist(), evidence.figures, evidence.inside, strict=True):
        for f, measure in enumerate(evidence.measures.tolist()):
            own, above = sample(figures[:, :, f, 1]), sample(figures[:, :, f, 1] - figures[:, :, f, 0])
            result += _member_rows(population, own, counts, cells, measure, method=method)
            result += contrast_rows(population, own, cells, measure, method=method)
            result += _above_rows(population, above, cells, measure, families=macro, method=method)
        result += agreement_rows(population, evidence, inside, weights, patients=patients, method=method)
    error = np.abs(evidence.exact - evidence.delta).mean(1) / np.abs(evidence.delta).mean(1)
    return result + [
        of_member(member, COMPLETE, error[member['member']], counts[0], name=MACRO) for member in population.members
    ]


def _above_rows(population: Population, above: Sample, cells: Cells, measure: str, **columns: Any) -> list[Row]:
    """An arm's mean above the twin without the finding, and the difference to the reference of the same."""
    made = contrast_rows(population, above, cells, measure, **columns)
    return [{**row, 'above': ABSENT} if row.get('against') else {**row, 'against': ABSENT} for row in made]


def _member_rows(
    population: Population, sample: Sample, counts: Sequence[int], cells: Cells, metric: str, **columns: Any
) -> list[Row]:
    return [
        {**of_member(member, metric, sample.values[member['member'], i], counts[i], **columns), **cell}
        for member in population.members
        for i, cell in enumerate(cells)
    ]


def _by_finding(values: np.ndarray, finding: np.ndarray, present: Sequence[int], weights: np.ndarray) -> np.ndarray:
    """Mean over findings, then of each, of values [P,G] in rounds [R,G]: [R,P,1 + K]."""
    each = np.stack([weighted_mean(values[:, finding == k], weights[:, finding == k]) for k in present], -1)
    return np.concatenate([_macro(each), each], -1)


def _macro(each: np.ndarray) -> np.ndarray:
    """Mean over the findings that a round has, [...,1]."""
    with np.errstate(invalid='ignore'):
        return np.nansum(each, -1, keepdims=True) / np.isfinite(each).sum(-1, keepdims=True)


def agreement_rows(
    population: Population, evidence: Evidence, inside: np.ndarray, weights: np.ndarray, *, patients: int, method: str
) -> list[Row]:
    """Spearman's correlation within findings, over pairs, of a map's sum in the changed pixels [P,G] with the change of
    the logit: does a map hold more where there is more to hold?"""
    a, b = (_ranks_within(values, evidence.finding) for values in (inside, evidence.delta))

    def correlation(weights: np.ndarray) -> np.ndarray:
        sums = [np.asarray(weights, np.float64) @ product.T for product in (a * b, a * a, b * b)]
        with np.errstate(invalid='ignore', divide='ignore'):
            return (sums[0] / np.sqrt(sums[1] * sums[2]))[..., None]

    point = correlation(np.ones((1, len(evidence.finding))))[0]
    rounds = widened(point, correlation(weights), patients)
    sample = Sample(population.living(point), np.stack([population.living(one) for one in rounds]))
    cells = [{'class': MACRO, 'concept': OWN_FINDING}]
    counts = [len(evidence.finding)]
    return [
        *_member_rows(population, sample, counts, cells, RANKED, method=method),
        *contrast_rows(population, sample, cells, RANKED, families=[[True]], method=method),
    ]


def _ranks_within(values: np.ndarray, finding: np.ndarray) -> np.ndarray:
    """Ranks of values [P,G] among the pairs of the same finding, about their mean; ties have one rank."""
    ranks = np.zeros(values.shape)
    for k in np.unique(finding):
        of = values[:, finding == k]
        below = (of[:, None, :] < of[:, :, None]).sum(-1) - (of[:, None, :] > of[:, :, None]).sum(-1)
        ranks[:, finding == k] = below / 2
    return ranks
