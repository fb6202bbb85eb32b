"""Features: probes of class labels against ridge regression in NumPy, and figures against predictions."""

import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax.explain import features
from imbalance_jax.metrics import scores
from imbalance_jax.system.workdir import read_arrays, read_table
from imbalance_jax.training import trained as training_trained


@pytest.mark.parametrize('balanced', [False, True])
def test_a_probe_is_ridge_regression_on_other_patients(balanced):
    random = np.random.default_rng(0)
    labels = (random.random(80) < 0.2).astype(np.float32)
    x = random.normal(size=(80, 5)).astype(np.float32) + labels[:, None]
    mask, fold = (random.random(80) < 0.9).astype(np.float32), np.arange(80) // 2 % 4
    arrays = (jnp.asarray(a) for a in (x, labels, mask))
    result = features.class_probe(*arrays, fold=jnp.asarray(fold), count=4, balanced=balanced)
    for number in range(4):
        fitted = (fold != number) & (mask > 0)
        weight = np.ones(fitted.sum())
        if balanced:
            weight = np.where(labels[fitted] > 0, 1 / labels[fitted].sum(), 1 / (1 - labels[fitted]).sum())
        share = weight / weight.sum()
        mean = share @ x[fitted]
        scale = np.sqrt(share @ (x[fitted] - mean) ** 2)
        design = (x[fitted] - mean) / scale
        target = labels[fitted] - share @ labels[fitted]
        slopes = np.linalg.solve(
            (design * share[:, None]).T @ design + 0.01 * np.eye(5), (design * share[:, None]).T @ target
        )
        held_out = fold == number
        np.testing.assert_allclose(result[held_out], ((x[held_out] - mean) / scale) @ slopes, atol=1e-4)


def test_features_of_a_study(study, monkeypatch):
    arrays, table = read_arrays(study / 'explain' / 'features.npz'), read_table(study, 'features')
    trained = training_trained.load(study)
    dataset = trained.dataset
    rows = dataset.rows('test')
    np.testing.assert_array_equal(arrays['rows'], rows)
    logits = read_arrays(study / 'predictions.npz')['logits_test']
    expected = scores.auroc(logits, dataset.labels[rows], dataset.label_mask[rows])
    np.testing.assert_allclose(arrays['auroc_head'][0], expected)
    x = features.pooled(trained, dataset.images[rows])
    head = trained.place.fetch(trained.variables['params']['head'])
    np.testing.assert_allclose(x @ head['kernel'] + head['bias'][:, None], logits, atol=1e-3)
    singular = np.linalg.svd(x[2], compute_uv=False)
    share = singular / singular.sum()
    of_member = table[(table['member'] == 2) & (table['metric'] == 'rankme') & (table['class'] == 'all images')]
    assert of_member['value'].item() == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-3)
    monkeypatch.setattr(features, 'MOST_BYTES', 4 * len(trained.members) * x.shape[-1] * 9)
    fewer = features.chosen_images(trained)
    assert 5 < len(fewer) <= 9
    patients = dataset.patient[fewer]
    assert np.isin(dataset.patient[rows], patients).sum() == len(fewer)  # whole patients
