"""What units do inside: activations of a layer, and a score's gradient there.

A model is `apply(variables, images [B,H,W,C]) -> (logits [B,K], out)`, with `out` a flat dict of named activations that
take part in flax's collection 'perturbations' under their names.
"""

import jax
import jax.numpy as jnp

from imbalance_jax.names import lookup


def layer_shape(model, variables, image_shape: tuple[int, ...], layer: str) -> tuple[int, ...]:
    """Shape (h, w, U) of a layer that has maps, for images of shape (H, W, C); '' is the model's last stage.

    Raises ValueError, with the layers there are, for any other name.
    """
    return layer_shapes(model, variables, image_shape)[last_stage(model, variables, image_shape, layer)]


def last_stage(model, variables, image_shape: tuple[int, ...], layer: str = '') -> str:
    """The name `layer` itself if the model has such a layer, or for '' the last of its stages."""
    layers = layer_shapes(model, variables, image_shape)
    layer = layer or max((name for name in layers if name.startswith('stage')), key=lambda name: (len(name), name))
    lookup(layers, layer, 'layer')
    return layer


def layer_shapes(model, variables, image_shape) -> dict[str, tuple[int, ...]]:
    """Name -> (h, w, U) of every layer that has maps, for images of shape (H, W, C), from front to back.

    Maps shrink on their way; of one size, a stem comes first, and stages by their number.
    """
    _, out = jax.eval_shape(model.apply, variables, jax.ShapeDtypeStruct((1, *image_shape), jnp.float32))
    shapes = {name: value.shape[1:] for name, value in out.items() if value.ndim == 4}

    def depth(name: str) -> tuple:
        h, w, _ = shapes[name]
        return -h * w, not name.startswith('stem'), len(name), name

    return {name: shapes[name] for name in sorted(shapes, key=depth)}


def features(model, variables, images: jax.Array, layer: str) -> jax.Array:
    """Activations [B,h,w,U] of a layer."""
    return model.apply(variables, images)[1][layer]


def looking_at(model, variables, classes: jax.Array, layer: str):
    """Returns `at(images, shift) -> (scores [B], activation [B,h,w,U])`: each image's logit of class `classes` [B] and
    what `layer` holds, when `shift` [B,h,w,U] is added there; None adds nothing."""

    def at(images, shift=None):
        added = {} if shift is None else {'perturbations': {layer: shift}}
        logits, out = model.apply({**variables, **added}, images)
        return class_logits(logits, classes), out[layer]

    return at


def class_logits(logits: jax.Array, classes: jax.Array) -> jax.Array:
    """The logit [B] of one class an image."""
    return jnp.take_along_axis(logits, classes[:, None], axis=1)[:, 0]
