"""Calibration and decisions as rows: do probabilities mean what they say, and what are decisions by them worth?

Two kinds of probabilities: the sigmoid of the logits as they are (method ''), and recalibrated ones (method
`RECALIBRATED`; `recalibration` says how an arm's were made). Intervals are over patients and seeds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.metrics import calibration, decision
from imbalance_jax.results.comparison import Claims, Evidence, Truth, evidence_of, with_macro
from imbalance_jax.results.levels import both, level_rows
from imbalance_jax.results.rows import MACRO, Bootstrap, Population, Row, Sample, class_cells, of_kind

RECALIBRATED = 'recalibrated'
SENSITIVITY = 0.8  # on the validation split, at the operating point
BINS = 10  # of a curve
ERROR_BINS = 15  # of the calibration error, as in `scores.expected_calibration_error`
THRESHOLDS = (0.05, 0.1, 0.2)  # probabilities at which a finding is worth a look: 19, 9 and 4 false calls per miss
NULL_ROUNDS = 50
AT_ONCE = 1 << 19  # probabilities whose lines are fitted at a time
ROUNDS = 200  # of the bootstrap at most: they give a variance, which is known to 10 % by then
IF_CALIBRATED, CALL_ALL = 'perfect calibration', 'call everything'


class Predicted(NamedTuple):
    """What all members say of a split.

    logits, probabilities: [P,N,K], of frozen members NaN; probabilities are recalibrated. method: arm -> how they were.
    operating: [P,K], the logits from which on a finding is called, chosen on the validation split.
    """

    logits: np.ndarray
    probabilities: np.ndarray
    method: Mapping[str, str]
    operating: np.ndarray

    @property
    def sigmoid(self) -> np.ndarray:
        """The probabilities as the logits say them."""
        return 1 / (1 + np.exp(-np.clip(self.logits, -500, 500)))

    @property
    def decisions(self) -> np.ndarray:
        """1.0 where a finding is called at the operating point, [P,N,K]."""
        return decision.called(self.logits, self.operating)


def rows(
    population: Population,
    predicted: Predicted,
    truth: Truth,
    *,
    classes: Sequence[str],
    bootstrap: Bootstrap,
    claims: Claims,
) -> list[Row]:
    """Rows of results/calibration of one split.

    slope, intercept: of a logistic recalibration, right are 1 and 0; brier; expected_calibration_error, against
    `IF_CALIBRATED` what is left of it above that of right probabilities; net_benefit at `THRESHOLDS`; sensitivity and
    specificity at the operating point; predicted and observed: the curve, by bins of equally many images.
    """
    rounds = rounds_of(truth, bootstrap)
    evidence, cells = evidence_of(truth, claims), class_cells([*classes, MACRO])
    what: dict[str, Any] = {'cells': cells, 'evidence': evidence}
    result = []
    for method, probabilities in (('', predicted.sigmoid), (RECALIBRATED, predicted.probabilities)):
        figures, above_null = _figures(probabilities, truth, rounds, seed=bootstrap.seed)
        for metric, values in figures.items():
            result += both(population, _sample(values), metric=metric, method=method, **what)
        excess: dict[str, Any] = {'metric': 'expected_calibration_error', 'against': IF_CALIBRATED, 'method': method}
        result += level_rows(population, _sample(above_null), **excess, **what)
    for threshold in THRESHOLDS:
        result += _benefit_rows(population, predicted, truth, rounds, threshold=threshold, what=what)
    shares = decision.rates(predicted.decisions, truth.labels, truth.label_mask, rounds)
    for metric, values in shares._asdict().items():
        result += both(population, _sample(values), metric=metric, within_unit=True, **what)
    result += _curve_rows(population, predicted, truth, rounds, classes=classes, claims=claims)
    return [_said(row, predicted.method) for row in result]


def rounds_of(truth: Truth, bootstrap: Bootstrap) -> np.ndarray:
    """Weights [1 + R, N] float64: the images as they are, and the rounds of a bootstrap over patients."""
    weights = bootstrap._replace(rounds=min(bootstrap.rounds, ROUNDS)).weights(truth.patients)
    return np.concatenate([np.ones((1, len(truth.labels))), weights])


def _sample(values: np.ndarray) -> Sample:
    """Classes and their mean, of values [1 + R, P, K] whose first is no round."""
    return Sample(with_macro(values[0]), with_macro(values[1:]))


def _said(row: Row, method: Mapping[str, str]) -> Row:
    """The row with how the arm's probabilities were recalibrated, where they were."""
    return {**row, 'recalibration': method[row['arm']]} if row.get('method') == RECALIBRATED and row.get('arm') else row


def _figures(
    probabilities: np.ndarray, truth: Truth, rounds: np.ndarray, *, seed: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """{metric: [1 + R, P, K]} and the calibration error above its null, of some members at a time: lines of `AT_ONCE`
    numbers; errors of one member, as bins take much memory."""
    rng = np.random.default_rng(seed)
    blocks = np.array_split(probabilities, max(1, min(len(probabilities), probabilities.size // AT_ONCE)))
    lines = [calibration.recalibration(one, truth.labels, truth.label_mask, rounds[1:]) for one in blocks]
    errors = [errors_of(one, truth, rounds, rng) for one in probabilities]
    figures = {
        'slope': np.concatenate([np.concatenate([one.slope[None], one.slope_rounds]) for one in lines], 1),
        'intercept': np.concatenate([np.concatenate([one.intercept[None], one.intercept_rounds]) for one in lines], 1),
        'brier': np.stack([one.brier for one in errors], 1),
        'expected_calibration_error': np.stack([one.calibration for one in errors], 1),
    }
    return figures, np.stack([one.above_null for one in errors], 1)


class Errors(NamedTuple):
    """Of one member's probabilities, [1 + R, K]: Brier score, expected calibration error, and what is left of that
    above the error of right probabilities."""

    brier: np.ndarray
    calibration: np.ndarray
    above_null: np.ndarray


def errors_of(one: np.ndarray, truth: Truth, rounds: np.ndarray, rng: np.random.Generator) -> Errors:
    """The errors of one member's probabilities [N,K]; rng draws what right ones would score."""
    counts = np.asarray(truth.label_mask, np.float64)
    positive = np.where(counts > 0, np.asarray(truth.labels) == 1, False) * 1.0
    bins = calibration.quantile_bins(one, counts, ERROR_BINS)
    error = calibration.calibration_error(bins, one.T, positive.T, rounds)
    null = calibration.calibration_error_null(bins, one.T, rounds=NULL_ROUNDS, rng=rng)
    return Errors(decision.share((one - positive) ** 2, counts, rounds), error, error - null)


def _benefit_rows(
    population: Population,
    predicted: Predicted,
    truth: Truth,
    rounds: np.ndarray,
    *,
    threshold: float,
    what: dict[str, Any],
) -> list[Row]:
    """Net benefit of every arm, and of calling everything, at one threshold."""
    entries = truth.labels, truth.label_mask, rounds
    values = decision.net_benefit(predicted.probabilities, *entries, threshold=threshold)
    everything = decision.net_benefit(np.ones(truth.labels.shape), *entries, threshold=threshold)[0]
    columns: dict[str, Any] = {'metric': 'net_benefit', 'threshold': threshold}
    result = both(population, _sample(values), method=RECALIBRATED, **columns, **what)
    for cell, value in zip(what['cells'], with_macro(everything), strict=True):
        row = of_kind('null level', 'net_benefit', value, len(truth.labels), against=CALL_ALL, threshold=threshold)
        result.append({**row, **cell})
    return result


def _curve_rows(
    population: Population,
    predicted: Predicted,
    truth: Truth,
    rounds: np.ndarray,
    *,
    classes: Sequence[str],
    claims: Claims,
) -> list[Row]:
    """Mean predicted and observed share of every bin of every class, with the interval of what is observed.

    A bin's images are those of each member; a bin with fewer positives than an interval needs has none.
    """
    positive = (np.where(truth.label_mask > 0, truth.labels == 1, False) * 1.0).T
    result = []
    for method, probabilities in (('', predicted.sigmoid), (RECALIBRATED, predicted.probabilities)):
        observed, expected, counts = [], [], []
        for one in probabilities:
            bins = calibration.quantile_bins(one, truth.label_mask, BINS)
            observed.append(calibration.bin_means(bins, positive, rounds))
            expected.append(calibration.bin_means(bins, one.T, rounds[:1]))
            counts.append((bins.membership * positive[:, None]).sum(-1))
        curve = {'observed': np.stack(observed, 1), 'predicted': np.stack(expected, 1)}
        few = np.mean(counts, 0) < claims.smallest_count
        for k, name in enumerate(classes):
            cells = [{'class': name, 'bin': number + 1} for number in range(BINS)]
            what: dict[str, Any] = {'cells': cells, 'method': method}
            for metric, values in curve.items():
                sample = Sample(values[0, :, k], values[1:, :, k])
                scarce = Evidence(np.full(BINS, np.inf), few[k] | (metric == 'predicted'))
                result += level_rows(population, sample, metric=metric, evidence=scarce, **what)
    return result
