"""The findings behind the first screen, each with every arm, its interval and its corrected p, by fixed rules.

A difference is shown where p, corrected for the number of tests (Holm), is at most 0.05. One that is shown but smaller
than the smallest effect of interest (`evaluate.margin` for performance, `evaluate.smallest_effect` for maps) is said to
be so. What is not shown is never said to be absent.
"""

import math
from typing import NamedTuple

from imbalance_jax.analysis.report.answer import Shown, named, smallest_shown
from imbalance_jax.analysis.report.cells import Cell, Table, tested
from imbalance_jax.analysis.report.contrasts import Contrast, contrasts
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import label, number, plural, probability, spread, with_interval
from imbalance_jax.results.alignment import CONSTANT
from imbalance_jax.results.performance import RANKED

PIXELS = 'pixel_auroc'  # with hit shares the measure that is fair to smooth and to sparse maps alike


class Finding(NamedTuple):
    """A statement, and the numbers behind it."""

    statement: str
    details: list[str]


def findings(study: Study, shown: Shown) -> list[Finding]:
    """All of them, in the order of the report."""
    return [
        *frozen(study),
        *by_class(study, shown),
        *power(study, shown),
        *small(shown),
        *empty(study),
        *skill(study),
        *whole_maps(shown),
        *dead(study),
    ]


def frozen(study: Study) -> list[Finding]:
    """Members whose loss became non-finite, if any."""
    names = [f'{row["arm"]}, seed {row["seed"]}' for row in study.members if not study.alive(row)]
    if not names:
        return []
    statement = f'{len(names)} of {len(study.members)} members were frozen because their loss became non-finite.'
    return [Finding(f'{statement} They are in no mean, ensemble or difference.', names)]


def by_class(study: Study, shown: Shown) -> list[Finding]:
    """The classes whose AUROC or average precision an arm changes."""
    result = []
    for metric in RANKED:
        tests = [
            one for arm in shown.performance for one in arm.classes if one.outcome.metric == metric and one.defined
        ]
        real = [one for one in tests if one.real]
        if not tests:
            continue
        of = f'{plural(len(tests), "difference")} of a class ({plural(len(study.others), "arm")})'
        statement = f'{label(metric).capitalize() if metric != "auroc" else "AUROC"} by class: of {of}, {len(real)} '
        statement += f'{"is" if len(real) == 1 else "are"} shown (p corrected over arms and classes).'
        result.append(Finding(statement, [f'{one}{remark(study, one)}' for one in real]))
    return result


def remark(study: Study, one: Contrast) -> str:
    """How many patients have the class, and whether the difference is below what is of interest."""
    patients = study.performance('positive_patients', one.outcome.name)
    people = f' ({number(patients, 0)} patients with it)' if math.isfinite(patients) else ''
    margin = study.margin.get(one.outcome.metric, 0.0)
    return people + (', smaller than the margin' if abs(one.estimate) < margin else '')


def power(study: Study, shown: Shown) -> list[Finding]:
    """What size of a difference the study could have shown."""
    macro = [one for arm in shown.performance for one in arm.macro if one.outcome.metric == 'auroc']
    classes = [one for arm in shown.performance for one in arm.classes if one.outcome.metric == 'auroc']
    groups = {'macro AUROC': macro, 'AUROC of one class': classes}
    if shown.maps.contrasts:
        groups[f'{label(shown.maps.contrasts[0].outcome.metric)} of maps'] = shown.maps.contrasts
    parts = [f'{words} {size}' for words, tests in groups.items() if (size := smallest_shown(tests))]
    if not parts:
        return []
    statement = 'What this study can show: a true difference of about this size would be found with 80 % power, before '
    return [
        Finding(f'{statement}correction (median over arms, from the lengths of intervals): {", ".join(parts)}.', [])
    ]


def small(shown: Shown) -> list[Finding]:
    """Differences of maps that are shown, and too small to matter."""
    if not shown.maps.small:
        return []
    statement = f'Shown, but smaller than the smallest effect of interest ({shown.maps.smallest:g}):'
    return [Finding(statement, [str(one) for one in shown.maps.small])]


def empty(study: Study) -> list[Finding]:
    """Maps without any positive pixel: an outcome of its own, and what measures of the positive part hang on."""
    details = []
    for method in study.methods:
        outcome = study.aligned(method, 'empty')
        shares = {arm: outcome(arm=arm) for arm in study.arms}
        if not any(share > 0 for share in shares.values()):
            continue
        parts = [f'{arm} {number(share)}' for arm, share in shares.items()]
        real = [one.arm for one in contrasts([outcome], study.others, study.reference) if one.real]
        differs = f'; differs from {study.reference}{named(real)}' if real else ''
        details.append(f'{label(method)}: {", ".join(parts)}{differs}')
    statement = 'Share of maps without a positive pixel, macro, which every measure of the positive part hangs on:'
    if not study.methods:
        return []
    return [Finding(statement, details) if details else Finding('No map is empty: each has a positive pixel.', [])]


def comparable(study: Study, method: str) -> list[str]:
    """The measures by which maps of networks can be held against constant ones: hit share and pixel AUROC."""
    return [study.primary(method) or 'hit_share', PIXELS]


def skill(study: Study) -> list[Finding]:
    """Whether maps of models point better than the best map that looks at no image, where the two can be compared."""
    tests = [
        one
        for method in study.methods
        for measure in comparable(study, method)
        for one in contrasts([study.aligned(method, measure)], study.arms, CONSTANT)
        if one.defined
    ]
    if not tests:
        return []
    details = []
    for method, measure in dict.fromkeys((one.outcome.where['method'], one.outcome.metric) for one in tests):
        of = [one for one in tests if (one.outcome.where['method'], one.outcome.metric) == (method, measure)]
        parts = [f'{one.arm} {" ".join(with_interval(*one.ends)).strip()}' for one in of]
        details.append(f'{label(str(method))}, {label(measure)}: {"; ".join(parts)}')
    above, below = sum(one.low > 0 for one in tests), sum(one.high < 0 for one in tests)
    statement = (
        'Above the best constant map, which looks at no image, in measures that are fair to smooth and to sparse '
    )
    statement += f'maps: of {plural(len(tests), "interval")} {above} lie above 0 and {below} below (not corrected).'
    return [Finding(statement, details)]


def whole_maps(shown: Shown) -> list[Finding]:
    """Tests of whole maps, all arms at once."""
    if not shown.maps.tests:
        return []
    details = [
        f'{one.distance}: {number(one.between)} between arms, {number(one.within)} between seeds'
        f'{f" ({one.size})" if one.size else ""}, p {probability(one.p_adjusted)}, '
        f'given AUROC by class {probability(one.p_given_performance)}'
        for one in shown.maps.tests
    ]
    statement = 'Whole maps, all arms at once, by 1 − the rank correlation of the maps of a pair (p corrected together '
    return [Finding(f'{statement}with the differences of maps):', details)]


def dead(study: Study) -> list[Finding]:
    """Units that never respond."""
    if not study.layer:
        return []
    outcome = study.counted('dead_units')
    means, units = {arm: outcome(arm=arm) for arm in study.arms}, study.shared_count(outcome)
    silent = [arm for arm in study.arms if means[arm] > 0]
    if not silent:
        return [Finding(f'No arm has a dead unit among the {units} of {study.layer}.', [])]
    details = [f'{arm}: {spread(*outcome.spread(arm), 1)}' for arm in silent]
    statement = f'{len(silent)} of {plural(len(study.arms), "arm")} have dead units among the {units} of '
    return [Finding(f'{statement}{study.layer}; mean over seeds:', details)]


def every_arm(study: Study, shown: Shown) -> Table | None:
    """A row per arm: the verdict on its performance, and each difference that the sentences are made of."""
    if not study.others:
        return None
    rows = []
    for one in shown.performance:
        cells = [Cell(one.state if study.predicted else 'not known')]
        for metric in RANKED:
            found = next((c for c in one.macro if c.outcome.metric == metric), None)
            cells += [
                tested(found),
                Cell(probability(found.p_equivalent) if found else '–', marked=bool(found and found.equal)),
            ]
        maps = {c.outcome.where['method']: c for c in shown.maps.contrasts if c.arm == one.arm}
        cells += [tested(maps.get(method)) for method in study.methods if study.primary(method)]
        tests = shown.units.arms.get(one.arm, [])
        if shown.units.arms:
            cells.append(Cell(probability(tests[0].p_adjusted) if tests else '–', marked=one.arm in shown.units.named))
        rows.append((one.arm, cells))
    head = ['performance']
    for metric in RANKED:
        head += [f'macro {label(metric)}', 'p, equal']
    head += [f'{label(method)} {label(study.primary(method))}' for method in study.methods if study.primary(method)]
    head += ['units, p'] if shown.units.arms else []
    return Table('every-arm', 'arm', head, rows)
