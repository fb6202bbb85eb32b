"""Do arms differ by more than seeds do? Tests on squared distances between members, exact by exchange within seeds.

If arms made no difference, the members of one seed could exchange their arms: that is the null, seed by seed. Only
pairs of different seeds are compared, as one seed's members share initial weights and data order across arms, and so
are alike for no reason of interest. Where members have nothing in common but their arm (`seeds` is None), all of
them could exchange their arms, and all pairs are compared.

Distances are squared, as 1 - CKA, 1 - a rank correlation and a share of decisions that differ are already, up to a
factor. Of squared distances the mean between two arms less that within them estimates the squared distance of the arms'
centres without bias, whatever the spread of each: with two arms the test is exact for a difference in place, also where
one arm varies more between seeds. `spread` tests that by itself.
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

from imbalance_jax.system.shapes import Anything, takes

BLOCK = 1024  # rounds at a time


class Beyond(NamedTuple):
    """Mean squared distance of members of other arms and of one arm, all of other seeds, the difference, p, number of
    pairs."""

    between: float
    within: float
    difference: float
    p: float
    pairs: int


class Shares(NamedTuple):
    """Share of the sum of squared distances that lies between arms, between seeds, and what exchange gives the arms."""

    arms: float
    seeds: float
    by_chance: float


class Spread(NamedTuple):
    """Mean squared distance of the members of each arm [A] to the arm's centre, S - 1 in the denominator, and p that
    all arms have the same."""

    arms: np.ndarray
    p: float


class Members(NamedTuple):
    """Arm and seed [P] of members, as numbers, and the block [P] within which arms may be exchanged."""

    arm: np.ndarray
    seed: np.ndarray
    block: np.ndarray

    @classmethod
    def of(cls, arms: ArrayLike, seeds: ArrayLike | None) -> 'Members':
        """Of their names; without seeds all are in one block, and none has another's seed."""
        arm = np.unique(arms, return_inverse=True)[1]
        if seeds is None:
            return cls(arm, np.arange(len(arm)), np.zeros(len(arm), int))
        seed = np.unique(seeds, return_inverse=True)[1]
        return cls(arm, seed, seed)

    @property
    def apart(self) -> np.ndarray:
        """Which pairs have different seeds [P,P] bool."""
        return self.seed[:, None] != self.seed

    def exchanged(self, rounds: int, seed: int) -> 'Exchanges':
        """All exchanges within blocks if they are no more than `rounds`, else so many that are drawn."""
        of_seed = [np.flatnonzero(self.block == s) for s in np.unique(self.block)]
        if math.prod(math.factorial(len(members)) for members in of_seed) <= rounds:
            ways = itertools.product(*(itertools.permutations(self.arm[members]) for members in of_seed))
            labels = np.array([np.concatenate(way) for way in ways])
        else:
            chance = np.random.default_rng(seed).random((rounds, len(self.arm)))
            orders = [np.argsort(chance[:, members], axis=1) for members in of_seed]
            labels = np.hstack([self.arm[members][order] for members, order in zip(of_seed, orders, strict=True)])
        result = np.empty_like(labels)
        result[:, np.concatenate(of_seed)] = labels
        return Exchanges(result, drawn=len(result) == rounds)


class Exchanges(NamedTuple):
    """Arms [R,P] after exchanges within seeds, and whether they were drawn or are all that there are."""

    arm: np.ndarray
    drawn: bool

    def p(self, statistic: Callable[[np.ndarray], np.ndarray], observed: float) -> float:
        """Share of exchanges that reach what was observed, which counts as one of them; statistic: [R,P] -> [R]."""
        blocks = np.array_split(self.arm, -(-len(self.arm) // BLOCK))
        null = np.concatenate([statistic(labels) for labels in blocks])
        reached = (null >= observed - 1e-12 * max(1.0, abs(observed))).sum()
        return float((reached + self.drawn) / (len(null) + self.drawn))


@takes(distance='P+ P', arms=Anything('P'), seeds=Anything('P'))
def arms_beyond_seeds(
    distance: ArrayLike, arms: ArrayLike, seeds: ArrayLike | None, rounds: int = 9999, *, seed: int = 0
) -> Beyond:
    """Are members of different arms further apart than members of one arm? distance: [P,P], squared; arms, seeds: [P].

    p is one-sided: the share of exchanges that reach the observed difference; of all exchanges if there are no more
    than `rounds`. It cannot fall below `smallest_p_of`. A pair without a finite distance is left out. NaN without two
    arms and two seeds of one arm.
    """
    distance, members = np.asarray(distance, np.float64), Members.of(arms, seeds)
    apart = members.apart & np.isfinite(distance)
    values, pairs = np.where(apart, distance, 0.0), int(apart.sum()) // 2

    def means(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inside, number = (_inside(matrix, labels).sum(-1) for matrix in (values, apart.astype(float)))
        with np.errstate(invalid='ignore', divide='ignore'):
            return (values.sum() - inside) / (apart.sum() - number), inside / number

    between, within = (float(value[0]) for value in means(members.arm[None]))
    if members.arm.max(initial=0) < 1 or not np.isfinite(between - within):
        return Beyond(between, within, np.nan, np.nan, pairs)
    p = members.exchanged(rounds, seed).p(lambda labels: np.subtract(*means(labels)), between - within)
    return Beyond(between, within, between - within, p, pairs)


def smallest_p(seeds: int, arms: int = 2, rounds: int = 9999) -> float:
    """The smallest p that exchange within seeds allows, A!^(1 - S): all arms may swap names without any effect."""
    return max(float(math.factorial(arms)) ** (1 - seeds), 1 / (1 + rounds))


@takes(arms=Anything('P'), seeds=Anything('P'))
def smallest_p_of(arms: ArrayLike, seeds: ArrayLike | None, rounds: int = 9999) -> float:
    """`smallest_p` of members of these arms and seeds; without seeds the share of all P! exchanges that leave who is
    with whom: prod n_a! times the ways in which arms of equal size may swap names."""
    if seeds is not None:
        return smallest_p(len(np.unique(seeds)), len(np.unique(arms)), rounds)
    sizes = np.unique(arms, return_counts=True)[1].tolist()
    same = math.prod(math.factorial(n) for n in sizes) * math.prod(math.factorial(sizes.count(n)) for n in set(sizes))
    return max(same / math.factorial(sum(sizes)), 1 / (1 + rounds))


@takes(distance='P+ P', arms=Anything('P'), seeds=Anything('P'))
def shares(
    distance: ArrayLike, arms: ArrayLike, seeds: ArrayLike | None, rounds: int = 999, *, seed: int = 0
) -> Shares:
    """R2 = 1 - SS within / SS of squared distances [P,P] (PERMANOVA, McArdle and Anderson 2001), by arms and by seeds.

    SS is the sum over pairs over the number of members. R2 of arms that differ in nothing is not 0, as every arm has a
    centre of its own: `by_chance` is its mean over exchanges within seeds. NaN where a distance is, and for seeds that
    there are not.
    """
    distance, members = np.asarray(distance, np.float64), Members.of(arms, seeds)
    total = distance.sum() / len(distance)

    def share(labels: np.ndarray) -> np.ndarray:
        with np.errstate(invalid='ignore', divide='ignore'):
            return 1 - (_inside(distance, labels) / _counts(labels)).sum(-1) / total

    if not (np.isfinite(distance).all() and total > 0 and members.arm.max() > 0):
        return Shares(np.nan, np.nan, np.nan)
    chance = share(members.exchanged(rounds, seed).arm)
    by_arm, by_seed = (float(share(labels[None])[0]) for labels in (members.arm, members.seed))
    return Shares(by_arm, np.nan if seeds is None else by_seed, float(chance.mean()))


@takes(distance='P+ P', arms=Anything('P'), seeds=Anything('P'))
def spread(
    distance: ArrayLike, arms: ArrayLike, seeds: ArrayLike | None, rounds: int = 9999, *, seed: int = 0
) -> Spread:
    """Do arms vary equally between seeds? By exchange of residuals about the arms' centres within seeds.

    Compares the arms' variances, traces of S - 1 degrees of freedom each, by the variance of their logarithms; arms are
    centred again after every exchange, so that few seeds do no harm. The question is that of PERMDISP (Anderson 2006).
    p is NaN without two arms of two members each, or where a distance is.
    """
    distance, members = np.asarray(distance, np.float64), Members.of(arms, seeds)
    number = np.bincount(members.arm)
    if not np.isfinite(distance).all() or len(number) < 2:
        return Spread(np.full(len(number), np.nan), np.nan)
    same = members.arm[:, None] == members.arm
    centred = np.eye(len(distance)) - same / same.sum(1)
    products = centred @ (-distance / 2) @ centred  # of residuals

    def variances(labels: np.ndarray) -> np.ndarray:
        counts, squares = _counts(labels), _onehot(labels).transpose(0, 2, 1) @ np.diag(products)
        with np.errstate(invalid='ignore', divide='ignore'):
            return np.maximum(squares - _inside(products, labels) / counts, 0) / (counts - 1)

    def inequality(labels: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(variances(labels), 1e-300)).var(-1)

    observed = variances(members.arm[None])[0]
    if number.min() < 2 or not (observed > 0).any():
        return Spread(observed, np.nan)
    p = members.exchanged(rounds, seed).p(inequality, float(inequality(members.arm[None])[0]))
    return Spread(observed, p)


@takes(distance='P+ P', by='n+ P P', seeds=Anything('P'))
def unexplained(distance: ArrayLike, by: ArrayLike, seeds: ArrayLike | None) -> np.ndarray:
    """What other squared distances [n,P,P] do not explain of squared distances [P,P]; NaN for pairs of one seed.

    Residuals of a regression over pairs of different seeds, as in multiple regression on distance matrices (Lichstein
    2007): monotone in a weighted sum of `by`, whose weights are not negative (more distant in the one is not nearer in
    the other) and lie half way between those that fit best and equal ones. The arms are not in the regression: where
    `by` differs between arms, what they share is counted as explained. A test on what is left is approximate:
    `analysis/validation` measures how often it finds something where `by` explains all.
    """
    distance, by = np.asarray(distance, np.float64), np.asarray(by, np.float64)
    seeds = np.arange(len(distance)) if seeds is None else np.asarray(seeds)
    usable = np.isfinite(distance) & np.isfinite(by).all(0) & (seeds[:, None] != seeds)
    one, other = np.nonzero(np.triu(usable))
    result = np.full(distance.shape, np.nan)
    if len(one):
        values, columns = distance[one, other], by[:, one, other].T
        slopes, _ = scipy.optimize.nnls(columns - columns.mean(0), values - values.mean())
        total = columns @ (slopes + slopes.mean() if slopes.any() else np.ones(len(by)))
        step, weights = np.unique(total, return_inverse=True, return_counts=True)[1:]
        explained = scipy.optimize.isotonic_regression(np.bincount(step, values) / weights, weights=weights).x[step]
        result[one, other] = result[other, one] = values - explained
    return result


@takes(profiles='P n')
def squared_distances(profiles: ArrayLike) -> np.ndarray:
    """Squared Euclidean distances [P,P] between the rows of profiles [P,n]; what is not finite in any is left out."""
    profiles = np.asarray(profiles, np.float64)
    profiles = profiles[:, np.isfinite(profiles).all(0)]
    return ((profiles[:, None] - profiles[None]) ** 2).sum(-1)


def _onehot(labels: np.ndarray) -> np.ndarray:
    """[R,P] to [R,P,A]."""
    return (labels[..., None] == np.arange(labels.max() + 1)).astype(np.float64)


def _counts(labels: np.ndarray) -> np.ndarray:
    """Members [R,A] of each label."""
    return _onehot(labels).sum(1)


def _inside(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Sums [R,A] of values [P,P] over the ordered pairs of each label."""
    onehot = _onehot(labels)
    return np.einsum('rqa,rqa->ra', values @ onehot, onehot)
