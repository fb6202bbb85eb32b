"""What the units of a population encode, as rows: dissection, number of concepts, selectivity, ablation, directions."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from imbalance_jax import concepts
from imbalance_jax.concepts import directions
from imbalance_jax.metrics.statistics import benjamini_hochberg, finite_mean
from imbalance_jax.results.rows import MACRO, Row, of_member

ALL_CONCEPTS, ALL_IMAGES = 'all concepts', 'all images'
BEYOND_NULL, BY_IOU = 'beyond_null', 'iou_above_0.04'  # methods: what makes a unit a detector
PUBLISHED, CORRECTED = 'published', 'corrected'  # methods: how concepts per image are counted
INDEPENDENT = 'independent areas'  # the null of an IoU
PERMUTED_IMAGES = 'permuted images'  # the null of probes and of TCAV: labels that belong to other images

Arrays = dict[str, np.ndarray]  # what a function of `concepts` returns, by name


def dissection_rows(member: Row, result: Arrays, names: Sequence[str], *, layer: str, images: int) -> list[Row]:
    """One member's layer: detector units of every concept, different concepts, dead and too-sparse units.

    A unit detects a concept where the overlap is beyond the permutation null, or by the literature's bare IoU > 0.04,
    given beside it because published counts use it. n is the number of units.
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
    for metric, values in (('best_iou', result['iou']), ('iou_ceiling', result['ceiling'])):
        rows += [row(metric, best, images, concept=name) for name, best in zip(names, values.max(0), strict=True)]
    return rows


def unit_rows(member: Row, result: Arrays, names: Sequence[str], *, layer: str, images: int) -> list[Row]:
    """Every unit and concept of one member's layer, for results/units."""
    overlap = {
        'iou': {'metric': 'iou'},
        'ceiling': {'metric': 'iou_ceiling'},
        'independent': {'metric': 'iou', 'kind': 'null', 'against': INDEPENDENT},
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
    selectivity: Arrays,
    drop: np.ndarray,
    persistence: Mapping[str, np.ndarray],
    *,
    classes: Sequence[str],
    layer: str,
    images: int,
) -> list[Row]:
    """Unit x class AUROC of mean maps with interval and p, class selectivity, AUROC lost without the unit, persistence.

    selectivity: `auroc`, `low`, `high`, `p_value` [U,K], `selectivity` and its ends and `preferred` [U]; drop: [U,K]
    AUROC that is lost without the unit; persistence: relation -> [U], the share of other members that have the unit's
    detector.
    """
    rows, row = [], partial(of_member, member, n=images, layer=layer)
    for key, statistic in (('auroc', 'value'), ('low', 'low'), ('high', 'high'), ('p_value', 'p')):
        for (unit, k), value in np.ndenumerate(selectivity[key]):
            rows.append(row('auroc', value, name=classes[k], statistic=statistic, unit=unit))
    for (unit, k), value in np.ndenumerate(drop):
        rows.append(row('auroc_drop', value, name=classes[k], unit=unit))
    ends = {'value': 'selectivity', 'low': 'selectivity_low', 'high': 'selectivity_high'}
    for unit, k in enumerate(selectivity['preferred']):
        for statistic, key in ends.items() if k >= 0 else ():
            value = selectivity[key][unit]
            rows.append(row('class_selectivity', value, name=classes[k], statistic=statistic, unit=unit))
    for relation, shares in persistence.items():
        for unit in np.flatnonzero(np.isfinite(shares)):
            rows.append(row('kept', shares[unit], against=relation, unit=int(unit)))
    return rows


def ablation_rows(member: Row, ablation: Arrays, classes: Sequence[str], *, layer: str, images: int) -> list[Row]:
    """By class: AUROC intact, the largest loss by one unit, units that matter, and the size of the carrying set."""
    values = {
        'auroc_intact': ablation['intact'],
        'largest_drop': (ablation['intact'] - ablation['without']).max(0),
    }
    if 'carrying' in ablation:
        values |= {'carrying_units': ablation['carrying'], 'auroc_without_greedy': ablation['left'][:, -1]}
    row, rows = partial(of_member, member, n=images, layer=layer), []
    for metric, by_class in values.items():
        rows += [row(metric, value, name=name) for name, value in zip(classes, by_class, strict=True)]
        rows.append(row(metric, finite_mean(by_class), name=MACRO))
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
                row(control, concept=name, kind='null', against=PERMUTED_IMAGES),
                row(auroc - control, concept=name, against=PERMUTED_IMAGES),
                row(p[s], concept=name, statistic='p', against=PERMUTED_IMAGES),
            ]
    return rows


def tcav_rows(
    member: Row, tcav: Arrays, names: Sequence[str], *, classes: Sequence[str], layer: str, counted: np.ndarray
) -> list[Row]:
    """TCAV of every class and concept, for results/directions: sign, magnitude, two-sided p, and corrected (FDR).

    tcav: `sign` and `magnitude` [K,S], `random` [K,S,R]; counted: [n,K], the images that each class is asked about.
    """
    p = directions.two_sided(tcav['sign'], tcav['random'])
    adjusted, rows = benjamini_hochberg(p), []
    for k, s in np.argwhere(np.isfinite(p)):
        row = partial(of_member, member, n=counted[:, k].sum(), name=classes[k], layer=layer, concept=names[s])
        rows += [
            row('tcav', tcav['sign'][k, s]),
            row('tcav_magnitude', tcav['magnitude'][k, s]),
            row('tcav', finite_mean(tcav['random'][k, s]), kind='null', against=PERMUTED_IMAGES),
            row('tcav', p[k, s], statistic='p', against=PERMUTED_IMAGES),
            row('tcav', adjusted[k, s], statistic='p_adjusted', against=PERMUTED_IMAGES),
        ]
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
    member: Row, counts: Mapping[str, np.ndarray], findings: np.ndarray, classes: Sequence[str], *, layer: str
) -> list[Row]:
    """Concepts per image, by the findings that it has a region of.

    counts: method -> [n] concepts per image, or [n,K] in the boxes of each finding; findings: [n,K] bool. As in the
    study, an image with two findings is in the statistics of both, and counts [n] of all of its boxes count for both;
    counts [n,K] do not, and in 'all images' are added up over an image's findings.
    """
    rows = []
    groups = [(ALL_IMAGES, np.ones(len(findings), bool)), *zip(classes, findings.T, strict=True)]
    for k, (name, group) in enumerate(groups, -1):
        for method, count in counts.items():
            chosen = count[group] if count.ndim == 1 else _of_finding(count, findings, k)
            if len(chosen):
                over_images = {'mean': chosen.mean(), 'sd': chosen.std(), 'min': chosen.min(), 'max': chosen.max()}
                for over, value in over_images.items():
                    what = {'name': name, 'method': method, 'layer': layer, 'over_images': over}
                    rows.append(of_member(member, 'concepts_per_image', value, len(chosen), **what))
    return rows


def _of_finding(count: np.ndarray, findings: np.ndarray, k: int) -> np.ndarray:
    """Counts in a finding's own boxes, of the images that have it; for -1 the sums over an image's findings."""
    return count.sum(1) if k < 0 else count[findings[:, k], k]
