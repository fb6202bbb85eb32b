"""Stage `roar`: networks that never see the hottest pixels."""

import shutil

import numpy as np

from imbalance_jax.explain import roar
from imbalance_jax.results import roar as results_roar
from imbalance_jax.results.schema import write_table
from imbalance_jax.training import trained as training_trained


def test_roar_trains_anew_without_the_hottest_pixels(study, tmp_path):
    workdir = shutil.copytree(study, tmp_path / 'run')
    trained = training_trained.load(workdir)
    trained.config.attribution.memory_mib = 64.0
    heat = roar.importance(trained, 'grad_cam')
    assert (heat.sum((1, 2)) <= len(trained.dataset.classes) + 1e-3).all()  # at most 1 a class
    images = roar.remove(trained.dataset, heat, 0.25)
    changed = (images != trained.dataset.images)[..., 0]
    assert changed.mean((1, 2)).max() <= 0.25
    assert heat[changed].mean() > 2 * heat[~changed].mean()
    auroc = roar.retrain(trained, np.stack([trained.dataset.images, images]))
    assert auroc.shape == (2, 2)
    assert ((auroc > 0.2) & (auroc < 0.9)).all()
    assert (auroc[0] != auroc[1]).any()
    members = [trained.members[i] for i in roar.reference_members(trained)]
    rows = results_roar.rows(members, [('none', 0.0), ('grad_cam', 0.25)], auroc, images=9)
    write_table(workdir, 'roar', rows)
    assert len(rows) == 2 * (2 + 2)
