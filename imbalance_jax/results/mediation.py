"""Through the features or through the head? Rows of results/mediation, of arms that are a 2 x 2 of both.

Features are trained with loss A or B and frozen, and a new head is trained on them with loss A or B (classifier
re-training, Kang et al. 2020, arXiv 1910.09217). With Y_fh the outcome of features f and head h, by seed:

    features     ((Y_BA - Y_AA) + (Y_BB - Y_AB)) / 2        head         ((Y_AB - Y_AA) + (Y_BB - Y_BA)) / 2
    interaction    Y_BB - Y_BA - Y_AB + Y_AA                total          Y_BB - Y_AA = features + head

features with head A (Y_BA - Y_AA) and head with features B (Y_BB - Y_BA) are the natural indirect and direct effects
(Pearl 2001), whose mean with the other order the first two are. All four heads are trained anew, so that none has had
more training than another.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imbalance_jax.results.outcomes import Outcome
from imbalance_jax.results.paired import Estimate, estimate, figures, grid
from imbalance_jax.results.rows import MACRO, Population, Row, of_arm

# Weights of Y_AA, Y_AB, Y_BA, Y_BB, features first.
EFFECTS = {
    'total': (-1, 0, 0, 1),
    'features': (-0.5, -0.5, 0.5, 0.5),
    'head': (-0.5, 0.5, -0.5, 0.5),
    'interaction': (1, -1, -1, 1),
    'features, head of the reference': (-1, 0, 1, 0),
    'head, features of the arm': (0, 0, -1, 1),
}


class Square(NamedTuple):
    """The arms with features and head trained alike with A, with features A and head B, B and A, and B and B."""

    aa: str
    ab: str
    ba: str
    bb: str


def rows(population: Population, outcomes: Sequence[Outcome]) -> list[Row]:
    """Effects of every outcome, by class and macro, with interval, p, and p adjusted (Holm).

    A family is one square and one outcome: total, features, head and interaction of the macro mean, or the same of all
    classes. Rows stand with the arm B B, against A A; `through` names the effect; n is the number of seeds.
    """
    result = []
    for square in squares(population):
        members = grid(population, square)
        for outcome in outcomes if len(members) else ():
            classes = [name for name in outcome.classes if name != MACRO]
            for part in ([MACRO], classes):
                cells = [(name, through) for name in part for through in EFFECTS]
                estimates = [effect(outcome, name, members, through) for name, through in cells]
                for (name, through), one, values in zip(cells, estimates, figures(estimates), strict=True):
                    result += _rows(population, square, outcome, name, through, one.seeds, values)
    return result


def effect(outcome: Outcome, name: str, members: np.ndarray, through: str) -> Estimate:
    """One of EFFECTS on one class; members: [S,4] numbers, the arms in the order of `Square`."""
    values, resampled = outcome.of(name)
    contrast = np.array(EFFECTS[through], float)
    clusters = outcome.clusters[outcome.classes.index(name)]
    return estimate(values[members] @ contrast, resampled[:, members] @ contrast, clusters)


def squares(population: Population) -> list[Square]:
    """Every 2 x 2 of features and head among the arms with a retrained head; A is the reference's loss, if it is one.

    Cells must be alike in all but the two losses and their hyper-parameters.
    """
    groups: dict[str, dict[tuple[str, str], str]] = {}
    for arm in population.compared:
        member = population.first[arm]
        if member.get('retrain_head_from', 1.0) < 1:
            cell = _part(member, 'loss', 'hyper'), _head(member)
            groups.setdefault(_others(member), {}).setdefault(cell, arm)
    own = _part(population.first[population.reference], 'loss', 'hyper') if population.reference else ''
    found = []
    for cells in groups.values():
        names = sorted({features for features, _ in cells}, key=lambda one: (one != own, one))
        for i, a in enumerate(names):
            for b in names[i + 1 :]:
                corners = [cells.get(cell, '') for cell in ((a, a), (a, b), (b, a), (b, b))]
                if all(corners):
                    found.append(Square(*corners))
    return found


def _part(member: Mapping, loss: str, hyper: str) -> str:
    return repr((member[loss], sorted(member[hyper].items())))


def _head(member: Mapping) -> str:
    """The loss of the head, which is that of the features where it has none of its own."""
    own = member.get('head_loss')
    return _part(member, 'head_loss', 'head_hyper') if own else _part(member, 'loss', 'hyper')


def _others(member: Mapping) -> str:
    varied = ('arm', 'member', 'seed', 'loss', 'hyper', 'head_loss', 'head_hyper')
    return repr(sorted((key, value) for key, value in member.items() if key not in varied))


def _rows(
    population: Population,
    square: Square,
    outcome: Outcome,
    name: str,
    through: str,
    seeds: int,
    values: Mapping[str, float],
) -> list[Row]:
    where = {'method': outcome.method, 'above': outcome.above, 'through': through, 'against': square.aa}
    return [
        of_arm(population.first[square.bb], outcome.metric, value, seeds, name=name, statistic=statistic, **where)
        for statistic, value in values.items()
    ]
