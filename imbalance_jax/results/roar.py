"""Remove and retrain (ROAR): does a network that never sees the pixels a method calls important learn less?

Hooker et al. 2019. The hottest share of every image's pixels - in training, validation and test - becomes the mean grey
of the training images, and the reference arm is trained anew on what is left: all methods, shares and seeds as one
population. Noise is the null: a method whose removal hurts no more than that of random pixels has found nothing.
"""

import numpy as np

from imbalance_jax.results import rows as tables


def rows(trained, names: list[tuple[str, float]], auroc: np.ndarray) -> list[dict]:
    """Rows of (method, share) by seed, and mean and sd over the seeds."""
    own = [row for row in trained.members if row['arm'] == trained.config.reference]
    made, images = [], len(trained.dataset.rows('test'))
    for (method, share), values in zip(names, auroc, strict=True):
        fields = {'class': 'macro', 'split': 'test', 'method': method, 'metric': f'auroc_without_{share:g}'}
        made += [tables.of_member(row, **fields, value=v, n=images) for row, v in zip(own, values, strict=True)]
        statistics = tables.seed_statistics(own[0], values[:, None], ['macro'], fields['metric'])
        made += [{**row, 'split': 'test', 'method': method} for row in statistics]
    return made
