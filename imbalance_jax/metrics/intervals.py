"""One construction of an interval for everything that was measured with several seeds on resampled patients.

The mean over S seeds of a figure of G patients varies for three reasons: seeds, patients, and the interaction of both
(this seed is wrong about those patients). Seeds are drawn anew by training, patients by the bootstrap, and each of the
three variances is estimated once:

    V     = s2 / S + P                                       P = max(0, V_pat - V_int)
    V_int = max(0, mean over seeds of V_boot - V_pat) / (S - 1)
    1/df  = (s2 / S / V)^e(S - 1) / (S - 1) + (P / V)^e(G - 1) / (G - 1)          e(n) = 2 - 1.5 / n, at least 0.5

s2 is the variance over seeds, which holds the seeds' part and the interaction; V_pat the bootstrap variance of the mean
over seeds, which holds the patients' part and the interaction; V_boot that of one seed. The interaction is in both and
is taken back once. G is the effective number of patients that the figure hangs on (`effective_clusters`): of a rare
class those with the finding. Their number varies from round to round, which widens V_boot by about as much as a
bootstrap of a fixed number G would be too narrow, so that there is no factor G / (G - 1).

The degrees of freedom are those of Satterthwaite (1946) but for the exponent e of the shares, which is 2 there: right
for shares that are known, while a variance of 3 seeds that is small by chance also takes its few degrees of freedom out
of the sum. So a part's exponent is lower the fewer degrees of freedom its own estimate has. At a nominal 95 %, for any
mix of both parts and from 5 patients on (of normal values), that covers 94-97 % with 3 seeds (an exponent of 2 for all
92-96, of 1.5 93-97), 94.5-96.5 % from 5 seeds on, and 94-99 % with 2 (exponent 2: 87-96 %).
`analysis/validation` measures how often such intervals hold a planted truth. Estimates of the variances are in
`metrics.variances`, the effective numbers of patients in `metrics.clusters`.

NumPy float64 on the host. What is not finite (a dead member, a class that a round has lost) is left out.
"""

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

from imbalance_jax.metrics.clusters import clusters_of_mean as clusters_of_mean
from imbalance_jax.metrics.clusters import effective_clusters as effective_clusters
from imbalance_jax.metrics.clusters import effective_number as effective_number
from imbalance_jax.metrics.variances import finite_mean, finite_variance, inverse_df, of_interaction, variances
from imbalance_jax.system.shapes import takes

MANY = np.inf  # patients: so many that their number need not be known
ROUNDING = 1e-9  # a standard error below this share of the values is rounding, not variation


class Interval(NamedTuple):
    """An estimate with the ends of its interval, its standard error and degrees of freedom, and what it is over.

    rounds: the number of bootstrap rounds in which it was defined, or of seeds where there was no bootstrap. The ends
    are NaN where the data allow no interval.
    """

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rounds: np.ndarray
    error: np.ndarray | float = np.nan
    df: np.ndarray | float = np.nan


@takes(values='...', resampled='...')
def seed_interval(
    values: ArrayLike, resampled: ArrayLike, *, clusters: ArrayLike = MANY, confidence: float = 0.95
) -> Interval:
    """Interval [...] of the mean over seeds of values [S, ...], over patients and seeds.

    resampled: [R, S, ...], the same values in R rounds of a bootstrap over patients (`statistics.cluster_weights`);
    clusters: effective number [...] of patients behind each value. A seed without any finite value (a dead member) is
    left out. One seed alone leaves the patients' part only: such an interval is of that one network. No interval (NaN)
    where no round is defined, with one patient, or where nothing varies: equal values are no proof that others would be
    equal. Raises ValueError for shapes that do not fit.
    """
    point, samples = np.asarray(values, np.float64), np.asarray(resampled, np.float64)
    if samples.ndim != point.ndim + 1 or samples.shape[1:] != point.shape:
        raise ValueError(f'values are {point.shape} and rounds {samples.shape}; valid are [S, K] and [R, S, K].')
    alive = np.isfinite(point).reshape(len(point), -1).any(axis=1)
    if alive.any():
        point, samples = point[alive], samples[:, alive]
    number, patients = np.isfinite(point).sum(0), variances(point, samples).patients
    freedom = np.where(np.asarray(clusters) > 1, np.asarray(clusters) - 1.0, np.nan)
    seeds = np.where(number > 1, finite_variance(point, 0) / np.maximum(number, 1), 0.0)
    with np.errstate(invalid='ignore', divide='ignore'):
        of_seeds, of_patients = (part / (seeds + patients) for part in (seeds, patients))
        inverse = np.where(seeds > 0, inverse_df(of_seeds, number - 1.0), 0.0) + inverse_df(of_patients, freedom)
        df = np.where(inverse == 0, np.inf, 1 / inverse)
    return _interval(point, seeds + patients, df, np.isfinite(finite_mean(samples, 1)).sum(0), confidence=confidence)


@takes(values='S ...')
def over_seeds(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Student's interval [...] of the mean of values [S, ...] over seeds alone; `rounds` counts the seeds.

    It holds for the images at hand only (a count of units, say): on other patients the figure would be another one, and
    the interval knows nothing of that. No interval (NaN) below two finite values or where all are equal.
    """
    point = np.asarray(values, np.float64)
    number = np.isfinite(point).sum(0)
    with np.errstate(invalid='ignore', divide='ignore'):
        return _interval(point, finite_variance(point, 0) / number, number - 1.0, number, confidence=confidence)


@takes(values='S+ ...', others='T+ ...')
def unpaired_over_seeds(values: ArrayLike, others: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """`unpaired_difference` of values [S, ...] and others [S', ...] over seeds alone; `rounds` counts all networks."""
    groups = [np.asarray(one, np.float64) for one in (values, others)]
    flat = [one.reshape(len(one), -1) for one in groups]
    rounds = [np.repeat(one[None], 2, 0) for one in flat]
    one = unpaired_difference(*flat, *rounds, confidence=confidence)
    number = np.sum([np.isfinite(group).sum(0) for group in flat], axis=0)
    shape = groups[0].shape[1:]
    return Interval(*(np.reshape(part, shape) for part in one._replace(rounds=number)))


def _interval(
    point: np.ndarray, variance: np.ndarray, df: np.ndarray, rounds: np.ndarray, *, confidence: float
) -> Interval:
    """Student's interval of the mean over axis 0 of `point`, from the variance of that mean."""
    size = np.max(np.where(np.isfinite(point), np.abs(point), 0.0), axis=0, initial=0.0)
    return _around(finite_mean(point, 0), variance, df, rounds, size=size, confidence=confidence)


def _around(
    estimate: np.ndarray,
    variance: np.ndarray,
    df: np.ndarray,
    rounds: np.ndarray,
    *,
    size: np.ndarray,
    confidence: float,
) -> Interval:
    """Student's interval of an estimate, from its variance; size: of the values, by which rounding is judged."""
    varies = variance > (ROUNDING * size) ** 2
    error, df = np.sqrt(np.where(varies, variance, np.nan)), np.where(varies, df, np.nan)
    half = scipy.stats.t.ppf((1 + confidence) / 2, df) * error
    return Interval(estimate, estimate - half, estimate + half, rounds, error, df)


@takes(arm='S ...', reference='S ...', arm_rounds='R S ...', reference_rounds='R S ...')
def paired_difference(
    arm: ArrayLike,
    reference: ArrayLike,
    arm_rounds: ArrayLike,
    reference_rounds: ArrayLike,
    *,
    clusters: ArrayLike = MANY,
    confidence: float = 0.95,
) -> Interval:
    """Mean over paired seeds of `arm - reference` with its interval over patients and seeds (`seed_interval`).

    arm, reference:               [S, K] values on the data, one row per seed, the same seed in the same row of both
    arm_rounds, reference_rounds: [R, S, K] the same under the same R patient resamples
    clusters:                     [K] effective number of patients behind each value
    """
    with np.errstate(invalid='ignore'):  # inf - inf, of sizes that are censored in both
        differences, samples = np.subtract(arm, reference), np.subtract(arm_rounds, reference_rounds)
    return seed_interval(differences, samples, clusters=clusters, confidence=confidence)


@takes(values='S ...', others='S ...', rounds='R S ...', other_rounds='Q S ...')
def independent_difference(
    values: ArrayLike,
    others: ArrayLike,
    rounds: ArrayLike,
    other_rounds: ArrayLike,
    *,
    clusters: ArrayLike = MANY,
    other_clusters: ArrayLike = MANY,
    confidence: float = 0.95,
) -> Interval:
    """Mean over seeds of `values - others`, figures of the same networks on two independent samples of patients.

    V = s2 / S + P + P', with s2 the variance over seeds of the differences and P, P' the patients' part of each sample.
    values, others: [S, K], the same seed in the same row; rounds, other_rounds: [R, S, K] and [R', S, K], each of its
    own patients; clusters, other_clusters: [K] effective number of patients. Samples that share patients have a smaller
    variance as a rule: the interval is then too wide.
    """
    of_values, of_others = (np.asarray(one, np.float64) for one in (values, others))
    both = np.isfinite(of_values + of_others)
    of_values, of_others = np.where(both, of_values, np.nan), np.where(both, of_others, np.nan)
    alive = both.reshape(len(both), -1).any(1)
    samples = [np.asarray(one, np.float64)[:, alive] for one in (rounds, other_rounds)]
    differences = of_values[alive] - of_others[alive]
    number = np.isfinite(differences).sum(0)
    parts = [
        variances(one[alive], sample).patients for one, sample in zip((of_values, of_others), samples, strict=True)
    ]
    freedom = [np.where(np.asarray(n) > 1, np.asarray(n) - 1.0, np.nan) for n in (clusters, other_clusters)]
    seeds = np.where(number > 1, finite_variance(differences, 0) / np.maximum(number, 1), 0.0)
    total = seeds + parts[0] + parts[1]
    with np.errstate(invalid='ignore', divide='ignore'):
        inverse = np.where(seeds > 0, inverse_df(seeds / total, number - 1.0), 0.0)
        inverse = inverse + sum(inverse_df(part / total, n) for part, n in zip(parts, freedom, strict=True))
        df = np.where(inverse == 0, np.inf, 1 / inverse)
    defined = np.minimum(*(np.isfinite(finite_mean(sample, 1)).sum(0) for sample in samples))
    return _interval(differences, total, df, defined, confidence=confidence)


@takes(values='S+ ...', others='T+ ...', rounds='R S ...', other_rounds='R T ...')
def unpaired_difference(
    values: ArrayLike,
    others: ArrayLike,
    rounds: ArrayLike,
    other_rounds: ArrayLike,
    *,
    clusters: ArrayLike = MANY,
    confidence: float = 0.95,
) -> Interval:
    """Mean over seeds of `values` minus that of `others`: different networks, on the same patients.

    values, others: [S, K] and [S', K], with nothing in common between rows; rounds, other_rounds: [R, S, K] and
    [R, S', K] under the same R patient resamples; clusters: [K] effective number of patients.

        V = s2 / S + s2' / S' + P           P = max(0, V_pat - V_int - V_int'), V_pat of the difference of the means

    Degrees of freedom as in `seed_interval`, of three parts (Welch 1947 where patients add nothing). A group of one
    network says nothing of its variance between networks and takes that of the other group, with its degrees of
    freedom; one network in each leave the patients' part only: such an interval is of these two networks.
    """
    sides = [_group(*side) for side in ((values, rounds), (others, other_rounds))]
    (first, first_rounds), (second, second_rounds) = sides
    of_both = [np.isfinite(one).sum(0) for one in (first, second)]
    spread = [finite_variance(one, 0) for one in (first, second)]
    between = [of_interaction(*side) for side in sides]
    lent = [np.where(n > 1, own, other) for n, own, other in zip(of_both, spread, spread[::-1], strict=True)]
    shared = [np.where(n > 1, own, other) for n, own, other in zip(of_both, between, between[::-1], strict=True)]
    means = finite_mean(first_rounds, 1) - finite_mean(second_rounds, 1)
    one_each = np.maximum(*of_both) < 2
    number = [np.maximum(n, 1) for n in of_both]
    interaction = np.where(one_each, 0, sum(one / n for one, n in zip(shared, number, strict=True)))
    parts = [np.where(one_each, 0.0, one / n) for one, n in zip(lent, number, strict=True)]
    patients = np.maximum(finite_variance(means, 0) - interaction, 0)
    freedom = np.where(np.asarray(clusters) > 1, np.asarray(clusters) - 1.0, np.nan)
    own = [np.maximum(n - 1.0, 1.0) for n in of_both]
    seeds, alone = parts[0] + parts[1], np.minimum(*of_both) < 2
    with np.errstate(invalid='ignore', divide='ignore'):
        welch = 1 / sum(inverse_df(part / seeds, df, 1.0) for part, df in zip(parts, own, strict=True))
        df_seeds = np.where(alone, np.maximum(*own), welch)  # what is lent is one part with the other group's own
        of_seeds = np.where(seeds > 0, inverse_df(seeds / (seeds + patients), df_seeds), 0.0)
        inverse = of_seeds + inverse_df(patients / (seeds + patients), freedom)
        df = np.where(inverse == 0, np.inf, 1 / inverse)
    total = seeds + patients
    estimate = finite_mean(first, 0) - finite_mean(second, 0)
    size = np.max(np.abs(np.nan_to_num(np.concatenate([first, second]))), axis=0, initial=0.0)
    defined = np.isfinite(means).sum(0)
    return _around(estimate, total, df, defined, size=size, confidence=confidence)


def _group(values: ArrayLike, rounds: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Values [S, K] and rounds [R, S, K] of the networks with any finite value; one of NaN where there is none."""
    point, samples = np.asarray(values, np.float64), np.asarray(rounds, np.float64)
    alive = np.isfinite(point).reshape(len(point), -1).any(1)
    kept = alive if alive.any() else np.arange(len(point)) < 1
    return point[kept], samples[:, kept]


def within_unit(interval: Interval, *, confidence: float = 0.95) -> Interval:
    """The interval of a figure that lies in 0..1, symmetric on the logit scale, so that its ends lie there too.

    logit(x) +- t e / (x (1 - x)): near the ceiling an AUROC's distribution leans down, and x +- t e covers too little.
    An estimate of 0 or 1 has no interval.
    """
    estimate = np.asarray(interval.estimate, np.float64)
    with np.errstate(invalid='ignore', divide='ignore', over='ignore'):
        half = scipy.stats.t.ppf((1 + confidence) / 2, interval.df) * interval.error / (estimate * (1 - estimate))
        centre = np.log(estimate / (1 - estimate))
        ends = [
            np.where(np.isfinite(half + centre), 1 / (1 + np.exp(-centre - sign * half)), np.nan) for sign in (-1, 1)
        ]
    return interval._replace(low=ends[0], high=ends[1])


def withheld(interval: Interval, too_few: ArrayLike) -> Interval:
    """The same without ends, error and so p where `too_few` [...]: too few patients for any interval to be right."""
    no = np.asarray(too_few, bool)
    parts = {name: np.where(no, np.nan, getattr(interval, name)) for name in ('low', 'high', 'error', 'df')}
    return interval._replace(**parts)


def p_value(interval: Interval, null: float = 0.0) -> np.ndarray:
    """Two-sided p [...] of the claim that what an interval estimates is `null`, from the same error and df."""
    return 2 * scipy.stats.t.sf(np.abs(interval.estimate - null) / interval.error, interval.df)


def equivalence(interval: Interval, margin: float) -> np.ndarray:
    """p [...] of the claim that what is estimated lies beyond +-margin: the larger of two one-sided t tests.

    Small p shows that it lies within (Schuirmann 1987, TOST); the margin is in the figure's own units.
    """
    if not margin > 0:
        raise ValueError(f'margin is {margin}; valid is a positive number, such as 0.01 for AUROC.')
    above = scipy.stats.t.sf((interval.estimate + margin) / interval.error, interval.df)
    below = scipy.stats.t.cdf((interval.estimate - margin) / interval.error, interval.df)
    return np.maximum(above, below)
