"""The section on the mistakes of the published code: what each of them changes."""

import math

from imbalance_jax.analysis.report.cells import Cell, Table, plain
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import label, number, signed, whole
from imbalance_jax.analysis.report.values import Values
from imbalance_jax.results import audit
from imbalance_jax.results.audit import Figure
from imbalance_jax.results.units import CORRECTED, PUBLISHED

VERSIONS = (PUBLISHED, CORRECTED)
DIGITS = {'detector_units': 1, 'unique_concepts': 1, 'concepts_per_image': 2}


def tables(study: Study) -> list[Table]:
    """What the published mistakes of training and of measuring did; those that this study has figures for."""
    if not study.audit:
        return []
    of_audit = (trained(study, study.audit), measured(study.audit), loaders(study.audit))
    return [table for table in of_audit if table.rows]


def loaders(values: Values) -> Table:
    """A row per mistake of published loaders of the data set, with what it counts: published, corrected, difference."""
    rows = []
    for mistake in dict.fromkeys(values.distinct('mistake', kind='data')):
        for unit in values.distinct('metric', kind='data', mistake=mistake):
            of = {'name': '', 'mistake': mistake}
            wrong, right = (values(unit, version=version, **of) for version in VERSIONS)
            share = f'{100 * (wrong / right - 1):+.1f} %' if right else ''
            cells = [Cell(whole(wrong)), Cell(whole(right)), Cell(signed(wrong - right, 0), share)]
            rows.append((f'{mistake} ({unit})', cells))
    return Table('mistakes-loaders', 'mistake', ['published loader', 'corrected', 'effect'], rows)


def trained(study: Study, values: Values) -> Table:
    """A row per mistake, a column per outcome: published minus corrected arm."""
    columns = []
    for outcome in audit.OUTCOMES:
        if outcome.metric == 'iou':
            continue
        methods = study.methods if outcome.method is None else [outcome.method]
        columns += [outcome._replace(method=method) for method in methods]
    rows = []
    for mistake in audit.ARMS:
        if count(values, mistake, audit.AUROC):
            rows.append((mistake, [effect(values, mistake, one, DIGITS.get(one.metric, 3)) for one in columns]))
    return Table('mistakes-trained', 'mistake', [words(one) for one in columns], rows)


def measured(values: Values) -> Table:
    """A row per mistake and method: the published figure, the corrected one, and their difference."""
    rows = []
    for mistake, (_, corrected) in audit.MEASURES.items():
        for method in values.distinct('method', mistake=mistake):
            figure = corrected._replace(method=method)
            variant = label(method) if corrected.method is None else layer_of(values, figure)
            means = [plain(values(figure.metric, **where(values, mistake, figure, version=v))) for v in VERSIONS]
            rows.append((f'{mistake}, {variant}' if variant else mistake, [*means, effect(values, mistake, figure, 3)]))
    return Table('mistakes-measured', 'mistake', ['published', 'corrected', 'effect'], rows)


def words(figure: Figure) -> str:
    """The head of a column."""
    if figure.table == 'alignment':
        return f'{label(figure.method or "")} {label(figure.metric)}'
    return 'concepts per image, corrected' if figure.metric == 'concepts_per_image' else label(figure.metric)


def where(values: Values, mistake: str, figure: Figure, **columns: str) -> dict[str, str]:
    """The columns of a row of results/audit beside its metric; `name` is its class."""
    entries = {'kind': 'population', 'statistic': 'mean', 'mistake': mistake, 'method': figure.method or '', **columns}
    entries['layer'] = layer_of(values, figure)
    return {
        'name': figure.columns.get('class', ''),
        **{c: v for c, v in figure.columns.items() if c != 'class'},
        **entries,
    }


def layer_of(values: Values, figure: Figure) -> str:
    """The dissected layer, of figures of its units."""
    layers = (layer for layer in values.distinct('layer') if layer)
    return next(layers, '') if figure.table == 'concepts' else ''


def count(values: Values, mistake: str, figure: Figure) -> int:
    """The number of seeds that an effect is the mean of."""
    return values.over(figure.metric, **where(values, mistake, figure, version=PUBLISHED, against=CORRECTED))


def effect(values: Values, mistake: str, figure: Figure, digits: int) -> Cell:
    """Published minus corrected, with its interval."""
    ends = ('mean', 'low', 'high')
    of = [where(values, mistake, figure, version=PUBLISHED, against=CORRECTED, statistic=end) for end in ends]
    estimate, low, high = (values(figure.metric, **one) for one in of)
    if not math.isfinite(low):
        return Cell(signed(estimate, digits))
    return Cell(signed(estimate, digits), f'{number(low, digits)} to {number(high, digits)}')
