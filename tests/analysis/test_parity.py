"""The comparison with peers: what it calls a difference, and on what."""

import numpy as np
import pytest
from absl import app

from imbalance_jax.analysis.bench import parity, parity_cases


def test_a_difference_is_a_share_of_the_largest_and_no_shape_or_nan_is_passed_over():
    assert parity.difference([1.0, -4.0], [1.0, -4.4]) == pytest.approx(0.4 / 4.4)
    assert parity.difference([0.0, 1e-9], [0.0, 0.0]) == pytest.approx(1e-9)
    assert parity.difference([np.nan, 2.0], [np.nan, 2.0]) == 0
    for wrong in ([1.0, np.nan], [[1.0, 2.0]], [1.0]):
        assert parity.difference(wrong, [1.0, 2.0]) == np.inf
    [good, bad] = parity.lines({'a': 1.0, 'b': 1.0}, {'p/a': 1.0 + 1e-6, 'p/b': 1.0 + 1e-3})
    assert (good.what, good.peer, good.agrees, bad.agrees) == ('a', 'p', True, False)
    assert not bad._replace(away=np.nan).agrees


def test_an_interpreter_without_the_peers_is_one_line():
    with pytest.raises(app.UsageError, match='--python=/no/python runs no Python with torch'):
        parity.ask_peers('/no/python', ['captum'], {})


def test_the_network_is_not_one_that_hides_faults():
    given = parity_cases.make(3)
    again = parity_cases.make(3)
    assert all(np.array_equal(given[name], again[name]) for name in given)
    assert {'first/bias', 'second/var', 'baseline', 'images'} <= set(given)
    assert all(size % 2 for size in given['images'].shape[1:3])
    logits, layer = parity_cases.network(given)(given['images'])
    assert logits.shape == (parity_cases.IMAGES, parity_cases.CLASSES)
    assert 0.2 < np.mean(np.asarray(layer) > 0) < 0.9, 'ReLUs that are shut, and open ones'
    moved = np.asarray(parity_cases.network(given)(given['images'], np.float32(0.1))[0])
    assert np.abs(moved - logits).max() > 1e-3
