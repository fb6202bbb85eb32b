"""Ranking in integers on the device: against scikit-learn and the float64 of `scores`, and mapped over members."""

import jax
import numpy as np
import pytest
from jax.sharding import Mesh
from sklearn import metrics as oracle

from imbalance_jax.metrics import scores
from imbalance_jax.metrics.on_device import LIMIT, ranking
from imbalance_jax.training import strategies

BOUND = 2.0**-24  # as promised
jitted = jax.jit(ranking)
SKLEARN = {'auroc': oracle.roc_auc_score, 'average_precision': oracle.average_precision_score}


@pytest.fixture
def entries():
    """Logits [3, 200, 5] of three members on a coarse grid, so that ties abound, labels and mask [200, 5]."""
    rng = np.random.default_rng(0)
    labels = rng.random((200, 5)) < [0.02, 0.1, 0.3, 0.5, 0.8]
    logits = np.round(2 * rng.standard_normal((3, 200, 5)) + labels) / 3
    mask = rng.random((200, 5)) < 0.8
    return logits.astype(np.float32), labels.astype(np.float32), mask.astype(np.float32)


def assert_equals_reference(logits, labels, mask):
    got, want = jitted(logits, labels, mask), scores.ranking(logits, labels, mask)
    assert got.keys() == want.keys()
    for name, values in want.items():
        assert got[name].dtype == np.float32
        np.testing.assert_allclose(got[name], values, rtol=0, atol=BOUND, err_msg=name)
    return got


def test_ranking_is_scikit_learns_with_ties_and_masks(entries):
    logits, labels, mask = entries
    for member in logits:
        got = assert_equals_reference(member, labels, mask)
        for name, oracle_of in SKLEARN.items():
            want = [oracle_of(labels[m, k], member[m, k]) for k, m in enumerate(mask.T > 0)]
            np.testing.assert_allclose(got[name], want, rtol=0, atol=BOUND)


@pytest.mark.parametrize('shift', [0.0, 3.0, 40.0])
@pytest.mark.parametrize('share', [0.001, 0.5, 0.999])
def test_large_data_with_heavy_ties_stay_exact(shift, share):
    rng = np.random.default_rng(1)
    labels = (rng.random((100_000, 1)) < share).astype(np.float32)
    logits = np.round(10 * rng.standard_normal((100_000, 1)) + 10 * shift * labels).astype(np.float32)
    assert_equals_reference(logits, labels, np.ones_like(labels))


def test_largest_data_set_overflows_nowhere():
    labels = np.arange(LIMIT)[:, None] % 2 * np.float32(1)
    separated = np.stack([labels, -labels, 0 * labels], axis=1)[..., 0]
    got = jitted(separated, np.tile(labels, 3), np.ones((LIMIT, 3), np.float32))
    np.testing.assert_array_equal(got['auroc'], [1, 0, 0.5])
    np.testing.assert_array_equal(got['average_precision'], [1, 0.5, 0.5])
    most = np.ones((LIMIT, 1), np.float32)
    for odd in (0, 1):
        labels = np.full_like(most, 1 - odd)
        labels[7] = odd
        assert_equals_reference(np.cumsum(most, axis=0, dtype=np.float32), labels, most)


def test_precisions_below_a_half_keep_their_bound():
    rng = np.random.default_rng(2)
    labels = (rng.random((100_000, 3)) < [0.0002, 0.01, 0.1]).astype(np.float32)
    assert_equals_reference(rng.standard_normal(labels.shape).astype(np.float32), labels, np.ones_like(labels))


def test_order_of_the_examples_changes_no_bit(entries):
    logits, labels, mask = entries
    order = np.random.default_rng(3).permutation(len(labels))
    want = jitted(logits[0], labels, mask)
    for name, values in jitted(logits[0, order], labels[order], mask[order]).items():
        np.testing.assert_array_equal(values, want[name])


def test_float64_being_enabled_changes_no_bit(entries):
    logits, labels, mask = entries
    want = jitted(logits[0], labels, mask)
    with jax.enable_x64(True):
        got = jitted(logits[0], labels, mask)
    for name, values in got.items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, want[name])


@pytest.mark.parametrize('strategy', ['vmap', 'map', 'shard:vmap', 'shard:map'])
def test_members_together_are_members_alone(strategy, entries):
    logits, labels, mask = entries
    count = 2 if 'shard' in strategy else 3
    mapped = strategies.map_members(ranking, strategy, Mesh(jax.devices()[:2], 'member'))
    got = jax.jit(mapped)(logits[:count], labels, mask)
    for i in range(count):
        for name, values in jitted(logits[i], labels, mask).items():
            np.testing.assert_array_equal(got[name][i], values)


def test_undefined_classes_are_nan_as_in_the_reference(entries):
    logits, labels, mask = entries
    labels[:, 0], labels[:, 1], mask[:, 2] = 0, 1, 0
    for values in assert_equals_reference(logits[0], labels, mask).values():
        np.testing.assert_array_equal(np.isnan(values), [True, True, True, False, False])


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_spoil_their_class_where_they_count(bad, entries):
    logits, labels, mask = entries
    clean = jitted(logits[0], labels, mask)
    logits[0, 5:8, :2] = bad
    mask[5:8, 0], mask[5:8, 1] = 0, [0, 1, 0]
    before = jitted(np.nan_to_num(logits[0]), labels, mask)
    for name, values in assert_equals_reference(logits[0], labels, mask).items():
        np.testing.assert_array_equal(np.isnan(values), [False, True, False, False, False])
        np.testing.assert_array_equal(values[0], before[name][0])
        np.testing.assert_array_equal(values[2:], clean[name][2:])


def test_masked_entries_may_be_anything(entries):
    logits, labels, mask = entries
    want = jitted(logits[0], labels, mask)
    got = jitted(np.where(mask, logits[0], 1e38), np.where(mask, labels, np.nan).astype(np.float32), mask)
    for name, values in got.items():
        np.testing.assert_array_equal(values, want[name])


def test_constant_scores_are_worth_nothing(entries):
    _, labels, mask = entries
    got = assert_equals_reference(np.full_like(labels, -0.3), labels, mask)
    np.testing.assert_array_equal(got['auroc'], 0.5)
    np.testing.assert_allclose(got['average_precision'], scores.prevalence(labels, mask), rtol=0, atol=BOUND)


def test_keys_order_floats_of_every_size():
    """Both zeros tie, and the least and greatest floats do not."""
    info = np.finfo(np.float32)
    sizes = np.array([info.smallest_subnormal, info.tiny, 1, np.nextafter(np.float32(1), np.float32(2)), info.max])
    ladder = np.concatenate([-sizes[::-1], [-0.0, 0.0], sizes]).astype(np.float32)
    labels = (np.random.default_rng(4).random((len(ladder), 40)) < 0.5).astype(np.float32)
    logits = np.tile(ladder[:, None], 40)
    assert_equals_reference(logits, labels, np.ones_like(labels))


def test_logits_in_half_precision_are_ranked_as_they_are(entries):
    logits, labels, mask = entries
    half = jax.numpy.asarray(logits[0], jax.numpy.bfloat16)
    want = scores.ranking(np.asarray(half, np.float64), labels, mask)
    for name, values in jitted(half, labels, mask).items():
        np.testing.assert_allclose(values, want[name], rtol=0, atol=BOUND)


def test_no_examples_are_undefined_and_bad_shapes_errors(entries):
    logits, labels, mask = entries
    for values in ranking(logits[0, :0], labels[:0], mask[:0]).values():
        np.testing.assert_array_equal(values, np.full(5, np.nan))
    with pytest.raises(ValueError, match='label_mask'):
        ranking(logits[0], labels, mask[:, :1])
    with pytest.raises(ValueError, match='524288'):
        ranking(*3 * [np.zeros((LIMIT + 1, 1), np.float32)])
