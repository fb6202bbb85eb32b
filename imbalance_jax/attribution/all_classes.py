"""All classes of all images of all members in one compiled program, whose memory does not grow with the request.

A network is `network(member, images [B, H, W, C], shift) -> (logits [B, K], activation [B, h, w, U] or None)`, where
`shift` is added to the activation of the layer that is looked at; None adds nothing. The program walks through the
images in chunks, for all members, and holds one chunk's intermediate values at a time beside what it was given and what
it returns. How much fits a budget in bytes is asked of the compiler, which has counted it (`memory_analysis`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from imbalance_jax.attribution.methods import METHODS, needs_key, needs_layer
from imbalance_jax.names import lookup
from imbalance_jax.system import environment

MIB = 2**20


def one_after_the_other(fn: Callable) -> Callable:
    """`mapped(members, *shared)`: `fn(member, *shared)` of every member, in a loop."""
    return lambda members, *shared: jax.lax.map(lambda member: fn(member, *shared), members)


def class_maps(network: Callable, method: str, options: dict) -> Callable:
    """Returns `maps(member, images [n,H,W,C], classes [n,k], rows [n]) -> [n,k,H,W]`: each image's maps of k classes.

    The classes are mapped inside, so that what does not depend on the class - the forward pass, the images that
    occlusion covers or SmoothGrad disturbs - is computed once for all of them. `rows` number the images: a method that
    draws random numbers draws an image's by its number, whatever chunk it is in, and the same for all classes.
    """
    attribute = lookup(METHODS, method, 'attribution method')
    looks_inside, draws = needs_layer(method, options), needs_key(method)

    def of_classes(member, images, chosen, **random):
        """chosen: [n,K], 1 at each image's class."""

        def score(x):
            return (network(member, x, None)[0] * chosen).sum(-1)

        def layer(x, shift=None):
            logits, activation = network(member, x, shift)
            return (logits * chosen).sum(-1), activation

        inside = {'layer': layer} if looks_inside else {}
        maps = attribute(score, images, **options, **inside, **random)
        return maps.astype(jnp.promote_types(maps.dtype, jnp.float32))

    def maps(member, images, classes, rows):
        count = jax.eval_shape(lambda x: network(member, x, None)[0], images).shape[-1]
        chosen = jax.nn.one_hot(classes, count, axis=-1)
        if not draws:
            return jax.vmap(lambda one: of_classes(member, images, one), 1, 1)(chosen)

        def of_image(image, chosen, row):
            key = jax.random.fold_in(environment.key(0), row)
            return jax.vmap(lambda one: of_classes(member, image[None], one[None], key=key)[0])(chosen)

        return jax.vmap(of_image)(images, chosen, rows)

    return maps


def in_chunks(mapped: Callable, size: int) -> Callable:
    """Returns `call(members, *arrays [N,...])`: `mapped(members, *arrays [size,...])`, a tree [P, size, ...], of all N,
    `size` at a time in a loop; a tree [P, N, ...].

    The last chunk overlaps the one before it where `size` does not divide N, so nothing is padded or copied.
    """

    def call(members, *arrays):
        count = len(arrays[0])
        n = min(size, count)
        shapes = jax.eval_shape(mapped, members, *(a[:n] for a in arrays))
        empty = jax.tree.map(lambda s: jnp.zeros((s.shape[0], count, *s.shape[2:]), s.dtype), shapes)

        def step(i, results):
            start = jnp.minimum(i * n, count - n)
            chunk = mapped(members, *(jax.lax.dynamic_slice_in_dim(a, start, n) for a in arrays))
            put = jax.lax.dynamic_update_slice_in_dim
            return jax.tree.map(lambda whole, new: put(whole, new, start, 1), results, chunk)

        return jax.lax.fori_loop(0, -(-count // n), step, empty)

    return call


class Fitted(NamedTuple):
    """A compiled program, how many images it takes at a time, the bytes it holds beside arguments and result."""

    call: Any
    at_once: int
    bytes: int


def fit(compiled: Callable[[int], Any], most: int, budget: int) -> Fitted:
    """The program that takes as many images at a time, up to `most`, as stay within `budget` bytes.

    `compiled(size)` compiles it for chunks of `size`. Raises ValueError if even a chunk of 1 needs more.
    """
    program = shrunk(compiled, most, budget)
    if program.bytes > budget:
        raise ValueError(f'One image needs {program.bytes:,} bytes, and the memory budget is {budget:,}.')
    return program


def shrunk(compiled: Callable[[int], Any], most: int, budget: int) -> Fitted:
    """The program of the largest chunk that stays within `budget` bytes, or of a chunk of 1, which may need more."""
    program = _measured(compiled, most)
    while program.bytes > budget and program.at_once > 1:
        # A chunk that is too large says how large one may be, as most of what it holds grows with it.
        size = min(program.at_once - 1, int(program.at_once * budget / program.bytes))
        program = _measured(compiled, max(1, size))
    return program


def _measured(compiled: Callable, size: int) -> Fitted:
    program = compiled(size)
    analysis = program.memory_analysis()
    return Fitted(program, at_once=size, bytes=analysis.temp_size_in_bytes if analysis else 0)


class Request(NamedTuple):
    """`maps(members, images [B,H,W,C]) -> [P,B,K,H,W]`, compiled, and what it takes at a time within its budget."""

    maps: Callable
    images_at_once: int
    classes_at_once: int
    bytes: int


def all_classes(
    network: Callable,
    members: Any,
    images: jax.Array,
    *,
    method: str = 'gradient',
    budget: int = 256 * MIB,
    mapper: Callable = one_after_the_other,
    options: dict | None = None,
) -> Request:
    """The program for every class's map of images like `images` [B,H,W,C], of members like `members` [P, ...].

    `budget`: the bytes that it may hold beside its arguments and its result. As many classes as fit are computed
    together, and as many images; a larger request runs longer in the same memory. `mapper(fn)` maps `fn(member,
    *shared)` over members. `options` are the method's, but for `key` and `layer`. Raises ValueError for an unknown
    method or a budget that not even one class of one image fits into.
    """
    member = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), members)
    one_image = jax.ShapeDtypeStruct((1, *images.shape[1:]), images.dtype)
    num_classes = jax.eval_shape(lambda m, x: network(m, x, None)[0], member, one_image).shape[-1]
    mapped = mapper(class_maps(network, method, options or {}))

    def compiled(images_at_once: int, classes_at_once: int) -> Any:
        program = _of_all_classes(mapped, num_classes, images_at_once, classes_at_once)
        return jax.jit(program).lower(members, images).compile()

    classes, program = num_classes, shrunk(lambda size: compiled(size, num_classes), len(images), budget)
    if program.bytes > budget:
        classes, program = 1, fit(lambda size: compiled(size, 1), len(images), budget)
    return Request(program.call, program.at_once, classes, program.bytes)


def _of_all_classes(mapped: Callable, num_classes: int, images_at_once: int, classes_at_once: int) -> Callable:
    """Returns `call(members, images [B,H,W,C]) -> [P,B,K,H,W]`, so many images and classes at a time in two loops."""
    groups, of_group = -(-num_classes // classes_at_once), in_chunks(mapped, images_at_once)

    def call(members, images):
        rows = jnp.arange(len(images))
        classes = jnp.broadcast_to(jnp.arange(classes_at_once), (len(images), classes_at_once))
        if groups == 1:
            return of_group(members, images, classes, rows)
        # Of the groups the last overlaps the one before it, as the chunks of images do.
        first = jnp.minimum(jnp.arange(groups) * classes_at_once, num_classes - classes_at_once)

        def step(g, maps):
            group = of_group(members, images, classes + first[g], rows)
            return jax.lax.dynamic_update_slice_in_dim(maps, group, first[g], 2)

        shape = (len(jax.tree.leaves(members)[0]), len(images), num_classes, *images.shape[1:3])
        return jax.lax.fori_loop(0, groups, step, jnp.zeros(shape))

    return call
