"""How alike members are: in a plane and in a matrix by the CKA of their main layer, and what becomes of detectors."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context

from imbalance_jax.analysis.report.cells import Cell, Table
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import GREY, RC, Look, Panel, figure, panel, percent, short
from imbalance_jax.analysis.report.unit_tables import rows_of
from imbalance_jax.concepts.persistence import OUTCOMES
from imbalance_jax.results.units import ALL_CONCEPTS

RELATIONS = {
    'other seed': 'same arm, other seed',
    'other arm and seed': 'other arm, other seed',
    'other arm': 'other arm, same seed',
}


def panels(study: Study, look: dict[str, Look], table: pd.DataFrame) -> list[Panel]:
    """Both charts, of results/similarity."""
    members, values = similarities(study, table)
    return [plane(study, look, members, values), matrix(study, members, values)] if len(members) > 1 else []


def similarities(study: Study, table: pd.DataFrame) -> tuple[list[dict], np.ndarray]:
    """The living members and the CKA [P,P] of the main layer."""
    members = [row for row in study.members if study.alive(row)]
    index = {(row['arm'], row['seed']): i for i, row in enumerate(members)}
    values = np.eye(len(members))
    pairs = rows_of(table, kind='pair', metric='cka', layer=study.layer, other_layer=study.layer)
    columns = pairs[['arm', 'seed', 'other_arm', 'other_seed', 'value']]
    for arm, seed, other_arm, other_seed, value in columns.itertuples(index=False, name=None):
        a, b = index.get((arm, seed)), index.get((other_arm, other_seed))
        if a is not None and b is not None:
            values[a, b] = value
    return members, values


def plane(study: Study, look: dict[str, Look], members: list[dict], values: np.ndarray) -> Panel:
    """Members in a plane, as far from each other as 1 - CKA wants and a plane can show (classical scaling)."""
    distance = np.nan_to_num(np.clip(1 - values, 0, None), nan=1.0)
    centre = np.eye(len(members)) - 1 / len(members)
    power, axes_of = np.linalg.eigh(-0.5 * centre @ distance**2 @ centre)
    power, axes_of = np.append(power[::-1], [0, 0])[:2], np.pad(axes_of[:, ::-1], ((0, 0), (0, 2)))[:, :2]
    sign = np.where(axes_of[np.abs(axes_of).argmax(0), [0, 1]] < 0, -1, 1)
    position = axes_of * sign * np.sqrt(np.maximum(power, 0))
    with rc_context(RC):
        fig = figure(3.2 + 0.16 * -(-len(look) // 2))
        axes = fig.subplots()
        for arm, (colour, marker) in look.items():
            of_arm = [i for i, row in enumerate(members) if row['arm'] == arm]
            kind: dict[str, Any] = {
                'marker': marker,
                'color': colour,
                'markersize': 6,
                'markeredgecolor': '#333333',
                'markeredgewidth': 0.6,
            }
            axes.plot(*position[of_arm].T, linestyle='', label=short(arm), **kind)
        for (x, y), row in zip(position, members, strict=True):
            axes.annotate(str(row['seed']), (x, y), xytext=(4, 3), textcoords='offset points', fontsize=6, color=GREY)
        axes.set_title(f'Members by CKA of {study.layer}')
        axes.set_xlabel('1 − CKA, first axis')
        axes.set_ylabel('second axis')
        axes.set_aspect('equal', 'datalim')
        axes.grid(True)
        fig.legend(loc='outside lower center', ncols=2, handlelength=1.2)
    return panel(fig, f'Map of members by CKA of {study.layer}: one mark per member, its seed beside it.')


def matrix(study: Study, members: list[dict], values: np.ndarray) -> Panel:
    """CKA of all pairs of members, the members of an arm together."""
    with rc_context(RC):
        fig = figure(3.9)
        axes = fig.subplots()
        shown = axes.imshow(values, vmin=min(0.0, np.nanmin(values)), vmax=1, cmap='viridis')
        arms = list(dict.fromkeys(row['arm'] for row in members))
        ends = np.cumsum([sum(row['arm'] == arm for row in members) for arm in arms])
        for end in ends[:-1]:
            axes.axhline(end - 0.5, color='white', linewidth=0.8)
            axes.axvline(end - 0.5, color='white', linewidth=0.8)
        middles = (np.append(0, ends[:-1]) + ends) / 2 - 0.5
        axes.set_yticks(middles, [short(arm) for arm in arms])
        axes.set_xticks([])
        axes.set_title(f'CKA of {study.layer}')
        fig.colorbar(shown, ax=axes, shrink=0.7)
    return panel(fig, f'Matrix of CKA of {study.layer} between all pairs of members, arm by arm.')


def persistence(study: Study, table: pd.DataFrame) -> Table:
    """What becomes of an arm's detectors in other seeds and arms, and how many units match, by relation."""
    shown = rows_of(table, kind='arm', layer=study.layer, above='')
    shown = shown[shown['concept'].isin(('', ALL_CONCEPTS))]
    shares = shown.set_index(['arm', 'metric', 'against'])['value'].to_dict()
    rows = []
    for arm in study.arms:
        keys = [(arm, metric, relation) for relation in RELATIONS for metric in (*OUTCOMES, 'matched_units')]
        rows.append((arm, [Cell(percent(shares.get(key, math.nan))) for key in keys]))
    head = [*OUTCOMES, 'units that match'] * len(RELATIONS)
    return Table('persistence', 'detectors of', head, rows, tuple((words, 4) for words in RELATIONS.values()))


def changes(study: Study, table: pd.DataFrame) -> Table | None:
    """Against the reference: its detectors that an arm keeps, moves and deletes, and the arm's that are new.

    The first row is the reference against its own other seeds.
    """
    pairs = rows_of(table, kind='pair', concept=ALL_CONCEPTS, above='')

    def shares(one: str, other: str, same_seed: bool) -> dict[str, float]:
        chosen = rows_of(pairs, arm=one, other_arm=other)
        if study.paired:
            chosen = chosen[(chosen['seed'] == chosen['other_seed']) == same_seed]
        elif same_seed:
            chosen = chosen[:0]
        sums = chosen.groupby('metric')[['value', 'n']].sum()
        return {str(metric): share for metric, share in (sums['value'] / sums['n']).items()}

    def cells(arm: str, same_seed: bool) -> list[Cell]:
        there, back = shares(study.reference, arm, same_seed), shares(arm, study.reference, same_seed)
        values = [there.get(outcome, math.nan) for outcome in OUTCOMES] + [back.get('lost', math.nan)]
        return [Cell(percent(value)) for value in values]

    rows = [(f'{study.reference} itself', [*cells(study.reference, False), *cells('', True)])]
    rows += [(arm, [*cells(arm, False), *cells(arm, True)]) for arm in study.others]
    groups = (('other seed', 4), ('same seed', 4))
    return Table('changes', 'arm', ['kept', 'moved', 'deleted', 'created'] * 2, rows, groups) if study.others else None
