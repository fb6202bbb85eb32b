"""Stage `roar`, remove and retrain: does a network that never sees the pixels a method calls important learn less?

Hooker et al. 2019. The hottest share of every image's pixels - in training, validation and test - becomes the mean grey
of the training images, and the reference arm is trained anew on what is left: all methods, shares and seeds as one
population. Noise is the null: a method whose removal hurts no more than that of random pixels has found nothing.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.attribution import all_classes, faithfulness
from imbalance_jax.data.arrays import Arrays, grey_statistics, in_batches
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.explain.budget import chunked, compile_within
from imbalance_jax.explain.maps import make_network, options_of, slab_size
from imbalance_jax.metrics import scores
from imbalance_jax.results import roar
from imbalance_jax.results.schema import write_table
from imbalance_jax.system import liveness, processes, progress
from imbalance_jax.training import autotune, build, needs, placement, strategies
from imbalance_jax.training.member import make_predict
from imbalance_jax.training.members import is_adopted
from imbalance_jax.training.network import network
from imbalance_jax.training.prediction import predict
from imbalance_jax.training.program import Experiment
from imbalance_jax.training.trained import SPLIT, Stage, Trained

SHARES = (0.3, 0.7)
NOISE = 'random'


@partial(jax.tree_util.register_dataclass, data_fields=('images', 'removed', 'image_set', 'colour'), meta_fields=())
@dataclass(frozen=True)
class Covered:
    """Images [N,H,W,C] uint8 of which one of the image sets lacks pixels, as one array that is indexed by rows.

    removed: [A,N,L] uint8, which pixels each of the sets lacks, as bits; image_set: the number of this one; colour:
    [C] uint8, what stands for the pixels
    """

    images: Any
    removed: Any
    image_set: Any
    colour: Any

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Any) -> jax.Array:
        return cover(self.images[rows], self.removed[self.image_set, rows], self.colour)


def cover(images: jax.Array, removed: jax.Array, colour: Any) -> jax.Array:
    """Images [...,H,W,C] without the pixels `removed` [...,L], bits."""
    height, width, _ = images.shape[-3:]
    gone = jnp.unpackbits(removed, axis=-1, count=height * width).astype(bool)
    return jnp.where(gone.reshape(*images.shape[:-1], 1), jnp.asarray(colour), images)


def run(trained: Trained, workdir: Path, shares: Sequence[float] = SHARES) -> None:
    """results/roar: the config's methods and noise, on the reference arm and its seeds."""
    if is_adopted(trained.members):
        raise ValueError(f'roar trains the reference arm anew, and the networks of {workdir} were trained elsewhere.')
    height, width, _ = trained.image_shape
    methods = dict.fromkeys([*trained.config.attribution.methods, NOISE])
    names = [('none', 0.0), *((method, share) for method in methods for share in shares)]
    shape = len(names), len(trained.dataset.images), -(-height * width // 8)
    with tempfile.TemporaryFile(dir=workdir) as file:  # bits of all image sets, which the host need not hold at once
        removed = np.memmap(file, np.uint8, 'w+', shape=shape)
        for number, method in enumerate(methods):
            start = 1 + number * len(shares)
            removed[start : start + len(shares)] = hottest(trained, method, shares)
        auroc = retrain(trained, removed)
    members = [trained.members[i] for i in reference_members(trained)]
    write_table(workdir, 'roar', roar.rows(members, names, auroc, images=len(trained.dataset.rows(SPLIT))))


def reference_members(trained: Trained) -> list[int]:
    """The members of the reference arm."""
    return [row['member'] for row in trained.members if row['arm'] == trained.config.reference]


def make_heat(trained: Trained, method: str) -> Callable:
    """`heat(variables, images, rows) -> [n,H,W]`: the sum over classes of the positive parts of a member's maps, each
    as a share of its sum."""
    network = make_network(trained.model, trained.layer_of(trained.config.attribution.layer))
    maps = all_classes.class_maps(network, method, options_of(trained, method))
    classes = np.arange(len(trained.dataset.classes))

    def heat(variables, images, rows):
        chosen = jnp.broadcast_to(classes, (len(images), len(classes)))
        positive = jnp.maximum(maps(variables, trained.normalise(images), chosen, rows), 0)
        total = positive.sum((2, 3), keepdims=True)
        return jnp.where(total > 0, positive / jnp.where(total > 0, total, 1), 0).sum(1)

    return heat


def hottest(trained: Trained, method: str, shares: Sequence[float]) -> np.ndarray:
    """The hottest pixels of every image, as many as each of the shares, [S,N,L] as bits.

    Heat is the mean over the reference arm's living members. ValueError if none is alive.
    """
    living = [i for i in reference_members(trained) if trained.alive[i]]
    if not living:
        raise ValueError(f'No member of the arm {trained.config.reference!r} is alive: roar has nothing to explain.')
    place = placement.place(len(living), trained.place.strategy)
    variables = place.members(jax.tree.map(lambda a: a[living], trained.place.fetch(trained.variables)))
    heat, count = make_heat(trained, method), len(trained.dataset.images)
    programs: list[Callable] = []

    @jax.jit
    def as_bits(heats: jax.Array) -> jax.Array:
        mean = heats[: len(living)].mean(0)
        ranks = faithfulness.ranks(mean).reshape(len(mean), -1)
        gone = [jnp.packbits(ranks < round(share * ranks.shape[1]), axis=-1) for share in shares]
        return jnp.stack(gone)

    with progress.show(f'explain: roar: {method}', count) as update:

        def of_some(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
            batch = place.shared((images, rows))
            if not programs:
                memory_mib = trained.config.attribution.memory_mib
                programs.append(compile_within(chunked(heat), place, variables, batch, memory_mib=memory_mib))
            bits = place.whole(as_bits(programs[0](variables, *batch)))
            update(int(rows[-1]) + 1, note=f'{len(living)} members')
            return bits

        size = slab_size(trained, place, count)
        return in_batches(of_some, (trained.dataset.images, np.arange(count)), size, axis=1)


def mean_colour(dataset: Dataset) -> np.ndarray:
    """Of the training images, [C] uint8."""
    mean, _ = grey_statistics(dataset.images_of('train'))
    return np.broadcast_to(np.uint8(np.round(255 * np.asarray(mean))), dataset.images.shape[-1:])


def retrain(trained: Trained, removed: np.ndarray, *, memory: int = 0) -> np.ndarray:
    """Macro AUROC [A,S] on the test split of the reference arm trained without the pixels `removed` [A,N,L] of each of
    the image sets, as many of them side by side as `at_a_time` says.

    memory: bytes that each device has; 0: what is free
    """
    dataset, config = trained.dataset, trained.config
    untrained = network(config, dataset, trained.starts)
    experiment = build.build(config, dataset, trained.members, untrained=untrained)
    functions, steps = experiment.functions, experiment.steps_per_epoch
    first = np.array(reference_members(trained))
    strategy = strategies.without_sharing(trained.place.strategy)
    memory = memory or processes.least_of(autotune.available())
    at_once = at_a_time(experiment, strategy, removed.shape, seeds=len(first), memory=memory)
    place = placement.place(at_once * len(first), strategy)
    image_set = place.members(np.repeat(np.arange(at_once), len(first)).astype(np.int32))
    members = place.members(jax.tree.map(lambda a: np.concatenate([a[first]] * at_once), experiment.member_arrays))

    def epoch(one, images, removed, colour, labels, mask, draws, number):
        state, member, image_set = one
        order = functions.sample_order(member, draws, number)
        arrays = Arrays(Covered(images, removed, image_set, colour), labels, mask)
        return functions.train_steps((state, member, order), arrays, number * steps, 0, steps)[0]

    train_epoch, rows_of_train = place.map(epoch), dataset.rows('train')
    rows = [trained.members[i] for i in first] * at_once
    begun = experiment.begin(place.fetch(place.map(functions.init)(members)), rows)
    images, colour, labels, mask = place.shared(
        (dataset.images[rows_of_train], mean_colour(dataset), experiment.train.labels, experiment.train.label_mask)
    )
    starts = range(0, len(removed), at_once)
    waves = [np.minimum(np.arange(start, start + at_once), len(removed) - 1) for start in starts]
    auroc = np.empty((len(removed), len(first)))
    with progress.show('roar: training', len(waves) * experiment.epochs) as update:
        for wave, sets in enumerate(waves):
            state, bits = place.members(begun), place.shared(removed[sets][:, rows_of_train])
            for number in range(experiment.epochs):
                draws = place.shared(experiment.draws(number))
                one = state, members, image_set
                state = train_epoch(one, images, bits, colour, labels, mask, draws, np.int32(number))
                update(wave * experiment.epochs + number + 1, note=f'{place.num_members} members')
            of_test = removed[sets][:, dataset.rows(SPLIT)]
            auroc[sets] = score(trained, place, (state.variables, image_set), removed=of_test).reshape(at_once, -1)
    return auroc


def at_a_time(experiment: Experiment, strategy: str, removed: tuple[int, ...], *, seeds: int, memory: int) -> int:
    """How many of A image sets are trained side by side on devices with so much memory, in as few equal waves as can
    be: of each lie there the bits of its pixels, and the states of its seeds twice, as before and after an epoch.

    removed: [A,N,L]. ValueError if not even one fits.
    """
    parsed, every, devices = strategies.parse(strategy), removed[0], len(jax.devices())
    one = jax.tree.map(lambda a: a[0], experiment.member_arrays)
    state = jax.eval_shape(experiment.functions.init, one)
    lies, step = liveness.tree_bytes(state), needs.step_bytes(experiment, state, one)
    train = experiment.train
    images = len(train.images) * int(np.prod(train.images.shape[1:])) * train.images.dtype.itemsize
    per_set = len(train.images) * removed[2]

    def needed(sets: int) -> int:
        queue = -(-sets * seeds // (devices if parsed.shard else 1))
        together = {'vmap': parsed.group or queue}.get(parsed.kind, 1)
        return images + sets * per_set + 2 * queue * lies + min(together, queue) * step

    waves = 1
    while waves < every and needed(-(-every // waves)) > memory:
        waves += 1
    if needed(-(-every // waves)) > memory:
        raise ValueError(
            f'roar needs {needed(1) / 2**30:.2f} GiB on each device to train {seeds} seeds without the pixels of one '
            f'method, of {memory / 2**30:.2f} that are free.'
        )
    return -(-every // waves)


def score(trained: Trained, place: placement.Placement, members: tuple, *, removed: np.ndarray) -> np.ndarray:
    """Macro AUROC [P] on the test images without the pixels `removed` [A,n,L] of each member's image set; members:
    (variables, image set)."""
    dataset, rows, shape = trained.dataset, trained.dataset.rows(SPLIT), trained.image_shape
    predict_one, colour, pixels = make_predict(trained.model, trained.normalise), mean_colour(dataset), np.prod(shape)

    def predict_image_set(member, bytes_):  # [n,B,...]: an image, and after it the pixels that each set lacks
        variables, image_set = member
        images = bytes_[..., :pixels].reshape(*bytes_.shape[:2], *shape)
        of_sets = bytes_[..., pixels:].reshape(*bytes_.shape[:2], len(removed), -1)
        return predict_one(variables, cover(images, of_sets[:, :, image_set], colour))

    of_sets = np.moveaxis(removed, 0, 1).reshape(len(rows), -1)
    together = np.concatenate([dataset.images[rows].reshape(len(rows), -1), of_sets], axis=1)
    batch_size = trained.config.evaluate.batch_size
    logits = predict(place, predict_image_set, members, images=together, batch_size=batch_size)
    return scores.macro(scores.auroc(logits, dataset.labels[rows], dataset.label_mask[rows]))[0]


STAGE = Stage(run=run, tables=('roar',))
