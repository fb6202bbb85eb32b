"""What the units of a population encode, as rows: dissection, number of concepts, selectivity, ablation, directions."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from imbalance_jax import concepts
from imbalance_jax.concepts import directions
from imbalance_jax.metrics.statistics import benjamini_hochberg, finite_mean, holm
from imbalance_jax.results.rows import Row, of_member
from imbalance_jax.results.schema import Block

ALL_CONCEPTS, ALL_IMAGES = 'all concepts', 'all images'
HEALTHY = 'no finding'  # a class of images: all labels known, none present
BEYOND_NULL, BY_IOU = 'beyond_null', 'iou_above_0.04'  # methods: what makes a unit a detector
PUBLISHED, CORRECTED = 'published', 'corrected'  # methods: how concepts per image are counted
INDEPENDENT = 'independent areas'  # the null of an IoU
PERMUTED_PATIENTS = 'permuted patients'  # the null of overlaps, probes and TCAV: what belongs to other patients
BY_LABEL = 'label'  # method: a linear probe of a finding that has no region, whose label says where it is
OWN_PAIR, CROSS_PAIR = 'own pair', 'cross pair'  # methods: TCAV along the finding's own direction or not

Arrays = dict[str, np.ndarray]  # what a function of `concepts` returns, by name


def state_rows(member: Row, result: Arrays, *, layer: str) -> list[Row]:
    """One member's layer: its dead and too sparse units, and by how large a share a threshold may be too high."""
    units = len(result['dead'])
    facts = {'dead_units': result['dead'].sum(), 'sparse_units': (result['sparse'] & ~result['dead']).sum()}
    if 'threshold_error' in result:
        facts['threshold_error'] = result['threshold_error']
    return [of_member(member, name, value, units, layer=layer, concept=ALL_CONCEPTS) for name, value in facts.items()]


def dissection_rows(member: Row, result: Arrays, names: Sequence[str], *, layer: str, images: int) -> list[Row]:
    """One member's layer: detector units of every concept, different concepts, dead and too-sparse units.

    A unit detects a concept where the overlap is beyond the permutation null, or by the literature's bare IoU > 0.04,
    given beside it because published counts use it. n is the number of units. A concept without a region is left out.
    A count grows with the probe set; effect sizes are the best unit's IoU less its mean under the null, `best_excess`,
    and the mean of the ten best units' `top_excess`, each beside what it is under the null.
    """
    units = len(result['dead'])
    row = partial(of_member, member, layer=layer)
    rows, shown = state_rows(member, result, layer=layer), np.flatnonzero(result['concept_share'] > 0).tolist()
    by_iou = {**result, 'detector': result['iou'] > concepts.dissection.LITERATURE_IOU}
    for method, verdict in ((BEYOND_NULL, result), (BY_IOU, by_iou)):
        unique = concepts.unique_detectors(verdict)
        rows.append(row('detector_units', unique['units'], units, method=method, concept=ALL_CONCEPTS))
        rows.append(row('unique_concepts', unique['concepts'], units, method=method, concept=ALL_CONCEPTS))
        for s in shown:
            rows.append(row('detector_units', unique['per_concept'][s], units, method=method, concept=names[s]))
    for metric, key in (('best_iou', 'iou'), ('iou_ceiling', 'ceiling'), ('best_excess', 'excess')):
        best = result[key].max(0)
        rows += [row(metric, best[s], images, concept=names[s]) for s in shown]
    by_chance = {'kind': 'null level', 'against': PERMUTED_PATIENTS}
    for s in shown:
        rows.append(row('best_excess', result['chance_best'][s], images, concept=names[s], **by_chance))
    top = concepts.dissection.top_excess(result['excess'])
    rows.append(row('top_excess', top, images, concept=ALL_CONCEPTS))
    return [*rows, row('top_excess', result['chance_top'], images, concept=ALL_CONCEPTS, **by_chance)]


def unit_blocks(member: Row, result: Arrays, names: Sequence[str], *, layer: str, images: int) -> Iterator[Block]:
    """Every unit of one member's layer, and every concept that has a region, for results/units; a unit and a concept
    are a row."""
    overlap: dict[str, dict[str, Any]] = {
        'iou': {'metric': 'iou'},
        'ceiling': {'metric': 'iou_ceiling'},
        'independent': {'metric': 'iou', 'kind': 'null level', 'against': INDEPENDENT},
        'excess': {'metric': 'iou', 'against': PERMUTED_PATIENTS},
        'p_value': {'metric': 'iou', 'statistic': 'p'},
        'p_pooled': {'metric': 'iou', 'statistic': 'p_pooled'},
        'detector': {'metric': 'detector'},
    }
    for key, what in overlap.items() if 'iou' in result else ():
        shown = result['concept_share'] > 0
        named = np.array(names, object)[shown]
        yield block_of_member(member, result[key][:, shown], {'concept': named}, n=images, layer=layer, **what)
    for metric in ('threshold', 'dead', 'sparse'):
        yield block_of_member(member, result[metric], {}, metric=metric, n=images, layer=layer)


def block_of_member(member: Row, values: np.ndarray, of_column: Mapping[str, np.ndarray], **columns: Any) -> Block:
    """Values [U], or [U,n] with a column whose entries [n] go with the second axis, as rows of one member's units."""
    units, across = len(values), values[0].size if len(values) else 0
    named = {name: np.tile(entries, units) for name, entries in of_column.items()}
    where = {'kind': 'member', 'statistic': 'value', 'unit': np.repeat(np.arange(units), across), **named, **columns}
    who = {name: member[name] for name in ('arm', 'loss', 'sampler', 'seed', 'member')}
    return {**who, 'value': np.asarray(values, np.float64).ravel(), **where}


def selectivity_blocks(
    member: Row,
    aurocs: Arrays,
    drop: np.ndarray | None,
    persistence: Mapping[str, np.ndarray],
    *,
    classes: Sequence[str],
    layer: str,
    images: int,
) -> Iterator[Block]:
    """Unit x class AUROC of mean maps with interval and p, AUROC lost without the unit, persistence.

    aurocs: `auroc`, `low`, `high`, `p_value` [U,K+1], the last class being images without a finding; their p are
    corrected over all units and classes (Benjamini and Hochberg); drop: [U,K] AUROC that is lost without the unit,
    None where nobody knows; persistence: relation -> [U], the share of other members that have the unit's detector.
    """
    where: dict[str, Any] = {'n': images, 'layer': layer}
    statistics = {'value': 'auroc', 'low': 'low', 'high': 'high', 'p': 'p_value', 'p_adjusted': 'p_adjusted'}
    aurocs = {**aurocs, 'p_adjusted': benjamini_hochberg(aurocs['p_value'])}
    named = np.array([*classes, HEALTHY], object)
    for statistic, key in statistics.items():
        what = {'metric': 'auroc', 'statistic': statistic, **where}
        yield block_of_member(member, aurocs[key], {'class': named}, **what)
    if drop is not None:
        yield block_of_member(member, drop, {'class': named[:-1]}, metric='auroc_drop', **where)
    for relation, shares in persistence.items():
        kept = np.flatnonzero(np.isfinite(shares))
        block = block_of_member(member, shares[kept], {}, metric='kept', against=relation, **where)
        yield {**block, 'unit': kept}


def probe_methods(by_label: np.ndarray) -> list[str]:
    """How the presence of each concept [S] is known to linear probes."""
    return [BY_LABEL if one else '' for one in by_label]


def direction_rows(
    member: Row,
    probes: Arrays,
    names: Sequence[str],
    *,
    layer: str,
    images: int,
    by_label: np.ndarray | None = None,
) -> list[Row]:
    """Linear probes by concept: held-out AUROC, that of permuted labels, their difference (selectivity) and p.

    probes: `auroc` [S] and `control` [S,R]; by_label: [S] bool, of findings without regions, which are known by label.
    """
    rows, methods = [], probe_methods(np.zeros(len(names), bool) if by_label is None else by_label)
    p = directions.one_sided(probes['auroc'], probes['control'])
    for s, name in enumerate(names):
        row = partial(of_member, member, 'probe_auroc', n=images, layer=layer, method=methods[s])
        auroc, control = float(probes['auroc'][s]), finite_mean(probes['control'][s])
        if np.isfinite(auroc):
            rows += [
                row(auroc, concept=name),
                row(control, concept=name, kind='null level', against=PERMUTED_PATIENTS),
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
