"""predictions.npz that are not of the members, the images or the weights beside them are refused, also if accepted."""

import shutil

import jax
import numpy as np
import pytest

from imbalance_jax.explain import run as explain_run
from imbalance_jax.system import layout, provenance, workdir
from imbalance_jax.training import autotune, checkpoint, snapshot, trained


@pytest.fixture
def copied(study, tmp_path):
    return shutil.copytree(study, tmp_path / 'run')


@pytest.mark.slow
def test_checkpoints_of_another_run_are_refused(copied):
    """Of equal shapes, each array with the checksum that was written beside it."""
    before = trained.load(copied)
    folder = layout.checkpoints(copied, 0)
    saved = snapshot.Best(jax.tree.map(np.asarray, before.place.fetch(before.variables)))
    step = max(int(path.name) for path in folder.iterdir() if path.name.isdigit())
    checkpoint.save(folder, step, saved)
    assert trained.load(copied).alive.all(), 'the same weights, saved again'
    other = jax.tree.map(lambda a: np.concatenate([a[:4], a[4:5] + 1e-6, a[5:]]), saved)
    checkpoint.save(folder, step, other)
    arm, seed = before.members[4]['arm'], before.members[4]['seed']
    with pytest.raises(
        ValueError, match=f'hold other weights than predictions.npz came from, of 1 of 6 members, {arm}/{seed}'
    ):
        trained.load(copied)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda arrays: arrays.pop('alive'), "predictions.npz has no 'alive'"),
        (lambda arrays: arrays.update(alive=arrays['alive'][1:]), "'alive' is 5, not 6"),
        (
            lambda arrays: arrays.update(logits_test=arrays['logits_test'][:, 1:]),
            r"'logits_test' is 6 x \d+ x 8, not 6 x",
        ),
    ],
)
def test_predictions_of_others_are_refused(copied, change, said):
    arrays = workdir.read_arrays(copied / layout.PREDICTIONS)
    change(arrays)
    np.savez_compressed(copied / layout.PREDICTIONS, **arrays)
    provenance.accept(copied)
    with pytest.raises(ValueError, match=said):
        trained.load(copied)
    assert len(autotune.read(copied).waves) == 1


@pytest.mark.slow
def test_arrays_of_explain_that_were_cut_and_accepted_are_named(copied):
    path = layout.explained(copied, 'alignment_saliency')
    arrays = workdir.read_arrays(path)
    np.savez_compressed(
        path, **{name: array[:-1] if array.ndim and len(array) > 1 else array for name, array in arrays.items()}
    )
    provenance.accept(copied)
    with pytest.raises(
        ValueError, match=r'files that were accepted as they are, explain/alignment_saliency\.npz.* explained'
    ):
        explain_run.run(copied, stages={'alignment': explain_run.STAGES['alignment']})


def test_a_file_of_training_that_is_gone_is_said_with_what_makes_it(copied):
    (copied / layout.MEMBERS).unlink()
    with pytest.raises(FileNotFoundError, match=r'members\.json is missing; run train again'):
        trained.check_trained(copied)
