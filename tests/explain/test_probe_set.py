"""The probe set: a known sample of the test split, whose weighted figures are those of the split."""

import numpy as np
from planted import made_up

from imbalance_jax.explain import probe_set
from imbalance_jax.metrics import scores


def test_a_split_that_fits_is_taken_whole():
    dataset = made_up(100)
    rows = np.arange(10, 100)
    sample = probe_set.draw(dataset, rows, 90)
    np.testing.assert_array_equal(sample.rows, rows)
    np.testing.assert_array_equal(sample.weights, 1)


def test_halves_with_and_without_regions_and_their_weights():
    dataset = made_up(400)
    rows = np.arange(400)
    sample = probe_set.draw(dataset, rows, 100)
    again = probe_set.draw(dataset, rows, 100)
    np.testing.assert_array_equal(sample.rows, again.rows)
    assert len(np.unique(sample.rows)) == 100
    healthy = ~np.isin(sample.rows, dataset.region_image)
    assert healthy.sum() == 50
    assert (sample.names[-1], set(sample.stratum[healthy])) == (probe_set.HEALTHY, {len(sample.names) - 1})
    stratum, _ = probe_set.strata(dataset, rows)
    for h in np.unique(stratum):  # weights add up to the images of each stratum
        np.testing.assert_allclose(sample.weights[sample.stratum == h].sum(), (stratum == h).sum())
    numbers = np.bincount(sample.stratum)[: len(dataset.classes)]
    assert np.ptp(numbers) <= 1


def test_what_one_side_lacks_the_other_gets():
    np.testing.assert_array_equal(probe_set.allocate(np.array([3, 20]), np.array([0, 500]), 100), [3, 20, 0, 77])
    np.testing.assert_array_equal(probe_set.allocate(np.array([50, 200]), np.array([0, 10]), 100), [45, 45, 0, 10])
    np.testing.assert_array_equal(probe_set.allocate(np.array([0, 0]), np.array([300, 100]), 100), [0, 0, 75, 25])
    assert probe_set.allocate(np.array([80, 80]), np.array([10**5, 3]), 100)[3] == 1


def test_weighted_auroc_of_a_sample_is_that_of_the_split():
    """Over draws its mean is the split's; without weights it is not, by more than chance."""
    dataset, random = made_up(600), np.random.default_rng(0)
    labels = dataset.labels
    logits = random.normal(size=labels.shape) + labels @ np.array([[1.0, 0.8, 0.8], [-0.6, 1, 0], [0, 0.9, 1]])
    whole = scores.auroc(logits, labels)
    weighted, bare = [], []
    for seed in range(150):
        sample = probe_set.draw(dataset, np.arange(600), 120, seed=seed)
        of = sample.rows
        weighted.append(scores.auroc(logits[of], labels[of], None, sample.weights))
        bare.append(scores.auroc(logits[of], labels[of]))
    error = np.std(weighted, axis=0) / np.sqrt(150)
    assert (np.abs(np.mean(weighted, axis=0) - whole) < 4 * error + 2e-3).all()
    assert np.abs(np.mean(bare, axis=0) - whole).max() > 6 * error.max()
