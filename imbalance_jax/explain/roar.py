"""Stage `roar`, remove and retrain: does a network that never sees the pixels a method calls important learn less?

Hooker et al. 2019. The hottest share of every image's pixels - in training, validation and test - becomes the mean grey
of the training images, and the reference arm is trained anew on what is left: all methods, shares and seeds as one
population. Noise is the null: a method whose removal hurts no more than that of random pixels has found nothing.
"""

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.attribution import all_classes, faithfulness
from imbalance_jax.data.arrays import Arrays, grey_statistics, in_batches
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.explain.maps import in_slabs, make_network, options_of
from imbalance_jax.metrics import scores
from imbalance_jax.results import roar
from imbalance_jax.results.schema import write_table
from imbalance_jax.system import progress
from imbalance_jax.training import build, placement
from imbalance_jax.training.member import make_predict
from imbalance_jax.training.members import is_adopted
from imbalance_jax.training.network import network
from imbalance_jax.training.prediction import predict
from imbalance_jax.training.trained import SPLIT, Stage, Trained

SHARES = (0.3, 0.7)
NOISE = 'random'
RANKED = 256  # images at a time


def run(trained: Trained, workdir: Path, shares: Sequence[float] = SHARES) -> None:
    """results/roar: the config's methods and noise, on the reference arm and its seeds."""
    if is_adopted(trained.members):
        raise ValueError(f'roar trains the reference arm anew, and the networks of {workdir} were trained elsewhere.')
    images = {('none', 0.0): trained.dataset.images}
    for method in dict.fromkeys([*trained.config.attribution.methods, NOISE]):
        heat = importance(trained, method)
        images |= {(method, share): remove(trained.dataset, heat, share) for share in shares}
    auroc = retrain(trained, np.stack(list(images.values())))
    members = [trained.members[i] for i in reference_members(trained)]
    rows = roar.rows(members, list(images), auroc, images=len(trained.dataset.rows(SPLIT)))
    write_table(workdir, 'roar', rows)


def reference_members(trained: Trained) -> list[int]:
    """The members of the reference arm."""
    return [row['member'] for row in trained.members if row['arm'] == trained.config.reference]


def importance(trained: Trained, method: str) -> np.ndarray:
    """Heat of every image [N,H,W]: the sum over classes of the positive parts of the maps, each as a share of its sum,
    and the mean over the reference arm's living members."""
    network = make_network(trained.model, trained.layer_of(trained.config.attribution.layer))
    maps = all_classes.class_maps(network, method, options_of(trained, method))
    classes = np.arange(len(trained.dataset.classes))

    def heat(variables, images, rows):
        chosen = jnp.broadcast_to(classes, (len(images), len(classes)))
        positive = jnp.maximum(maps(variables, trained.normalise(images), chosen, rows), 0)
        total = positive.sum((2, 3), keepdims=True)
        return jnp.where(total > 0, positive / jnp.where(total > 0, total, 1), 0).sum(1)

    rows = np.arange(len(trained.dataset.images))
    _, heats = in_slabs(trained, heat, (trained.dataset.images, rows), phase=f'roar: {method}', keep=rows)
    return heats[[i for i in reference_members(trained) if trained.alive[i]]].mean(0)


def remove(dataset: Dataset, heat: np.ndarray, share: float) -> np.ndarray:
    """Images [N,H,W,C] uint8 whose hottest `share` of pixels are the mean colour of the training images."""
    mean, _ = grey_statistics(dataset.images_of('train'))
    ranks = in_batches(jax.jit(faithfulness.ranks), (heat,), RANKED)
    removed = ranks < round(share * heat.shape[1] * heat.shape[2])
    return np.where(removed[..., None], np.uint8(np.round(255 * np.asarray(mean))), dataset.images)


def retrain(trained: Trained, images: np.ndarray) -> np.ndarray:
    """Macro AUROC [A,S] on the test split of the reference arm trained on each of the image sets [A,N,H,W,C]."""
    dataset, config = trained.dataset, trained.config
    untrained = network(config, dataset, trained.starts)
    experiment = build.build(config, dataset, trained.members, untrained=untrained)
    functions, steps = experiment.functions, experiment.steps_per_epoch
    first = np.array(reference_members(trained))
    count = len(images) * len(first)
    place = placement.place(count, trained.place.strategy, jax.local_devices())
    image_set = place.members(np.repeat(np.arange(len(images)), len(first)).astype(np.int32))
    members = place.members(jax.tree.map(lambda a: np.concatenate([a[first]] * len(images)), experiment.member_arrays))

    def epoch(one, images, labels, mask, draws, number):
        state, member, image_set = one
        order = functions.sample_order(member, draws, number)
        arrays = Arrays(images[image_set], labels, mask)
        return functions.train_steps((state, member, order), arrays, number * steps, 0, steps)[0]

    train_epoch = place.map(epoch)
    rows = [trained.members[i] for i in first] * len(images)
    state = place.members(experiment.begin(place.fetch(place.map(functions.init)(members)), rows))
    train = (images[:, dataset.rows('train')], experiment.train.labels, experiment.train.label_mask)
    arrays = place.shared(train)
    with progress.show('roar: training', experiment.epochs) as update:
        for number in range(experiment.epochs):
            draws = place.shared(experiment.draws(number))
            state = train_epoch((state, members, image_set), *arrays, draws, jnp.int32(number))
            update(number + 1, note=f'{count} members')
    auroc = score(trained, place, (state.variables, image_set), images=images[:, dataset.rows(SPLIT)])
    return auroc.reshape(len(images), -1)


def score(trained: Trained, place: placement.Placement, members: tuple, *, images: np.ndarray) -> np.ndarray:
    """Macro AUROC [P] on the test images [A,n,H,W,C] of each member's image set; members: (variables, image set)."""
    dataset, rows = trained.dataset, trained.dataset.rows(SPLIT)
    predict_one = make_predict(trained.model, trained.normalise)

    def predict_image_set(member, images):  # [n,B,A,H,W,C]
        variables, image_set = member
        return predict_one(variables, images[:, :, image_set])

    by_image, batch_size = np.moveaxis(images, 0, 1), trained.config.evaluate.batch_size
    logits = predict(place, predict_image_set, members, images=by_image, batch_size=batch_size)
    return scores.macro(scores.auroc(logits, dataset.labels[rows], dataset.label_mask[rows]))[0]


STAGE = Stage(run=run, tables=('roar',))
