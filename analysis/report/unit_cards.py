"""Cards of single units: the images that excite them, what they detect, and what is known of them."""

import math
from typing import Any

import pandas as pd

from imbalance_jax.analysis.report import galleries
from imbalance_jax.analysis.report.similarity import RELATIONS
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import interval, number, percent, signed
from imbalance_jax.analysis.report.unit_tables import read, rows_of

SHOWN = 6  # units per arm


def cards(study: Study, arm: str) -> dict[str, Any]:
    """Pictures of detector units of an arm's first living seed, with concept, IoU, ceiling and p."""
    member = next(iter(study.living(arm)), None)
    probe, units = study.arrays('probe'), member and study.arrays(f'units_{member["member"]}')
    if probe is None or not units or member is None:
        return {}
    shown, table = [], read(study.folder, 'units')
    for unit, s in galleries.units_to_show(units, SHOWN):
        concept = study.concept_names[s]
        alt = f'The {units["top"].shape[1]} images that excite unit {unit} most, a detector of {concept}.'
        figures = {name: float(units[name][unit, s]) for name in ('iou', 'ceiling', 'p_pooled')}
        panel = galleries.unit(probe['images'], units, unit, alt)
        more = facts(table, member, unit) if table is not None else []
        shown.append({'unit': unit, 'concept': concept, 'panel': panel, 'more': more, **figures})
    detectors = int(units['detector'].any(1).sum())
    return {'arm': arm, 'seed': member['seed'], 'cards': shown, 'detectors': detectors, 'units': len(units['dead'])}


def facts(table: pd.DataFrame, member: dict, unit: int) -> list[str]:
    """AUROC, effect and persistence of a unit, of results/units."""
    rows = rows_of(table, kind='member', member=member['member'], unit=unit)
    columns = rows[['metric', 'statistic', 'against', 'class', 'value']]
    value = {(m, s, against, name): v for m, s, against, name, v in columns.itertuples(index=False, name=None)}
    return [*auroc(value), *drop(value), *persistence(value)]


Facts = dict[tuple[str, str, str, str], float]  # (metric, statistic, against, class) -> value


def by_class(value: Facts, metric: str) -> dict[str, float]:
    """Class -> a figure, where it is defined."""
    return {
        name: share
        for (known, statistic, _, name), share in value.items()
        if known == metric and statistic == 'value' and math.isfinite(share)
    }


def ends(value: Facts, metric: str, name: str) -> str:
    """The interval of a figure in words."""
    return interval(value[metric, 'low', '', name], value[metric, 'high', '', name], 2)


def auroc(value: Facts) -> list[str]:
    """The class that the unit tells best, either way."""
    aurocs = by_class(value, 'auroc')
    if not aurocs:
        return []
    name = max(aurocs, key=lambda name: abs(aurocs[name] - 0.5))
    return [f'AUROC of {name} {number(aurocs[name])} {ends(value, "auroc", name)}']


def drop(value: Facts) -> list[str]:
    """The class whose AUROC changes most without the unit."""
    drops = by_class(value, 'auroc_drop')
    if not drops:
        return []
    name = max(drops, key=lambda name: abs(drops[name]))
    return [f'without it AUROC of {name} {signed(-drops[name])}']


def persistence(value: Facts) -> list[str]:
    """In how many related members the matching unit detects the same."""
    shares = {words: value.get(('kept', 'value', relation, '')) for relation, words in RELATIONS.items()}
    return [f'{words}: kept by {percent(share)}' for words, share in shares.items() if share is not None]
