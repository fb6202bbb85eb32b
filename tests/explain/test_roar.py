"""Stage `roar`: networks that never see the hottest pixels."""

import shutil

import jax
import numpy as np
import pytest

from imbalance_jax.explain import roar
from imbalance_jax.results import roar as results_roar
from imbalance_jax.results.schema import write_table
from imbalance_jax.training import build, needs
from imbalance_jax.training import trained as training_trained


def heat_of(trained, method):
    """The mean over the reference arm's members, one after the other."""
    heat, rows = jax.jit(roar.make_heat(trained, method)), np.arange(len(trained.dataset.images))
    variables = [jax.tree.map(lambda a, i=i: a[i], trained.variables) for i in roar.reference_members(trained)]
    return np.mean([heat(one, trained.dataset.images, rows) for one in variables], axis=0)


def in_waves(trained, removed, auroc):
    """Of a device that has room for one image set the same, one after the other; with less a line says so."""
    bits = np.stack([np.zeros_like(removed), removed])
    what = build.build(trained.config, trained.dataset, trained.members), trained.place.strategy, bits.shape
    low, high = 2**10, 2**34  # too little and enough
    assert roar.at_a_time(*what, seeds=2, memory=high) == 2
    while high - low > 1000:
        middle = (low + high) // 2
        try:
            at_once, high = roar.at_a_time(*what, seeds=2, memory=middle), middle
        except ValueError:
            low = middle
    assert at_once == 1
    np.testing.assert_allclose(roar.retrain(trained, bits, memory=high), auroc, atol=1e-6)
    with pytest.raises(ValueError, match=r'roar needs .* GiB on each device to train 2 seeds'):
        roar.at_a_time(*what, seeds=2, memory=low)


def test_roar_trains_anew_without_the_hottest_pixels(study, tmp_path, monkeypatch):
    workdir = shutil.copytree(study, tmp_path / 'run')
    trained = training_trained.load(workdir)
    trained.config.attribution.memory_mib = 64.0
    removed = roar.hottest(trained, 'grad_cam', (0.25, 0.5))
    pixels = trained.dataset.images[0, ..., 0].size
    gone = np.unpackbits(removed, axis=-1, count=pixels).astype(bool)
    heat = heat_of(trained, 'grad_cam').reshape(len(trained.dataset.images), -1)
    assert (heat.sum(1) <= len(trained.dataset.classes) + 1e-3).all()  # at most 1 a class
    for share, one in zip((0.25, 0.5), gone, strict=True):
        assert (one.sum(1) == round(share * pixels)).all()
        assert (np.where(one, heat, np.inf).min(1) >= np.where(one, -np.inf, heat).max(1) - 1e-6).all()
    images, colour = trained.dataset.images, roar.mean_colour(trained.dataset)
    covered = np.where(gone[0].reshape(*images.shape[:3], 1), colour, images)
    rows = np.array([3, 1, 7])
    np.testing.assert_array_equal(roar.Covered(images, removed, 0, colour)[rows], covered[rows])
    auroc = roar.retrain(trained, np.stack([np.zeros_like(removed[0]), removed[0]]))
    assert auroc.shape == (2, 2)
    assert ((auroc > 0.2) & (auroc < 0.9)).all()
    assert (auroc[0] != auroc[1]).any()
    monkeypatch.setattr(needs, 'step_bytes', lambda *_: 0)  # a trace for each question
    in_waves(trained, removed[0], auroc)
    members = [trained.members[i] for i in roar.reference_members(trained)]
    rows = results_roar.rows(members, [('none', 0.0), ('grad_cam', 0.25)], auroc, images=9)
    write_table(workdir, 'roar', rows)
    assert len(rows) == 2 * (2 + 2)
