"""Differences of arms in their maps at equal AUROC, by regression on AUROC class by class: rows of results/conditional.

    A_ask = b logit(AUROC_ask) + (arm a of seed s) + (class k of seed s) + e

for arm a, seed s and class k, by least squares, and arm_a the mean of its effects over seeds. b is common to all: the
sum over seeds of the products of both sides' residuals, after arms and classes of the seed are taken out, over the sum
of squares of those of logit(AUROC). So

    arm_a - arm_ref = mean over s of (A_a.s - A_ref.s) - b (L_a.s - L_ref.s),        L = logit(AUROC)

and without the second term it is the difference that is not conditional. Intervals: pseudo-values of the jackknife over
seeds (Efron and Stein 1981), about the estimate, which are the seeds' own differences where nothing is conditioned on;
and the same in rounds of the bootstrap over patients. AUROC is measured with error, which draws b towards 0: an effect
that is left may in part be AUROC's still. Weights that are matched in AUROC (config.train.matched) do not share that
bias.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from imbalance_jax.results.outcomes import Outcome
from imbalance_jax.results.paired import Estimate, estimate, figures, grid
from imbalance_jax.results.rows import MACRO, Population, Row, of_arm, of_kind

GIVEN = 'auroc'
CLASSES = 'all classes'
CLIP = 1e-3  # AUROC is kept so far from 0 and 1, where its logit is not finite


class Fit(NamedTuple):
    """By seed [..., S]: arm minus reference of the outcome and of logit(AUROC) [..., S, A - 1], means over classes, and
    the sums of products and of squares whose quotient is b."""

    difference: np.ndarray
    difference_given: np.ndarray
    products: np.ndarray
    squares: np.ndarray


def rows(population: Population, outcomes: Sequence[Outcome]) -> list[Row]:
    """Every measure of maps above shuffled regions: arm minus reference, given '' (nothing) and given AUROC, and b.

    p_adjusted is Holm's over the arms of one measure. Rows of b are of kind population: change of the measure per unit
    of logit(AUROC), of classes and arms of one seed. n is the number of seeds that live in every compared arm.
    """
    arms = [population.reference, *(arm for arm in population.compared if arm != population.reference)]
    given = next((one for one in outcomes if one.metric == GIVEN), None)
    maps = [one for one in outcomes if one.above]
    if given is None or not maps or len(arms) < 2 or population.reference not in population.compared:
        return []
    members, result = grid(population, arms), []
    for outcome in maps if len(members) > 1 else ():
        data, rounds = (fit(*both) for both in _both(outcome, given, members))
        clusters = outcome.clusters[outcome.classes.index(MACRO)]
        for condition in ('', GIVEN):
            estimates = [
                arm_effect(data, rounds, i, given=bool(condition), clusters=clusters) for i in range(len(arms) - 1)
            ]
            where = {'method': outcome.method, 'above': outcome.above, 'given': condition}
            for arm, one, values in zip(arms[1:], estimates, figures(estimates), strict=True):
                result += [
                    of_arm(
                        population.first[arm],
                        outcome.metric,
                        value,
                        one.seeds,
                        name=CLASSES,
                        statistic=statistic,
                        against=arms[0],
                        **where,
                    )
                    for statistic, value in values.items()
                ]
        one = coefficient(data, rounds, clusters=clusters)
        [values] = figures([one])
        result += [
            of_kind('population', outcome.metric, value, one.seeds, name=CLASSES, statistic=statistic, **where)
            for statistic, value in values.items()
            if statistic != 'p_adjusted'
        ]
    return result


def _both(outcome: Outcome, given: Outcome, members: np.ndarray):
    """(outcome, AUROC) [..., S, A, K] of the classes that both have, on the data and in rounds."""
    names = [name for name in given.classes if name in outcome.classes and name != MACRO]
    columns = [[one.classes.index(name) for name in names] for one in (outcome, given)]
    yield outcome.values[members][..., columns[0]], given.values[members][..., columns[1]]
    yield outcome.resampled[:, members][..., columns[0]], given.resampled[:, members][..., columns[1]]


def fit(outcome: np.ndarray, auroc: np.ndarray) -> Fit:
    """Sums of the regression by seed, of arrays [..., S, A, K]; the reference is arm 0.

    A class counts in the seeds (and rounds) in which every arm has both values.
    """
    clipped = np.clip(auroc, CLIP, 1 - CLIP)
    given = np.log(clipped / (1 - clipped))
    complete = (np.isfinite(outcome) & np.isfinite(given)).all(axis=-2)  # [..., S, K]
    mask = np.broadcast_to(complete[..., None, :], outcome.shape)
    residuals, means = [], []
    for values in (outcome, given):
        centred = np.where(mask, values - values.mean(-2, keepdims=True), 0.0)
        with np.errstate(invalid='ignore', divide='ignore'):
            of_arms = centred.sum(-1) / complete.sum(-1)[..., None]
        means.append(of_arms[..., 1:] - of_arms[..., :1])
        residuals.append(np.where(mask, centred - of_arms[..., None], 0.0))
    products, squares = ((residuals[1] * one).sum((-2, -1)) for one in residuals)
    return Fit(means[0], means[1], products, squares)


def slope(one: Fit) -> np.ndarray:
    """b of all seeds together [...]."""
    with np.errstate(invalid='ignore', divide='ignore'):
        return one.products.sum(-1) / one.squares.sum(-1)


def _pseudo_values(whole: np.ndarray, without: np.ndarray) -> np.ndarray:
    """The estimate [...] plus S - 1 times what each seed [..., S] moves it by, whose mean is the estimate."""
    return whole[..., None] - (without.shape[-1] - 1) * (without - without.mean(-1, keepdims=True))


def _jackknife(one: Fit, arm: int | None, given: bool) -> np.ndarray:
    """Pseudo-values [..., S] of b, or of the effect of an arm."""
    products, squares, seeds = one.products, one.squares, one.products.shape[-1]
    with np.errstate(invalid='ignore', divide='ignore'):
        b_without = (products.sum(-1, keepdims=True) - products) / (squares.sum(-1, keepdims=True) - squares)
    if arm is None:
        return _pseudo_values(slope(one), b_without)
    if not given:
        return one.difference[..., arm]
    parts = one.difference[..., arm], one.difference_given[..., arm]
    outcome, auroc = ((part.sum(-1, keepdims=True) - part) / (seeds - 1) for part in parts)
    whole = parts[0].mean(-1) - slope(one) * parts[1].mean(-1)
    return _pseudo_values(whole, outcome - b_without * auroc)


def arm_effect(data: Fit, rounds: Fit, arm: int, *, given: bool, clusters: float) -> Estimate:
    """Arm `arm` + 1 minus the reference, given AUROC or not."""
    return estimate(_jackknife(data, arm, given), _jackknife(rounds, arm, given), clusters)


def coefficient(data: Fit, rounds: Fit, *, clusters: float) -> Estimate:
    """b with its interval."""
    return estimate(_jackknife(data, None, True), _jackknife(rounds, None, True), clusters)
