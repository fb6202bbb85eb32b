"""What the report says of maps beyond the study's own figures: skill above every null, subsets, faithfulness,
sanity."""

import numpy as np

from imbalance_jax.analysis.report.panels import intervals
from imbalance_jax.analysis.report.study import ALL, Study
from imbalance_jax.analysis.report.style import excludes_zero, label, number, whole, with_interval
from imbalance_jax.analysis.report.tables import Cell, Table, over_seeds
from imbalance_jax.analysis.sweeps import shortcut
from imbalance_jax.explain import alignment as explain_alignment
from imbalance_jax.explain import faithfulness as explain_faithfulness
from imbalance_jax.results import alignment as localisation

GLOBAL = ('chance', 'image centre', 'constant map', explain_alignment.GRID)  # nulls without a network
STAND_INS = (explain_alignment.SHUFFLED, explain_alignment.UNTRAINED, explain_alignment.PERMUTED)
PARTS = (*explain_alignment.SIZES, 'labelled', 'true positives')
STUDYS = localisation.MEASURES


def section(study: Study) -> dict:
    """Tables by method, and those of all methods together."""
    by_method = {
        method: {
            'skill': {m: skill(study, method, m) for m in measures(study)},
            'others': others(study, method),
            'subsets': subsets(study, method),
        }
        for method in study.methods
    }
    refused = study.alignment('regions_refused', 'all findings', method='data') if study.alignment else np.nan
    return {
        'methods': by_method,
        'faithfulness': faithfulness(study),
        'sanity': sanity(study),
        'roar': roar(study),
        'shortcut': shortcut.tables(shortcut.strength(study), study) if shortcut.known(study) else None,
        'refused': whole(refused) if np.isfinite(refused) else '',
    }


def measures(study: Study) -> list[str]:
    """Those that have a skill: the study's and the config's."""
    found = study.alignment.distinct('metric', seed=ALL)
    names = [name.removesuffix('_skill') for name in found if name.endswith('_skill')]
    return list(dict.fromkeys(names))


def metric(measure: str, null: str) -> str:
    return f'{measure}_skill' if null == localisation.CONSTANT else f'{measure}_above_{null.replace(" ", "_")}'


def skill(study: Study, method: str, measure: str) -> Table:
    """One measure's mean over an arm's seeds, and what it is above each null, with intervals."""
    nulls = [null for null in (*GLOBAL[:3], *STAND_INS) if _known(study, method, metric(measure, null))]
    rows = []
    for arm in study.arms:
        cells = [over_seeds(study.alignment, measure, arm, method=method)]
        for null in nulls:
            estimate, low, high = intervals(study.alignment, metric(measure, null), [arm], method=method)[arm]
            cells.append(Cell(*with_interval(estimate, low, high), excludes_zero(low, high)))
        rows.append((arm, cells))
    levels = [Cell('')] + [_level(study, method, measure, null) for null in nulls]
    ceiling = Cell(number(study.alignment(measure, method=explain_alignment.GRID)))
    rows += [('the null itself', levels), (explain_alignment.GRID, [ceiling, *[Cell('')] * len(nulls)])]
    return Table(f'skill-{method}-{measure}', 'arm', [label(measure), *(f'above {null}' for null in nulls)], rows)


def _known(study: Study, method: str, name: str) -> bool:
    return any(np.isfinite(study.alignment(name, arm=arm, method=method)) for arm in study.arms)


def _level(study: Study, method: str, measure: str, null: str) -> Cell:
    """What a null scores: that of the maps, or the mean over arms of what stands in for their members."""
    if null in GLOBAL:
        return Cell(number(study.alignment(measure, method=null)))
    found = [study.alignment(f'{measure}_mean', arm=arm, method=f'{method}, {null}') for arm in study.arms]
    found = [value for value in found if np.isfinite(value)]
    return Cell(number(np.mean(found) if found else np.nan))


def others(study: Study, method: str) -> Table:
    """The measures that the other tables leave out, by arm, and of every null."""
    names = [name for name in measures(study) if name not in STUDYS]
    rows = [(arm, [over_seeds(study.alignment, m, arm, method=method) for m in names]) for arm in study.arms]
    rows += [(null, [_level(study, method, m, null) for m in names]) for null in (*GLOBAL, *STAND_INS)]
    rows = [(name, cells) for name, cells in rows if any(cell.text != '–' for cell in cells)]
    return Table(f'others-{method}', 'arm', [label(m) for m in names], rows if names else [])


def subsets(study: Study, method: str) -> Table:
    """Hit share of parts of the pairs, and below it its skill above the constant map."""
    rows = []
    for name in PARTS:
        pairs = study.alignment.count('hit_share', name, arm=study.reference, seed=_seed(study), method=method)
        cells = []
        for arm in study.arms:
            mean = over_seeds(study.alignment, 'hit_share', arm, name, method)
            above = intervals(study.alignment, 'hit_share_skill', [arm], name, method)[arm]
            known = np.isfinite(above).all()
            cells.append(mean._replace(below=f'{with_interval(*above)[0]} skill', marked=excludes_zero(*above[1:]))
                         if known else mean)  # fmt: skip
        if pairs:
            rows.append((name, [Cell(whole(pairs)), *cells]))
    return Table(f'subsets-{method}', 'pairs', ['pairs', *study.arms], rows)


def _seed(study: Study) -> str:
    return str(study.rows(study.reference)[0]['seed'])


def faithfulness(study: Study) -> Table | None:
    """Metrics of faithfulness by method, mean and sd over arms and seeds, noise last."""
    if not study.faithfulness or not study.faithfulness.value:
        return None
    names = [n for n in study.faithfulness.distinct('metric', seed=_seed(study)) if not n.startswith('randomised')]
    made = [(_named(m), [_over_members(study, n, m) for n in names]) for m in _methods(study)]
    return Table('faithfulness', 'method', [label(n) for n in names], made)


def sanity(study: Study) -> Table | None:
    """Rank correlation of maps with those of the network randomised from the head down."""
    if not study.faithfulness or not study.faithfulness.value:
        return None
    names = [n for n in study.faithfulness.distinct('metric', seed=_seed(study)) if n.startswith('randomised')]
    names = sorted(names, key=lambda n: int(n.split(',')[0].split()[1]))
    methods = [m for m in _methods(study) if m != explain_faithfulness.NULL]
    made = [(_named(m), [_over_members(study, n, m, 2) for n in names]) for m in methods]
    return Table('sanity', 'method', [n.partition(', ')[2] for n in names], made)


def roar(study: Study) -> Table | None:
    """Macro AUROC of the reference arm trained anew without the hottest pixels, mean and sd over seeds."""
    if not study.roar or not study.roar.value:
        return None
    names = [n.removesuffix('_mean') for n in study.roar.distinct('metric', seed=ALL) if n.endswith('_mean')]
    methods = study.roar.distinct('method', seed=ALL)
    made = [(_named(m), [over_seeds(study.roar, n, study.reference, method=m) for n in names]) for m in methods]
    head = [f'without {float(n.removeprefix("auroc_without_")):.0%}' for n in names]
    return Table('roar', 'method', head, made)


def _named(method: str) -> str:
    return f'{label(method)} (noise)' if method == explain_faithfulness.NULL else label(method)


def _methods(study: Study) -> list[str]:
    return study.faithfulness.distinct('method', seed=ALL)


def _over_members(study: Study, name: str, method: str, digits: int = 3) -> Cell:
    """Mean over the living members, and below it the lowest and highest arm."""
    means = [study.faithfulness(f'{name}_mean', 'all pairs', arm=arm, method=method) for arm in study.arms]
    means = [value for value in means if np.isfinite(value)]
    if not means:
        return Cell('–')
    return Cell(number(np.mean(means), digits), f'{number(min(means), digits)} to {number(max(means), digits)}')
