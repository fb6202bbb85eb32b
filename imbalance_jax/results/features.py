"""Features as rows: neural collapse, how many directions are used, and what probes find that the head does not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imbalance_jax.metrics import scores
from imbalance_jax.metrics.intervals import Interval, p_value, paired_difference, seed_interval
from imbalance_jax.metrics.statistics import holm
from imbalance_jax.results.rows import MACRO, Population, Row, Sample, of_arm, of_member

ALL_IMAGES, RARE, OTHERS = 'all images', 'rare classes', 'other classes'
CLASSES = 'all classes'  # of figures that are of all classes at once
BY_CLASS = ('within_class', 'mean_length', 'head_length')
OF_CLASSES = ('equiangular', 'self_dual', 'mean_slope', 'head_slope')
COSINES = ('mean_cosine', 'head_cosine')
RANKS = ('rankme', 'participation_ratio')
PROBES = ('natural', 'balanced')  # methods


class Images(NamedTuple):
    """What the figures are of: classes, number of images, patients [K] with a positive image of each class, and the
    smallest number of those for which a class has an interval."""

    classes: Sequence[str]
    number: int
    patients: np.ndarray
    smallest: int

    def judged(self, name: str) -> bool:
        """Whether a class, or what is of several, has an interval."""
        counts = dict(zip(self.classes, self.patients, strict=True))
        return bool(counts.get(name, self.smallest) >= self.smallest)


class Figure(NamedTuple):
    """A metric [1 + R, P, C] of C classes `names`: on the data, and in R rounds of a bootstrap over patients."""

    metric: str
    method: str
    names: Sequence[str]
    values: np.ndarray

    def sample(self, members: Sequence[int]) -> Sample:
        """Of some members."""
        return Sample(self.values[0, members], self.values[1:, members])


def rows(population: Population, arrays: Mapping[str, np.ndarray], images: Images) -> list[Row]:
    """Rows of members, of arms with intervals over seeds and patients, and of differences to the reference arm.

    p of a difference is corrected over arms (Holm), of single classes over arms and classes, for each metric.
    """
    result: list[Row] = []
    for figure in figures(arrays, images.classes):
        living = figure._replace(values=np.moveaxis(population.living(np.moveaxis(figure.values, 1, 0)), 0, 1))
        where = {'method': figure.method}
        for member in population.members:
            for name, value in zip(figure.names, figure.values[0, member['member']], strict=True):
                result.append(of_member(member, figure.metric, value, images.number, name=name, **where))
        for arm, members in population.arms.items():
            interval = seed_interval(*living.sample(members))
            result += _rows(population, arm, living, interval, images=images)
        result += _difference_rows(population, living, images)
    return result


def figures(arrays: Mapping[str, np.ndarray], classes: Sequence[str]) -> Iterator[Figure]:
    """What the arrays of `explain/features.npz` hold, class by class."""
    for metric in BY_CLASS:
        yield Figure(metric, '', [*classes, MACRO], _with_macro(arrays[metric]))
    for metric in OF_CLASSES:
        yield Figure(metric, '', [CLASSES], arrays[metric][..., None])
    for metric in COSINES:
        yield Figure(metric, '', [RARE, OTHERS], arrays[metric])
    for metric in RANKS:
        yield Figure(metric, '', [*classes, ALL_IMAGES], arrays[metric])
    head = _with_macro(arrays['auroc_head'])
    yield Figure('head_auroc', '', [*classes, MACRO], head)
    for method in PROBES:
        probe = _with_macro(arrays[f'auroc_{method}'])
        yield Figure('probe_auroc', method, [*classes, MACRO], probe)
        yield Figure('probe_minus_head', method, [*classes, MACRO], probe - head)


def _with_macro(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, scores.macro(values)[0][..., None]], axis=-1)


def _difference_rows(population: Population, figure: Figure, images: Images) -> list[Row]:
    """Every compared arm minus the reference over paired seeds."""
    compared, reference = population.compared, population.reference
    if reference not in compared:
        return []
    other = figure.sample(compared[reference])
    intervals = {}
    for arm, members in compared.items():
        if arm != reference:
            one = figure.sample(members)
            intervals[arm] = paired_difference(one.values, other.values, one.resampled, other.resampled)
    judged = np.array([images.judged(name) for name in figure.names])
    p = np.array([np.where(judged, p_value(interval), np.nan) for interval in intervals.values()])
    single = np.array([name in images.classes for name in figure.names])
    adjusted = np.full(p.shape, np.nan)
    for group in (single[None], *(np.eye(len(single), dtype=bool)[[k]] for k in np.flatnonzero(~single))):
        if len(p) and group.any():
            adjusted[:, group[0]] = holm(p[:, group[0]])
    result = []
    for number, (arm, interval) in enumerate(intervals.items()):
        tests = {'p': p[number], 'p_adjusted': adjusted[number]}
        result += _rows(population, arm, figure, interval, images=images, against=reference, **tests)
    return result


def _rows(
    population: Population,
    arm: str,
    figure: Figure,
    interval: Interval,
    *,
    images: Images,
    against: str = '',
    **tests: np.ndarray,
) -> list[Row]:
    """Mean, both ends and tests of an arm; n is the number of its seeds, of a difference that of pairs."""
    arms = [population.arms[name] for name in (arm, against) if name]
    seeds = int(np.isfinite(sum(figure.values[0, members] for members in arms)).any(1).sum())
    result = []
    for k, name in enumerate(figure.names):
        ends = (interval.low[k], interval.high[k]) if images.judged(name) else (np.nan, np.nan)
        values = {'mean': interval.estimate[k], 'low': ends[0], 'high': ends[1], **{n: v[k] for n, v in tests.items()}}
        for statistic, value in values.items():
            what = {'name': name, 'statistic': statistic, 'method': figure.method, 'against': against}
            result.append(of_arm(population.first[arm], figure.metric, value, seeds, **what))
    return result
