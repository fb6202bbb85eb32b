"""Sets that are shown as negatives of the training images, or in another range, and those that are not."""

import numpy as np
import pytest

from imbalance_jax.data import unlike


def films(count, seed, side=24):
    """A bright middle that moves, and noise."""
    random = np.random.default_rng(seed)
    at = np.linspace(-1, 1, side)
    middle = random.normal(0, 0.1, (count, 2))
    squared = (at[:, None] - middle[:, :1, None]) ** 2 + (at - middle[:, 1:, None]) ** 2
    return (180 * np.exp(-2 * squared) + random.integers(0, 60, (count, side, side))).astype(np.uint8)[..., None]


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda films: films, None),
        (lambda films: films // 2, None),  # dimmer, as other hospitals are
        (lambda films: films[:, ::-1, ::-1], None),
        (lambda films: 255 - films, 'like negatives of the training images'),
        (lambda films: films // 16, 'have no grey value above 15'),
    ],
)
def test_negatives_and_another_range_are_said_and_nothing_else(change, words):
    own, other = films(40, 0), change(films(30, 1))
    said = unlike.of_sets(other, np.arange(3, 30), own, np.arange(40))
    assert (len(said) == 1 and words in said[0]) if words else said == []


def test_sets_without_a_pattern_in_common_are_no_negatives():
    random = np.random.default_rng(0)
    noise = [random.integers(0, 256, (50, 24, 24, 1)).astype(np.uint8) for _ in range(2)]
    assert unlike.of_sets(noise[0], np.arange(50), 255 - noise[1], np.arange(50)) == []
    coloured = [np.repeat(films(20, seed), 3, -1) for seed in (0, 1)]
    assert unlike.of_sets(255 - coloured[0], np.arange(20), coloured[1], np.arange(20)) == []
