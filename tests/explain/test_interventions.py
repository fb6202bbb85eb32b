"""Networks run again without units, along directions and from a mean, against loops and closed forms."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from planted import CONCEPTS, UNITS, features_of

from imbalance_jax import concepts
from imbalance_jax.concepts import nulls
from imbalance_jax.explain import concept_directions, held_out, interventions
from imbalance_jax.explain import probe as explain_probe
from imbalance_jax.metrics import scores
from imbalance_jax.metrics.on_device import ranking


def started(model, images):
    return jax.jit(lambda x: model.init(jax.random.key(0), x, mutable=['params', 'batch_stats']))(images)


def test_ablation_of_all_members_against_loops(probe, thresholds):
    by_image = np.stack([one.mean['stage1'] for one in thresholds])
    means = by_image.mean(1)
    assert interventions.ends_in_head(probe)
    half = probe.patients % 2 == 0
    orders = np.array([[4, 5, 7], [0, 1, 2]])
    result = interventions.ablate(probe, by_image, steps=3, half=half, orders=orders)
    labels = probe.dataset.labels
    for member in (0, 2):
        variables = jax.tree.map(lambda a, m=member: np.asarray(a[m]), probe.variables)
        pooled = features_of(probe, member).mean((1, 2))
        for unit in (0, 5):
            without = pooled.copy()
            without[:, unit] = means[member, unit]
            expected = scores.auroc(np.asarray(interventions.head(variables, jnp.asarray(without))), labels)
            np.testing.assert_allclose(result['without'][member, unit], expected, atol=2e-3)
    np.testing.assert_allclose(result['without'][0, 6], result['intact'][0], atol=2e-3)  # a dead unit carries nothing
    assert result['order'].shape == (3, 2, CONCEPTS, 3)
    variables = jax.tree.map(lambda a: np.asarray(a[0]), probe.variables)
    pooled = features_of(probe, 0).mean((1, 2))
    for side, chosen, judged in ((0, half, ~half), (1, ~half, half)):  # each image without what the others chose
        worst = []
        for unit in range(UNITS):
            without = pooled.copy()
            without[:, unit] = means[0, unit]
            logits = np.asarray(interventions.head(variables, jnp.asarray(without)))
            worst.append((scores.auroc(logits[chosen], labels[chosen])[0], logits))
        first = int(np.argmin([value for value, _ in worst]))
        assert result['order'][0, side, 0, 0] == first
        np.testing.assert_allclose(result['scores'][0, 0, 1, judged], worst[first][1][judged, 0], atol=1e-4)
    without = pooled.copy()
    without[:, [0, 1]] = means[0, [0, 1]]
    expected = scores.auroc(np.asarray(interventions.head(variables, jnp.asarray(without))), labels)
    np.testing.assert_allclose(result['random'][0, 1, 1], expected, atol=2e-3)
    in_between = interventions.layer_scores(probe)
    images = probe.dataset.images[None]
    variables = jax.tree.map(lambda a: a[0], probe.variables)
    kept = jnp.ones(UNITS).at[1].set(0)
    rows = jnp.arange(len(labels))

    @jax.jit
    def auroc_of(kept):
        logits = in_between(variables, jnp.asarray(by_image[0]), jnp.asarray(images))(rows).of(kept)
        return ranking(logits, jnp.asarray(labels), jnp.ones(labels.shape))['auroc']

    auroc = auroc_of(kept)
    np.testing.assert_allclose(result['without'][0, 1], auroc, atol=2e-3)


@pytest.mark.parametrize('link', [{}, {'cosine': 1.0}, {interventions.LINK: 1.0}])
def test_one_more_unit_gone_is_the_head_without_it(probe, link):
    random = np.random.default_rng(0)
    means = np.abs(random.normal(size=(30, UNITS))).astype(np.float32)
    scaled = probe._replace(rows=np.arange(30), weights=random.random(30))
    mean = scaled.weights @ means / scaled.weights.sum()
    variables = jax.tree.map(lambda a: a[0], probe.variables)
    variables = {**variables, 'link': {name: jnp.float32(value) for name, value in link.items()}}
    logits = interventions.head_scores(scaled)(variables, jnp.asarray(means), None)(jnp.arange(30))
    kept = jnp.ones(UNITS).at[2].set(0)
    left = jax.jit(lambda kept: jax.lax.map(logits.without(kept), jnp.arange(UNITS), batch_size=4))(kept)
    for unit in range(UNITS):
        gone = means.copy()
        gone[:, [2, unit]] = mean[[2, unit]]
        np.testing.assert_allclose(left[unit], interventions.head(variables, jnp.asarray(gone)), atol=2e-5)


def test_units_of_a_layer_inside_are_taken_away_from_the_layer_on():
    """Against whole networks, each image with its own activations changed."""
    from imbalance_jax import models
    from imbalance_jax.attribution import layers

    random, units = np.random.default_rng(1), 4
    model, images = models.make('cnn', 3, widths=(units, 5)), random.normal(size=(7, 16, 16, 1)).astype(np.float32)
    variables, apply = started(model, images), jax.jit(model.apply)
    maps = np.asarray(jax.jit(lambda x: layers.features(model, variables, x, 'stage1'))(images))
    weights, means = random.random(7), maps.mean((1, 2))
    probe = types.SimpleNamespace(model=model, main='stage1', weights=weights, normalise=lambda x: x)
    batches = images[np.arange(8) % 7].reshape(2, 4, 16, 16, 1)
    rows, kept = np.array([5, 0, 3]), jnp.ones(units).at[2].set(0)

    @jax.jit
    def without_two(kept):
        some = interventions.layer_scores(probe)(variables, jnp.asarray(means), jnp.asarray(batches))(rows)
        return some.of(kept), some.without(kept)(1)

    mean = weights @ means / weights.sum()
    for result, gone in zip(without_two(kept), ([2], [2, 1]), strict=True):
        changed = maps.copy()
        changed[..., gone] = mean[gone]
        logits = apply({**variables, 'perturbations': {'stage1': changed - maps}}, images)[0]
        np.testing.assert_allclose(result, logits[rows], atol=1e-5)


def test_contributions_add_up_to_the_logit(probe, thresholds):
    means = np.stack([one.mean['stage1'] for one in thresholds]).mean(1)
    classes = np.array([0, 1, 2, 0, 1], np.int32)
    result = interventions.logit_contributions(probe, means, positions=np.arange(5), classes=classes, steps=1)
    np.testing.assert_allclose(result['added'].sum(-1), result['logit'] - result['start'], atol=1e-4)
    kernel = np.asarray(probe.variables['params']['head']['kernel'])
    pooled = features_of(probe, 1)[:5].mean((1, 2))
    np.testing.assert_allclose(result['added'][1], (pooled - means[1]) * kernel[1][:, classes].T, atol=1e-4)


def test_the_model_s_head_is_ours():
    from imbalance_jax import models

    model, image = models.make('cnn', 3, widths=(4, 5)), np.ones((2, 8, 8, 1), np.float32)
    variables = started(model, image)
    for cosine in (None, 0.0, 1.0):
        linked = variables if cosine is None else {**variables, 'link': {'cosine': jnp.float32(cosine)}}
        logits, out = jax.jit(model.apply)(linked, image)
        np.testing.assert_allclose(jax.jit(interventions.head)(linked, out['pooled']), logits, atol=1e-6)


def test_slopes_are_gradients(probe):
    result = concept_directions.slopes(probe, 'stage1', np.array([3, 9, 4]))
    kernel = np.asarray(probe.variables['params']['head']['kernel'])
    expected = np.broadcast_to(np.swapaxes(kernel, 1, 2)[:, None], result.shape)  # summed over positions of a mean
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_probes_find_what_is_there_and_controls_do_not(probe, thresholds):
    means = np.stack([one.mean['stage1'] for one in thresholds])
    asked = explain_probe.targets(probe)
    present = asked.present
    np.testing.assert_array_equal(present, probe.dataset.labels > 0)
    assert asked.known.all()
    assert not asked.by_label.any()
    orders = nulls.exchanges(probe.patients, 10, jax.random.key(0))
    fold = concepts.directions.folds(probe.dataset.patient, 5, jax.random.key(0))
    result = concept_directions.linear_probes(probe, means, asked, orders=orders, fold=fold, folds=5)
    assert (result['auroc'][:2] > 0.9).all()
    assert (result['auroc'][2] < 0.8).all()  # images without a concept are all alike, noise and all
    assert abs(np.nanmean(result['control']) - 0.5) < 0.06
    np.testing.assert_allclose(scores.auroc(result['scores'], present), result['auroc'], atol=1e-6)
    heavy = probe._replace(weights=np.where(np.arange(140) % 3, 1.0, 4.0))
    weighted = concept_directions.linear_probes(heavy, means, asked, orders=orders, fold=fold, folds=5)
    np.testing.assert_allclose(weighted['scores'], result['scores'], atol=1e-5)  # weights judge and do not fit
    expected = scores.auroc(result['scores'], present, None, heavy.weights)
    np.testing.assert_allclose(weighted['auroc'], expected, atol=1e-5)


def test_findings_without_a_region_are_probed_by_their_labels(probe, thresholds):
    kept = probe.dataset.region_concept != 1
    fields = {name: getattr(probe.dataset, name)[kept] for name in ('region_image', 'region_concept', 'region_box')}
    mask = np.ones_like(probe.dataset.labels)
    mask[::7, 1] = 0
    blind = probe._replace(dataset=dataclasses.replace(probe.dataset, label_mask=mask, **fields))
    asked = explain_probe.targets(blind)
    assert asked.by_label.tolist() == [False, True, False]
    np.testing.assert_array_equal(asked.known[:, 1], mask[:, 1] > 0)
    known = mask[:, 1] > 0
    labels = probe.dataset.labels[:, 1].astype(float)
    np.testing.assert_allclose(asked.filled[:, 1], np.where(known, labels, labels[known].mean()))
    means = np.stack([one.mean['stage1'] for one in thresholds])
    orders = nulls.exchanges(probe.patients, 4, jax.random.key(0))
    fold = concepts.directions.folds(probe.dataset.patient, 5, jax.random.key(0))
    result = concept_directions.linear_probes(blind, means, asked, orders=orders, fold=fold, folds=5)
    expected = scores.auroc(result['scores'], probe.dataset.labels, mask)
    np.testing.assert_allclose(result['auroc'], expected, atol=1e-6)
    control = concept_directions.linear_probes(
        blind, means, asked._replace(present=asked.present[orders[2]], known=asked.known[orders[2]]),
        orders=orders, fold=fold, folds=5,
    )  # fmt: skip
    np.testing.assert_allclose(result['control'][:, :, 2], control['auroc'], atol=1e-6)
    aurocs, rounds = held_out.probe_aurocs(blind, result['scores'], asked.present, asked.known)
    np.testing.assert_allclose(aurocs, expected, atol=1e-6)
    assert rounds.shape == (held_out.ROUNDS, *expected.shape)
    nothing = probe._replace(dataset=dataclasses.replace(blind.dataset, label_mask=np.zeros_like(mask)))
    result = concept_directions.linear_probes(
        nothing, means, explain_probe.targets(nothing), orders=orders, fold=fold, folds=5
    )
    assert np.isnan(result['auroc'][:, 1]).all()  # neither a region nor a label says it
    assert np.isfinite(result['auroc'][:, [0, 2]]).all()  # a probe set with masks and no labels


def test_directions_of_all_members_are_asked_of_each_class_s_images(probe, thresholds):
    means = np.stack([one.mean['stage1'] for one in thresholds])
    present = explain_probe.targets(probe).present
    orders = nulls.exchanges(probe.patients, 30, jax.random.key(0))
    counted = (probe.dataset.labels[:40] > 0) * np.where(np.arange(40) % 2, 1.0, 3.0)[:, None]
    counted[:, 2] = 0
    random = np.random.default_rng(0)
    slopes = random.normal(size=(3, 40, CONCEPTS, UNITS)).astype(np.float32)
    present = np.concatenate([present, np.ones((140, 1), bool)], axis=1)  # what is everywhere has no direction
    asked = explain_probe.Targets(present, np.ones(present.shape, bool), np.zeros(CONCEPTS + 1, bool))
    result = concept_directions.tcav(probe, means, slopes, targets=asked, orders=orders, counted=counted)
    assert result['control'].shape == (3, CONCEPTS, CONCEPTS + 1, 30)
    assert np.isnan(result['sign'][:, 2]).all()
    assert np.isnan(result['derivative'][..., CONCEPTS]).all()
    for member, k, s in ((0, 0, 1), (2, 1, 0)):
        target = jnp.asarray(present[:, [s]], jnp.float32)
        direction = np.asarray(concepts.directions.fit(jnp.asarray(means[member]), target)[1])[:, 0]
        along = slopes[member, :, k] @ direction / np.linalg.norm(direction)
        share = counted[:, k] / counted[:, k].sum()
        assert result['sign'][member, k, s] == pytest.approx(share @ (along > 0), abs=1e-6)
        assert result['derivative'][member, k, s] == pytest.approx(share @ along, abs=1e-4)
