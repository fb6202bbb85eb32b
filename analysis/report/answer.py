"""The first screen: the study's question answered in three sentences and one picture, by the rules of `verdicts`."""

import math
from typing import Any, NamedTuple

from imbalance_jax.analysis.report import first_picture, verdicts
from imbalance_jax.analysis.report.contrasts import LEVEL, Contrast
from imbalance_jax.analysis.report.elsewhere import NOT_HERE, UNKNOWN_PERFORMANCE
from imbalance_jax.analysis.report.omnibus import Omnibus
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import Look, Panel, label, number, percent, plural, probability, signed, whole
from imbalance_jax.analysis.report.verdicts import DIFFERS, EQUAL, OPEN, Maps, Performance, Units
from imbalance_jax.results.performance import RANKED

POWER = 1.43  # (z of 0.975 + z of 0.80) / z of 0.975: from half an interval to what 80 % of studies would find
LARGEST = 1.0  # difference of two figures in 0..1


class Shown(NamedTuple):
    """What is shown of every arm."""

    performance: list[Performance]
    maps: Maps
    units: Units


class Sentence(NamedTuple):
    """One of the three, and what it is about."""

    about: str
    text: str


def shown(study: Study) -> Shown:
    """All verdicts of a study."""
    return Shown(verdicts.performance(study), verdicts.maps(study), verdicts.units(study))


def section(study: Study, look: dict[str, Look], found: Shown) -> dict[str, Any]:
    """What the template lays out."""
    return {
        'headline': headline(study, found),
        'sentences': [
            Sentence('Performance', of_performance(study, found.performance)),
            Sentence('Maps', of_maps(study, found)),
            Sentence('Units', of_units(study, found)),
        ],
        'panel': picture(study, look, found),
        'margins': margins(study),
        'counts': counts(study),
        'training': training(study),
    }


def headline(study: Study, found: Shown) -> str:
    """Whether there are differences that AUROC and average precision do not show, in one sentence."""
    if not study.others:
        return 'There is one arm: nothing to compare it with.'
    maps = bool(found.maps.contrasts or found.maps.tests)
    units = any(math.isfinite(one.p) for one in found.units.tests)
    if not maps and not units:
        return 'What differs beyond performance cannot be said: maps and units have not been compared.'
    equal = {one.arm for one in found.performance if one.state == EQUAL}
    hidden = [
        f'{words} of {listed(arms)}'
        for words, of in (('the maps', {one.arm for one in found.maps.real}), ('the units', set(found.units.named)))
        if (arms := [arm for arm in study.others if arm in of & equal])
    ]
    beyond = [
        words
        for words, tests in (('maps', found.maps.tests), ('units', found.units.tests))
        if any(one.beyond_performance or (one.real and equal >= set(study.others)) for one in tests)
    ]
    differ = [
        words
        for words, real in (
            ('maps', found.maps.real or any(one.real for one in found.maps.tests)),
            ('units', found.units.real),
        )
        if real
    ]
    if hidden:
        return (
            f'Found: {" and ".join(hidden)} differ from those of {study.reference} at a performance shown to be equal.'
        )
    if beyond:
        return f'Found: {" and ".join(beyond)} differ between arms by more than their performance explains.'
    if differ:
        return (
            f'{" and ".join(differ).capitalize()} differ, between arms that are not shown to be equal in performance: '
            f'that AUROC and average precision hide it is not shown.'
        )
    if not maps:
        return 'Not found: units are not shown to differ between arms; maps have not been compared.'
    if not units:
        return 'Not found: maps are not shown to differ between arms; units have not been compared.'
    return 'Not found: neither maps nor units are shown to differ between arms.'


def of_performance(study: Study, performance: list[Performance]) -> str:
    """How many arms differ, are shown equal, or neither."""
    if not study.others:
        return 'With one arm there is no difference to test.'
    tested = [one for arm in performance for one in (*arm.macro, *arm.classes) if math.isfinite(one.p_adjusted)]
    if not tested:
        if not study.predicted:
            return f'{UNKNOWN_PERFORMANCE}.'
        return f'No difference in performance to {study.reference} has a p: the tables hold no test.'
    by_state = {state: [one.arm for one in performance if one.state == state] for state in (DIFFERS, EQUAL, OPEN)}
    words = {
        DIFFERS: f'differ from {study.reference} in AUROC or average precision, macro or in a class',
        EQUAL: f'are shown to be equal to {study.reference}, macro and in every class, within {margins(study)}',
        OPEN: 'are neither shown to differ nor shown to be equal',
    }
    one = {DIFFERS: ('differ ', 'differs '), EQUAL: ('are ', 'is '), OPEN: ('are ', 'is ')}
    said = []
    for state, arms in by_state.items():
        verb = words[state].replace(*one[state], 1) if len(arms) == 1 else words[state]
        said += [f'{len(arms)} {verb} ({", ".join(arms)})'] if arms else []
    none = [] if by_state[EQUAL] else ['none is shown to be equal, macro and in every class']
    return f'Of {plural(len(performance), "arm")}, {"; ".join(said + none)}.'


def margins(study: Study) -> str:
    """Within what two arms count as equal."""
    return ', '.join(f'±{study.margin[metric]:g} {label(metric)}' for metric in RANKED if metric in study.margin)


def of_maps(study: Study, found: Shown) -> str:
    """Which arms point elsewhere, and whether maps differ at all."""
    maps = found.maps
    if not maps.contrasts and not maps.tests:
        return 'Maps have not been compared' + (
            f': {NOT_HERE}.' if study.not_here else ' above the regions of other patients.'
        )
    parts = [pointing(study, maps)] if maps.contrasts else []
    if maps.tests:
        real = [one for one in maps.tests if one.real]
        further = f'of different arms are further apart than those of different seeds{between(real)}'
        none = f'are not shown to differ between arms ({plural(len(maps.tests), "method")})'
        parts.append(f'As whole pictures, maps {further if real else none}')
    return f'{". ".join(parts)}.'


def between(tests: list[Omnibus]) -> str:
    """By test the share of squared distances that lies between arms, beside that of exchanged arms, in brackets."""
    known = [one for one in tests if math.isfinite(one.r2)]
    if not known:
        return f' ({", ".join(one.distance for one in tests)})'
    shares = ', '.join(f'{one.distance.partition(",")[0]} {percent(one.r2)}' for one in known)
    chance = [one.r2_chance for one in known if math.isfinite(one.r2_chance)]
    beside = f', by chance about {percent(sum(chance) / len(chance))}' if chance else ''
    return f' (of their squared distances lie between arms: {shares}{beside})'


def pointing(study: Study, maps: Maps) -> str:
    """The arms whose maps point better or worse at the finding, with the methods that show it."""
    measure, of = label(maps.contrasts[0].outcome.metric), plural(len(study.others), 'arm')
    head = f"Above what they score on other patients' regions ({measure})"
    small = f'; {len(maps.small)} more differ by less than {maps.smallest:g}' if maps.small else ''
    point = f'point better or worse at the finding than those of {study.reference}'
    if not maps.real:
        return f'{head}, maps of none of {of} are shown to {point}{small}'
    by_arm = []
    for arm in study.others:
        found = [one for one in maps.real if one.arm == arm]
        methods = [f'{label(str(one.outcome.where["method"]))} {signed(one.estimate)}' for one in found]
        by_arm += [f'{arm}: {", ".join(methods)}'] if methods else []
    return f'{head}, maps of {len(by_arm)} of {of} {point} ({"; ".join(by_arm)}){small}'


def of_units(study: Study, found: Shown) -> str:
    """Whether units encode something else, by how much, and whose."""
    units = found.units
    p = [one.p_adjusted for one in units.tests if math.isfinite(one.p_adjusted)]
    if not p:
        begun = 'explaining is not finished' if study.alignment is not None else 'explain has not been run'
        why = 'that takes two arms and two seeds' if study.concepts else begun
        why = NOT_HERE if study.not_here and not study.has_features else why
        return f'Units have not been compared: {why}.'
    if not units.real:
        return (
            f'Units of different arms are not shown to be further apart than those of different seeds, by any of '
            f'{plural(len(p), "distance")} (smallest corrected p {probability(min(p))}).'
        )
    largest = min(units.real, key=lambda one: (one.p_adjusted, -one.difference))
    text = f'Units of different arms are further apart than those of different seeds by {len(units.real)} of '
    text += f'{plural(len(p), "distance")} (corrected p at most {LEVEL:g}'
    text += f'; {largest.distance}: {largest.size})' if largest.size else ')'
    if units.named:
        return f'{text}; shown of {listed(units.named)} alone.'
    return f'{text}; with {_many(study)} no single arm can be named.'


def _many(study: Study) -> str:
    return plural(len(study.config['seeds']), 'seed') if study.paired else 'so few networks'


def counts(study: Study) -> str:
    """Over how many seeds, images and patients, and the positives of the rarest and the commonest class."""
    parts = [plural(len(study.config['seeds']), 'seed') + ' per arm']
    if not study.paired:
        parts = [', '.join(f'{arm} {plural(len(study.rows(arm)), "network")}' for arm in study.arms)]
    images, patients = (study.data(metric, '', split='test') for metric in ('images', 'patients'))
    parts.append(f'{whole(images)} test images of {whole(patients)} patients')
    positives = {name: study.data('positives', name, split='test') for name in study.classes}
    shown_of = sorted((count, name) for name, count in positives.items() if math.isfinite(count))
    if shown_of:
        ends = dict.fromkeys((shown_of[0], shown_of[-1]))
        parts.append('positive images from ' + ' to '.join(f'{whole(count)} ({name})' for count, name in ends))
    constant = {'kind': 'null level', 'against': 'constant map'}
    pairs = study.alignment.over('iou', 'all pairs', **constant) if study.alignment else 0
    if pairs:
        parts.append(f'{whole(pairs)} pairs of an image and an annotated finding')
    return ', '.join(parts)


def training(study: Study) -> str:
    """How long was trained, and for how many members the last epoch was the best."""
    if study.adopted:
        return 'of networks that were trained elsewhere'
    best, last = [], 0
    for member in study.members:
        lines = [line for line in study.lines if (line['arm'], line['seed']) == (member['arm'], member['seed'])]
        scored = [(line['validation_auroc'], line['epoch']) for line in lines if line['validation_auroc'] is not None]
        if scored:
            best.append(max(scored, key=lambda one: one[0])[1])
            last = max(last, *(line['epoch'] for line in lines))
    ended = sum(epoch == last for epoch in best)
    text = f'after {plural(last, "epoch")} of training'
    if best and 2 * ended > len(best):
        text += f', still improving: the last epoch is the best of {ended} of {plural(len(best), "member")}, so that '
        text += 'differences between arms may be differences in speed' if study.others else 'more may be learned'
    return text


def smallest_shown(tests: list[Contrast]) -> str:
    """What true difference would be found with 80 % power before correction, from the widths of intervals.

    tests: of figures in 0..1, such as AUROC; '' where none has an interval.
    """
    halves = sorted(one.half_width for one in tests if one.defined)
    if not halves:
        return ''
    size = POWER * halves[len(halves) // 2]
    return number(size) if size < LARGEST else f'none up to {LARGEST:g}'


def picture(study: Study, look: dict[str, Look], found: Shown) -> Panel | None:
    """Every arm against the reference in performance, maps and units, side by side."""
    columns = [
        first_picture.of_performance(study, found.performance),
        first_picture.of_maps(found.maps),
        first_picture.of_units(study, found.units),
    ]
    shown_columns = [one for one in columns if one and one.marks]
    return first_picture.draw(study.others, look, shown_columns) if study.others and shown_columns else None


def named(arms: list[str]) -> str:
    """The arms in brackets, nothing without any."""
    return f' ({", ".join(arms)})' if arms else ''


def listed(arms: list[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return ' and '.join(filter(None, (', '.join(arms[:-1]), arms[-1])))
