"""Stage `shortcut`: the clean split differs from the confounded one in nothing but the drain."""

import numpy as np

from imbalance_jax.data.sources import phantom
from imbalance_jax.explain import shortcut


def test_the_clean_split_is_the_same_films_without_the_habit():
    options = {'image_size': 16, 'num_patients': 40, 'imbalance_ratio': 1.0, 'shortcut_background': 0.0}
    options |= {'shortcut_class': 'Mass', 'shortcut_probability': 1.0}
    confounded, clean = phantom.make(**options), phantom.make(**shortcut.clean_options(options))
    tests = confounded.rows('test')
    rows, masks = shortcut.masks_of(confounded, shortcut.DRAIN)
    k = confounded.classes.index('Mass')
    np.testing.assert_array_equal(rows, tests[confounded.labels[tests, k] == 1])
    assert masks.any((1, 2)).all()
    assert len(shortcut.masks_of(clean, shortcut.DRAIN)[0]) == 0
    np.testing.assert_array_equal(clean.labels, confounded.labels)
    others = np.setdiff1d(tests, rows)
    np.testing.assert_array_equal(clean.images[others], confounded.images[others])
    assert (clean.images[rows] != confounded.images[rows]).any((1, 2, 3)).all()
