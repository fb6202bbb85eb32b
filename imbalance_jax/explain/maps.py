"""Maps of a trained population, and figures of the maps, within a memory budget.

One compiled program makes the maps of a slab of pairs for all members, and beside them for the networks that they
began as; another, the scorer, says how good they are. Either takes as many pairs at a time as fit the budget.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax import attribution
from imbalance_jax.attribution import all_classes
from imbalance_jax.data.arrays import in_batches
from imbalance_jax.explain.budget import budget, chunked, compile_within
from imbalance_jax.names import lookup
from imbalance_jax.system import progress
from imbalance_jax.training.placement import MEMBER, OF_EXAMPLES, SHARED, Placement
from imbalance_jax.training.trained import Asked, Trained

REFERENCE_IMAGES = 64  # training images whose activations the information bottleneck's noise is like
PIXELS_ON_CPU = 2**18  # of the images of a call: 64 of 64 x 64
SILENT = 0.01  # the share of reference images in which an activation that counts in a bottleneck is not 0

Maps = Callable[..., jax.Array]  # variables, arrays [n,...] such as images, classes and rows -> [n,H,W]
Scorer = Callable[..., dict[str, jax.Array]]  # maps [P,n,H,W], *arrays [n,...] -> figures [P,n,...]


def make_network(model: Any, layer: str) -> Callable:
    """`network(variables, images, shift) -> (logits, activation of layer)`, as `attribution.all_classes` wants it."""

    def network(variables, images, shift):
        added = {} if shift is None else {'perturbations': {layer: shift}}
        logits, out = model.apply({**variables, **added}, images)
        return logits, out[layer]

    return network


def make_maps(trained: Trained, method: str, options: Mapping[str, Any] | None = None) -> Maps:
    """Returns `maps(variables, images [B,H,W,C] uint8, classes [B], rows [B]) -> [B,H,W]` of one member.

    rows: the images' numbers, from which methods that need random numbers draw them. options: the config's, unless
    others are given. A baseline may also be 'black', the value 0 in every channel, normalised.
    """
    options = options_of(trained, method) if options is None else options
    network = make_network(trained.model, trained.layer_of(trained.config.attribution.layer))
    bottleneck = 'information_bottleneck' in (method, options.get('method'))
    reference = trained.dataset.images[trained.dataset.rows('train')[:REFERENCE_IMAGES]] if bottleneck else None

    def maps(variables, images, classes, rows):
        noise = {}
        if bottleneck:
            activation = network(variables, trained.normalise(jnp.asarray(reference)), None)[1]
            noise = {'mean': activation.mean(0, keepdims=True), 'deviation': activation.std(0, keepdims=True)}
            noise['active'] = (activation != 0).mean(0, keepdims=True) > SILENT
        class_maps = all_classes.class_maps(network, method, {**options, **noise})
        rows = jnp.broadcast_to(jnp.asarray(rows), classes.shape)
        return class_maps(variables, trained.normalise(images), jnp.asarray(classes)[:, None], rows)[:, 0]

    return maps


def asked_of_maps(trained: Trained, methods: Sequence[str]) -> Iterator[Asked]:
    """The programs of `make_signed_maps` of one pair."""
    for method in methods:
        yield Asked(f'maps by {method}', make_signed_maps(trained, method), pair_shapes(trained))


def pair_shapes(trained: Trained, count: int = 1) -> tuple[jax.ShapeDtypeStruct, ...]:
    """The shapes of images [n,H,W,C], classes [n] and rows [n]."""
    images = jax.ShapeDtypeStruct((count, *trained.image_shape), np.uint8)
    return images, *(jax.ShapeDtypeStruct((count,), np.int32) for _ in range(2))


def make_signed_maps(trained: Trained, method: str) -> Maps:
    """Returns `maps` like those of `make_maps`, [B,V,H,W]: as the method gives them, and with their sign where that is
    another map (V = 2), as of a class activation map that a ReLU cuts at 0 (`attribution.signed_options`)."""
    own = options_of(trained, method)
    signed = attribution.signed_options(method, own)
    versions = [make_maps(trained, method)]
    if signed != own:
        versions.append(make_maps(trained, method, signed))
    return lambda *arrays: jnp.stack([maps(*arrays) for maps in versions], axis=1)


def options_of(trained: Trained, method: str) -> dict[str, Any]:
    """The config's options of a method; ValueError for a method that there is not."""
    lookup(attribution.METHODS, method, 'attribution method')
    options = dict(trained.config.attribution.get(method, {}))
    if options.get('baseline') == 'black':
        channels = trained.image_shape[-1]
        black = np.asarray(trained.normalise(jnp.zeros(channels, jnp.uint8)))
        options['baseline'] = float(black[0]) if channels == 1 else black
    return options


def make_scorer(
    figures: Callable[..., dict[str, jax.Array]],
    place: Placement,
    *,
    memory_mib: float,
    whole: tuple[Any, ...] = (),
    variables: Any = None,
) -> Scorer:
    """Returns `scorer(maps [P,n,...], *arrays [n,...])`: `figures(maps [n,...], *arrays, *whole)` of every member.

    It is compiled at its first call, for as many of the n maps at a time as stay within the memory budget on each
    device, and kept for all methods whose maps are as many and as large. `whole`: arrays that all maps need whole;
    `variables`: a tree [P,...], with which a member's maps become `(variables, maps)`. ValueError if not even one map
    fits.
    """
    programs: dict[tuple[int, ...], Callable] = {}
    whole, lie = place.shared(whole), (OF_EXAMPLES, SHARED, MEMBER)

    def beside(maps, members):
        return maps if variables is None else (members[2], maps)

    def program(mapper: Callable, size: int, count: int) -> Any:
        mapped: Any = mapper(figures)

        def of_some(members, positions, *arrays):
            maps = jax.lax.dynamic_slice_in_dim(members[0], positions[0], len(positions), axis=1)
            return mapped(beside(maps, members), *arrays, *members[1])

        if size == count:
            return jax.jit(lambda members, *arrays: mapped(beside(members[0], members), *arrays, *members[1]))
        chunks = all_classes.in_chunks(of_some, size)
        return jax.jit(lambda members, *arrays: chunks(members, jnp.arange(count), *arrays))

    def scorer(maps, *arrays):
        members = (maps, whole, variables)
        if maps.shape not in programs:
            asked: dict[str, Any] = {'memory_mib': memory_mib, 'count': maps.shape[1], 'lie': lie}
            programs[maps.shape] = compile_within(program, place, members, arrays, **asked)
        return programs[maps.shape](members, *arrays)

    return scorer


def slab_size(trained: Trained, count: int, versions: int = 1) -> int:
    """Pairs whose maps, `versions` of each, are made by one call. The maps are a result, beside what a program holds:
    they take no more than a quarter of the budget, however many members there are. On a CPU, where large images take
    long, each device makes few per call, so that progress is seen."""
    setting, (height, width, _) = trained.config.attribution, trained.image_shape
    place = trained.with_untrained[0]
    bytes_per_pair = place.queue * height * width * 4 * versions
    most = budget(setting.memory_mib).wanted // (4 * bytes_per_pair)
    if jax.default_backend() == 'cpu':
        most = min(most, PIXELS_ON_CPU // (height * width))
    return place.evenly(int(np.clip(place.shares * most, 1, min(setting.batch_size, count))))


def in_slabs(
    trained: Trained,
    maps: Maps,
    arrays: tuple[Any, ...],
    *,
    phase: str,
    keep: Sequence[int] | np.ndarray = (),
    scorer: Scorer | None = None,
    regions: tuple[np.ndarray, ...] = (),
    beside: Callable[[jax.Array, int], None] | None = None,
    versions: int = 1,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What `scorer(maps, *regions)` says of `maps(variables, *arrays)`, for arrays (of NumPy, or `streams.Rows`) and
    regions [M,...], of the members
    and the networks that they began as: figures [P + B,M,...]; and the maps at the rows `keep` [P + B,G,...].

    beside: is given every slab's maps [P',n,...] on the devices, and how many of the n are not there for the second
    time; versions: maps per pair, of those that there are at a time.
    """
    place, variables = trained.with_untrained
    count, keep = len(arrays[0]), np.asarray(keep, int)
    size = slab_size(trained, count, versions)
    programs: list[Callable] = []
    kept: list[np.ndarray] = []

    def slab(positions, arrays, regions):
        batch, start = place.shared(arrays), int(positions[0])
        if not programs:
            memory_mib = trained.config.attribution.memory_mib
            programs.append(compile_within(chunked(maps), place, variables, batch, memory_mib=memory_mib))
        result = programs[0](variables, *batch)
        here = (keep >= start) & (keep < start + size)
        if not kept:
            kept.append(np.zeros((place.num_members, len(keep), *result.shape[2:]), np.float32))
        if here.any():
            kept[0][:, here] = np.asarray(result)[: place.num_members, keep[here] - start]
        if beside:
            beside(result, min(size, count - start))
        figures = place.fetch(scorer(result, *place.shared(regions))) if scorer else {}
        update(min(start + size, count), note=f'{len(trained.members)} members')
        return figures

    with progress.show(phase, count) as update:
        figures = in_batches(slab, (np.arange(count), arrays, regions), size, axis=1)
    return figures, kept[0]
