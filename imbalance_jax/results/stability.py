"""How stable predictions are as rows: between the seeds of an arm, and between arms, image by image.

Decisions are made at matched thresholds: every member calls as many validation images as have the finding there, so
that no two differ because one calls more. Pairs of members are of different seeds, within an arm and between arms, as
one seed's members start from the same weights. Intervals within an arm and of differences between such figures are over
patients and seeds (a jackknife: what one seed is away from the others is in the figure of each), with at least three
seeds; those between arms are over patients, of these members.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from imbalance_jax.metrics import agreement, decision, intervals
from imbalance_jax.results.calibration import rounds_of
from imbalance_jax.results.comparison import Claims, Truth, evidence_of, with_macro
from imbalance_jax.results.levels import difference_rows, level_rows
from imbalance_jax.results.rows import MACRO, Bootstrap, Population, Row, Sample, class_cells, interval_rows

OTHER_SEEDS = 'other seeds'  # what churn between arms is above: that within the two arms
OF_PAIRS = {'churn': agreement.churn, 'kappa': agreement.kappa}


def rows(
    population: Population,
    logits: np.ndarray,
    probabilities: np.ndarray,
    truth: Truth,
    *,
    matched: np.ndarray,
    classes: Sequence[str],
    bootstrap: Bootstrap,
    claims: Claims,
) -> list[Row]:
    """Rows of results/stability of one split.

    logits, probabilities: [P,N,K], NaN of frozen members, the latter recalibrated; matched: thresholds [P,K] of logits.
    Within an arm and as a difference to the reference: mape, the mean distance of a member's probability from that of
    its arm; instability_index, the share of decisions that are not those of the arm's majority; churn, kappa over pairs
    of seeds; ambiguity, the share of images on which not all seeds decide alike. Between an arm (`arm`) and the
    reference (`other_arm`): churn, kappa, and churn against `OTHER_SEEDS`.
    """
    rounds, mask = rounds_of(truth, bootstrap), np.asarray(truth.label_mask, np.float64)
    decisions = decision.called(logits, matched)
    what: dict[str, Any] = {'cells': class_cells([*classes, MACRO]), 'evidence': evidence_of(truth, claims)}
    within = {arm: _within(population, arm, decisions, probabilities, mask, rounds) for arm in population.arms}
    result: list[Row] = []
    for metric in next(iter(within.values())):
        sample = _members(population, {arm: values[metric] for arm, values in within.items()})
        result += level_rows(population, sample, metric=metric, within_unit=metric != 'kappa', **what)
        result += difference_rows(population, sample, metric=metric, **what)
    for arm in population.compared:
        if arm != population.reference:
            result += _between(population, arm, decisions, mask, rounds, within=within, what=what)
    return result


def _alive(population: Population, arm: str) -> list[int]:
    return [index for index in population.arms[arm] if population.alive[index]]


def _within(
    population: Population,
    arm: str,
    decisions: np.ndarray,
    probabilities: np.ndarray,
    mask: np.ndarray,
    rounds: np.ndarray,
) -> dict[str, np.ndarray]:
    """{metric: [1 + R, S, K]} of the living members of an arm, whose mean over S is the arm's figure; NaN of one."""
    index = _alive(population, arm)
    own, number = decisions[index], len(index)
    if number < 2:
        nothing = np.full((len(rounds), number, mask.shape[1]), np.nan)
        return dict.fromkeys(('mape', 'instability_index', 'churn', 'kappa', 'ambiguity'), nothing)
    pairs = agreement.pairs_within(number)
    chance = probabilities[index]

    def mape(of: np.ndarray) -> np.ndarray:
        return decision.share(agreement.spread(chance[of]), mask, rounds).mean(-2)

    def instability_index(of: np.ndarray) -> np.ndarray:
        majority = (np.sign(own[of].mean(0) - 0.5) + 1) / 2  # 1/2 in a tie: no seed is more in the minority
        return decision.share(np.abs(own[of] - majority), mask, rounds).mean(-2)

    def ambiguity(of: np.ndarray) -> np.ndarray:
        return agreement.ambiguity(own[of], mask, rounds)

    measures = {'mape': mape, 'instability_index': instability_index, 'ambiguity': ambiguity}
    result = {metric: agreement.left_out(measure, number) for metric, measure in measures.items()}
    for metric, measure in OF_PAIRS.items():
        of_pairs = measure(own[pairs.first], own[pairs.second], mask, rounds)
        result[metric] = agreement.jackknifed(of_pairs, pairs, number)
    return result


def _members(population: Population, by_arm: dict[str, np.ndarray]) -> Sample:
    """Values of all members [P, K + 1] and rounds from those of every arm's living members [1 + R, S, K]; of two, whose
    values are one, no rounds, as nothing says how they would vary over seeds."""
    first = next(iter(by_arm.values()))
    joined = np.full((len(first), len(population.members), first.shape[-1] + 1), np.nan)
    for arm, values in by_arm.items():
        index = _alive(population, arm)
        joined[:, index] = with_macro(values)
        if len(index) < agreement.FEWEST:
            joined[1:, index] = np.nan
    return Sample(joined[0], joined[1:])


def _between(
    population: Population,
    arm: str,
    decisions: np.ndarray,
    mask: np.ndarray,
    rounds: np.ndarray,
    *,
    within: dict[str, dict[str, np.ndarray]],
    what: dict[str, Any],
) -> list[Row]:
    """An arm beside the reference, over pairs of members of different seeds; intervals over patients."""
    other, result = population.reference, []
    mine, theirs = _alive(population, arm), _alive(population, other)
    seeds = [np.array([population.partners[i] for i in index]) for index in (mine, theirs)]
    pairs = agreement.pairs_between(*seeds)
    if not len(pairs.first):
        return []
    first, second = decisions[mine][pairs.first], decisions[theirs][pairs.second]
    for metric, measure in OF_PAIRS.items():
        values = with_macro(measure(first, second, mask, rounds).mean(1))
        columns = {'other_arm': other}
        result += _patient_rows(population, arm, values, metric, len(pairs.first), what=what, **columns)
        if metric == 'churn':
            expected = with_macro((within[arm][metric].mean(1) + within[other][metric].mean(1)) / 2)
            above = {**columns, 'against': OTHER_SEEDS}
            result += _patient_rows(population, arm, values - expected, metric, len(pairs.first), what=what, **above)
    return result


def _patient_rows(
    population: Population, arm: str, values: np.ndarray, metric: str, n: int, *, what: dict[str, Any], **columns: Any
) -> list[Row]:
    """Rows of one figure [1 + R, K + 1] with an interval over patients."""
    clusters, too_few = what['evidence']
    interval = intervals.seed_interval(values[:1], values[1:, None], clusters=clusters)
    interval = intervals.withheld(interval, too_few)
    return interval_rows(population.first[arm], interval, what['cells'], metric, n, **columns)
