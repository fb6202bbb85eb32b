"""The section on concepts: how many units detect what, and cards of some of them."""

import math
from typing import Any

from imbalance_jax.analysis.report import figures, unit_cards
from imbalance_jax.analysis.report.alignment import missing
from imbalance_jax.analysis.report.cells import Cell, Table, over_seeds
from imbalance_jax.analysis.report.figures import limits_of
from imbalance_jax.analysis.report.performance import seed_points
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import Look, Panel, capital, number, whole
from imbalance_jax.results.units import ALL_CONCEPTS, ALL_IMAGES, BY_IOU, CORRECTED, PUBLISHED

COUNTS = {
    'detector_units': 'detector units',
    'unique_concepts': 'different concepts',
    'dead_units': 'dead units',
    'sparse_units': 'too sparse units',
}

# What happens in a round of each null model of `concepts.dissect`.
NULLS = {
    'image_permutation': 'images exchange their annotations, which stay in place',
    'circular_shift': "each image's annotations are shifted at random",
}


def section(study: Study, look: dict[str, Look]) -> dict[str, Any]:
    """What the template lays out; without any units, `missing` says why."""
    if not study.layer:
        return {'missing': missing(study)}
    if not study.dissected:
        without_places = any(
            one['adopted']['features']['shape'][:2] == [1, 1] for one in study.members[:1] if study.has_features
        )
        return {'missing': '', 'dissected': False, 'without_places': without_places, 'units': states(study)}
    null, shown = study.config['concepts']['null'], [name for name in study.concept_names if has_region(study, name)]
    return {
        'missing': '',
        'dissected': True,
        'without': [name for name in study.classes if name not in shown],
        'null': NULLS.get(null, null),
        'panels': panels(study, look),
        'zeros': ' or '.join(zeros(study).values()),
        'units': units(study),
        'overlaps': overlaps(study),
        'counts': counts(study),
        'cards': [cards for cards in (unit_cards.cards(study, arm) for arm in card_arms(study)) if cards],
        'images': study.shared_count(study.encoded('best_iou', concept=shown[0])) if shown else 0,
    }


def has_region(study: Study, concept: str) -> bool:
    """Whether units were held against a concept's regions."""
    return study.shared_count(study.encoded('best_iou', concept=concept)) > 0


def states(study: Study) -> Table:
    """Counts of units by arm that need no region."""
    outcomes = {
        'dead units': study.counted('dead_units'),
        'too sparse for the threshold': study.counted('sparse_units'),
    }
    rows = [(arm, [over_seeds(outcome, arm, 1) for outcome in outcomes.values()]) for arm in study.arms]
    return Table('units', 'arm', list(outcomes), rows)


def units(study: Study) -> Table:
    """Counts of units by arm."""
    by_iou = {'concept': ALL_CONCEPTS, 'method': BY_IOU}
    outcomes = {
        'detector units': study.counted('detector_units'),
        'different concepts': study.counted('unique_concepts'),
        'units with IoU > 0.04': study.encoded('detector_units', **by_iou),
        'their concepts': study.encoded('unique_concepts', **by_iou),
        'dead units': study.counted('dead_units'),
        'too sparse for the threshold': study.counted('sparse_units'),
    }
    rows = [(arm, [over_seeds(outcome, arm, 1) for outcome in outcomes.values()]) for arm in study.arms]
    return Table('units', 'arm', list(outcomes), rows)


def overlaps(study: Study) -> Table:
    """The best unit's IoU with every concept, and below it the highest that the two areas allow."""
    rows = []
    for name in study.concept_names:
        cells = []
        for arm in study.arms:
            best, top = (study.encoded(metric, concept=name)(arm=arm) for metric in ('best_iou', 'iou_ceiling'))
            cells.append(Cell(number(best), f'of {number(top)}' if top > 0 else ''))
        rows.append((name, cells))
    rows = [(name, cells) for name, cells in rows if any(cell.below for cell in cells)]
    return Table('overlaps', 'concept', study.arms, rows)


def counts(study: Study) -> Table:
    """The study's number of concepts per image, and the corrected one below it, by finding."""
    rows = []
    for name in [ALL_IMAGES, *study.classes]:
        published, corrected = (
            study.encoded('concepts_per_image', name, method=method, over_images='mean')
            for method in (PUBLISHED, CORRECTED)
        )
        images = study.shared_count(published)
        if images:
            cells = [Cell(number(published(arm=arm), 1), number(corrected(arm=arm), 1)) for arm in study.arms]
            rows.append((name, [Cell(whole(images)), *cells]))
    return Table('counts', 'images with a region of', ['images', *study.arms], rows)


def panels(study: Study, look: dict[str, Look]) -> list[Panel]:
    """Counts of units, and the best overlap with every concept under its ceiling."""
    shown, units = [], study.shared_count(study.counted('dead_units'))
    names = [name for name in study.concept_names if has_region(study, name)]
    for metric, words in COUNTS.items():
        outcome = study.counted(metric)
        points = seed_points(study, outcome)
        if metric in zeros(study):
            continue
        means = {arm: outcome(arm=arm) for arm in study.arms}
        axis = words if metric == 'unique_concepts' else f'{words} of {units}'
        limits = limits_of([0, 1], (value for seeds in points.values() for value, _ in seeds))
        shown.append(figures.dots(capital(words), axis, look, points, means, limits=limits, counts=True))
    best, top = (
        {arm: [study.encoded(metric, concept=name)(arm=arm) for name in names] for arm in study.arms}
        for metric in ('best_iou', 'iou_ceiling')
    )
    shown.append(figures.ceilings('Best unit by concept', 'IoU, mean over seeds', look, names, values=best, tops=top))
    return shown


def zeros(study: Study) -> dict[str, str]:
    """Counts that are 0 in every member, with their words: nothing to draw."""
    return {
        metric: words
        for metric, words in COUNTS.items()
        if not any(value for seeds in seed_points(study, study.counted(metric)).values() for value, _ in seeds)
    }


def card_arms(study: Study) -> list[str]:
    """The reference, and the arms with the most and the fewest detector units."""
    detectors = {arm: study.counted('detector_units')(arm=arm) for arm in study.others}
    ordered = sorted((arm for arm in study.others if math.isfinite(detectors[arm])), key=detectors.__getitem__)
    return list(dict.fromkeys([study.reference, *ordered[-1:], *ordered[:1]]))
