"""What units do inside: activations of a layer, and a score's gradient there.

A model is `apply(variables, images [B,H,W,C]) -> (logits [B,K], out)`, with `out` a flat dict of named activations that
take part in flax's collection 'perturbations' under their names.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from imbalance_jax.attribution.inputs import as_images
from imbalance_jax.names import lookup

Variables = dict[str, Any]


def layer_shape(
    model: nn.Module, variables: Variables, image_shape: tuple[int, ...], layer: str = ''
) -> tuple[int, ...]:
    """Shape (h, w, U) of a layer that has maps, for images of shape (H, W, C); '' is the last of them.

    Raises ValueError, with the layers there are, for any other name.
    """
    return layer_shapes(model, variables, image_shape)[last_stage(model, variables, image_shape, layer)]


def last_stage(
    model: nn.Module, variables: Variables, image_shape: tuple[int, ...], layer: str = '', *, field: str = ''
) -> str:
    """The name `layer` itself if the model has such a layer, or for '' the last of its layers that have maps.

    field: of a config, which says so, for the message.
    """
    shapes = layer_shapes(model, variables, image_shape)
    if not shapes:
        raise ValueError('The model names no activation [B,h,w,U]: see the contract in imbalance_jax/models/README.md.')
    layer = layer or list(shapes)[-1]
    lookup(shapes, layer, f'layer in {field}:' if field else 'layer')
    return layer


def layer_shapes(model: nn.Module, variables: Variables, image_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Name -> (h, w, U) of every layer that has maps, for images of shape (H, W, C), from front to back."""
    in_order: list[str] = []

    def activations(variables: Variables, image: jax.Array) -> Any:
        out = model.apply(variables, image)[1]
        in_order.extend(out)  # here, as `eval_shape` returns a dict with its keys sorted
        return out

    out = jax.eval_shape(activations, variables, jax.ShapeDtypeStruct((1, *image_shape), jnp.float32))
    return {name: out[name].shape[1:] for name in in_order if out[name].ndim == 4}


def features(model: nn.Module, variables: Variables, images: jax.Array, layer: str) -> jax.Array:
    """Activations [B,h,w,U] of a layer, or [B,U] of 'pooled'; ValueError, with the layers there are, for any other."""
    return lookup(model.apply(variables, as_images(images))[1], layer, 'layer')


def class_logits(logits: jax.Array, classes: jax.Array) -> jax.Array:
    """The logit [B] of logits [B,K] of one class [B] int per image."""
    classes = jnp.asarray(classes)
    if logits.ndim != 2 or classes.shape != logits.shape[:1] or not jnp.issubdtype(classes.dtype, jnp.integer):
        given = f'{logits.shape} and {classes.dtype}{list(classes.shape)}'
        raise ValueError(f'logits must be [B,K] and classes [B] whole numbers, not {given}.')
    return jnp.take_along_axis(logits, classes[:, None], axis=1)[:, 0]
