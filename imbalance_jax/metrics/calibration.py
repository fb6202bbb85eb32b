"""How well probabilities agree with what happened: recalibration lines, reliability curves, error and its null.

NumPy float64 on the host. Log-odds and probabilities are [..., N, K] with any leading axes; labels and mask are [N, K],
and an entry with mask 0 counts nowhere. Weights [R, N] say how often each image counts in each round of a bootstrap.
"""

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

from imbalance_jax.metrics.inputs import require_fit
from imbalance_jax.system.shapes import takes

STEPS, TOLERANCE = 40, 1e-8  # of Newton's method
SMALLEST = 1e-6  # a probability nearer to 0 or 1 counts as that in a regression on log-odds


class Line(NamedTuple):
    """log-odds of the label = intercept + slope x, each [...]; information: [..., 2, 2] at these values."""

    intercept: np.ndarray
    slope: np.ndarray
    information: np.ndarray


@takes(x='... N', target='... N', counts='... N')
def logistic(x: np.ndarray, target: np.ndarray, counts: np.ndarray, *, firth: bool = False) -> Line:
    """Logistic regression of target [..., N] (0..1) on x [..., N], by Newton's method with halved steps.

    counts: [..., N], 0 for what is left out; firth: with Jeffreys' prior, whose line exists where labels are separable,
    and whose slope is not biased away from 0 by few positives (Firth 1993, Heinze and Schemper 2002). NaN where x or
    target is constant, or where the line does not exist.
    """
    design = np.stack([np.ones_like(x), x], axis=-1)
    lead = np.broadcast_shapes(x.shape, target.shape, counts.shape)[:-1]
    beta, shrink = np.zeros((*lead, 2)), float(firth)
    loss, step = _deviance(design, beta, target, counts, shrink), np.zeros_like(beta)
    moving = np.ones(lead, bool)  # a line that is found stays as it is, whatever stands beside it
    for _ in range(STEPS):
        p = scipy.special.expit((design @ beta[..., None])[..., 0])
        information = _information(design, p, counts)
        pull = shrink * _leverage(design, p, counts, information) * (0.5 - p) if firth else 0.0
        gradient = ((counts * (target - p) + pull)[..., None] * design).sum(-2)
        step = np.nan_to_num(np.clip(_solve(information, gradient), -5, 5)) * moving[..., None]
        for _ in range(30):
            now = _deviance(design, beta + step, target, counts, shrink)
            worse = now > loss + 1e-12 * np.abs(loss)
            if not worse.any():
                break
            step = np.where(worse[..., None], step / 2, step)
        beta, loss = beta + step, now
        moving &= np.abs(step).max(-1) > TOLERANCE
        if not moving.any():
            break
    p = scipy.special.expit((design @ beta[..., None])[..., 0])
    number, positives = counts.sum(-1), (counts * target).sum(-1)
    finite = (
        (np.abs(step).max(-1) <= 1e-4) & (positives > 0) & (positives < number) & (x.max(-1) > x.min(-1))
    )  # NaN, too
    beta = np.where(finite[..., None], beta, np.nan)
    return Line(beta[..., 0], beta[..., 1], _information(design, p, counts))


def _deviance(
    design: np.ndarray, beta: np.ndarray, target: np.ndarray, counts: np.ndarray, shrink: float
) -> np.ndarray:
    """Minus the log likelihood, and minus half the log determinant of the information where lines are shrunk."""
    z = np.nan_to_num((design @ beta[..., None])[..., 0])
    value = (counts * (np.logaddexp(0, z) - target * z)).sum(-1)
    if not shrink:
        return value
    (a, b), (_, d) = np.moveaxis(_information(design, scipy.special.expit(z), counts), (-2, -1), (0, 1))
    with np.errstate(divide='ignore', invalid='ignore'):
        return value - np.nan_to_num(np.log(a * d - b * b), nan=-1e9, neginf=-1e9) / 2


def _information(design: np.ndarray, p: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.swapaxes(design, -1, -2) @ (design * (counts * p * (1 - p))[..., None])


def _leverage(design: np.ndarray, p: np.ndarray, counts: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Diagonal [..., N] of the hat matrix of the weighted regression."""
    solved = _solve(information[..., None, :, :], design)
    return np.nan_to_num(counts * p * (1 - p) * (design * solved).sum(-1))


def _solve(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """matrix^-1 vector [..., 2]; NaN where the matrix is singular."""
    (a, b), (_, d) = np.moveaxis(matrix, (-2, -1), (0, 1))
    x, y = np.moveaxis(vector, -1, 0)
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.stack([d * x - b * y, a * y - b * x], -1) / (a * d - b * b)[..., None]


def platt(logits: ArrayLike, labels: ArrayLike, mask: ArrayLike) -> Line:
    """Intercept and slope [..., K] that make probabilities of logits [..., N, K] (Platt 1999, "Probabilistic outputs").

    The targets are Platt's, (n+ + 1) / (n+ + 2) and 1 / (n- + 2), so that a separable class has a line, too. A slope
    below 0 would turn the order of images around: it becomes 0, and the intercept that of a constant.
    """
    x, y, counts = _by_class(logits, labels, mask)
    positives, negatives = (counts * y).sum(-1, keepdims=True), (counts * (1 - y)).sum(-1, keepdims=True)
    target = np.where(y > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    centre, spread = x.mean(-1, keepdims=True), np.maximum(x.std(-1, keepdims=True), 1e-12)
    line = logistic((x - centre) / spread, target, counts)
    slope = line.slope / spread[..., 0]
    constant = scipy.special.logit((counts * target).sum(-1) / counts.sum(-1))
    flat = ~(slope > 0) & np.isfinite(x).all(-1)
    slope, intercept = np.where(flat, 0.0, slope), line.intercept - slope * centre[..., 0]
    return Line(np.where(flat, constant, intercept), slope, line.information)


def _by_class(values: ArrayLike, labels: ArrayLike, mask: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values [..., K, N], labels and mask [K, N], all float64; masked labels are 0."""
    require_fit(values, labels=labels, mask=mask)
    values = np.moveaxis(np.asarray(values, np.float64), -2, -1)
    counts = np.asarray(mask, np.float64).T
    return values, np.where(counts > 0, np.asarray(labels, np.float64).T, 0.0), counts


class Recalibration(NamedTuple):
    """Slope and intercept of a logistic recalibration, [..., K] each, and the same in rounds [R, ..., K].

    slope: of the label's log-odds on the predicted ones, 1 is right and less is overconfident; intercept: what has to
    be added to the predicted log-odds as they are, 0 is right and less than 0 means that risks are overestimated.
    """

    slope: np.ndarray
    intercept: np.ndarray
    slope_rounds: np.ndarray
    intercept_rounds: np.ndarray


def recalibration(
    probabilities: ArrayLike, labels: ArrayLike, mask: ArrayLike, weights: ArrayLike | None = None
) -> Recalibration:
    """Calibration slope, and intercept given slope 1 (Cox 1958; Steyerberg 2009), of probabilities [..., N, K].

    The slope is Firth's, as a rare class that is ranked almost perfectly has hardly any other. Rounds are one Newton
    step from the estimate under each round's weights (Moulton and Zeger 1991), the estimate's influence function: a
    round needs no fit of its own. A probability below 1e-6 counts as 1e-6. NaN for labels of one kind.
    """
    p, y, counts = _by_class(probabilities, labels, mask)
    x = scipy.special.logit(np.clip(p, SMALLEST, 1 - SMALLEST))
    line = logistic(x, np.broadcast_to(y, x.shape), np.broadcast_to(counts, x.shape), firth=True)
    shift = _offset(x, y, counts)
    rounds = np.ones((1, y.shape[-1])) if weights is None else np.asarray(weights, np.float64)
    fitted = scipy.special.expit(line.intercept[..., None] + line.slope[..., None] * x)
    moved = scipy.special.expit(shift[..., None] + x)
    bend = counts * fitted * (1 - fitted)
    design = np.stack([np.ones_like(x), x], axis=-1)
    leverage = _leverage(design, fitted, np.broadcast_to(counts, x.shape), line.information)
    score = counts * (y - fitted) + leverage * (0.5 - fitted)
    sums = [_weighted(rounds, one) for one in (score, score * x, bend, bend * x, bend * x * x)]
    information = np.moveaxis(np.array([[sums[2], sums[3]], [sums[3], sums[4]]]), (0, 1), (-2, -1))
    step = _solve(information, np.stack(sums[:2], -1))[..., 1]
    with np.errstate(divide='ignore', invalid='ignore'):
        other = _weighted(rounds, counts * (y - moved)) / _weighted(rounds, counts * moved * (1 - moved))
    return Recalibration(line.slope, shift, line.slope + step, shift + other)


def _weighted(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums [R, ...] of values [..., N] under weights [R, N]."""
    return np.moveaxis(values @ weights.T, -1, 0)


def _offset(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """What added to x [..., N] makes the mean probability that of the labels; NaN for labels of one kind only."""
    low, high = np.full(x.shape[:-1], -40.0), np.full(x.shape[:-1], 40.0)
    for _ in range(60):
        middle = (low + high) / 2
        below = (counts * (scipy.special.expit(x + middle[..., None]) - y)).sum(-1) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    middle = (low + high) / 2
    return np.where((np.abs(middle) < 39) & np.isfinite(x).all(-1), middle, np.nan)


class Bins(NamedTuple):
    """Bins of equally many images by probability: membership [..., K, B, N], 0 or 1."""

    membership: np.ndarray

    @property
    def number(self) -> int:
        """How many bins there are."""
        return self.membership.shape[-2]


@takes(probabilities='... N K', mask='N K')
def quantile_bins(probabilities: ArrayLike, mask: ArrayLike, bins: int) -> Bins:
    """Bins of the counted images of every class between quantiles of probabilities [..., N, K], closed on the right.

    Equal probabilities share a bin, as in `scores.expected_calibration_error`; a bin may stay empty. Images without a
    probability are in none.
    """
    p = np.moveaxis(np.asarray(probabilities, np.float64), -2, -1)
    counts = np.broadcast_to(np.asarray(mask).T > 0, p.shape) & np.isfinite(p)
    shares, which = np.linspace(0, 1, bins + 1)[1:-1], np.full(p.shape, bins)
    for index in np.ndindex(p.shape[:-1]):
        kept = counts[index]
        if kept.any():
            which[index][kept] = np.searchsorted(np.quantile(p[index][kept], shares), p[index][kept])
    return Bins(which[..., None, :] == np.arange(bins)[:, None])


@takes(values='... K N', weights='R N')
def bin_means(bins: Bins, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Means [R, ..., K, B] of values [..., K, N] in every bin and round; NaN for a bin that a round leaves empty."""
    total = _weighted(weights, bins.membership * 1.0)
    with np.errstate(divide='ignore', invalid='ignore'):
        return _weighted(weights, _inside(bins, values)) / total


def _inside(bins: Bins, values: np.ndarray) -> np.ndarray:
    """Values [..., K, N] of the images of every bin, [..., K, B, N], and 0 elsewhere."""
    return np.where(bins.membership, values[..., None, :], 0.0)


@takes(probabilities='... K N', labels='... K N', weights='R N')
def calibration_error(bins: Bins, probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Expected calibration error [R, ..., K], sum_b n_b / n |mean p - mean y|; probabilities, labels [..., K, N]."""
    gaps = _weighted(weights, _inside(bins, np.subtract(probabilities, labels)))
    total = _weighted(weights, np.asarray(bins.membership.any(-2), np.float64))
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.abs(gaps).sum(-1) / total


def calibration_error_null(
    bins: Bins, probabilities: np.ndarray, *, rounds: int, rng: np.random.Generator
) -> np.ndarray:
    """Mean calibration error [..., K] of the same probabilities [..., K, N] if they were right: labels drawn by them.

    What is finite scores above 0 however well it is calibrated (Vaicenavicius et al. 2019, arXiv 1902.06977).
    """
    total = np.zeros(probabilities.shape[:-1])
    number = bins.membership.sum((-2, -1))
    for _ in range(rounds):
        wrong = np.nan_to_num(probabilities - (rng.random(probabilities.shape, np.float32) < probabilities))
        total += np.abs((bins.membership @ wrong[..., None])[..., 0]).sum(-1)
    with np.errstate(divide='ignore', invalid='ignore'):
        return total / number / rounds
