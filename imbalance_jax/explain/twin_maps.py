"""Maps of twins, against the pixels that differ and against the exact map of what they do to the logit."""

import itertools
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax import alignment
from imbalance_jax.attribution import layers
from imbalance_jax.attribution.gradients import integrated_gradients
from imbalance_jax.data.arrays import in_batches, pictures
from imbalance_jax.data.twins import Twins
from imbalance_jax.explain.budget import chunked, compile_within
from imbalance_jax.explain.maps import compile_slab, in_slabs, make_maps, slab_size
from imbalance_jax.results.twin_maps import Evidence
from imbalance_jax.system import progress
from imbalance_jax.training.trained import Trained

MEASURES = ('pixel_auroc', 'relevance_mass', 'cosine')  # of a map: see `_against`
PATH_STEPS = 8  # of the exact map's path from one twin to the other
Draw = Callable[[str], Twins | None]  # a concept -> the chosen films with and without it


def measure_evidence(trained: Trained, draw: Draw, pairs: int) -> Evidence:
    """Maps of the config's methods, of both twins of `pairs` films of each finding, against what changed."""
    dataset, methods = trained.dataset, list(trained.config.attribution.methods)
    drawn = [(k, one) for k, name in enumerate(dataset.classes) if (one := draw(name)) is not None]
    chosen = [(k, some_of(one, start, pairs)) for start, (k, one) in zip(itertools.count(0, pairs), drawn)]
    finding = np.concatenate([np.full(len(one.rows), k) for k, one in chosen])
    joined = Twins(*(np.concatenate(parts) for parts in zip(*(one for _, one in chosen), strict=True)))
    exact = exact_maps(trained, joined, finding)
    answers = [map_figures(trained, joined, finding, method=method, exact=exact['map']) for method in methods]
    which, first = np.unique(finding, return_index=True)
    return Evidence(
        finding=finding,
        rows=joined.rows,
        patient=dataset.patient[joined.rows],
        changed=joined.changed.mean((1, 2)),
        methods=np.array(methods, dtype=str),
        measures=np.array(MEASURES),
        figures=np.array([one for one, _ in answers]),
        inside=np.array([one for _, one in answers]),
        delta=exact['delta'],
        exact=exact['map'].sum((2, 3)),
        which=which,
        images=np.stack([pictures(joined.absent[first]), pictures(joined.present[first])], 1),
        map=exact['map'][0, first],
    )


def some_of(pairs: Twins, start: int, count: int) -> Twins:
    """`count` of the pairs from number `start` on, beginning again at the end: as far as there are enough films, other
    patients for every finding."""
    number = (start + np.arange(min(count, len(pairs.rows)))) % len(pairs.rows)
    return Twins(*(array[number] for array in pairs))


def exact_maps(trained: Trained, pairs: Twins, finding: np.ndarray) -> dict[str, np.ndarray]:
    """The change `delta` [P,G] of the finding's logit from one twin to the other, and the exact `map` [P,G,H,W] of it.

    That is integrated gradients on the straight path from the image without the finding to the one with it: it is 0
    where the images agree, and its sum is `delta` (Sundararajan et al. 2017), to the error of PATH_STEPS points.
    """
    programs: list[Callable] = []

    def of_some(*arrays):
        batch, memory_mib = trained.place.shared(arrays), trained.config.attribution.memory_mib
        if not programs:
            what = (chunked(make_exact(trained)), trained.place, trained.variables, batch)
            programs.append(compile_within(*what, memory_mib=memory_mib))
        return trained.place.fetch(programs[0](trained.variables, *batch))

    size = slab_size(trained, trained.place, len(finding))
    arrays = (pairs.absent, pairs.present, finding.astype(np.int32))
    with progress.show('explain: twins, path between them', len(finding)) as update:
        return in_batches(of_some, arrays, size, axis=1, update=update)


def make_exact(trained: Trained) -> Callable:
    """Returns `exact(variables, absent [n,H,W,C], present, classes [n])` of one member: the keys of `exact_maps`."""

    def of_member(variables, absent, present, classes):
        def score(x):
            return layers.class_logits(trained.model.apply(variables, x)[0], classes)

        start, end = trained.normalise(absent), trained.normalise(present)
        path = integrated_gradients(score, end, baseline=start, steps=PATH_STEPS)
        return {'delta': score(end) - score(start), 'map': path}

    return of_member


def map_figures(
    trained: Trained, pairs: Twins, finding: np.ndarray, *, method: str, exact: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """MEASURES [P,G,F,2] of a method's maps, of the twins without and with the finding, and the sum [P,G] of the latter
    where the image changed. exact: [P,G,H,W]."""
    images, count = np.concatenate([pairs.absent, pairs.present]), len(finding)
    arrays = (images, np.tile(finding, 2), np.tile(pairs.rows, 2))
    phase, every = f'explain: twins, {method}', np.arange(2 * count)
    program = partial(compile_slab, trained, make_maps(trained, method), arrays, networks=trained.members_alone)
    _, maps = in_slabs(trained, program, arrays, phase=phase, keep=every)
    changed, against = np.tile(pairs.changed, (2, 1, 1)), jax.jit(_against)
    twice = zip(maps, exact, strict=True)
    figures = [np.asarray(against(of_one, changed, np.tile(path, (2, 1, 1)))) for of_one, path in twice]
    inside = np.where(pairs.changed, maps[:, count:], 0).sum((2, 3))
    return np.stack(figures), inside


def _against(maps: jax.Array, changed: jax.Array, exact: jax.Array) -> jax.Array:
    """MEASURES [n,F,2] of maps [2n,H,W]: signed values order the pixels, and of the positive part the mass is taken;
    the cosine is with the exact map, pixel by pixel."""
    order = maps - maps.min((1, 2), keepdims=True) + 1e-6 * (jnp.abs(maps).max((1, 2), keepdims=True) + 1e-20)
    norms = jnp.sqrt((maps**2).sum((1, 2)) * (exact**2).sum((1, 2)))
    values = [
        alignment.METRICS['pixel_auroc'](order, changed),
        alignment.METRICS['relevance_mass'](maps, changed),
        (maps * exact).sum((1, 2)) / jnp.where(norms > 0, norms, 1),
    ]
    return jnp.stack([value.reshape(2, -1).T for value in values], 1)
