"""Maps of a trained population, and figures of the maps, within a memory budget.

One compiled program makes the maps of a slab of pairs for all members, and for an untrained network per seed beside
them; another, the scorer, says how good they are. Either takes as many pairs at a time as fit the budget.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax import attribution
from imbalance_jax.attribution import all_classes
from imbalance_jax.data.arrays import in_batches
from imbalance_jax.names import lookup
from imbalance_jax.system import progress
from imbalance_jax.training.placement import Placement
from imbalance_jax.training.trained import Trained

REFERENCE_IMAGES = 64  # training images whose activations the information bottleneck's noise is like

Maps = Callable[..., jax.Array]  # variables, arrays [n,...] such as images, classes and rows -> [n,H,W]
Scorer = Callable[..., dict[str, jax.Array]]  # maps [P,n,H,W], *arrays [n,...] -> figures [P,n,...]


def make_network(model: Any, layer: str) -> Callable:
    """`network(variables, images, shift) -> (logits, activation of layer)`, as `attribution.all_classes` wants it."""

    def network(variables, images, shift):
        added = {} if shift is None else {'perturbations': {layer: shift}}
        logits, out = model.apply({**variables, **added}, images)
        return logits, out[layer]

    return network


def make_maps(trained: Trained, method: str) -> Maps:
    """Returns `maps(variables, images [B,H,W,C] uint8, classes [B], rows [B]) -> [B,H,W]` of one member.

    rows: the images' numbers, from which methods that need random numbers draw them. A baseline may also be 'black',
    the normalised grey value 0.
    """
    options = options_of(trained, method)
    network = make_network(trained.model, trained.layer_of(trained.config.attribution.layer))
    bottleneck = 'information_bottleneck' in (method, options.get('method'))
    reference = trained.dataset.images[trained.dataset.rows('train')[:REFERENCE_IMAGES]] if bottleneck else None

    def maps(variables, images, classes, rows):
        noise = {}
        if bottleneck:
            activation = network(variables, trained.normalise(jnp.asarray(reference)), None)[1]
            noise = {'mean': activation.mean(0, keepdims=True), 'deviation': activation.std(0, keepdims=True)}
        class_maps = all_classes.class_maps(network, method, {**options, **noise})
        rows = jnp.broadcast_to(jnp.asarray(rows), classes.shape)
        return class_maps(variables, trained.normalise(images), jnp.asarray(classes)[:, None], rows)[:, 0]

    return maps


def options_of(trained: Trained, method: str) -> dict[str, Any]:
    """The config's options of a method; ValueError for a method that there is not."""
    lookup(attribution.METHODS, method, 'attribution method')
    options = dict(trained.config.attribution.get(method, {}))
    if options.get('baseline') == 'black':
        options['baseline'] = float(trained.normalise(jnp.zeros(1, jnp.uint8))[0])
    return options


def make_scorer(figures: Callable[..., dict[str, jax.Array]], place: Placement, *, memory_mib: float) -> Scorer:
    """Returns `scorer(maps [P,n,H,W], *arrays [n,...])`: `figures(maps [n,H,W], *arrays)` of every member.

    It is compiled at its first call, for as many of the n maps at a time as stay within the memory budget on each
    device, and kept for all methods whose maps are as many and as large. ValueError if not even one map fits.
    """
    mapped: Any = place.map(figures)
    programs: dict[tuple[int, ...], Scorer] = {}

    def of_some(maps, positions, *arrays):
        return mapped(jax.lax.dynamic_slice_in_dim(maps, positions[0], len(positions), axis=1), *arrays)

    def program(size: int, count: int) -> Any:
        chunks = all_classes.in_chunks(of_some, size)
        return mapped if size == count else jax.jit(lambda maps, *arrays: chunks(maps, jnp.arange(count), *arrays))

    def scorer(maps, *arrays):
        if maps.shape not in programs:
            programs[maps.shape] = compile_within(program, maps, arrays, memory_mib=memory_mib)
        return programs[maps.shape](maps, *arrays)

    return scorer


def compile_within(
    program: Callable[[int, int], Any], members: Any, arrays: tuple[Any, ...], *, memory_mib: float
) -> Callable:
    """The compiled `program(size, n)(members, *arrays [n,...])`, which takes `size` of the n examples at a time, of the
    largest size that stays within the memory budget on each device. ValueError if one example needs more."""
    count = len(arrays[0])

    def compiled(size: int) -> Any:
        return program(size, count).lower(members, *arrays).compile()

    return all_classes.fit(compiled, count, int(memory_mib * all_classes.MIB)).call


def slab_size(trained: Trained, count: int) -> int:
    """Pairs whose maps are made by one call. The maps are a result, beside what a program holds: they take no more than
    a quarter of the budget, however many members there are."""
    setting, (height, width, _) = trained.config.attribution, trained.image_shape
    bytes_per_pair = trained.with_untrained[0].queue * height * width * 4
    most = int(setting.memory_mib * all_classes.MIB) // (4 * bytes_per_pair)
    return int(np.clip(most, 1, min(setting.batch_size, count)))


def in_slabs(
    trained: Trained,
    maps: Maps,
    arrays: tuple[np.ndarray, ...],
    *,
    phase: str,
    keep: Sequence[int] | np.ndarray = (),
    scorer: Scorer | None = None,
    regions: tuple[np.ndarray, ...] = (),
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What `scorer(maps, *regions)` says of `maps(variables, *arrays)`, for arrays and regions [M,...], of the members
    and the untrained networks: figures [P + S,M,...]; and the maps at the rows `keep` [P + S,G,H,W]."""
    place, variables = trained.with_untrained
    count, keep = len(arrays[0]), np.asarray(keep, int)
    size = slab_size(trained, count)
    programs: list[Callable] = []
    mapped: Any = place.map(maps)
    kept = np.zeros((place.num_members, len(keep), *trained.image_shape[:2]), np.float32)

    def program(chunk: int, count: int) -> Any:
        return mapped if chunk == count else jax.jit(all_classes.in_chunks(mapped, chunk))

    def slab(positions, arrays, regions):
        batch, start = place.shared(arrays), int(positions[0])
        if not programs:
            memory_mib = trained.config.attribution.memory_mib
            programs.append(compile_within(program, variables, batch, memory_mib=memory_mib))
        result = programs[0](variables, *batch)
        here = (keep >= start) & (keep < start + size)
        if here.any():
            kept[:, here] = np.asarray(result)[: place.num_members, keep[here] - start]
        figures = place.fetch(scorer(result, *place.shared(regions))) if scorer else {}
        update(min(start + size, count), note=f'{len(trained.members)} members')
        return figures

    with progress.show(phase, count) as update:
        figures = in_batches(slab, (np.arange(count), arrays, regions), size, axis=1)
    return figures, kept


def seed_numbers(members: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Which of the untrained networks, one per seed, each member began as: [P]."""
    seeds = list(dict.fromkeys(row['seed'] for row in members))
    return np.array([seeds.index(row['seed']) for row in members])
