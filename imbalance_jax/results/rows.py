"""Rows of the tables: one number each, with who it is of, what it is and over how many.

`schema.COLUMNS` says what the columns mean. Functions that make several rows take `cells`, one dict of columns per
entry of the last axis of their values, such as `[{'class': 'Mass'}, {'class': 'macro'}]`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.policies import PERMUTED
from imbalance_jax.metrics.intervals import Interval
from imbalance_jax.metrics.statistics import cluster_weights, moments

MACRO, MICRO = 'macro', 'micro'
Row = dict[str, Any]
Number = float | np.ndarray | np.generic  # one number, as Python or NumPy writes it
Cells = Sequence[Mapping[str, Any]]


class Population(NamedTuple):
    """Who the rows are of: members as in members.json, which of them are alive [P] bool, and the reference arm."""

    members: Sequence[Row]
    alive: np.ndarray
    reference: str

    @property
    def arms(self) -> dict[str, list[int]]:
        """Arm -> its member numbers, in the order of the seeds."""
        return by_arm(self.members)

    @property
    def paired(self) -> bool:
        """Whether members with one seed have initial weights and data order in common, as training makes them; networks
        that were trained elsewhere have nothing."""
        return all(member.get('paired', True) for member in self.members)

    @property
    def partners(self) -> dict[int, int]:
        """By member's number, equal numbers for those that have something in common: the seeds, or different ones for
        all members where they are not paired."""
        return {one['member']: one['seed'] if self.paired else one['member'] for one in self.members}

    @property
    def compared(self) -> dict[str, list[int]]:
        """As `arms`, without those that were trained on permuted labels.

        They are a null, have nothing to learn, and take part in no comparison between arms.
        """
        return {arm: of for arm, of in self.arms.items() if not is_null(self.members[of[0]])}

    @property
    def first(self) -> dict[str, Row]:
        """Arm -> the first of its members."""
        return {arm: self.members[indices[0]] for arm, indices in self.arms.items()}

    @property
    def living_indices(self) -> list[int]:
        """The numbers of the living members."""
        return np.flatnonzero(self.alive).tolist()

    @property
    def living_members(self) -> list[Row]:
        """The living members."""
        return [member for member in self.members if self.alive[member['member']]]

    def living(self, values: np.ndarray) -> np.ndarray:
        """Values [P,...] with NaN for members that were frozen."""
        return np.where(self.alive.reshape(-1, *[1] * (np.ndim(values) - 1)), values, np.nan)


class Bootstrap(NamedTuple):
    """How often the test patients are resampled for an interval, and from which seed."""

    rounds: int
    seed: int

    def weights(self, patients: np.ndarray) -> np.ndarray:
        """How often each example [N] of these patients counts in every round, [R,N]; equal patients, equal rounds."""
        return cluster_weights(patients, self.rounds, np.random.default_rng(self.seed))


def of_kind(
    kind: str, metric: str, value: Number, n: Number, *, name: str = '', statistic: str = 'value', **columns: Any
) -> Row:
    """A row of the kinds that are of no arm; `name` is its class."""
    what = {'class': name, 'metric': metric, 'statistic': statistic, 'value': float(value), 'n': int(n)}
    return {'kind': kind, **what, **columns}


def of_arm(
    member: Mapping[str, Any], metric: str, value: Number, n: Number, *, kind: str = 'arm', **columns: Any
) -> Row:
    """A row of the arm that a member belongs to."""
    arm = {key: member[key] for key in ('arm', 'loss', 'sampler')}
    return {**of_kind(kind, metric, value, n, **columns), **arm}


def of_member(
    member: Mapping[str, Any], metric: str, value: Number, n: Number, *, kind: str = 'member', **columns: Any
) -> Row:
    """A row of one member."""
    one = {key: member[key] for key in ('seed', 'member')}
    return {**of_arm(member, metric, value, n, kind=kind, **columns), **one}


def is_null(member: Mapping[str, Any]) -> bool:
    """Whether a member was trained on the labels of other images, and so has nothing to learn."""
    return member.get('labels') == PERMUTED


def by_arm(members: Iterable[Mapping]) -> dict[str, list[int]]:
    """Arm -> its member numbers, in the order of the seeds."""
    arms: dict[str, list[int]] = {}
    for member in members:
        arms.setdefault(member['arm'], []).append(member['member'])
    return arms


def class_cells(names: Iterable[str]) -> list[dict[str, str]]:
    """Cells that differ in their class only."""
    return [{'class': name} for name in names]


def seed_statistics(member: Mapping, values: np.ndarray, cells: Cells, metric: str, **columns) -> list[Row]:
    """Mean and standard deviation over an arm's seeds of values [S,K]; seeds that are NaN are left out of n."""
    number, mean, deviation = moments(values)
    return [
        {**of_arm(member, metric, value[k], number[k], statistic=statistic, **columns), **cell}
        for k, cell in enumerate(cells)
        for statistic, value in (('mean', mean), ('sd', deviation))
    ]


def interval_rows(member: Mapping, interval: Interval, cells: Cells, metric: str, n: int, **columns) -> list[Row]:
    """Mean and both ends of an interval [K] over n seeds."""
    ends = {'mean': interval.estimate, 'low': interval.low, 'high': interval.high}
    return [
        {**of_arm(member, metric, np.atleast_1d(value)[k], n, statistic=statistic, **columns), **cell}
        for k, cell in enumerate(cells)
        for statistic, value in ends.items()
    ]


class Sample(NamedTuple):
    """Values of an arm [S,K] on the data, and the same [R,S,K] in every round of a bootstrap over patients; or those of
    all members, [P,K] and [R,P,K]."""

    values: np.ndarray
    resampled: np.ndarray

    @property
    def defined(self) -> bool:
        """Whether any value is finite."""
        return bool(np.isfinite(self.values).any())

    @property
    def seeds(self) -> int:
        """The number of seeds with a finite value."""
        return int(np.isfinite(self.values).any(1).sum())

    def at(self, cells: Sequence[int] | np.ndarray) -> 'Sample':
        """Some of the cells."""
        return Sample(self.values[..., cells], self.resampled[..., cells])

    def by_arm(self, arms: Mapping[str, Sequence[int]]) -> dict[str, 'Sample']:
        """Of values [P,K] and rounds [R,P,K] of all members: arm -> those of its members."""
        return {arm: Sample(self.values[of], self.resampled[:, of]) for arm, of in arms.items()}
