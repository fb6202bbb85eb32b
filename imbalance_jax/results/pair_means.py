"""Figures of pairs of an image and a finding, averaged: by finding, over findings, over all pairs, in parts of them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imbalance_jax.metrics.intervals import clusters_of_mean, effective_number
from imbalance_jax.metrics.scores import macro
from imbalance_jax.metrics.statistics import weighted_mean
from imbalance_jax.results.rows import MACRO, Sample, class_cells

MEASURES = ('pointing_game', 'hit_share', 'iobb', 'ior', 'iou', 'empty')  # the study's
ALL_PAIRS = 'all pairs'
AT_ONCE = 2**23  # numbers of several measures that are averaged together

Figures = Mapping[str, np.ndarray]  # measure of `alignment.measure` -> [M], [P,M]


class Grouping(NamedTuple):
    """Which pairs are averaged: the finding [M] and the patient [M] of each pair, the number of findings, and subsets
    of the pairs, name -> [M] bool, or [P,M] where members differ."""

    finding: np.ndarray
    patient: np.ndarray
    num_classes: int
    subsets: Mapping[str, np.ndarray] = {}

    @property
    def parts(self) -> list[np.ndarray]:
        """The pairs of each finding, all pairs, those of each subset: [M] or [P,M] bool."""
        findings = [self.finding == k for k in range(self.num_classes)]
        return [*findings, np.ones(len(self.finding), bool), *self.subsets.values()]

    def counts(self, in_macro: int) -> list[int]:
        """Pairs of each finding, findings in the macro mean, all pairs, pairs of each subset (mean over members)."""
        pairs = [int(np.round(part.sum(-1).mean())) for part in self.parts]
        return [*pairs[: self.num_classes], in_macro, *pairs[self.num_classes :]]

    @property
    def patients(self) -> list[int]:
        """Patients of each finding, of all pairs, and of each subset (of any member)."""
        return [len(np.unique(self.patient[part.reshape(-1, len(self.patient)).any(0)])) for part in self.parts]

    @property
    def clusters(self) -> np.ndarray:
        """Effective number of patients behind each mean of `Means`, [K + 2 + E]."""
        each = np.array([effective_number(self.patient[p.reshape(-1, len(p.T)).any(0)]) for p in self.parts])
        findings = each[: self.num_classes]
        of_macro = clusters_of_mean(findings[findings > 0])
        return np.concatenate([findings, [of_macro], each[self.num_classes :]])

    def too_few(self, smallest: int) -> np.ndarray:
        """Which means have fewer patients than an interval needs, [K + 2 + E]; never the macro mean."""
        few = np.array(self.patients) < smallest
        return np.concatenate([few[: self.num_classes], [False], few[self.num_classes :]])

    def cells(self, classes: Sequence[str]) -> list[dict[str, str]]:
        """Class and subset of the last axis of `Means`."""
        parts = [{'class': ALL_PAIRS, 'subset': name} for name in self.subsets]
        return [*class_cells([*classes, MACRO, ALL_PAIRS]), *parts]


class Means(NamedTuple):
    """Means over pairs by measure, [..., K + 2 + E] on the data and [R, ..., K + 2 + E] in rounds of the bootstrap.

    Along the last axis: the K findings, their macro mean, all pairs as one, and each of E subsets. in_macro: how many
    findings the macro mean is of.
    """

    values: dict[str, np.ndarray]
    resampled: dict[str, np.ndarray]
    in_macro: dict[str, int]

    @classmethod
    def of(
        cls, figures: Figures, grouping: Grouping, weights: np.ndarray, members: Sequence[int] | None = None
    ) -> 'Means':
        """Of figures [..., M]; weights: [R, M], how often each pair counts in each round.

        A measure's macro mean is over the findings that are defined in every one of `members` (all, if None), so that
        members are compared over the same findings: `pointing_game` has none where all maps of a finding are empty. A
        round that has lost all patients of a finding is a mean over the others.
        """
        values, resampled, K = summarise(figures, grouping), summarise(figures, grouping, weights), grouping.num_classes
        common = {name: _common(value[..., :K], members) for name, value in values.items()}
        return cls(
            {name: _with_macro(value, common[name]) for name, value in values.items()},
            {name: _with_macro(value, common[name]) for name, value in resampled.items()},
            {name: int(of.sum()) for name, of in common.items()},
        )

    def sample(self, measure: str, members: Sequence[int]) -> Sample:
        """One measure of some members."""
        return Sample(self.values[measure][members], self.resampled[measure][:, members])

    def repeated(self, measure: str, count: int) -> Sample:
        """One measure of a map without members, in place of each of `count` members."""
        values, resampled = self.values[measure], self.resampled[measure]
        shape = (count, *values.shape)
        return Sample(np.broadcast_to(values, shape), np.broadcast_to(resampled[:, None], (len(resampled), *shape)))


def summarise(figures: Figures, grouping: Grouping, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Means over pairs of figures [..., M]: name -> [..., K + 1 + E], as `Means` without the macro mean.

    weights: [R, M] of the rounds; results are then [R, ..., K + 1 + E]. Of figures without members a subset that
    differs between members is NaN. `pointing_game` is the study's sum(hits) / sum(points), from which empty maps drop
    out; `hit_share` gives each pair one vote, and an empty map misses.
    """
    rounds = np.ones((1, len(grouping.finding))) if weights is None else weights
    figures = {name: np.asarray(value, np.float64) for name, value in figures.items()}
    values = dict(figures)
    if 'hits' in figures:
        share = figures['hits'] / np.maximum(figures['points'], 1)
        values = {'hit_share': np.where(np.isnan(figures['iou']), np.nan, share), **figures}
    groups = [(names, np.stack([values[name] for name in names])) for names in _together(values)]
    means: list[list[np.ndarray]] = [[] for _ in groups]  # of each group, [R, F, ...] of each part
    for part in grouping.parts:
        weight = np.asarray(rounds[:, part] if part.ndim == 1 else rounds, np.float64)
        for of_group, (_, stacked) in zip(means, groups, strict=True):
            of_group.append(_mean(stacked, part, weight))
    result: dict[str, np.ndarray] = {}
    for of_group, (names, _) in zip(means, groups, strict=True):
        result |= dict(zip(names, np.moveaxis(np.stack(of_group, axis=-1), 1, 0), strict=True))
    if 'hits' in figures:
        with np.errstate(invalid='ignore', divide='ignore'):
            result['pointing_game'] = result.pop('hits') / result.pop('points')
    result = {name: result[name] for name in names_of(figures)}
    return result if weights is not None else {name: value[0] for name, value in result.items()}


def _together(values: Figures) -> Iterator[list[str]]:
    """The names of measures of one shape, as many together as `AT_ONCE` allows."""
    by_shape: dict[tuple[int, ...], list[str]] = {}
    for name, value in values.items():
        by_shape.setdefault(value.shape, []).append(name)
    for shape, names in by_shape.items():
        most = max(1, AT_ONCE // max(1, math.prod(shape)))
        yield from (names[start : start + most] for start in range(0, len(names), most))


def _mean(values: np.ndarray, part: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean [R, F, ...] of F measures [F, ..., M] over one part of the pairs, [M] or [P,M] bool. weights: in every round
    of its pairs, or of all where it differs between members."""
    if part.ndim == 1:
        return weighted_mean(values[..., part], weights)
    if values.ndim == 2:
        return np.full((len(weights), len(values)), np.nan)
    return weighted_mean(np.where(part, values, np.nan), weights)


def names_of(figures: Figures) -> list[str]:
    """The measures of figures: the study's, then the others in their order."""
    study = MEASURES if 'hits' in figures else [name for name in MEASURES if name in figures]
    return [*study, *(name for name in figures if name not in (*MEASURES, 'hits', 'points'))]


def _common(findings: np.ndarray, members: Sequence[int] | None) -> np.ndarray:
    """The findings [K] that are defined in values [K], or in all of some members' [P,K]."""
    chosen = np.atleast_2d(findings) if members is None else findings[list(members)]
    return np.isfinite(chosen).all(0) if len(chosen) else np.zeros(findings.shape[-1], bool)


def _with_macro(values: np.ndarray, common: np.ndarray) -> np.ndarray:
    """[..., K + 1 + E] to [..., K + 2 + E], with the mean over the findings in `common` [K] after them."""
    K = len(common)
    mean = macro(np.where(common, values[..., :K], np.nan))[0][..., None]
    return np.concatenate([values[..., :K], mean, values[..., K:]], axis=-1)
