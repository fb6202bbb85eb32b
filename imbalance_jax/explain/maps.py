"""Maps of a trained population, and figures of the maps, within a memory budget.

One compiled program makes the maps of a slab of pairs for all members, and beside them for the networks that they
began as; another, the scorer, says how good they are. Either takes as many pairs at a time as fit the budget.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax import attribution
from imbalance_jax.attribution import all_classes
from imbalance_jax.data.arrays import in_batches
from imbalance_jax.explain.budget import budget, chunked, compile_within
from imbalance_jax.names import lookup
from imbalance_jax.system import progress
from imbalance_jax.system.threads import Once
from imbalance_jax.training.placement import MEMBER, OF_EXAMPLES, SHARED, Placement
from imbalance_jax.training.trained import Asked, Trained

REFERENCE_IMAGES = 64  # training images whose activations the information bottleneck's noise is like
PIXELS_ON_CPU = 2**18  # of the images of a call: 64 of 64 x 64
SILENT = 0.01  # the share of reference images in which an activation that counts in a bottleneck is not 0

Maps = Callable[..., jax.Array]  # variables, arrays [n,...] such as images, classes and rows -> [n,H,W]
Questions = Sequence[tuple['Scorer', tuple[np.ndarray, ...]]]  # scorers of the same maps, each with its arrays [M,...]


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


class Signed(NamedTuple):
    """Maps as a method gives them, and with their sign: the same array, where that is no other map."""

    given: Any
    signed: Any


def make_signed_maps(trained: Trained, method: str) -> Callable[..., tuple[jax.Array, ...]]:
    """Returns `maps` like those of `make_maps`, a tuple: as the method gives them, and with their sign where that is
    another map, as of a class activation map that a ReLU cuts at 0 (`attribution.signed_options`)."""
    own = options_of(trained, method)
    signed = attribution.signed_options(method, own)
    versions = [make_maps(trained, method)]
    if signed != own:
        versions.append(make_maps(trained, method, signed))
    return lambda *arrays: tuple(maps(*arrays) for maps in versions)


def with_sign(maps: Any) -> Any:
    """`Signed` of a tuple of maps, whose program is the same for all methods; other maps as they are."""
    return Signed(maps[0], maps[-1]) if isinstance(maps, tuple) else maps


def options_of(trained: Trained, method: str) -> dict[str, Any]:
    """The config's options of a method; ValueError for a method that there is not."""
    lookup(attribution.METHODS, method, 'attribution method')
    options = dict(trained.config.attribution.get(method, {}))
    if options.get('baseline') == 'black':
        channels = trained.image_shape[-1]
        black = np.asarray(trained.normalise(jnp.zeros(channels, jnp.uint8)))
        options['baseline'] = float(black[0]) if channels == 1 else black
    return options


class Scorer:
    """`scorer(maps [P,n,...], *arrays [n,...])`: `figures(maps [n,...], *arrays, *whole)` of every member, [P,n,...].
    Maps may be a tree of arrays.

    It is compiled at its first call, or before (`compiled`), for as many of the n maps at a time as stay within the
    memory budget on each device, and kept for all methods whose maps are as many and as large. `whole`: arrays that all
    maps need whole; `variables`: a tree [P,...], with which a member's maps become `(variables, maps)`. ValueError if
    not even one map fits.
    """

    def __init__(
        self,
        figures: Callable[..., dict[str, jax.Array]],
        place: Placement,
        *,
        memory_mib: float,
        whole: tuple[Any, ...] = (),
        variables: Any = None,
    ) -> None:
        self._figures, self._place, self._memory_mib = figures, place, memory_mib
        self._whole, self._variables = place.shared(whole), variables
        self._programs = Once()

    def __call__(self, maps: Any, *arrays: Any) -> dict[str, jax.Array]:
        return self.compiled(maps, arrays)((maps, self._whole, self._variables), *arrays)

    def compiled(self, maps: Any, arrays: tuple[Any, ...]) -> jax.stages.Compiled:
        """The program for maps and arrays of these shapes, which may be those of what is not there yet."""
        members, lie = (maps, self._whole, self._variables), (OF_EXAMPLES, SHARED, MEMBER)
        shapes = tuple(leaf.shape for leaf in jax.tree.leaves(maps))
        what: dict[str, Any] = {'memory_mib': self._memory_mib, 'count': shapes[0][1], 'lie': lie}
        return self._programs(shapes, lambda: compile_within(self._program, self._place, members, arrays, **what))

    def _program(self, mapper: Callable, size: int, count: int) -> Any:
        mapped: Any = mapper(self._figures)

        def beside(maps, members):
            return maps if self._variables is None else (members[2], maps)

        def of_some(members, positions, *arrays):
            start, number = positions[0], len(positions)
            maps = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, number, axis=1), members[0])
            return mapped(beside(maps, members), *arrays, *members[1])

        if size == count:
            return jax.jit(lambda members, *arrays: mapped(beside(members[0], members), *arrays, *members[1]))
        chunks = all_classes.in_chunks(of_some, size)
        return jax.jit(lambda members, *arrays: chunks(members, jnp.arange(count), *arrays))


def slab_size(trained: Trained, place: Placement, count: int, versions: int = 1) -> int:
    """Pairs whose maps, `versions` of each, are made by one call. The maps are a result, beside what a program holds:
    they take no more than a quarter of the budget, however many members there are. On a CPU, where large images take
    long, each device makes few per call, so that progress is seen."""
    setting, (height, width, _) = trained.config.attribution, trained.image_shape
    bytes_per_pair = place.queue * height * width * 4 * versions
    most = budget(setting.memory_mib).wanted // (4 * bytes_per_pair)
    if jax.default_backend() == 'cpu':
        most = min(most, PIXELS_ON_CPU // (height * width))
    return place.evenly(int(np.clip(place.shares * most, 1, min(setting.batch_size, count))))


class Slab(NamedTuple):
    """The compiled program that makes the maps of `size` pairs of some networks, `call(*arrays [size,...])`, where they
    lie, and the maps' shape and place, `maps` [P',size,H,W]; of a tuple of maps, that of `Signed`."""

    call: Callable
    size: int
    place: Placement
    maps: Any


def compile_slab(
    trained: Trained,
    maps: Callable,
    arrays: tuple[Any, ...],
    *,
    networks: tuple[Placement, Any],
    versions: int = 1,
    asked: Questions = (),
) -> Slab:
    """The program for `maps(variables, *arrays)` of arrays [M,...]; with it those of the scorers that are asked.

    networks: `trained.members_alone` or `trained.with_untrained`; versions: maps per pair, of those that there are at a
    time.
    """
    place, variables = networks
    size = slab_size(trained, place, len(arrays[0]), versions)
    batch = place.shared(tuple(np.asarray(array[:size]) for array in arrays))
    memory_mib = trained.config.attribution.memory_mib
    call = compile_within(chunked(maps), place, variables, batch, memory_mib=memory_mib)
    slab = Slab(lambda *given: with_sign(call(variables, *given)), size, place, with_sign(call.out_info))
    for scorer, regions in asked:
        scorer.compiled(slab.maps, place.shared(tuple(array[:size] for array in regions)))
    return slab


def in_slabs(
    trained: Trained,
    program: Callable[[], Slab],
    arrays: tuple[Any, ...],
    *,
    phase: str,
    keep: Sequence[int] | np.ndarray = (),
    asked: Questions = (),
    beside: Callable[[Any, int], None] | None = None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What scorers say of the maps of arrays [M,...] (of NumPy, or `streams.Rows`), of the P' networks of the program:
    figures [P',M,...]; and the maps at the rows `keep` [P',G,...].

    program: gives that of `compile_slab`, once it is there; beside: is given every slab's maps [P',n,...] on the
    devices, and how many of the n are not there for the second time.
    """
    count, keep = len(arrays[0]), np.asarray(keep, int)
    with progress.show(phase, count) as update:
        slab = program()
        place = slab.place
        given = jax.tree.leaves(slab.maps)[0]
        kept = np.zeros((place.num_members, len(keep), *given.shape[2:]), np.float32)

        def of_some(positions, arrays, regions):
            start, end = int(positions[0]), int(positions[0]) + slab.size
            result = slab.call(*place.shared(arrays))
            here = (keep >= start) & (keep < end)
            if here.any():
                kept[:, here] = place.fetch(jax.tree.leaves(result)[0])[:, keep[here] - start]
            if beside:
                beside(result, min(slab.size, count - start))
            figures: dict[str, np.ndarray] = {}
            for (scorer, _), of_scorer in zip(asked, regions, strict=True):
                figures |= place.fetch(scorer(result, *place.shared(of_scorer)))
            update(min(end, count), note=f'{len(trained.members)} members')
            return figures

        every = (np.arange(count), arrays, tuple(regions for _, regions in asked))
        figures = in_batches(of_some, every, slab.size, axis=1)
    return figures, kept
