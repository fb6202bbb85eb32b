"""Single units and classes: AUROC with its interval, ablation, contributions, directions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from imbalance_jax import concepts
from imbalance_jax.concepts import ablation, contributions, directions, multi_unit, nulls
from imbalance_jax.metrics import scores as metrics
from imbalance_jax.metrics.on_device import ranking, weighted_auroc


def answers(seed=0, images=120, units=5, classes=3):
    random = np.random.default_rng(seed)
    labels = (random.random((images, classes)) < 0.3).astype(np.uint8)
    activation = np.maximum(random.normal(size=(images, units)), 0).astype(np.float32)
    activation[:, 0] += 2 * labels[:, 1]
    return activation, labels, np.sort(random.integers(0, 40, images))


def test_unit_auroc_is_the_metric_s_with_delong_s_variance_on_log_odds():
    activation, labels, _ = answers()
    result = concepts.unit_auroc(activation, labels)
    for unit in range(5):
        scores = np.repeat(activation[:, unit, None], 3, axis=1)
        np.testing.assert_allclose(result['auroc'][unit], metrics.auroc(scores, labels))
    for k in range(3):
        positive = labels[:, k] == 1
        x, y = activation[positive, 2].astype(float), activation[~positive, 2].astype(float)
        wins = (np.sign(x[:, None] - y[None]) + 1) / 2
        of_x, of_y = wins.mean(1).var(ddof=1) / len(x), wins.mean(0).var(ddof=1) / len(y)
        df = (of_x + of_y) ** 2 / (of_x**2 / (len(x) - 1) + of_y**2 / (len(y) - 1))
        area = wins.mean()
        odds, error = np.log(area / (1 - area)), np.sqrt(of_x + of_y) / (area * (1 - area))
        ends = 1 / (1 + np.exp(-odds - np.array([-1, 1]) * stats.t.ppf(0.975, df) * error))
        np.testing.assert_allclose([result['low'][2, k], result['high'][2, k]], ends, rtol=1e-6)
        assert result['p_value'][2, k] == pytest.approx(2 * stats.t.sf(abs(odds / error), df))


def test_weights_are_copies():
    """An image of weight 3 is three images of one patient."""
    activation, labels, _ = answers()
    weights = np.random.default_rng(3).integers(1, 4, 120)
    copies = np.repeat(np.arange(120), weights)
    mask = (np.random.default_rng(4).random(labels.shape) < 0.9).astype(np.uint8)
    weighted = concepts.unit_auroc(activation, labels, mask, weights=weights)
    copied = concepts.unit_auroc(activation[copies], labels[copies], mask[copies], patients=copies)
    for name, value in weighted.items():
        np.testing.assert_allclose(value, copied[name], rtol=1e-9, err_msg=name)
    device = weighted_auroc(
        *(jnp.asarray(a, jnp.float32) for a in (activation[:, :3], labels, mask * weights[:, None]))
    )
    np.testing.assert_allclose(device, copied['auroc'][np.arange(3), np.arange(3)], atol=1e-5)


def test_images_of_one_patient_are_not_independent():
    activation, labels, _ = answers()
    alone = concepts.unit_auroc(activation, labels)
    four = concepts.unit_auroc(*(np.repeat(a, 4, axis=0) for a in (activation, labels)))
    by_patient = concepts.unit_auroc(
        *(np.repeat(a, 4, axis=0) for a in (activation, labels)), patients=np.repeat(np.arange(120), 4)
    )
    widths = [
        np.log(one['auroc'] / (1 - one['auroc']) / one['low'] * (1 - one['low'])) for one in (alone, four, by_patient)
    ]
    np.testing.assert_allclose(widths[2], widths[0], rtol=1e-9)
    np.testing.assert_allclose(widths[1], widths[0] / 2, rtol=0.05)


def test_unit_auroc_where_little_is_known():
    activation, labels, patients = answers()
    labels[:, 0] = 0
    activation[:, 1], activation[:, 3] = labels[:, 2], 7
    mask = np.ones_like(labels)
    mask[:, 1] = 0
    result = concepts.unit_auroc(activation, labels, mask, patients=patients)
    assert np.isnan(result['auroc'][:, :2]).all()
    assert result['auroc'][1, 2] == 1
    assert np.isnan([result['low'][1, 2], result['high'][1, 2]]).all()  # a perfect ranking has no variance
    few = concepts.unit_auroc(activation, labels, mask, patients=patients, least=41)
    assert np.isfinite(few['auroc'][0, 2])
    assert np.isnan([few['low'][0, 2], few['p_value'][0, 2]]).all()
    assert 0 < result['p_value'][1, 2] < 1e-6
    np.testing.assert_allclose([result['auroc'][3, 2], result['p_value'][3, 2]], [0.5, 1])
    with pytest.raises(ValueError, match=r'labels must be .* with N = 5'):
        concepts.unit_auroc(activation[:5], labels)


def test_images_without_a_finding_are_a_class():
    labels = np.array([[1, 0], [0, 0], [0, 0], [0, 1]])
    mask = np.array([[1, 1], [1, 1], [1, 0], [0, 1]])
    with_healthy, known = concepts.with_healthy(labels, mask)
    assert with_healthy[:, 2].tolist() == [0, 1, 0, 0]
    assert known[:, 2].tolist() == [1, 1, 0, 0]


def head(seed=0, images=80, units=6, classes=3):
    random = np.random.default_rng(seed)
    x = np.maximum(random.normal(size=(images, units)), 0).astype(np.float32)
    weights = random.normal(size=(units, classes)).astype(np.float32)
    labels = (x @ weights + random.normal(size=(images, classes)) > 0.5).astype(np.float32)
    labels[:, 2] = 0
    return x, weights, labels


def measure_of(x, weights, labels):
    return lambda kept: ranking((x * kept) @ weights, labels, jnp.ones_like(labels))['auroc']


def test_ablation_against_a_loop():
    x, weights, labels = head()
    result = jax.jit(lambda: ablation.single(measure_of(x, weights, labels), 6, group=4))()
    for unit in range(6):
        kept = np.ones(6)
        kept[unit] = 0
        np.testing.assert_allclose(result[unit], metrics.auroc((x * kept) @ weights, labels), atol=1e-6)


def test_greedy_sets_against_a_loop():
    x, weights, labels = head()
    measure = measure_of(x, weights, labels)
    result = jax.jit(lambda: ablation.greedy(lambda kept, k: measure(kept)[k], 6, 3, steps=9))()
    assert result['order'].shape == (3, 6)
    for k in range(2):
        kept = np.ones(6)
        for step in range(6):
            trials = [
                metrics.auroc((x * kept * (np.arange(6) != u)) @ weights, labels)[k] if kept[u] else 2 for u in range(6)
            ]
            worst = int(np.argmin(np.round(trials, 6)))
            assert result['order'][k, step] == worst
            assert result['left'][k, step] == pytest.approx(trials[worst], abs=1e-6)
            kept[worst] = 0
    assert sorted(result['order'][2].tolist()) == list(range(6))
    assert np.isnan(result['left'][2]).all()
    by_class = ablation.measured(lambda kept, k: measure(kept)[k])
    for steps in (1, 9):  # the first step of all classes is known
        what = {'steps': steps, 'first': ablation.single(measure, 6)}
        known = jax.jit(lambda what=what: ablation.greedy_by(by_class, 6, 3, **what))()
        for name, value in known.items():
            np.testing.assert_allclose(value, result[name][:, :steps], atol=1e-6)


def test_the_smallest_carrying_set_and_its_censored_median():
    left = np.array([[0.85, 0.69, 0.6], [0.88, 0.87, 0.86], [0.4, 0.4, 0.4]])
    share = ablation.share_left(np.array([0.9, 0.9, 0.45]), left)
    np.testing.assert_allclose(share[0], [0.35 / 0.4, 0.19 / 0.4, 0.1 / 0.4])
    size = ablation.carrying(share)
    np.testing.assert_array_equal(size, [2, np.inf, np.nan])
    assert ablation.censored_median(np.array([3, np.inf, 2, np.nan])) == 3
    assert ablation.censored_median(np.array([3, np.inf])) == 3
    assert np.isinf(ablation.censored_median(np.array([3, np.inf, np.inf])))
    kept = ablation.without_first(jnp.array([[2, 0]]), 4)
    np.testing.assert_array_equal(kept, [[[1, 1, 0, 1], [0, 1, 0, 1]]])


def test_a_dead_unit_adds_and_carries_nothing():
    x, weights, labels = head()
    x[:, 4] = 0
    result = ablation.single(measure_of(x, weights, labels), 6)
    np.testing.assert_array_equal(result[4], measure_of(x, weights, labels)(jnp.ones(6)))
    added = contributions.contributions(lambda a: a @ weights[:, 0], jnp.asarray(x), jnp.zeros(6))
    np.testing.assert_array_equal(added[:, 4], 0)


def test_contributions_of_a_linear_head_are_exact_and_of_others_complete():
    x, weights, _ = head()
    start = jnp.asarray(x.mean(0))
    added = contributions.contributions(lambda a: a @ weights[:, 1], jnp.asarray(x), start)
    np.testing.assert_allclose(added, (x - x.mean(0)) * weights[:, 1], atol=1e-6)

    def score(maps):
        return jnp.tanh(maps.mean((1, 2)) ** 2 @ weights[:, 0])

    maps = jnp.asarray(np.random.default_rng(1).exponential(size=(4, 3, 2, 6)).astype(np.float32))
    added = contributions.contributions(score, maps, 0 * maps, steps=200)
    np.testing.assert_allclose(added.sum(1), score(maps) - score(0 * maps), atol=1e-4)


def test_contributions_by_concept():
    added = np.array([[1.0, 2, 4, 8], [1, 2, 4, 8]])
    parts = contributions.by_concept(added, np.array([0, 1, -1, 0]), np.array([0, 1]), concepts=2)
    assert parts.tolist() == [[9, 2, 4], [2, 9, 4]]
    with pytest.raises(ValueError, match=r'best_concept must be \[U\] with U = 4'):
        contributions.by_concept(added, np.array([0, 1]), np.array([0, 1]), concepts=2)


def test_probes_are_held_out_ridge_regressions():
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 4)).astype(np.float32) * [1, 10, 0.1, 0] + 3
    targets = (random.random((60, 2)) < 0.4).astype(np.float32)
    fold = directions.folds(np.repeat(np.arange(20), 3), 4, jax.random.key(0))
    scores = np.asarray(directions.held_out(jnp.asarray(x, jnp.float32), targets, fold, count=4))
    assert all(len(set(fold[3 * i : 3 * i + 3])) == 1 for i in range(20))
    for number in range(4):
        held_out, rest = fold == number, fold != number
        mean, deviation = x[rest].mean(0), np.where(x[rest].std(0) > 1e-6, x[rest].std(0), np.inf)
        z = (x[rest] - mean) / deviation
        y = targets[rest] - targets[rest].mean(0)
        solved = np.linalg.solve(z.T @ z / rest.sum() + directions.PENALTY * np.eye(4), z.T @ y / rest.sum())
        np.testing.assert_allclose(scores[held_out], (x[held_out] - mean) / deviation @ solved, atol=2e-4)
    with pytest.raises(ValueError, match='at most the 20 patients, got 21'):
        directions.folds(np.arange(20), 21, jax.random.key(0))


@pytest.mark.parametrize('units', [8, 50])
def test_a_probe_of_few_images_is_the_one_of_the_equations_between_units(units):
    """In float64 by the equations between units, of fewer images than units and of more."""
    random = np.random.default_rng(1)
    x, targets = random.normal(3, 2, size=(30, units)), random.normal(size=(30, 3))
    x[:, 5] = 7.0
    weight = random.uniform(size=30) * (np.arange(30) > 3)
    share = (weight / weight.sum())[:, None]
    mean = (share * x).sum(0)
    deviation = np.sqrt((share * (x - mean) ** 2).sum(0))
    z = np.where(deviation > 1e-6, (x - mean) / np.maximum(deviation, 1e-6), 0)
    y = targets - (share * targets).sum(0)
    expected = np.linalg.solve(z.T @ (share * z) + directions.PENALTY * np.eye(units), z.T @ (share * y))
    arrays = (jnp.asarray(array, jnp.float32) for array in (x, targets, weight))
    found_mean, found = directions.fit(*arrays)
    np.testing.assert_allclose(found_mean, mean, rtol=1e-5)
    assert (found[5] == 0).all()
    live = np.arange(units) != 5
    np.testing.assert_allclose(found[live], (expected / deviation[:, None].clip(1e-6))[live], rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize('same', [False, True])
def test_tcav_finds_a_planted_direction_and_nothing_in_noise(same):
    """Also next to a linear head, where slopes are the same in all images and the sign says nothing."""
    random = np.random.default_rng(0)
    present = random.random((200, 2)) < 0.5
    x = random.normal(size=(200, 24)).astype(np.float32)
    x[:, 3] += 3 * present[:, 0]
    slopes = random.normal(size=(2, 50, 24)).astype(np.float32)
    slopes[1] *= 0.1
    slopes[1, :, 3] = 1.2  # class 1 rises with concept 0 in every image
    slopes = np.broadcast_to(slopes[:, :1], slopes.shape) if same else slopes
    orders = nulls.exchanges(np.arange(200), 100, jax.random.key(0))
    every = np.concatenate([present[..., None], np.moveaxis(present[orders], 0, -1)], -1).reshape(200, -1)
    fitted = directions.fit(jnp.asarray(x), jnp.asarray(every, jnp.float32))[1]
    result = directions.tcav(slopes, fitted, jnp.ones((2, 50)))
    along = np.einsum('kmu,ut->kmt', slopes, fitted / np.linalg.norm(fitted, axis=0))
    np.testing.assert_allclose(result['derivative'], along.mean(1), atol=1e-4)
    assert np.isnan(result['sign']).all() if same else np.allclose(result['sign'], (along > 0).mean(1))
    derivative = np.asarray(result['derivative']).reshape(2, 2, -1)
    size, among = directions.in_spreads(derivative[..., 0], derivative[..., 1:])
    np.testing.assert_allclose(among[0, 1, 7], leave_one_out(derivative[0, 1, 1:], 7), rtol=1e-4)
    p = directions.pooled_p(size, among)
    assert size[1, 0] > 3
    assert p[1, 0] < 0.001


def leave_one_out(values, number):
    others = np.delete(values.astype(float), number)
    return (values[number] - others.mean()) / others.std(ddof=1)


def test_p_values_of_controls():
    controls = np.array([[0.5, 0.4, 0.9, np.nan]])
    assert directions.one_sided(np.array([0.6]), controls).tolist() == [3 / 5]
    assert np.isnan(directions.pooled_p(np.array([np.nan]), controls)).all()
    normal = np.random.default_rng(0).normal(size=(5, 2000))
    p = directions.pooled_p(np.array([0.5, 1.96, 3, 4, 6]), normal)
    true = 2 * stats.norm.sf([0.5, 1.96, 3, 4, 6])
    np.testing.assert_allclose(p[:3], true[:3], rtol=0.15)
    assert true[3] < p[3] < 1e-3  # an exponential tail is longer than a normal one
    assert true[4] < p[4] < 1e-4
    tied = np.repeat([0.0, 2.0], (300, 700))[None]  # the highest controls are all equal: a tail of no shape
    np.testing.assert_allclose(directions.pooled_p(np.array([1.0, 2.0, 3.0]), tied), [701 / 1001, 701 / 1001, 1 / 1001])


@pytest.mark.parametrize('films', [1, 3])
def test_whole_patients_exchange(films):
    patients = np.concatenate([np.repeat(np.arange(20), films), [30, 30, 30, 30]])
    patients = np.random.default_rng(0).permutation(patients)
    orders = nulls.exchanges(patients, 50, jax.random.key(1))
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(len(patients)), (50, 1)))
    alone = np.flatnonzero(patients == 30)
    np.testing.assert_array_equal(orders[:, alone], np.tile(alone, (50, 1)))  # nobody else has four
    for order in orders:
        for patient in range(20):
            assert len(set(patients[order[patients == patient]])) == 1
    assert (orders[:, patients != 30] != np.flatnonzero(patients != 30)).mean() > 0.9
    blocks = nulls.blocks(np.repeat(np.arange(100), films), jax.random.key(0))
    np.testing.assert_array_equal(np.sort(np.concatenate(blocks)), np.arange(100 * films))
    assert all((np.bincount(block // films)[np.unique(block // films)] == films).all() for block in blocks)
    assert max(len(block) for block in blocks) <= nulls.BLOCK + films


def test_two_units_together_segment_what_neither_does_alone():
    random = np.random.default_rng(0)
    active = random.random((40, 8, 8, 5)) < 0.3
    masks = (active[..., 0] & active[..., 1])[..., None].repeat(2, axis=1).repeat(2, axis=2)
    sums = multi_unit.gather(active, masks)
    weights = multi_unit.discriminant(sums)
    parts = [multi_unit.histogram(active[part], masks[part], weights) for part in (slice(0, 20), slice(20, 40))]
    assert parts[0].sum() == masks[:20].size
    single = (active[..., 0].repeat(2, 1).repeat(2, 2) & masks[..., 0]).sum() / active[..., 0].repeat(2, 1).repeat(
        2, 2
    ).sum()
    assert multi_unit.held_out_iou(*parts)[0] > single + 0.2
    nothing = np.zeros_like(masks)
    assert np.isnan(multi_unit.held_out_iou(*[multi_unit.histogram(active, nothing, weights)] * 2)).all()


def test_shares_of_cells():
    masks = np.random.default_rng(0).random((2, 6, 9, 3)) < 0.5
    np.testing.assert_allclose(
        multi_unit.shrink(masks, (3, 3)), masks.reshape(2, 3, 2, 3, 3, 3).mean((2, 4)), atol=1e-6
    )
    np.testing.assert_allclose(multi_unit.shrink(masks, (4, 5)).mean((1, 2)), masks.mean((1, 2)), atol=1e-6)
