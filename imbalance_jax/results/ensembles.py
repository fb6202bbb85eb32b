"""What a number of seeds is worth: their spread, the gain of ensembles by size, and how many a difference needs."""

import numpy as np

from imbalance_jax.metrics import scores as metrics
from imbalance_jax.results import rows as tables

FEWEST = 8  # seeds of an arm, below which a spread says little
DRAWS = 200  # ensembles of a size, where there are more than that
RANKING = ('auroc', 'average_precision')


def rows(members: list[dict], probabilities, labels, mask, alive, seed: int = 0) -> list[dict]:
    """Rows of results/seeds for one split, of every arm with at least `FEWEST` living seeds; [] without one.

    probabilities: [P,N,K]; labels, mask: [N,K]; alive: [P] bool. For every size k the macro AUROC and average precision
    of the mean probability of k seeds, drawn without replacement: mean and sd over draws, n their number.
    """
    made = []
    for numbers in tables.by_arm(members).values():
        living = [number for number in numbers if alive[number]]
        if len(living) < FEWEST:
            continue
        for size, subsets in drawn(len(living), seed).items():
            together = np.stack([probabilities[living][subset].mean(0) for subset in subsets])
            found = metrics.ranking(together, labels, mask)
            for metric in RANKING:
                macro = metrics.macro(found[metric])[0]
                spread = {'': macro.mean(), '_sd': macro.std(ddof=1) if len(macro) > 1 else np.nan}
                fields = {'class': 'macro', 'method': f'ensemble of {size}', 'n': len(subsets)}
                row = members[living[0]]
                made += [tables.of_arm(row, metric=f'{metric}{end}', value=v, **fields) for end, v in spread.items()]
    return made


def drawn(count: int, seed: int = 0) -> dict[int, np.ndarray]:
    """Size -> subsets [draws,size] of `count` seeds: 1, 2, 4 .. and all; every seed alone, and all once."""
    rng, sizes = np.random.default_rng(seed), [2**i for i in range(count.bit_length()) if 2**i < count]
    subsets = {size: np.stack([rng.permutation(count)[:size] for _ in range(DRAWS)]) for size in sizes[1:]}
    return {1: np.arange(count)[:, None], **subsets, count: np.arange(count)[None]}
