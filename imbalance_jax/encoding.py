"""What the units of a population encode, as rows: dissection, and the study's number of concepts."""

import numpy as np

from imbalance_jax import concepts, tables

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
            made.append({**_row(row, names[s], layer, metric, float(value), images), 'layer': layer, 'unit': unit})
    for metric in ('threshold', 'dead', 'sparse'):
        for unit, value in enumerate(result[metric]):
            made.append({**_row(row, '', layer, metric, float(value), images), 'layer': layer, 'unit': unit})
    return made


def count_rows(row: dict, counts: dict[str, np.ndarray], findings: np.ndarray, classes, layer: str) -> list[dict]:
    """Concepts an image, by the findings that it has a region of.

    counts: name -> [n] concepts an image; findings: [n,K] bool. As in the study, an image with two findings is in the
    statistics of both, and all of its boxes count for both.
    """
    made = []
    groups = [('all images', np.ones(len(findings), bool)), *zip(classes, findings.T, strict=True)]
    for name, group in groups:
        if not group.any():
            continue
        for metric, count in counts.items():
            chosen = count[group]
            statistics = {'mean': chosen.mean(), 'sd': chosen.std(), 'min': chosen.min(), 'max': chosen.max()}
            for statistic, value in statistics.items():
                made.append(_row(row, name, layer, f'{metric}_image_{statistic}', value, int(group.sum())))
    return made


def arm_rows(members: list[dict], made: list[dict], alive: np.ndarray) -> list[dict]:
    """Means and standard deviations over the living seeds of every arm, of the rows of single members."""
    seeds = {(row['arm'], str(row['seed'])): alive[row['member']] for row in members}
    cells: dict[tuple, list[float]] = {}
    first = {row['arm']: row for row in reversed(members)}
    for row in made:
        if seeds[row['arm'], row['seed']]:
            cells.setdefault((row['arm'], row['class'], row['method'], row['metric']), []).append(row['value'])
    result = []
    for (arm, name, method, metric), values in cells.items():
        result += tables.seed_statistics(first[arm], np.array(values, float)[:, None], [name], metric, method=method)
    return result


def _row(row: dict, name: str, layer: str, metric: str, value, n: int) -> dict:
    fields = {'class': name, 'method': layer, 'metric': metric, 'value': float(value), 'n': n}
    return tables.of_member(row, **fields)
