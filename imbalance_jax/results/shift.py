"""How much worse, or better, a population is on another data set, as rows: every figure there minus the same at home.

    shift of an arm             mean over seeds of (external - internal), of the same networks
    beside the reference        the arm's shift minus the reference's: which approach transfers better?

Both sides are over the same classes, those that have positives and negatives on both; their macro means, too, so that a
class that is absent there is in none. Patients of the two sets are independent, seeds are the same: the variance of a
shift is that of the differences over seeds plus the patients' part of each side (`intervals.independent_difference`).

AUROC asks for the order of images alone. Average precision, Brier score and calibration also depend on how common a
finding is: their shift holds the shift of prevalence, which stands beside.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.metrics import intervals, scores
from imbalance_jax.results.calibration import IF_CALIBRATED, RECALIBRATED, errors_of, rounds_of
from imbalance_jax.results.comparison import Claims, Evidence, Truth, count_rows, evidence_of, with_macro
from imbalance_jax.results.contrasts import Contrast, contrast_rows
from imbalance_jax.results.levels import level_rows
from imbalance_jax.results.pair_means import ALL_PAIRS, Figures, Grouping, Means
from imbalance_jax.results.rows import MACRO, Bootstrap, Population, Row, Sample, class_cells, of_kind

INTERNAL, EXTERNAL, SHIFT = 'internal', 'external', 'shift'
UNBOUNDED = ('brier', 'expected_calibration_error')  # whose levels have plain intervals
PLACES = (INTERNAL, EXTERNAL)
SHUFFLED = 'shuffled regions'  # as in results/alignment
MEASURES = ('hit_share', 'signed_hit_share', 'pixel_auroc', 'signed_pixel_auroc', 'relevance_rank', 'iou')


class Side(NamedTuple):
    """What all members say of one test split, and what is true of it.

    probabilities [P,N,K]: as they rank; recalibrated [P,N,K]: under the prior of the training set. Of frozen members
    NaN.
    """

    probabilities: np.ndarray
    recalibrated: np.ndarray
    truth: Truth


class Measured(NamedTuple):
    """A figure of all members on both sides, [P,C] with rounds [R,P,C], and what its C cells hang on on each."""

    internal: Sample
    external: Sample
    evidence: tuple[Evidence, Evidence]


def rows(
    population: Population,
    internal: Side,
    external: Side,
    *,
    classes: Sequence[str],
    bootstrap: Bootstrap,
    claims: Claims,
) -> list[Row]:
    """Rows of results/shift; none if no class has positives and negatives on both sides."""
    sides = (internal, external)
    common = defined(internal.truth) & defined(external.truth)
    if not common.any():
        return []
    result = [row for place, side in zip(PLACES, sides, strict=True) for row in _truth_rows(side.truth, classes, place)]
    figures = [
        _figures(side, common, bootstrap._replace(seed=bootstrap.seed + number)) for number, side in enumerate(sides)
    ]
    evidence = tuple(_within(evidence_of(side.truth, claims), common) for side in sides)
    for key in figures[0]:
        metric, method, above = key
        measured = Measured(figures[0][key], figures[1][key], (evidence[0], evidence[1]))
        what: dict[str, Any] = {'metric': metric, 'method': method, 'above': above}
        result += measured_rows(population, measured, cells=class_cells([*classes, MACRO]), **what)
    return [row for row in result if row.get('class') in (MACRO, *np.array(classes)[common]) or row['kind'] == 'data']


def defined(truth: Truth) -> np.ndarray:
    """Which classes [K] have positives and negatives."""
    known, positive = np.asarray(truth.label_mask) > 0, np.asarray(truth.labels) == 1
    return np.asarray((known & positive).any(0) & (known & ~positive).any(0))


def _within(evidence: Evidence, common: np.ndarray) -> Evidence:
    """The evidence of the classes in `common` [K], and of their macro mean."""
    clusters = evidence.clusters[:-1]
    macro = intervals.clusters_of_mean(clusters[common])
    return Evidence(np.append(clusters, macro), np.append(evidence.too_few[:-1], False))


def _truth_rows(truth: Truth, classes: Sequence[str], place: str) -> list[Row]:
    """Positives, patients with them and prevalence; a class that is absent has none of these."""
    known = np.asarray(np.asarray(truth.label_mask).any(0))
    prevalence = scores.prevalence(truth.labels, truth.label_mask)
    counted = np.asarray(truth.label_mask).sum(0)
    result = [row for row in count_rows(truth, classes) if known[list(classes).index(row['class'])]]
    result += [
        of_kind('data', 'prevalence', prevalence[k], counted[k], name=name)
        for k, name in enumerate(classes)
        if known[k]
    ]
    return [{**row, 'place': place} for row in result]


def _figures(side: Side, common: np.ndarray, bootstrap: Bootstrap) -> dict[tuple[str, str, str], Sample]:
    """(metric, method, above) -> values of the classes and their mean, those outside `common` NaN."""
    truth, weights = side.truth, rounds_of(side.truth, bootstrap)
    ranked = scores.ranking(side.probabilities, truth.labels, truth.label_mask, weights)
    rng = np.random.default_rng(0)  # the same draws on both sides
    errors = [errors_of(one, truth, weights, rng) for one in side.recalibrated]
    figures = {
        ('auroc', '', ''): ranked['auroc'],
        ('average_precision', '', ''): ranked['average_precision'],
        ('brier', RECALIBRATED, ''): np.stack([one.brier for one in errors], 1),
        ('expected_calibration_error', RECALIBRATED, IF_CALIBRATED): np.stack([one.above_null for one in errors], 1),
    }
    kept = {key: with_macro(np.where(common, value, np.nan)) for key, value in figures.items()}
    return {key: Sample(value[0], value[1:]) for key, value in kept.items()}


def measured_rows(
    population: Population, measured: Measured, *, cells: Sequence[Mapping[str, Any]], metric: str, **columns: Any
) -> list[Row]:
    """Levels on both sides, the shift of every arm, and that of every compared arm minus the reference's.

    p is two-sided that there is no shift, or that the arm's is the reference's; p_adjusted is Holm's over arms, for
    single findings over arms and findings.
    """
    what: dict[str, Any] = {'cells': cells, 'metric': metric, **columns}
    result = []
    for place, sample, evidence in zip(PLACES, measured[:2], measured.evidence, strict=True):
        unit = metric not in UNBOUNDED and not columns.get('above')
        result += level_rows(population, sample, evidence=evidence, place=place, within_unit=unit, **what)
    first, reference = population.first, population.reference
    own = [Contrast(first[arm], *_shift(measured, of)) for arm, of in population.arms.items()]
    result += contrast_rows(own, against='', place=SHIFT, **what)
    compared = _shift if population.paired else _shift_between
    others = [
        Contrast(first[arm], *compared(measured, of, population.arms[reference]))
        for arm, of in population.compared.items()
        if arm != reference
    ]
    return result + contrast_rows(others, against=reference, place=SHIFT, **what)


def _shift(
    measured: Measured, members: Sequence[int], reference: Sequence[int] | None = None
) -> tuple[intervals.Interval, int]:
    """External minus internal of some members, or of these less the reference's, and over how many seeds."""

    def of(sample: Sample) -> Sample:
        own = Sample(sample.values[members], sample.resampled[:, members])
        if reference is None:
            return own
        return Sample(own.values - sample.values[reference], own.resampled - sample.resampled[:, reference])

    here, there = of(measured.internal), of(measured.external)
    at_home, away = measured.evidence
    interval = intervals.independent_difference(
        there.values,
        here.values,
        there.resampled,
        here.resampled,
        clusters=away.clusters,
        other_clusters=at_home.clusters,
    )
    pairs = int(np.isfinite(there.values + here.values).any(1).sum())
    return intervals.withheld(interval, at_home.too_few | away.too_few), pairs


def _shift_between(
    measured: Measured, members: Sequence[int], reference: Sequence[int]
) -> tuple[intervals.Interval, int]:
    """External minus internal of some members, less that of others that have nothing in common with them."""
    here, there = measured.internal, measured.external
    at_home, away = measured.evidence
    values = there.values - here.values
    # The rounds of both sides are drawn alike: each meets another one here, as their patients are independent.
    rounds = there.resampled - np.roll(here.resampled, 1, axis=0)
    interval = intervals.unpaired_difference(
        values[members],
        values[reference],
        rounds[:, members],
        rounds[:, reference],
        clusters=np.minimum(at_home.clusters, away.clusters),
    )
    number = int(np.isfinite(values[[*members, *reference]]).any(1).sum())
    return intervals.withheld(interval, at_home.too_few | away.too_few), number


class Maps(NamedTuple):
    """One method's maps of one side: the finding and the patient of each of M pairs, figures [P,M] by measure, and the
    same against other patients' regions."""

    finding: np.ndarray
    patient: np.ndarray
    own: Figures
    shuffled: Figures


def map_rows(
    population: Population,
    method: str,
    internal: Maps,
    external: Maps,
    *,
    classes: Sequence[str],
    bootstrap: Bootstrap,
    smallest_count: int,
) -> list[Row]:
    """Rows of results/map_shift of one method, of findings with regions on both sides; none without such."""
    sides = (internal, external)
    common = np.isin(np.arange(len(classes)), internal.finding) & np.isin(np.arange(len(classes)), external.finding)
    measures = [name for name in MEASURES if name == 'hit_share' or all(name in side.own for side in sides)]
    if not common.any():
        return []
    means, evidence = [], []
    for number, side in enumerate(sides):
        some = common[side.finding]
        grouping = Grouping(side.finding[some], side.patient[some], len(classes))
        weights = bootstrap._replace(seed=bootstrap.seed + number).weights(side.patient[some])
        kept: Callable[[Figures], Figures] = _living(population, some)
        means.append([Means.of(kept(of), grouping, weights, population.living_indices) for of in side[2:]])
        few = np.array(grouping.patients) < smallest_count
        evidence.append(Evidence(grouping.clusters, np.insert(few, len(classes), False)))
    cells, result = class_cells([*classes, MACRO, ALL_PAIRS]), []
    for above in ('', SHUFFLED):
        for measure in measures:
            home, away = (_sample(of, measure, above) for of in means)
            measured = Measured(home, away, (evidence[0], evidence[1]))
            what: dict[str, Any] = {'metric': measure, 'method': method, 'above': above}
            result += measured_rows(population, measured, cells=cells, **what)
    names = (MACRO, ALL_PAIRS, *np.array(classes)[common])
    return [row for row in result if row['class'] in names]


def _living(population: Population, some: np.ndarray) -> Callable[[Figures], Figures]:
    return lambda figures: {name: population.living(np.asarray(value)[:, some]) for name, value in figures.items()}


def _sample(means: Sequence[Means], measure: str, above: str) -> Sample:
    own, shuffled = means
    values, resampled = own.values[measure], own.resampled[measure]
    if above:
        return Sample(values - shuffled.values[measure], resampled - shuffled.resampled[measure])
    return Sample(values, resampled)
