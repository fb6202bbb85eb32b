"""Remove and retrain (ROAR): does a network that never sees the pixels a method calls important learn less?

Hooker et al. 2019. The hottest share of every image's pixels - in training, validation and test - becomes the mean grey
of the training images, and the reference arm is trained anew on what is left: all methods, shares and seeds as one
population. Noise is the null: a method whose removal hurts no more than that of random pixels has found nothing.
"""

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.attribution import all_classes as request
from imbalance_jax.attribution import faithfulness
from imbalance_jax.data import arrays as data_arrays
from imbalance_jax.explain import maps as explain_maps
from imbalance_jax.metrics import scores as metrics
from imbalance_jax.results.roar import rows
from imbalance_jax.system import progress as display
from imbalance_jax.system.workdir import lock, write_table
from imbalance_jax.training import build as training_build
from imbalance_jax.training import placement
from imbalance_jax.training import run as training_run
from imbalance_jax.training import trained as training_trained

SHARES = (0.3, 0.7)
NOISE = 'random'
ALL = 'all images'


def run(workdir: Path, shares: Sequence[float] = SHARES) -> None:
    """results/roar of a trained working directory: its config's methods and noise, its reference arm, its seeds."""
    workdir = Path(workdir)
    training_trained.check_trained(workdir)
    training_run.set_up_jax(join=False)
    with lock(workdir):
        trained = training_trained.load(workdir)
        methods = list(dict.fromkeys([*trained.config.attribution.methods, NOISE]))
        images = {('none', 0.0): trained.dataset.images}
        for method in methods:
            heat = importance(trained, method)
            images |= {(method, share): remove(trained.dataset, heat, share) for share in shares}
        auroc = retrain(trained, np.stack(list(images.values())))
        write_table(workdir, 'roar', rows(trained, list(images), auroc))


def importance(trained, method: str) -> np.ndarray:
    """Heat of every image [N,H,W]: the sum over classes of the positive parts of the maps, each as a share of its sum,
    and the mean over the reference arm's living members."""
    network = explain_maps.make_network(trained.model, trained.layer_of(trained.config.attribution.layer))
    maps = request.class_maps(network, method, explain_maps.options_of(trained, method))
    classes = np.arange(len(trained.dataset.classes))

    def heat(variables, images, rows):
        chosen = jnp.broadcast_to(classes, (len(images), len(classes)))
        positive = jnp.maximum(maps(variables, trained.normalise(images), chosen, rows), 0)
        total = positive.sum((2, 3), keepdims=True)
        return jnp.where(total > 0, positive / jnp.where(total > 0, total, 1), 0).sum(1)

    arrays = (trained.dataset.images, np.arange(len(trained.dataset.images)))
    _, found = explain_maps.in_slabs(trained, heat, arrays, f'roar: {method}', arrays[1])
    reference = [row['member'] for row in trained.members if row['arm'] == trained.config.reference]
    return found[[i for i in reference if trained.alive[i]]].mean(0)


def remove(dataset, heat: np.ndarray, share: float) -> np.ndarray:
    """Images [N,H,W,C] uint8 whose hottest `share` of pixels are the mean grey of the training images."""
    mean, _ = data_arrays.grey_statistics(dataset.images[dataset.rows('train')])
    ranks = jax.jit(faithfulness.ranks)
    batches = data_arrays.full_batches(len(heat), min(256, len(heat)))
    place = np.concatenate([np.asarray(ranks(heat[index])) for index in batches])[: len(heat)]
    gone = place < round(share * heat.shape[1] * heat.shape[2])
    return np.where(gone[..., None], np.uint8(round(255 * mean)), dataset.images)


def retrain(trained, images: np.ndarray) -> np.ndarray:
    """Macro AUROC [A,S] on the test split of the reference arm trained on each of the image sets [A,N,H,W,C]."""
    dataset, config = trained.dataset, trained.config
    run = training_build.build(config, dataset, trained.members)
    first = np.array([row['member'] for row in trained.members if row['arm'] == config.reference])
    count = len(images) * len(first)
    place = placement.place(count, trained.place.strategy, jax.local_devices())
    which = place.members(np.repeat(np.arange(len(images)), len(first)).astype(np.int32))
    members = place.members(jax.tree.map(lambda a: np.tile(a[first], len(images)), run.numbers))
    train, test = (images[:, dataset.rows(split)] for split in ('train', 'test'))

    def epoch(one, images, labels, mask, distributions, number):
        state, member, own = one
        order = run.one.draw(member, distributions, number)
        arrays = data_arrays.Arrays(images[own], labels, mask)
        return run.one.steps((state, member, order), arrays, number * run.steps, 0, run.steps)[0]

    state = place.map(run.one.init)(members)
    step, labels = place.map(epoch), place.shared((train, run.arrays.labels, run.arrays.label_mask))
    with display.show('roar: training', run.epochs) as update:
        for number in range(run.epochs):
            distributions = place.shared(run.distributions(number))
            state = step((state, members, which), *labels, distributions, jnp.int32(number))
            update(number + 1, note=f'{count} members')
    return score(trained, place, (state.variables, which), test).reshape(len(images), -1)


def score(trained, place, one, images: np.ndarray) -> np.ndarray:
    """Macro AUROC [P] on the test images [A,n,H,W,C] of each member's own set."""
    dataset = trained.dataset
    rows, index = dataset.rows('test'), data_arrays.full_batches(images.shape[1], trained.config.evaluate.batch_size)

    def logits(one, images):
        variables, own = one
        return jax.lax.map(lambda i: trained.model.apply(variables, trained.normalise(images[own, i]))[0], index)

    found = place.fetch(place.map(logits)(one, place.shared(images)))
    found = found.reshape(len(found), -1, found.shape[-1])[:, : len(rows)]
    return metrics.macro(metrics.auroc(found, dataset.labels[rows], dataset.label_mask[rows]))[0]
