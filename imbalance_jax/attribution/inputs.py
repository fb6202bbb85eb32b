"""What attribution is given, checked in one place: images, a score, a layer, a key, maps. Each fault is one line.

Shapes and types are known of whatever `jit`, `vmap` and `grad` trace, so that every check holds under them too.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.system.shapes import on_device

Score = Callable[[jax.Array], jax.Array]
# `layer(images, shift) -> (scores [B], activation [B, h, w, U])`: the score, and what a layer holds, when `shift`
# [B, h, w, U] is added there; None adds nothing.
Layer = Callable

CHANNELS = (1, 3)  # of images that are laid out [B, C, H, W] more likely than not


def as_images(images: Any) -> jax.Array:
    """Images [B, H, W, C] of float32 or wider; ValueError for another layout, whole numbers and, unless traced, for
    values that are not finite."""
    images = on_device(images, 'images', '[B, H, W, C]')
    if images.ndim != 4:
        hints = {2: 'images[None, :, :, None]', 3: 'images[..., None]'}
        hint = 'images[None]' if images.ndim == 3 and images.shape[-1] in CHANNELS else hints.get(images.ndim, '')
        raise ValueError(f'images must be [B, H, W, C], not {images.shape}' + (f': give {hint}.' if hint else '.'))
    if images.shape[1] in CHANNELS and min(images.shape[2:]) > max(CHANNELS):
        raise ValueError(f'images are {images.shape}, channels first: give jnp.moveaxis(images, 1, -1), [B, H, W, C].')
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(
            f'images are {images.dtype}, which has no gradient: give floats, standardised as the model was trained.'
        )
    if not isinstance(images, jax.core.Tracer) and not np.isfinite(np.asarray(images)).all():
        raise ValueError('images hold values that are not finite: a map of them would say nothing.')
    return images.astype(jnp.promote_types(images.dtype, jnp.float32))


def as_maps(maps: Any, images: jax.Array) -> jax.Array:
    """Maps [B, H, W] of images [B, H, W, C]; ValueError for any other shape."""
    maps = on_device(maps, 'maps', '[B, H, W]')
    if maps.shape != images.shape[:3]:
        raise ValueError(f'maps must be [B, H, W] = {images.shape[:3]}, as the images are, not {maps.shape}.')
    return maps


def as_planes(maps: Any) -> jax.Array:
    """Maps [B, H, W] of whatever images; ValueError for another number of axes."""
    maps = on_device(maps, 'maps', '[B, H, W]')
    if maps.ndim != 3:
        raise ValueError(f'maps must be [B, H, W], not {maps.shape}.')
    return maps


def per_image(scores: Any, images: jax.Array) -> jax.Array:
    """What a score returned for images [B, H, W, C], [B] float32 or wider; ValueError if it is not one number each.

    A score of shape [B, K] would otherwise be summed over classes without a word.
    """
    if not hasattr(scores, 'shape'):
        hint = 'a model that returns logits and activations needs model.apply(variables, x)[0][:, k] for class k'
        raise ValueError(f'score must return one logit per image, an array [B], not {type(scores).__name__}: {hint}.')
    if scores.shape != images.shape[:1]:
        by_class = scores.ndim == 2 and scores.shape[0] == images.shape[0]
        hint = '[:, k] picks class k' if by_class else 'do not average over them'
        raise ValueError(
            f'score must return one logit per image, shape {images.shape[:1]}, not {scores.shape}: {hint}.'
        )
    if not jnp.issubdtype(scores.dtype, jnp.floating):
        raise ValueError(f'score must return floats, a logit per image, not {scores.dtype}.')
    return scores.astype(jnp.promote_types(scores.dtype, jnp.float32))


def required_key(key: jax.Array | None, method: str) -> jax.Array:
    """The key of a method that draws random numbers; ValueError without one."""
    if key is None:
        raise ValueError(f'{method} draws random numbers and needs a key: give key=jax.random.key(0).')
    if not hasattr(key, 'dtype') or not (jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or key.dtype == jnp.uint32):
        raise ValueError(f'key of {method} must be a jax.random.key, not {key!r}: give key=jax.random.key(0).')
    return key


def required_layer(layer: Layer | None, method: str) -> Layer:
    """The layer that a method looks at, its answers checked; ValueError without one."""
    if layer is None:
        raise ValueError(
            f'{method} looks inside the network and needs a layer: give layer=f with f(images, shift) -> (scores [B], '
            'activation [B, h, w, U]), as attribution/README.md shows.'
        )

    if not callable(layer):
        raise ValueError(
            f'layer of {method} must be a function f(images, shift) -> (scores [B], activation [B, h, w, U]), not '
            f'{layer!r}: attribution/README.md shows one.'
        )

    def checked(images: jax.Array, shift: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        answer = layer(images, shift)
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise ValueError(f'layer must return (scores [B], activation [B, h, w, U]), not {type(answer).__name__}.')
        scores, activation = answer
        if jnp.ndim(activation) != 4 or activation.shape[:1] != images.shape[:1]:  # no len: B may be symbolic
            raise ValueError(
                f'layer must return an activation [B, h, w, U] with B = {images.shape[0]}, not {jnp.shape(activation)}.'
            )
        return per_image(scores, images), activation

    return checked


class Watch:
    """Whether a gradient comes back to what `mark` lets through: says of a layer that it heeds its shift."""

    def __init__(self) -> None:
        self.reached = False

    def mark(self, shift: jax.Array) -> jax.Array:
        """The shift itself."""

        def backward(_: None, gradient: jax.Array) -> tuple[jax.Array]:
            self.reached = True
            return (gradient,)

        marked = jax.custom_vjp(lambda x: x)
        marked.defvjp(lambda x: (x, None), backward)
        return marked(shift)

    def require(self) -> None:
        """ValueError unless a gradient has come back: every class activation map would be empty."""
        if not self.reached:
            raise ValueError(
                'The scores of layer(images, shift) do not depend on shift: add it to the activation on its way to '
                'them, as `perturb` of imbalance_jax.models.layers does.'
            )
