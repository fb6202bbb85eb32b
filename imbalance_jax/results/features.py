"""Features as rows: neural collapse, how many directions are used, and what probes find that the head does not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.results.comparison import with_macro
from imbalance_jax.results.contrasts import FINDINGS, contrast_rows, level, reference_contrasts
from imbalance_jax.results.rows import MACRO, Population, Row, Sample, class_cells, interval_rows, of_member

ALL_IMAGES, RARE, OTHERS = 'all images', 'rare classes', 'other classes'
CLASSES = 'all classes'  # of figures that are of all classes at once
LENGTHS = ('centre_length', 'head_length')
OF_CLASSES = ('equiangular', 'self_dual', 'centre_slope', 'head_slope')
COSINES = ('centre_cosine', 'head_cosine')
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

    @property
    def sample(self) -> Sample:
        """Of all members."""
        return Sample(self.values[0], self.values[1:])


def rows(population: Population, arrays: Mapping[str, np.ndarray], images: Images) -> list[Row]:
    """Rows of members, of arms with intervals over seeds and patients, and of differences to the reference arm.

    p of a difference is corrected over arms (Holm), of single classes over arms and classes, for each metric.
    """
    result: list[Row] = []
    for figure in figures(arrays, images.classes):
        living = figure._replace(values=np.moveaxis(population.living(np.moveaxis(figure.values, 1, 0)), 0, 1))
        what: dict[str, Any] = {'cells': class_cells(figure.names), 'metric': figure.metric, 'method': figure.method}
        for member in population.members:
            for name, value in zip(figure.names, figure.values[0, member['member']], strict=True):
                result.append(of_member(member, figure.metric, value, images.number, name=name, method=figure.method))
        too_few = np.array([not images.judged(name) for name in figure.names])
        for arm, one in living.sample.by_arm(population.arms).items():
            interval = level(one, too_few=too_few)
            result += interval_rows(population.first[arm], interval, n=one.seeds, **what)
        contrasts = reference_contrasts(population, living.sample.by_arm(population.compared), too_few=too_few)
        families = [FINDINGS if name in images.classes else name for name in figure.names]
        result += contrast_rows(contrasts, against=population.reference, families=families, **what)
    return result


def figures(arrays: Mapping[str, np.ndarray], classes: Sequence[str]) -> Iterator[Figure]:
    """What the arrays of `explain/features.npz` hold, class by class; what needs the head only where there is one."""
    yield Figure('within_class', '', [*classes, MACRO], with_macro(arrays['within_class']))
    for metric in LENGTHS:
        if metric in arrays:
            yield Figure(metric, '', classes, arrays[metric])
    for metric in OF_CLASSES:
        if metric in arrays:
            yield Figure(metric, '', [CLASSES], arrays[metric][..., None])
    for metric in COSINES:
        if metric in arrays:
            yield Figure(metric, '', [RARE, OTHERS], arrays[metric])
    for metric in RANKS:
        yield Figure(metric, '', [*classes, ALL_IMAGES], arrays[metric])
    head = with_macro(arrays['auroc_head']) if 'auroc_head' in arrays else None
    if head is not None:
        yield Figure('head_auroc', '', [*classes, MACRO], head)
    for method in PROBES:
        probe = with_macro(arrays[f'auroc_{method}'])
        yield Figure('probe_auroc', method, [*classes, MACRO], probe)
        if head is not None:
            yield Figure('probe_minus_head', method, [*classes, MACRO], probe - head)
