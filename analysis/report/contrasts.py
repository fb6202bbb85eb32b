"""What findings are drawn from: differences of arms to the reference, each with its interval and p."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from imbalance_jax.analysis.report.style import label, probability, with_interval
from imbalance_jax.analysis.report.values import Outcome
from imbalance_jax.metrics.statistics import holm
from imbalance_jax.results.rows import MACRO

LEVEL = 0.05  # of every test and of every family of tests


class Contrast(NamedTuple):
    """An arm minus the reference, or minus a null, in one figure; n: the number of seeds that are paired."""

    arm: str
    outcome: Outcome
    estimate: float
    low: float
    high: float
    p: float
    p_adjusted: float
    p_equivalent: float
    n: int

    @property
    def defined(self) -> bool:
        """Whether there is an estimate with an interval."""
        return all(map(math.isfinite, (self.estimate, self.low, self.high)))

    @property
    def real(self) -> bool:
        """Whether it is shown not to be 0: p, corrected for the number of tests, is at most 0.05."""
        return self.p_adjusted <= LEVEL

    @property
    def equal(self) -> bool:
        """Whether it is shown to lie within the margin: the corrected p of equivalence is at most 0.05."""
        return self.p_equivalent <= LEVEL

    @property
    def ends(self) -> tuple[float, float, float]:
        """Estimate, lower and upper end."""
        return self.estimate, self.low, self.high

    @property
    def half_width(self) -> float:
        """Half the length of the interval: the smallest estimate that it could have told from 0."""
        return (self.high - self.low) / 2

    @property
    def what(self) -> str:
        """The figure in words: its method, metric and class."""
        method = str(self.outcome.where.get('method', ''))
        name = '' if self.outcome.name == MACRO else f' of {self.outcome.name}'
        macro = 'macro ' if self.outcome.name == MACRO and not method else ''
        return f'{macro}{f"{label(method)} " if method else ""}{label(self.outcome.metric)}{name}'

    @property
    def text(self) -> str:
        """Estimate, interval and p in words."""
        p = f', p {probability(self.p_adjusted)}' if math.isfinite(self.p_adjusted) else ''
        return f'{" ".join(with_interval(*self.ends)).strip()}{p}'

    def __str__(self) -> str:
        return f'{self.arm}: {self.what} {self.text}'


def contrast(outcome: Outcome, arm: str, against: str) -> Contrast:
    """The difference of an arm to another arm or to a null, from its rows."""

    def of(statistic: str) -> float:
        return outcome(arm=arm, against=against, statistic=statistic)

    numbers = [of(name) for name in ('mean', 'low', 'high', 'p', 'p_adjusted', 'p_equivalent_adjusted')]
    return Contrast(arm, outcome, *numbers, outcome.over(arm=arm, against=against))


def contrasts(outcomes: Iterable[Outcome], arms: Iterable[str], against: str) -> list[Contrast]:
    """The differences that have an estimate, by outcome and arm."""
    arms = list(arms)
    every = [contrast(outcome, arm, against) for outcome in outcomes for arm in arms]
    return [one for one in every if math.isfinite(one.estimate)]


def corrected(tests: list[Contrast], further: Iterable[float] = ()) -> list[Contrast]:
    """The same with p corrected as one family (Holm 1979), together with the p of `further` tests."""
    adjusted = holm([one.p for one in tests] + list(further))
    return [one._replace(p_adjusted=float(p)) for one, p in zip(tests, adjusted, strict=False)]
