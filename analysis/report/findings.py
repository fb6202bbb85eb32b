"""The main findings in sentences, compared from intervals of the tables by fixed rules, and how many were looked at."""

import math
from typing import NamedTuple

from imbalance_jax.analysis.report.alignment import MEASURES
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import excludes_zero, label, number, spread, with_interval
from imbalance_jax.analysis.report.values import Outcome
from imbalance_jax.results.alignment import CONSTANT
from imbalance_jax.results.performance import RANKED

SHOWN = 4  # examples per sentence


class Finding(NamedTuple):
    """A statement, and the numbers behind it."""

    statement: str
    details: list[str]


class Comparison(NamedTuple):
    """An arm's macro difference to the reference, or its skill above the constant map."""

    arm: str
    method: str
    measure: str
    estimate: float
    low: float
    high: float

    @property
    def real(self) -> bool:
        """Whether the interval excludes 0."""
        return excludes_zero(self.low, self.high)

    @property
    def defined(self) -> bool:
        """Whether there is an estimate with an interval."""
        return all(map(math.isfinite, self[3:]))

    @property
    def clearness(self) -> float:
        """The estimate in widths of its interval, by which examples are chosen: the clearest first."""
        return abs(self.estimate) / max(self.high - self.low, 1e-12)

    @property
    def bounds(self) -> str:
        """The interval in words."""
        return with_interval(*self[3:])[1]

    @property
    def text(self) -> str:
        """The estimate and its interval in words."""
        return ' '.join(with_interval(*self[3:]))

    def __str__(self) -> str:
        what = f'{label(self.method)} {label(self.measure)}' if self.method else label(self.measure)
        return f'{self.arm}: {what} {self.text}'


def comparisons(study: Study) -> dict[str, list[Comparison]]:
    """Every defined macro interval of the study: 'performance' and 'alignment' differences, 'skill'."""
    aligned = [(method, study.aligned(method, measure)) for method in study.methods for measure in MEASURES]
    return {
        'performance': gather([('', study.ranked(metric)) for metric in RANKED], study.others, study.reference),
        'alignment': gather(aligned, study.others, study.reference),
        'skill': gather(aligned, study.arms, CONSTANT),
    }


def gather(outcomes: list[tuple[str, Outcome]], arms: list[str], against: str) -> list[Comparison]:
    """The defined differences of some arms, by (method, outcome)."""
    compared = [
        Comparison(arm, method, outcome.metric, *outcome.interval(arm, against))
        for method, outcome in outcomes
        for arm in arms
    ]
    return [one for one in compared if one.defined]


def findings(study: Study) -> list[Finding]:
    """What the report says first."""
    compared = comparisons(study)
    return [
        *frozen(study),
        *ranking(study, compared['performance']),
        *hidden(study, compared['performance'], compared['alignment']),
        *skill(compared['skill']),
        *dead(study),
    ]


def looked_at(study: Study) -> str:
    """How many intervals the findings are drawn from, and what that means."""
    counts = {name: len(compared) for name, compared in comparisons(study).items()}
    total = sum(counts.values())
    if not total:
        return 'No interval could be computed.'
    parts = ', '.join(f'{count} of {name}' for name, count in counts.items() if count)
    return (
        f'These sentences follow from {total} macro intervals by fixed rules ({parts}). Intervals are 95 % and not '
        f'corrected for multiplicity: if no difference were real, about {number(0.05 * total, 0)} of them would '
        f'exclude 0 all the same. An interval that includes 0 does not show that there is no difference.'
    )


def frozen(study: Study) -> list[Finding]:
    """Members whose loss became non-finite, if any."""
    names = [f'{row["arm"]}, seed {row["seed"]}' for row in study.members if not study.alive(row)]
    if not names:
        return []
    statement = f'{len(names)} of {len(study.members)} members were frozen because their loss became non-finite.'
    return [Finding(f'{statement} They are in no mean, ensemble or difference.', names)]


def ranking(study: Study, compared: list[Comparison]) -> list[Finding]:
    """Whose AUROC and AP differ from the reference's."""
    if not study.others:
        return [Finding('There is one arm: nothing to compare it with.', [])]
    result = []
    for metric in RANKED:
        of_metric = [one for one in compared if one.measure == metric]
        real = clearest(of_metric)
        if not of_metric:
            statement = f'No difference in macro {label(metric)} to {study.reference} is defined.'
        elif not real:
            statement = f"No arm's macro {label(metric)} can be told from that of {study.reference}: "
            widest = max(of_metric, key=lambda one: one.high - one.low)
            statement += f'of {plural(len(of_metric), "interval")} none excludes 0. The widest is {widest.bounds}.'
        else:
            higher = sum(one.estimate > 0 for one in real)
            statement = f'Macro {label(metric)} differs from that of {study.reference} in {len(real)} of '
            statement += f'{plural(len(of_metric), "arm")}: {higher} higher, {len(real) - higher} lower.'
        result.append(Finding(statement, shortened([str(one) for one in real])))
    return result


def hidden(study: Study, performance: list[Comparison], alignment: list[Comparison]) -> list[Finding]:
    """Alignment that differs from the reference's in arms whose AUROC does not."""
    if not study.others or not alignment:
        return []
    auroc = {one.arm: one for one in performance if one.measure == 'auroc'}
    silent = [one for one in alignment if one.arm in auroc and not auroc[one.arm].real]
    real = clearest(silent)
    arms = len({one.arm for one in silent})
    if not silent:
        statement = 'No arm keeps the AUROC of the reference, so that no difference is hidden from it.'
    elif not real:
        statement = f'No difference that AUROC does not show: in the {plural(arms, "arm")} whose AUROC interval '
        statement += f'includes 0, so do all {plural(len(silent), "interval")} of alignment.'
    else:
        statement = f'Differences that AUROC does not show: in the {plural(arms, "arm")} whose AUROC interval '
        statement += f'includes 0, {len(real)} of {plural(len(silent), "interval")} of alignment exclude 0, '
        statement += f'in {plural(len({one.arm for one in real}), "arm")}. The clearest of each:'
    details = []
    for arm in dict.fromkeys(one.arm for one in real):
        of_arm, first = [one for one in silent if one.arm == arm], next(one for one in real if one.arm == arm)
        count = f'{sum(one.real for one in of_arm)} of {len(of_arm)}'
        details.append(f'{first} ({count} intervals; AUROC {auroc[arm].text})')
    return [Finding(statement, shortened(details))]


def skill(compared: list[Comparison]) -> list[Finding]:
    """Whether maps of models point better than the best map that looks at no image."""
    if not compared:
        return []
    details = []
    for method in dict.fromkeys(one.method for one in compared):
        parts = []
        for measure in MEASURES:
            above, below = sides([one for one in compared if (one.method, one.measure) == (method, measure)])
            parts.append(f'{label(measure)} {above} above, {below} below')
        details.append(f'{label(method)}, arms: {"; ".join(parts)}')
    above, below = sides(compared)
    statement = 'Against the best constant map, which looks at no image, '
    statement += f'{above} of {plural(len(compared), "skill interval")} lie above 0 and {below} below'
    return [Finding(f'{statement}.' if above else f"{statement}: no arm's maps are shown to be better.", details)]


def sides(compared: list[Comparison]) -> tuple[int, int]:
    """How many intervals lie above 0, and how many below."""
    above, below = (sum(one.real and sign * one.estimate > 0 for one in compared) for sign in (1, -1))
    return above, below


def dead(study: Study) -> list[Finding]:
    """Units that never respond."""
    if not study.layer:
        return []
    outcome = study.counted('dead_units')
    means, units = {arm: outcome(arm=arm) for arm in study.arms}, study.shared_count(outcome)
    silent = sorted((arm for arm in study.arms if means[arm] > 0), key=lambda arm: -means[arm])
    if not silent:
        return [Finding(f'No arm has a dead unit among the {units} of {study.layer}.', [])]
    details = [f'{arm}: {spread(*outcome.spread(arm), 1)}' for arm in silent]
    statement = f'{len(silent)} of {plural(len(study.arms), "arm")} have dead units among the {units} of '
    statement += f'{study.layer}; mean over seeds:'
    return [Finding(statement, shortened(details))]


def clearest(compared: list[Comparison]) -> list[Comparison]:
    """Those whose interval excludes 0, the clearest first."""
    return sorted((one for one in compared if one.real), key=lambda one: -one.clearness)


def plural(count: int, noun: str) -> str:
    """'1 arm', '2 arms'."""
    return f'{count} {noun}{"s" if count != 1 else ""}'


def shortened(texts: list[str]) -> list[str]:
    """The first few, and how many more there are."""
    more = len(texts) - SHOWN
    return texts if more <= 1 else [*texts[:SHOWN], f'and {more} more']
