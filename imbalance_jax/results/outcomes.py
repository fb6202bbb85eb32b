"""What a study measures of every member and class, as arrays in rounds of one bootstrap over the test patients.

Analyses of a design (what changes with a dose, through features or head, at equal AUROC) ask the same of many outcomes
and of several at once: a round of the bootstrap takes the same patients for all of them.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imbalance_jax.data.regions import Pairs
from imbalance_jax.metrics import intervals, scores
from imbalance_jax.results.alignment import SHUFFLED
from imbalance_jax.results.comparison import RANKED, Claims, Truth, evidence_of, with_macro
from imbalance_jax.results.pair_means import Figures, Grouping, Means
from imbalance_jax.results.rows import MACRO, Bootstrap, Population


class Outcome(NamedTuple):
    """A figure of every member: values [P,C] and the same [R,P,C] in rounds of patients; NaN for frozen members.

    C: the classes, then their macro mean; or that of all concepts alone. metric, method: as in the tables; above: what
    has been taken off ('' or 'shuffled regions'); classes: the C names; clusters: the effective number [C] of patients
    behind each, 0 where they are too few for an interval.
    """

    metric: str
    method: str
    above: str
    classes: tuple[str, ...]
    values: np.ndarray
    resampled: np.ndarray
    clusters: np.ndarray

    def of(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Values [P] and rounds [R,P] of one class."""
        k = self.classes.index(name)
        return self.values[:, k], self.resampled[:, :, k]


class PatientRounds(NamedTuple):
    """How often each patient of the test split counts in each round: patients [G], ascending, weights [R,G]."""

    patients: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, patients: np.ndarray, bootstrap: Bootstrap) -> 'PatientRounds':
        """Rounds of a bootstrap over these patients [N]."""
        names = np.unique(patients)
        return cls(names, bootstrap.weights(names))

    def on(self, patients: np.ndarray) -> np.ndarray:
        """The weights [R,n] of examples of these patients [n]."""
        return self.weights[:, np.searchsorted(self.patients, patients)]


def performance(
    population: Population,
    logits: np.ndarray,
    truth: Truth,
    *,
    classes: Sequence[str],
    rounds: PatientRounds,
    claims: Claims,
) -> list[Outcome]:
    """AUROC and average precision of logits [P,N,K], by class and macro."""
    living, labels = population.living(np.asarray(logits, np.float64)), (truth.labels, truth.label_mask)
    values = scores.ranking(living, *labels)
    resampled = scores.ranking(living, *labels, rounds.on(truth.patients))
    evidence, names = evidence_of(truth, claims), (*classes, MACRO)
    clusters = np.where(evidence.too_few, 0, evidence.clusters)
    return [
        Outcome(metric, '', '', names, with_macro(values[metric]), with_macro(resampled[metric]), clusters)
        for metric in RANKED
    ]


def alignment(
    population: Population,
    method: str,
    own: Figures,
    shuffled: Figures,
    *,
    pairs: Pairs,
    classes: Sequence[str],
    rounds: PatientRounds,
    measures: Sequence[str],
    smallest_count: int,
) -> list[Outcome]:
    """Measures of a method's maps above shuffled regions, by class and macro over the classes with a pair.

    own, shuffled: measure -> [P,M] against each pair's own region and against those of other patients; smallest_count:
    of patients with a region, below which a class has no interval.
    """
    grouping, weights = Grouping(pairs.finding, pairs.patient, len(classes)), rounds.on(pairs.patient)
    compared = [i for of in population.compared.values() for i in of if population.alive[i]]
    sides = [
        Means.of(
            {name: population.living(np.asarray(value)) for name, value in one.items()}, grouping, weights, compared
        )
        for one in (own, shuffled)
    ]
    kept = slice(len(classes) + 1)
    clusters = np.where(grouping.too_few(smallest_count), 0, grouping.clusters)[kept]
    return [
        Outcome(
            metric=name,
            method=method,
            above=SHUFFLED,
            classes=(*classes, MACRO),
            values=(sides[0].values[name] - sides[1].values[name])[..., kept],
            resampled=(sides[0].resampled[name] - sides[1].resampled[name])[..., kept],
            clusters=clusters,
        )
        for name in measures
        if name in sides[0].values and name in sides[1].values
    ]


def count(population: Population, metric: str, method: str, counts: Mapping[int, float]) -> Outcome:
    """A figure of units by member number, such as detectors: of the same images in every round, so of seeds alone."""
    values = np.array([[counts.get(i, np.nan)] for i in range(len(population.members))], float)
    values = population.living(values)
    rounds = np.broadcast_to(values, (2, *values.shape))
    return Outcome(metric, method, '', (MACRO,), values, rounds, np.array([intervals.MANY]))
