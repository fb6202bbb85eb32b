"""What the units of a population encode, as rows: dissection, number of concepts, selectivity, ablation, directions."""

import numpy as np

from imbalance_jax import concepts
from imbalance_jax.concepts import directions
from imbalance_jax.metrics.statistics import benjamini_hochberg, over_seeds, paired_t
from imbalance_jax.results import rows as tables

COUNTED = ('detector_units', 'unique_concepts', 'dead_units', 'sparse_units')  # get intervals over seeds
UNIT_COLUMNS = ('layer', 'unit')
PER_UNIT = ('iou', 'ceiling', 'independent', 'p_value', 'p_pooled', 'detector')


def dissection_rows(row: dict, result: dict, names, layer: str, images: int) -> list[dict]:
    """One member's layer: detector units of every concept, different concepts, dead and too-sparse units.

    A unit detects a concept where the overlap is beyond the permutation null (`detector`), or by the literature's bare
    IoU > 0.04 (`detector_iou_0.04`), given beside it because published counts use it. n is the number of units.
    """
    units = len(result['dead'])
    by_iou = {**result, 'detector': result['iou'] > concepts.dissection.LITERATURE_IOU}
    facts = {'dead_units': result['dead'].sum(), 'sparse_units': (result['sparse'] & ~result['dead']).sum()}
    if 'threshold_error' in result:
        facts['threshold_error'] = result['threshold_error']
    made = [_row(row, 'all concepts', layer, metric, value, units) for metric, value in facts.items()]
    for suffix, verdict in (('', result), ('_iou_0.04', by_iou)):
        unique = concepts.unique_detectors(verdict)
        made.append(_row(row, 'all concepts', layer, f'detector_units{suffix}', unique['units'], units))
        made.append(_row(row, 'all concepts', layer, f'unique_concepts{suffix}', unique['concepts'], units))
        for s, name in enumerate(names):
            made.append(_row(row, name, layer, f'detector_units{suffix}', unique['per_concept'][s], units))
    best, ceiling = result['iou'].max(0), result['ceiling'].max(0)
    for s, name in enumerate(names):
        made.append(_row(row, name, layer, 'best_iou', best[s], images))
        made.append(_row(row, name, layer, 'iou_ceiling', ceiling[s], images))
    return made


def unit_rows(row: dict, result: dict, names, layer: str, images: int) -> list[dict]:
    """Every unit and concept of one member's layer, for results/units."""
    made = []
    for metric in PER_UNIT:
        for (unit, s), value in np.ndenumerate(result[metric]):
            made.append(_unit_row(row, names[s], layer, unit, metric, value, images))
    for metric in ('threshold', 'dead', 'sparse'):
        for unit, value in enumerate(result[metric]):
            made.append(_unit_row(row, '', layer, unit, metric, value, images))
    return made


def selectivity_rows(row: dict, found: dict, classes, layer: str, images: int) -> list[dict]:
    """Unit x class AUROC of mean maps with interval and p, class selectivity, AUROC lost without the unit, its kin.

    found: `auroc`, `low`, `high`, `p_value`, `drop` [U,K], `selectivity` and its ends and `preferred` [U], and `kept`,
    relation -> [U], the share of other members that have the unit's detector.
    """
    made = []
    for metric, name in (('auroc', 'auroc'), ('low', 'auroc_low'), ('high', 'auroc_high'), ('p_value', 'auroc_p')):
        for (unit, k), value in np.ndenumerate(found[metric]):
            made.append(_unit_row(row, classes[k], layer, unit, name, value, images))
    for (unit, k), value in np.ndenumerate(found['drop']):
        made.append(_unit_row(row, classes[k], layer, unit, 'auroc_drop', value, images))
    for unit, k in enumerate(found['preferred']):
        if k >= 0:
            for end, metric in (('selectivity', ''), ('selectivity_low', '_low'), ('selectivity_high', '_high')):
                name = f'class_selectivity{metric}'
                made.append(_unit_row(row, classes[k], layer, unit, name, found[end][unit], images))
    for relation, shares in found['kept'].items():
        for unit in np.flatnonzero(np.isfinite(shares)):
            made.append(_unit_row(row, '', layer, int(unit), f'kept, {relation}', shares[unit], images))
    return made


def ablation_rows(row: dict, found: dict, classes, layer: str, images: int) -> list[dict]:
    """By class: AUROC intact, the largest loss by one unit, units that matter, and the size of the carrying set."""
    made, drop = [], found['intact'] - found['without']
    values = {'auroc_intact': found['intact'], 'largest_drop': drop.max(0)}
    if 'carrying' in found:
        values |= {'carrying_units': found['carrying'], 'auroc_without_greedy': found['left'][:, -1]}
    for metric, by_class in values.items():
        made += [_row(row, name, layer, metric, value, images) for name, value in zip(classes, by_class, strict=True)]
        made.append(_row(row, 'macro', layer, metric, _mean(by_class), images))
    return made


def direction_rows(row: dict, found: dict, names, layer: str, images: int) -> list[dict]:
    """Linear probes: held-out AUROC, that of permuted labels, their difference (selectivity) and p, by concept."""
    control = found['control']
    values = {
        'probe_auroc': found['auroc'],
        'probe_control': np.array([_mean(one) for one in control]),
        'probe_p': directions.one_sided(found['auroc'], control),
    }
    values['probe_selectivity'] = values['probe_auroc'] - values['probe_control']
    return [
        _row(row, name, layer, metric, by_concept[s], images)
        for metric, by_concept in values.items()
        for s, name in enumerate(names)
        if np.isfinite(found['auroc'][s])
    ]


def tcav_rows(row: dict, found: dict, classes, names, layer: str, counted: np.ndarray) -> list[dict]:
    """TCAV of every class and concept, for results/directions: sign, magnitude, two-sided p, and corrected (FDR).

    counted: [n,K], the images that each class is asked about.
    """
    p = directions.two_sided(found['sign'], found['random'])
    control = np.array([[_mean(one) for one in by_class] for by_class in found['random']])
    values = {
        'tcav': found['sign'],
        'tcav_magnitude': found['magnitude'],
        'tcav_control': control,
        'tcav_p': p,
        'tcav_p_adjusted': benjamini_hochberg(p),
    }
    return [
        {**_row(row, name, layer, metric, value[k, s], int(counted[:, k].sum())), 'concept': concept}
        for metric, value in values.items()
        for k, name in enumerate(classes)
        for s, concept in enumerate(names)
        if np.isfinite(p[k, s])
    ]


def arm_directions(members: list[dict], made: list[dict], alive: np.ndarray) -> list[dict]:
    """By arm: mean TCAV over living seeds, and in how many of them the concept moved the class (p adjusted <= 0.05)."""
    first = {row['arm']: row for row in reversed(members)}
    living = {(row['arm'], str(row['seed'])) for row in members if alive[row['member']]}
    cells: dict[tuple, list[float]] = {}
    for row in made:
        if (row['arm'], row['seed']) in living and row['metric'] in ('tcav', 'tcav_p_adjusted'):
            key = (row['arm'], row['class'], row['concept'], row['method'], row['metric'])
            cells.setdefault(key, []).append(row['value'])
    result = []
    for (arm, name, concept, method, metric), values in cells.items():
        found = ('tcav_mean', _mean(values)) if metric == 'tcav' else ('tcav_seeds', np.sum(np.array(values) <= 0.05))
        fields = {'class': name, 'method': method, 'metric': found[0], 'value': float(found[1]), 'n': len(values)}
        result.append({**tables.of_arm(first[arm], **fields), 'concept': concept})
    return result


def logit_rows(row: dict, parts: np.ndarray, finding: np.ndarray, classes, layer: str) -> list[dict]:
    """What detectors of the finding, of other concepts, and other units add to its logit: means over images [n,3]."""
    made, kinds = [], ('own_detectors', 'other_detectors', 'no_detectors')
    for name, chosen in [
        ('all images', np.ones(len(finding), bool)),
        *((c, finding == k) for k, c in enumerate(classes)),
    ]:
        if chosen.any():
            means = parts[chosen].mean(0)
            for kind, value in zip(kinds, means, strict=True):
                made.append(_row(row, name, layer, f'logit_from_{kind}', value, int(chosen.sum())))
    return made


def segment_rows(row: dict, found: dict, names, layer: str, images: int) -> list[dict]:
    """IoU by concept of all units together, of the best one and of everything, on patients not fitted to."""
    return [
        _row(row, name, layer, metric, found[metric][s], images)
        for metric in ('multi_unit_iou', 'single_unit_iou', 'everywhere_iou')
        for s, name in enumerate(names)
        if np.isfinite(found[metric][s])
    ]


def count_rows(row: dict, counts: dict[str, np.ndarray], findings: np.ndarray, classes, layer: str) -> list[dict]:
    """Concepts an image, by the findings that it has a region of.

    counts: name -> [n] concepts an image, or [n,K] in the boxes of each finding; findings: [n,K] bool. As in the study,
    an image with two findings is in the statistics of both, and counts [n] of all of its boxes count for both; counts
    [n,K] do not, and in 'all images' are added up over an image's findings.
    """
    made = []
    groups = [('all images', np.ones(len(findings), bool)), *zip(classes, findings.T, strict=True)]
    for k, (name, group) in enumerate(groups, -1):
        for metric, count in counts.items():
            chosen = count[group] if count.ndim == 1 else _of_finding(count, findings, k)
            if len(chosen):
                statistics = {'mean': chosen.mean(), 'sd': chosen.std(), 'min': chosen.min(), 'max': chosen.max()}
                for statistic, value in statistics.items():
                    made.append(_row(row, name, layer, f'{metric}_image_{statistic}', value, len(chosen)))
    return made


def _of_finding(count: np.ndarray, findings: np.ndarray, k: int) -> np.ndarray:
    """Counts in a finding's own boxes, of the images that have it; for -1 the sums over an image's findings."""
    return count.sum(1) if k < 0 else count[findings[:, k], k]


def arm_rows(members: list[dict], made: list[dict], alive: np.ndarray, reference: str = '') -> list[dict]:
    """Means and standard deviations over the living seeds of every arm, of the rows of single members.

    Counts of units also get Student's 95 % interval over seeds (`_low`, `_high`), and their difference to the reference
    over paired seeds with its interval and p (`_difference`, ...).
    """
    seeds = {(row['arm'], str(row['seed'])): alive[row['member']] for row in members}
    cells: dict[tuple, dict[str, float]] = {}
    first = {row['arm']: row for row in reversed(members)}
    for row in made:
        if seeds[row['arm'], row['seed']]:
            cells.setdefault((row['arm'], row['class'], row['method'], row['metric']), {})[row['seed']] = row['value']
    result = []
    for (arm, name, method, metric), by_seed in cells.items():
        values = np.array(list(by_seed.values()), float)
        result += tables.seed_statistics(first[arm], values[:, None], [name], metric, method=method)
        if metric in COUNTED:
            result += _interval_rows(first[arm], over_seeds(values), name, metric, method)
            other = cells.get((reference, name, method, metric), {})
            paired = [by_seed[seed] - other[seed] for seed in by_seed if seed in other]
            if arm != reference and paired:
                difference = f'{metric}_difference'
                result += tables.interval_rows(
                    tables.of_arm(first[arm], method=method),
                    over_seeds(np.array(paired)),
                    [name],
                    difference,
                    len(paired),
                )
                p = {'class': name, 'method': method, 'metric': f'{difference}_p', 'value': float(paired_t(paired))}
                result.append(tables.of_arm(first[arm], **p, n=len(paired)))
    return result


def _interval_rows(row: dict, interval, name: str, metric: str, method: str) -> list[dict]:
    ends = {'low': interval.low, 'high': interval.high}
    shared = {'class': name, 'method': method, 'n': int(interval.rounds)}
    return [tables.of_arm(row, **shared, metric=f'{metric}_{end}', value=float(value)) for end, value in ends.items()]


def _mean(values: np.ndarray) -> float:
    values = np.asarray(values, float)
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else np.nan


def _unit_row(row: dict, name: str, layer: str, unit: int, metric: str, value, n: int) -> dict:
    return {**_row(row, name, layer, metric, value, n), 'layer': layer, 'unit': unit}


def _row(row: dict, name: str, layer: str, metric: str, value, n: int) -> dict:
    fields = {'class': name, 'method': layer, 'metric': metric, 'value': float(value), 'n': n}
    return tables.of_member(row, **fields)
