"""Class activation maps from one layer: what its units show, weighted by what they mean to the score.

Arguments of the four in `CAMS`: `activation` [B, h, w, U] and `gradient` [B, h, w, U] = d score / d activation, of the
logit, not of a probability. Each map is a ReLU of a sum over units, hence never negative and possibly all zero
(`is_empty`); it has the layer's size and is not normalised. `relu=False` leaves the outer ReLU out: the signed map, whose
order of pixels does not depend on where 0 lies.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from imbalance_jax.attribution.gradients import Score, image_scores
from imbalance_jax.attribution.maps import image_size, nearest, upsample
from imbalance_jax.attribution.relu_rules import guided_backprop
from imbalance_jax.names import lookup


def _positive(maps: jax.Array, relu: bool) -> jax.Array:
    return jax.nn.relu(maps) if relu else maps


def grad_cam(activation: jax.Array, gradient: jax.Array, *, relu: bool = True) -> jax.Array:
    """Grad-CAM, [B, h, w]: M = ReLU(sum_u a_u A_u), a_u = mean over space of the gradient (Selvaraju et al. 2017,
    equations 1 and 2). Before global average pooling and a linear head it is CAM divided by h w."""
    weights = jnp.asarray(gradient).mean((1, 2), keepdims=True)
    return _positive((weights * jnp.asarray(activation)).sum(-1), relu)


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


def hires_cam(activation: jax.Array, gradient: jax.Array, *, relu: bool = True) -> jax.Array:
    """HiResCAM, [B, h, w]: M = ReLU(sum_u g_u A_u), gradients not averaged over space (Draelos and Carin 2020)."""
    return _positive((gradient * activation).sum(-1), relu)


def layer_cam(activation: jax.Array, gradient: jax.Array, *, relu: bool = True) -> jax.Array:
    """LayerCAM, [B, h, w]: M = ReLU(sum_u ReLU(g_u) A_u) (Jiang et al. 2021)."""
    return _positive((jax.nn.relu(gradient) * activation).sum(-1), relu)


CAMS = {
    'grad_cam': grad_cam,
    'grad_cam_plus_plus': grad_cam_plus_plus,
    'hires_cam': hires_cam,
    'layer_cam': layer_cam,
}

# `layer(images, shift) -> (scores [B], activation [B, h, w, U])`: the score, and what a layer holds, when `shift`
# [B, h, w, U] is added there; None adds nothing.
Layer = Callable


def input_layer(score: Score) -> Layer:
    """The image itself as the layer to look at: what the methods below take when they are given no other."""

    def layer(images, shift=None):
        x = images if shift is None else images + shift
        return image_scores(score, x), x

    return layer


def activation_and_gradient(layer: Layer, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A layer's activation [B, h, w, U] and the score's gradient there."""
    images = jnp.asarray(images)
    _, shape = jax.eval_shape(lambda x: layer(x, None), images)

    def scores(shift):
        values, activation = layer(images, shift)
        return values.sum(), activation

    gradient, activation = jax.grad(scores, has_aux=True)(jnp.zeros(shape.shape, shape.dtype))
    return activation, gradient


def at_layer(
    cam: Callable, score: Score, images: jax.Array, *, layer: Layer | None = None, relu: bool = True
) -> jax.Array:
    """A class activation map of one of `layer`'s (`Layer`) units, brought bilinearly to the images' size, [B, H, W].

    `relu=False`: with its sign, as the sum over units is.
    """
    maps = cam(*activation_and_gradient(layer or input_layer(score), images), relu=relu)
    return upsample(maps, image_size(images))


def guided_grad_cam(
    score: Score, images: jax.Array, *, layer: Layer | None = None, interpolation: str = 'bilinear'
) -> jax.Array:
    """Guided Grad-CAM, [B, H, W]: signed, not normalised.

    M = guided back-propagation (summed over channels) x Grad-CAM (brought to the images' size; 'bilinear', or 'nearest'
    as captum's default) (Selvaraju et al. 2017, section 3.2).
    """
    maps = grad_cam(*activation_and_gradient(layer or input_layer(score), images))
    enlarge = lookup({'bilinear': upsample, 'nearest': nearest}, interpolation, 'interpolation')
    return guided_backprop(score, images) * enlarge(maps, image_size(images))
