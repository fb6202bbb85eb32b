"""What the units of a population encode, as rows: dissection, number of concepts, selectivity, ablation, directions."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from imbalance_jax import concepts
from imbalance_jax.concepts import directions
from imbalance_jax.metrics.statistics import benjamini_hochberg, finite_mean, holm
from imbalance_jax.results.rows import Row, of_member

ALL_CONCEPTS, ALL_IMAGES = 'all concepts', 'all images'
HEALTHY = 'no finding'  # a class of images: all labels known, none present
BEYOND_NULL, BY_IOU = 'beyond_null', 'iou_above_0.04'  # methods: what makes a unit a detector
PUBLISHED, CORRECTED = 'published', 'corrected'  # methods: how concepts per image are counted
INDEPENDENT = 'independent areas'  # the null of an IoU
PERMUTED_PATIENTS = 'permuted patients'  # the null of overlaps, probes and TCAV: what belongs to other patients
OWN_PAIR, CROSS_PAIR = 'own pair', 'cross pair'  # methods: TCAV along the finding's own direction or not

Arrays = dict[str, np.ndarray]  # what a function of `concepts` returns, by name


def dissection_rows(member: Row, result: Arrays, names: Sequence[str], *, layer: str, images: int) -> list[Row]:
    """One member's layer: detector units of every concept, different concepts, dead and too-sparse units.

    A unit detects a concept where the overlap is beyond the permutation null, or by the literature's bare IoU > 0.04,
    given beside it because published counts use it. n is the number of units. A count grows with the probe set; effect
    sizes are the best unit's IoU less its mean under the null, `best_excess`, and the mean of the ten best units'
    `top_excess`, each beside what it is under the null.
    """
    units = len(result['dead'])
    row = partial(of_member, member, layer=layer)
    facts = {'dead_units': result['dead'].sum(), 'sparse_units': (result['sparse'] & ~result['dead']).sum()}
    if 'threshold_error' in result:
        facts['threshold_error'] = result['threshold_error']
    rows = [row(metric, value, units, concept=ALL_CONCEPTS) for metric, value in facts.items()]
    by_iou = {**result, 'detector': result['iou'] > concepts.dissection.LITERATURE_IOU}
    for method, verdict in ((BEYOND_NULL, result), (BY_IOU, by_iou)):
        unique = concepts.unique_detectors(verdict)
        rows.append(row('detector_units', unique['units'], units, method=method, concept=ALL_CONCEPTS))
        rows.append(row('unique_concepts', unique['concepts'], units, method=method, concept=ALL_CONCEPTS))
        for name, count in zip(names, unique['per_concept'], strict=True):
            rows.append(row('detector_units', count, units, method=method, concept=name))
    for metric, key in (('best_iou', 'iou'), ('iou_ceiling', 'ceiling'), ('best_excess', 'excess')):
        best = result[key].max(0)
        rows += [row(metric, value, images, concept=name) for name, value in zip(names, best, strict=True)]
    by_chance = {'kind': 'null', 'against': PERMUTED_PATIENTS}
    for name, value in zip(names, result['chance_best'], strict=True):
        rows.append(row('best_excess', value, images, concept=name, **by_chance))
    top = concepts.dissection.top_excess(result['excess'])
    rows.append(row('top_excess', top, images, concept=ALL_CONCEPTS))
    return [*rows, row('top_excess', result['chance_top'], images, concept=ALL_CONCEPTS, **by_chance)]


def unit_rows(member: Row, result: Arrays, names: Sequence[str], *, layer: str, images: int) -> list[Row]:
    """Every unit and concept of one member's layer, for results/units."""
    overlap = {
        'iou': {'metric': 'iou'},
        'ceiling': {'metric': 'iou_ceiling'},
        'independent': {'metric': 'iou', 'kind': 'null', 'against': INDEPENDENT},
        'excess': {'metric': 'iou', 'against': PERMUTED_PATIENTS},
        'p_value': {'metric': 'iou', 'statistic': 'p'},
        'p_pooled': {'metric': 'iou', 'statistic': 'p_pooled'},
        'detector': {'metric': 'detector'},
    }
    rows = []
    for key, what in overlap.items():
        for (unit, s), value in np.ndenumerate(result[key]):
            where = {'concept': names[s], 'layer': layer, 'unit': unit}
            rows.append(of_member(member, value=value, n=images, **where, **what))
    for metric in ('threshold', 'dead', 'sparse'):
        for unit, value in enumerate(result[metric]):
            rows.append(of_member(member, metric, value, images, layer=layer, unit=unit))
    return rows


def selectivity_rows(
    member: Row,
    aurocs: Arrays,
    drop: np.ndarray,
    persistence: Mapping[str, np.ndarray],
    *,
    classes: Sequence[str],
    layer: str,
    images: int,
) -> list[Row]:
    """Unit x class AUROC of mean maps with interval and p, AUROC lost without the unit, persistence.

    aurocs: `auroc`, `low`, `high`, `p_value` [U,K+1], the last class being images without a finding; their p are
    corrected over all units and classes (Benjamini and Hochberg); drop: [U,K] AUROC that is lost without the unit;
    persistence: relation -> [U], the share of other members that have the unit's detector.
    """
    rows, row = [], partial(of_member, member, n=images, layer=layer)
    statistics = {'value': 'auroc', 'low': 'low', 'high': 'high', 'p': 'p_value', 'p_adjusted': 'p_adjusted'}
    aurocs = {**aurocs, 'p_adjusted': benjamini_hochberg(aurocs['p_value'])}
    for statistic, key in statistics.items():
        for (unit, k), value in np.ndenumerate(aurocs[key]):
            rows.append(row('auroc', value, name=(*classes, HEALTHY)[k], statistic=statistic, unit=unit))
    for (unit, k), value in np.ndenumerate(drop):
        rows.append(row('auroc_drop', value, name=classes[k], unit=unit))
    for relation, shares in persistence.items():
        for unit in np.flatnonzero(np.isfinite(shares)):
            rows.append(row('kept', shares[unit], against=relation, unit=int(unit)))
    return rows


def direction_rows(member: Row, probes: Arrays, names: Sequence[str], *, layer: str, images: int) -> list[Row]:
    """Linear probes by concept: held-out AUROC, that of permuted labels, their difference (selectivity) and p.

    probes: `auroc` [S] and `control` [S,R].
    """
    row, rows = partial(of_member, member, 'probe_auroc', n=images, layer=layer), []
    p = directions.one_sided(probes['auroc'], probes['control'])
    for s, name in enumerate(names):
        auroc, control = float(probes['auroc'][s]), finite_mean(probes['control'][s])
        if np.isfinite(auroc):
            rows += [
                row(auroc, concept=name),
                row(control, concept=name, kind='null', against=PERMUTED_PATIENTS),
                row(auroc - control, concept=name, against=PERMUTED_PATIENTS),
                row(p[s], concept=name, statistic='p', against=PERMUTED_PATIENTS),
            ]
    return rows


def tcav_rows(
    member: Row, tcav: Arrays, names: Sequence[str], *, classes: Sequence[str], layer: str, counted: np.ndarray
) -> list[Row]:
    """TCAV of every class and concept, for results/directions: sign, magnitude, two-sided p, and corrected.

    The magnitude is the mean slope in standard deviations of those along directions of exchanged labels, whose p is
    from the controls of all classes with the concept. A class with its own concept is of the primary family, which
    Holm's correction is for; the others are corrected together by the false discovery rate.

    tcav: `sign` and `derivative` [K,S], `control` [K,S,R]; counted: [n,K], above 0 for images that a class is asked
    about. The sign is left out where it can only be 0 or 1.
    """
    size, among = directions.in_spreads(tcav['derivative'], tcav['control'])
    p = np.stack([directions.pooled_p(*of) for of in zip(size.T, np.moveaxis(among, 1, 0), strict=True)], axis=1)
    own = np.arange(p.shape[0])[:, None] == np.arange(p.shape[1])
    adjusted, rows = np.full(p.shape, np.nan), []
    adjusted[own], adjusted[~own] = holm(p[own]), benjamini_hochberg(p[~own])
    for k, s in np.argwhere(np.isfinite(p)):
        number, family = int((counted[:, k] > 0).sum()), OWN_PAIR if own[k, s] else CROSS_PAIR
        row = partial(of_member, member, n=number, name=classes[k], layer=layer, concept=names[s], method=family)
        rows += [
            row('tcav_magnitude', size[k, s], against=PERMUTED_PATIENTS),
            row('tcav_magnitude', p[k, s], statistic='p', against=PERMUTED_PATIENTS),
            row('tcav_magnitude', adjusted[k, s], statistic='p_adjusted', against=PERMUTED_PATIENTS),
        ]
        if np.isfinite(tcav['sign'][k, s]):
            rows.append(row('tcav', tcav['sign'][k, s]))
    return rows


def logit_rows(member: Row, parts: np.ndarray, finding: np.ndarray, classes: Sequence[str], *, layer: str) -> list[Row]:
    """What detectors of the finding, of other concepts, and other units add to its logit: means over images [n,3]."""
    metrics = ('logit_from_own_detectors', 'logit_from_other_detectors', 'logit_from_no_detectors')
    groups = {ALL_IMAGES: np.ones(len(finding), bool), **{name: finding == k for k, name in enumerate(classes)}}
    rows = []
    for name, group in groups.items():
        if group.any():
            for metric, value in zip(metrics, parts[group].mean(0), strict=True):
                rows.append(of_member(member, metric, value, group.sum(), name=name, layer=layer))
    return rows


def segment_rows(member: Row, segmented: Arrays, names: Sequence[str], *, layer: str, images: int) -> list[Row]:
    """IoU by concept of all units together, of the best one and of everything, on patients not fitted to."""
    return [
        of_member(member, metric, segmented[metric][s], images, concept=name, layer=layer)
        for metric in ('multi_unit_iou', 'single_unit_iou', 'everywhere_iou')
        for s, name in enumerate(names)
        if np.isfinite(segmented[metric][s])
    ]


def count_rows(
    member: Row,
    counts: Mapping[str, np.ndarray],
    findings: np.ndarray,
    classes: Sequence[str],
    *,
    layer: str,
    weights: np.ndarray | None = None,
) -> list[Row]:
    """Concepts per image with a region of a finding, by the findings that it has a region of.

    counts: method -> [n] concepts per image, or [n,K] in the boxes of each finding; findings: [n,K] bool; weights: [n],
    how many images each stands for, in means and deviations. As in the
    study, an image with two findings is in the statistics of both, and counts [n] of all of its boxes count for both;
    counts [n,K] do not, and in 'all images' are added up over an image's findings.
    """
    rows = []
    weights = np.ones(len(findings)) if weights is None else weights
    groups = [(ALL_IMAGES, np.ones(len(findings), bool)), *zip(classes, findings.T, strict=True)]
    for k, (name, group) in enumerate(groups, -1):
        for method, count in counts.items():
            chosen = count[group] if count.ndim == 1 else _of_finding(count, findings, k)
            if len(chosen):
                mean = np.average(chosen, weights=weights[group])
                deviation = np.sqrt(np.average((chosen - mean) ** 2, weights=weights[group]))
                over_images = {'mean': mean, 'sd': deviation, 'min': chosen.min(), 'max': chosen.max()}
                for over, value in over_images.items():
                    what = {'name': name, 'method': method, 'layer': layer, 'over_images': over}
                    rows.append(of_member(member, 'concepts_per_image', value, len(chosen), **what))
    return rows


def _of_finding(count: np.ndarray, findings: np.ndarray, k: int) -> np.ndarray:
    """Counts in a finding's own boxes, of the images that have it; for -1 the sums over an image's findings."""
    return count.sum(1) if k < 0 else count[findings[:, k], k]
