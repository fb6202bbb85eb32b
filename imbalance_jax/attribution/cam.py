"""Class activation maps from one layer: what its units show, weighted by what they mean to the score.

Arguments of the four in `CAMS`: `activation` [B, h, w, U] and `gradient` [B, h, w, U] = d score / d activation, of the
logit, not of a probability. Each map is a ReLU of a sum over units, hence never negative and possibly all zero
(`is_empty`); it has the layer's size and is not normalised. `relu=False` leaves the outer ReLU out: the signed map,
whose order of pixels does not depend on where 0 lies.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp

from imbalance_jax.attribution.gradients import image_scores
from imbalance_jax.attribution.inputs import Layer, Score, Watch, as_images, required_layer
from imbalance_jax.attribution.maps import image_size, nearest, upsample
from imbalance_jax.attribution.relu_rules import guided_backprop
from imbalance_jax.names import lookup
from imbalance_jax.system.shapes import on_device


def _positive(maps: jax.Array, relu: bool) -> jax.Array:
    return jax.nn.relu(maps) if relu else maps


def _of_arrays(cam: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """The same function, which says what it is given where that is no activation with its gradient."""

    @wraps(cam)
    def checked(activation: jax.Array, gradient: jax.Array, *, relu: bool = True, **others: Any) -> jax.Array:
        if callable(activation) or others:
            name = cam.__name__
            raise ValueError(
                f'attribution.{name} takes (activation, gradient), [B, h, w, U] each; of a score it is '
                f'METHODS[{name!r}](score, images, layer=layer).'
            )
        a, g = (on_device(one, 'activation and gradient', '[B, h, w, U]') for one in (activation, gradient))
        if a.ndim != 4 or a.shape != g.shape:
            raise ValueError(f'activation and gradient must be [B, h, w, U] both, not {a.shape} and {g.shape}.')
        wide = jnp.promote_types(jnp.result_type(a, g), jnp.float32)
        return cam(a.astype(wide), g.astype(wide), relu=relu)

    return checked


@_of_arrays
def grad_cam(activation: jax.Array, gradient: jax.Array, *, relu: bool = True) -> jax.Array:
    """Grad-CAM, [B, h, w]: M = ReLU(sum_u a_u A_u), a_u = mean over space of the gradient (Selvaraju et al. 2017,
    equations 1 and 2). Before global average pooling and a linear head it is CAM divided by h w."""
    weights = gradient.mean((1, 2), keepdims=True)
    return _positive((weights * activation).sum(-1), relu)


@_of_arrays
def grad_cam_plus_plus(activation: jax.Array, gradient: jax.Array, *, relu: bool = True) -> jax.Array:
    """Grad-CAM++, [B, h, w]: M = ReLU(sum_u w_u A_u), w_u = sum over space of a ReLU(g), a = 1 / (2 + g sum_ab A_u,ab)
    (Chattopadhyay et al. 2018).

    Their alpha, g^2 / (2 g^2 + g^3 sum A), is divided through by g^2, and the factor exp(score) of their gradient, the
    same for a whole map, is left out. Meant for activations after a ReLU: then no denominator is below 2.
    """
    rising = jax.nn.relu(gradient)
    alpha = 1 / (2 + rising * activation.sum((1, 2), keepdims=True))
    weights = (alpha * rising).sum((1, 2), keepdims=True)
    return _positive((weights * activation).sum(-1), relu)


@_of_arrays
def hires_cam(activation: jax.Array, gradient: jax.Array, *, relu: bool = True) -> jax.Array:
    """HiResCAM, [B, h, w]: M = ReLU(sum_u g_u A_u), gradients not averaged over space (Draelos and Carin 2020)."""
    return _positive((gradient * activation).sum(-1), relu)


@_of_arrays
def layer_cam(activation: jax.Array, gradient: jax.Array, *, relu: bool = True) -> jax.Array:
    """LayerCAM, [B, h, w]: M = ReLU(sum_u ReLU(g_u) A_u) (Jiang et al. 2021)."""
    return _positive((jax.nn.relu(gradient) * activation).sum(-1), relu)


CAMS = {
    'grad_cam': grad_cam,
    'grad_cam_plus_plus': grad_cam_plus_plus,
    'hires_cam': hires_cam,
    'layer_cam': layer_cam,
}


def input_layer(score: Score) -> Layer:
    """The image itself as the layer to look at."""

    def layer(images, shift=None):
        x = images if shift is None else images + shift
        return image_scores(score, x), x

    return layer


def activation_and_gradient(layer: Layer, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A layer's activation [B, h, w, U] and the score's gradient there; ValueError if the layer ignores its shift."""
    images, layer, watch = as_images(images), required_layer(layer, 'activation_and_gradient'), Watch()
    _, shape = jax.eval_shape(lambda x: layer(x, None), images)

    def scores(shift):
        values, activation = layer(images, watch.mark(shift))
        return values.sum(), activation

    gradient, activation = jax.grad(scores, has_aux=True)(jnp.zeros(shape.shape, shape.dtype))
    watch.require()
    return activation, gradient


def at_layer(
    cam: Callable, score: Score, images: jax.Array, *, layer: Layer | None = None, relu: bool = True
) -> jax.Array:
    """A class activation map of one of `layer`'s (`Layer`) units, brought bilinearly to the images' size, [B, H, W].

    `relu=False`: with its sign, as the sum over units is. Raises ValueError without a layer.
    """
    del score  # the layer returns it
    images, layer = as_images(images), required_layer(layer, cam.__name__)
    return upsample(cam(*activation_and_gradient(layer, images), relu=relu), image_size(images))


def guided_grad_cam(
    score: Score, images: jax.Array, *, layer: Layer | None = None, interpolation: str = 'bilinear'
) -> jax.Array:
    """Guided Grad-CAM, [B, H, W]: signed, not normalised.

    M = guided back-propagation (summed over channels) x Grad-CAM (brought to the images' size; 'bilinear', or 'nearest'
    as captum's default) (Selvaraju et al. 2017, section 3.2). Raises ValueError without a layer.
    """
    images, layer = as_images(images), required_layer(layer, 'guided_grad_cam')
    maps = grad_cam(*activation_and_gradient(layer, images))
    enlarge = lookup({'bilinear': upsample, 'nearest': nearest}, interpolation, 'interpolation')
    return guided_backprop(score, images) * enlarge(maps, image_size(images))
