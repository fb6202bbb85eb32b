"""What is shown of every arm against the reference, by fixed rules: in performance, in maps, in units.

Performance: an arm is *equal* where equivalence is shown within the margin, macro and in every class, in AUROC and in
average precision; it *differs* where a difference, macro or of a class, has a corrected p of at most 0.05; all else is
*open*: neither is shown. Maps: the primary measure above shuffled regions, all arms and methods as one family together
with the tests of all arms at once. Units: the tests of all arms at once, and of single arms only after them.
"""

import math
from typing import NamedTuple

from imbalance_jax.analysis.report import omnibus, unit_tables
from imbalance_jax.analysis.report.contrasts import Contrast, contrasts, corrected
from imbalance_jax.analysis.report.omnibus import Omnibus
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.metrics.statistics import holm
from imbalance_jax.results.performance import RANKED

EVERYWHERE = 'macro and every class'
EQUAL, DIFFERS, OPEN = 'shown equal', 'differs', 'not shown to be equal, nor to differ'


class Performance(NamedTuple):
    """An arm's performance against the reference: its differences, macro and by class, and what they show."""

    arm: str
    state: str
    macro: list[Contrast]
    classes: list[Contrast]

    @property
    def changed(self) -> list[Contrast]:
        """The differences that are shown not to be 0."""
        return [one for one in (*self.macro, *self.classes) if one.real]


class Maps(NamedTuple):
    """Differences of maps above shuffled regions, by arm and method, and tests of all arms by method; one family."""

    contrasts: list[Contrast]
    tests: list[Omnibus]
    smallest: float

    @property
    def real(self) -> list[Contrast]:
        """The differences that are shown, and large enough to be findings."""
        return [one for one in self.contrasts if one.real and abs(one.estimate) >= self.smallest]

    @property
    def small(self) -> list[Contrast]:
        """The differences that are shown, and smaller than the smallest effect of interest."""
        return [one for one in self.contrasts if one.real and abs(one.estimate) < self.smallest]


class Units(NamedTuple):
    """Tests of what units encode: of all arms at once, and of single arms."""

    tests: list[Omnibus]
    arms: dict[str, list[Omnibus]]

    @property
    def real(self) -> list[Omnibus]:
        """The distances by which arms are shown to differ by more than seeds do."""
        return [one for one in self.tests if one.real]

    @property
    def named(self) -> list[str]:
        """The arms that are shown to differ from the reference; none unless all arms together are."""
        return [arm for arm, tests in self.arms.items() if any(one.real for one in tests)] if self.real else []


def performance(study: Study) -> list[Performance]:
    """What is shown of every arm's performance."""
    result = []
    for arm in study.others:
        macro = contrasts([study.ranked(metric) for metric in RANKED], [arm], study.reference)
        outcomes = [study.ranked(metric, name) for metric in RANKED for name in study.classes]
        classes = contrasts(outcomes, [arm], study.reference)
        changed = any(one.real for one in (*macro, *classes))
        state = EQUAL if equal(study, arm) else DIFFERS if changed else OPEN
        result.append(Performance(arm, state, macro, classes))
    return result


def equal(study: Study, arm: str) -> bool:
    """Whether equivalence is shown, macro and in every class, in AUROC and in average precision."""
    where = {'kind': 'arm', 'arm': arm, 'against': study.reference, 'statistic': 'value'}
    return study.performance('equivalent', EVERYWHERE, **where) == 1


def maps(study: Study) -> Maps:
    """What is shown of maps."""
    outcomes = [study.contrasted(method, study.primary(method)) for method in study.methods if study.primary(method)]
    shown = contrasts([one for one in outcomes if one], study.others, study.reference)
    read = omnibus.read_tests(unit_tables.read(study.folder, 'map_effect'))
    tests = [one for one in read if math.isfinite(one.p)]  # one arm or one seed leave nothing to exchange
    of_all = [one.p for one in tests]
    adjusted = holm([one.p for one in shown] + of_all)[len(shown) :]
    tests = [one._replace(p_adjusted=float(p)) for one, p in zip(tests, adjusted, strict=True)]
    return Maps(corrected(shown, of_all), tests, study.smallest_effect)


def units(study: Study) -> Units:
    """What is shown of units."""
    table = unit_tables.read(study.folder, 'arm_effect')
    arms = {arm: omnibus.read_tests(table, arm) for arm in study.others}
    return Units(omnibus.read_tests(table), {arm: tests for arm, tests in arms.items() if tests})
