"""A trained member as a program of its own: `jax.export` with its weights inside, for any number of images.

Whoever reads it needs JAX and nothing else: `jax.export.deserialize(bytearray(open(FILE, 'rb').read())).call(images)`.
"""

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.attribution.methods import METHODS, needs_key, needs_layer
from imbalance_jax.names import lookup

PLATFORMS = ('cpu', 'cuda', 'tpu')
Apply = Callable[..., Any]
Normalise = Callable[[jax.Array], jax.Array]


def logits_of(model: Any, normalise: Normalise, variables: Any) -> Callable[[jax.Array], jax.Array]:
    """Images [b,H,W,C] uint8, as the set prepares them, -> logits [b,K] of one member."""
    return lambda images: model.apply(variables, normalise(images))[0]


def probabilities_of(model: Any, normalise: Normalise, members: Sequence[Any]) -> Callable[[jax.Array], jax.Array]:
    """Images [b,H,W,C] uint8 -> the mean [b,K] of the probabilities of several members, one variables each."""
    each = [logits_of(model, normalise, variables) for variables in members]
    return lambda images: jnp.stack([jax.nn.sigmoid(logits(images)) for logits in each]).mean(0)


def map_of(
    model: Any, normalise: Normalise, variables: Any, *, method: str, layer: str, options: dict[str, Any]
) -> Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    """(images [b,H,W,C] uint8, class [] int32) -> logits [b,K] and maps [b,H,W] of that class.

    Raises ValueError for an unknown method, and one that draws random numbers.
    """
    attribute = lookup(METHODS, method, 'attribution method')
    if needs_key(method):
        raise ValueError(f'Method {method!r} draws random numbers, so it is not exported; take grad_cam or saliency.')

    def with_activation(x: jax.Array, shift: Any) -> tuple[jax.Array, jax.Array]:
        given = variables if shift is None else {**variables, 'perturbations': {layer: shift}}
        logits, out = model.apply(given, x)
        return logits, out[layer]

    def explained(images: jax.Array, chosen: jax.Array) -> tuple[jax.Array, jax.Array]:
        def of_layer(x: jax.Array, shift: Any = None) -> tuple[jax.Array, jax.Array]:
            logits, activation = with_activation(x, shift)
            return logits[:, chosen], activation

        inside = {'layer': of_layer} if needs_layer(method, options) else {}
        x = normalise(images)
        maps = attribute(lambda x: model.apply(variables, x)[0][:, chosen], x, **options, **inside)
        return model.apply(variables, x)[0], maps

    return explained


def serialise(function: Callable[..., Any], image_shape: tuple[int, ...], *others: jax.ShapeDtypeStruct) -> bytes:
    """A function of images [b,H,W,C] uint8, for any b, and others, as a file of `jax.export`."""
    (count,) = jax.export.symbolic_shape('b')
    images = jax.ShapeDtypeStruct((count, *image_shape), jnp.uint8)
    return bytes(jax.export.export(jax.jit(function), platforms=PLATFORMS)(images, *others).serialize())


def possible() -> bool:
    """Whether what `jax.export` needs to write and read files is installed."""
    return importlib.util.find_spec('flatbuffers') is not None


def chosen_class() -> jax.ShapeDtypeStruct:
    """The second argument of `map_of`."""
    return jax.ShapeDtypeStruct((), np.int32)
