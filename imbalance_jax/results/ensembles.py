"""What a number of seeds is worth, as rows: the gain of ensembles by size."""

from typing import Any

import numpy as np

from imbalance_jax.metrics import scores
from imbalance_jax.results.performance import RANKED, Truth
from imbalance_jax.results.rows import MACRO, Population, Row, of_arm

FEWEST = 8  # seeds of an arm, below which a spread says little
DRAWS = 200  # ensembles of a size, where there are more than that


def rows(population: Population, probabilities: np.ndarray, truth: Truth, *, seed: int = 0) -> list[Row]:
    """Rows of results/seeds for one split, of every arm with at least `FEWEST` living seeds; [] without one.

    probabilities: [P,N,K]. For every size k the macro AUROC and average precision of the mean probability of k seeds,
    drawn without replacement: mean and standard deviation over draws, n their number. Draws from S seeds overlap, which
    makes them alike: the standard deviation is that of ensembles of fresh seeds, sd / sqrt(1 - k / S).
    """
    result = []
    for indices in population.arms.values():
        living = [index for index in indices if population.alive[index]]
        if len(living) >= FEWEST:
            for size, subsets in seed_subsets(len(living), seed).items():
                result += _size_rows(population.members[living[0]], probabilities[living], truth, size, subsets)
    return result


def _size_rows(member: Row, probabilities: np.ndarray, truth: Truth, size: int, subsets: np.ndarray) -> list[Row]:
    """Rows of one arm's ensembles of one size; probabilities: [S,N,K] of its living seeds."""
    ensembles = np.stack([probabilities[subset].mean(0) for subset in subsets])
    by_metric = scores.ranking(ensembles, truth.labels, truth.label_mask)
    result = []
    for metric in RANKED:
        macro = scores.macro(by_metric[metric])[0]
        deviation = macro.std(ddof=1) / overlap_factor(size, len(probabilities)) if len(macro) > 1 else np.nan
        spread = {'mean': macro.mean(), 'sd': deviation}
        for statistic, value in spread.items():
            what: dict[str, Any] = {'kind': 'ensemble', 'name': MACRO, 'statistic': statistic, 'size': size}
            result.append(of_arm(member, metric, value, len(subsets), **what))
    return result


def overlap_factor(size: int, count: int) -> float:
    """Standard deviation of means of `size` of `count` seeds drawn without replacement, over that of fresh seeds.

    1 for single seeds, of which each is there once and whose standard deviation is taken with n - 1.
    """
    return 1.0 if size == 1 else float(np.sqrt(1 - size / count))


def seed_subsets(count: int, seed: int = 0) -> dict[int, np.ndarray]:
    """Size -> subsets [draws,size] of `count` seeds: 1, 2, 4 .. and all; every seed alone, and all once."""
    rng, sizes = np.random.default_rng(seed), [2**i for i in range(count.bit_length()) if 2**i < count]
    subsets = {size: np.stack([rng.permutation(count)[:size] for _ in range(DRAWS)]) for size in sizes[1:]}
    return {1: np.arange(count)[:, None], **subsets, count: np.arange(count)[None]}
