"""Maps of a trained population, and how they align with findings: its members' and of what stands in for them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax import attribution
from imbalance_jax.attribution import all_classes as request
from imbalance_jax.data import arrays as data_arrays
from imbalance_jax.names import lookup
from imbalance_jax.system import progress as display

REFERENCE_IMAGES = 64  # training images whose activations the information bottleneck's noise is like


def make_network(model, layer: str) -> Callable:
    """`network(variables, images, shift) -> (logits, activation of layer)`, as `attribution.request` wants it."""

    def network(variables, images, shift):
        added = {} if shift is None else {'perturbations': {layer: shift}}
        logits, out = model.apply({**variables, **added}, images)
        return logits, out[layer]

    return network


def make_maps(trained, method: str) -> Callable:
    """Returns `maps(variables, images [B,H,W,C] uint8, classes [B], rows [B]) -> [B,H,W]` of one member.

    rows: the images' numbers, from which methods that need random numbers draw them. A baseline may also be 'black',
    the normalised grey value 0.
    """
    model, normalise, setting = trained.model, trained.normalise, trained.config.attribution
    options = options_of(trained, method)
    layer = trained.layer_of(setting.layer)
    network = make_network(model, layer)
    bottleneck = 'information_bottleneck' in (method, options.get('method'))
    reference = trained.dataset.images[trained.dataset.rows('train')[:REFERENCE_IMAGES]] if bottleneck else None

    def maps(variables, images, classes, rows):
        own = dict(options)
        if bottleneck:
            activation = network(variables, normalise(jnp.asarray(reference)), None)[1]
            own |= {'mean': activation.mean(0, keepdims=True), 'deviation': activation.std(0, keepdims=True)}
        found = request.class_maps(network, method, own)
        rows = jnp.broadcast_to(jnp.asarray(rows), classes.shape)
        return found(variables, normalise(images), jnp.asarray(classes)[:, None], rows)[:, 0]

    return maps


def options_of(trained, method: str) -> dict:
    """The config's options of a method; ValueError for a method that there is not."""
    lookup(attribution.METHODS, method, 'attribution method')
    options = dict(trained.config.attribution.get(method, {}))
    if options.get('baseline') == 'black':
        options['baseline'] = float(trained.normalise(np.zeros(1, np.uint8))[0])
    return options


def make_judge(trained, figures: Callable) -> Callable:
    """`judge(maps [P + S,n,H,W], *arrays [n,...])`: `figures(maps, *arrays)` of every member, compiled at its first
    call within the memory budget, and kept for all methods whose maps are as many and as large."""
    place, kept = trained.with_untrained[0], {}
    mapped = place.map(figures)

    def judge(maps, *arrays):
        if maps.shape not in kept:
            kept[maps.shape] = _fit(trained, mapped, maps, arrays)
        return kept[maps.shape](maps, *arrays)

    return judge


def _fit(trained, mapped: Callable, first, arrays: tuple):
    """The compiled program of `mapped(first, *arrays [n,...])` that stays within the config's memory budget."""
    size = len(arrays[0])

    def compiled(chunk: int):
        whole = mapped if chunk == size else jax.jit(request.in_chunks(mapped, chunk))
        return whole.lower(first, *arrays).compile()

    return request.fit(compiled, size, int(trained.config.attribution.memory_mib * request.MIB)).call


def in_slabs(
    trained, maps: Callable, arrays: tuple, phase: str, keep=(), judge: Callable | None = None, regions: tuple = ()
) -> tuple[dict, np.ndarray]:
    """What `judge(maps, *regions)` says of `maps(variables, *arrays)`, for arrays and regions [M,...], of the members
    and the untrained networks: figures [P + S,M,...]; and the maps at the rows `keep` [P + S,G,H,W].

    One compiled program makes the maps of a slab of pairs for all of them, and within it as many at a time as the
    config's memory budget allows.
    """
    setting, count, (place, variables) = trained.config.attribution, len(arrays[0]), trained.with_untrained
    height, width = trained.image_shape[:2]
    # The maps of a slab are a result, beside what a program holds: no more than a quarter of the budget.
    most = int(setting.memory_mib * request.MIB) // (4 * place.queue * height * width * 4)
    size = int(np.clip(most, 1, min(setting.batch_size, count)))
    slabs, program, parts, kept = data_arrays.full_batches(count, size), None, [], []
    with display.show(phase, count) as update:
        for number, index in enumerate(slabs):
            batch, asked = (place.shared(tuple(a[index] for a in one)) for one in (arrays, regions))
            program = program or _fit(trained, place.map(maps), variables, batch)
            found = program(variables, *batch)
            parts.append(place.fetch(judge(found, *asked)) if judge else {})
            first = np.isin(index, keep) & (np.arange(size) < count - number * size)
            kept.append(np.asarray(found)[: place.num_members, first].astype(np.float32))
            update(min((number + 1) * size, count), note=f'{len(trained.members)} members')
    joined = jax.tree.map(lambda *a: np.concatenate(a, axis=1)[:, :count], *parts)
    return joined, np.concatenate(kept, axis=1)
