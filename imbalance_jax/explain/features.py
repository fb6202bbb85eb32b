"""Stage `features`: what each arm makes of the features that the head reads, and whether its head uses them.

Needs no annotated region. Pooled features of test images are made once, of all members; what is kept in
`explain/features.npz` are figures of each member and the same in rounds of a bootstrap over patients.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.concepts import directions, representation
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.streams import Rows
from imbalance_jax.explain import outputs
from imbalance_jax.metrics import scores
from imbalance_jax.results import features
from imbalance_jax.results.comparison import Truth, patients_by_side
from imbalance_jax.results.rows import Bootstrap
from imbalance_jax.system import environment
from imbalance_jax.system.processes import say
from imbalance_jax.training.prediction import predict
from imbalance_jax.training.trained import FROM_FEATURES, SPLIT, Asked, Stage, Trained

MOST_BYTES = 2**30  # of all members' features together; beyond, patients are drawn
BATCH = 64  # images at a time
FOLDS = 5  # of patients, for the probes
ROUNDS = 200  # of the bootstrap: a variance needs fewer than a quantile

Arrays = dict[str, np.ndarray]


def run(trained: Trained, workdir: Path) -> None:
    """results/features: neural collapse, ranks, and probes of the class labels, of all members and arms."""
    if trained.only_features:
        without = '' if trained.predicted else ', and AUROC of the head is not known'
        say(f'Of features, what needs the weights of the head is left out{without}: only features are here.')
    logits = outputs.test_logits(workdir) if trained.predicted else None
    arrays = outputs.cached(workdir, 'features', partial(measure, trained, logits))
    dataset, rows = trained.dataset, arrays.pop('rows')
    truth = Truth(dataset.labels[rows], dataset.label_mask[rows], dataset.patient[rows])
    images = features.Images(
        classes=list(dataset.classes),
        number=len(rows),
        patients=patients_by_side(truth)[0],
        smallest=trained.config.evaluate.smallest_count,
    )
    outputs.write_rows(workdir, 'features', features.rows(outputs.population(trained), arrays, images))


def measure(trained: Trained, logits: np.ndarray | None) -> Arrays:
    """Figures [1 + R, P, ...] by name, the data first and then R rounds, and `rows` [N], the test images that they are
    of; logits: [P,T,K] of the whole test split, where they are known."""
    dataset, bootstrap = trained.dataset, trained.config.evaluate
    rows = chosen_images(trained)
    tested = np.searchsorted(dataset.rows(SPLIT), rows)
    x = pooled(trained, Rows(tested.astype(np.int32) if trained.only_features else dataset.images, rows))
    labels, mask, patients = (a[rows] for a in (dataset.labels, dataset.label_mask, dataset.patient))
    drawn = Bootstrap(min(bootstrap.bootstrap_rounds, ROUNDS), bootstrap.bootstrap_seed).weights(patients)
    weights = np.concatenate([np.ones((1, len(rows))), drawn])
    classes = representation.Classes((labels * mask) > 0, train_positives(dataset))
    kernels: Any = [None] * len(x)
    if not trained.only_features:
        kernels = np.asarray(trained.place.fetch(trained.variables['params']['head']['kernel']), np.float64)
    members = [of_member(one, kernel, classes, weights) for one, kernel in zip(x, kernels, strict=True)]
    result = {name: np.stack([one[name] for one in members], axis=1) for name in members[0]}
    heads = {} if logits is None else {'head': logits[:, tested]}
    for name, score in {**probe_scores(trained, x, rows), **heads}.items():
        result[f'auroc_{name}'] = scores.auroc(score, labels, mask, weights)
    return {**result, 'rows': rows}


def of_member(x: np.ndarray, kernel: np.ndarray | None, classes: representation.Classes, weights: np.ndarray) -> Arrays:
    """The figures of one member's features [N,U] that need no probe: [1 + R, ...] by name."""
    x = np.asarray(x, np.float64)
    by_class = [representation.ranks(x[chosen], weights[:, chosen]) for chosen in classes.positive.T]
    whole = representation.ranks(x, weights)
    ranks = {name: np.stack([*(one[name] for one in by_class), whole[name]], axis=1) for name in whole}
    return {**representation.collapse(x, kernel, classes, weights), **ranks}


def chosen_images(trained: Trained) -> np.ndarray:
    """Rows [N] of the test images, ascending: all, or those of patients drawn until the memory is full."""
    dataset, place = trained.dataset, trained.place
    rows, units = dataset.rows(SPLIT), number_of_units(trained)
    most = max(1, MOST_BYTES // (4 * place.num_members * units))
    if len(rows) <= most:
        return rows
    patients = dataset.patient[rows]
    names, which, films = np.unique(patients, return_inverse=True, return_counts=True)
    order = np.random.default_rng(0).permutation(len(names))
    return rows[np.isin(which, order[np.cumsum(films[order]) <= most])]


def number_of_units(trained: Trained) -> int:
    """U of the pooled features."""
    params = trained.variables['params']
    return params['features'].shape[-1] if trained.only_features else params['head']['kernel'].shape[1]


def pooled(trained: Trained, images: Rows) -> np.ndarray:
    """Features [P,N,U] that the head reads, of what the members are given: images [N,H,W,C], or numbers [N]."""
    size = min(BATCH, len(images))
    return predict(trained.place, make_pooled(trained), trained.variables, images=images, batch_size=size)


def make_pooled(trained: Trained) -> Callable:
    """Returns `pooled(variables, images [n,B,H,W,C]) -> [n,B,U]` of one member."""

    def of_batches(variables: Any, images: jax.Array) -> jax.Array:
        return jax.lax.map(lambda x: trained.model.apply(variables, trained.normalise(x))[1]['pooled'], images)

    return of_batches


def probe_scores(trained: Trained, x: np.ndarray, rows: np.ndarray) -> Arrays:
    """Scores [P,N,K] of linear probes of the class labels on features [P,N,U], each image by a probe fitted to other
    patients: `natural`, and `balanced`, in which positives and negatives of each class weigh the same."""
    dataset, place = trained.dataset, trained.place
    patients = dataset.patient[rows]
    count = min(FOLDS, len(np.unique(patients)))
    fold = directions.folds(patients, count, environment.key(0))
    labels, mask = (np.asarray(a[rows], np.float32) for a in (dataset.labels, dataset.label_mask))

    def of_one(x: jax.Array, labels: jax.Array, mask: jax.Array, fold: jax.Array) -> dict[str, jax.Array]:
        def by_class(balanced: bool) -> jax.Array:
            def held_out(one: tuple[jax.Array, jax.Array]) -> jax.Array:
                return class_probe(x, *one, fold=fold, count=count, balanced=balanced)

            return jax.lax.map(held_out, (labels.T, mask.T)).T

        return {'natural': by_class(False), 'balanced': by_class(True)}

    return place.fetch(place.map(of_one)(place.members(x), *place.shared((labels, mask, fold))))


def class_probe(
    x: jax.Array, labels: jax.Array, mask: jax.Array, *, fold: jax.Array, count: int, balanced: bool
) -> jax.Array:
    """Held-out scores [N] of one class by ridge regression of its labels [N] on x [N,U]; mask [N] 0 leaves out."""

    def one(number: jax.Array) -> jax.Array:
        weight = mask * (fold != number)
        if balanced:
            positive, negative = weight * labels, weight * (1 - labels)
            weight = positive / jnp.maximum(positive.sum(), 1) + negative / jnp.maximum(negative.sum(), 1)
        mean, slopes = directions.fit(x, labels[:, None], weight)
        return jnp.where(fold == number, ((x - mean) @ slopes)[:, 0], 0)

    return jax.lax.map(one, jnp.arange(count)).sum(0)


def train_positives(dataset: Dataset) -> np.ndarray:
    """Images [K] of the training split that show each class."""
    rows = dataset.rows('train')
    return ((dataset.labels[rows] * dataset.label_mask[rows]) > 0).sum(0)


def programs(trained: Trained) -> Iterator[Asked]:
    """Pooled features of a batch."""
    shape = (1, min(BATCH, len(trained.dataset.rows(SPLIT))), *trained.image_shape)
    yield Asked('features', make_pooled(trained), (jax.ShapeDtypeStruct(shape, np.uint8),), fewer=False)


STAGE = Stage(run=run, tables=('features',), needs=FROM_FEATURES, programs=programs)
