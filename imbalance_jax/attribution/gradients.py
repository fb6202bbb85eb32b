"""Attribution from gradients of the score with respect to the image, and the two ReLUs that rewrite them."""

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.attribution.baselines import baseline_images
from imbalance_jax.attribution.inputs import Score, as_images, per_image
from imbalance_jax.names import lookup


def image_scores(score: Score, images: jax.Array) -> jax.Array:
    """Returns `score(images)`, [B]; a ValueError if it is not one number per image (`inputs.per_image`)."""
    return per_image(score(images), images)


def _image_gradient(score: Score, images: jax.Array) -> jax.Array:
    # Images are independent, so the gradient of the sum holds every image's own gradient.
    return jax.grad(lambda x: image_scores(score, x).sum())(images)


def gradient(score: Score, images: jax.Array) -> jax.Array:
    """Gradient of the score, [B, H, W]: signed, summed over channels, not normalised.

    M = sum_c d score / d x_c (Baehrens et al. 2010).
    """
    return _image_gradient(score, as_images(images)).sum(-1)


def saliency(score: Score, images: jax.Array) -> jax.Array:
    """Saliency map, [B, H, W]: absolute, largest over channels, not normalised.

    M = max_c |d score / d x_c| (Simonyan et al. 2014, section 3.1).
    """
    return jnp.abs(_image_gradient(score, as_images(images))).max(-1)


def input_x_gradient(score: Score, images: jax.Array) -> jax.Array:
    """Input times gradient, [B, H, W]: signed, summed over channels, not normalised.

    M = sum_c x_c d score / d x_c (Shrikumar et al. 2016). For a ReLU network without biases it sums to the score.
    """
    images = as_images(images)
    return (images * _image_gradient(score, images)).sum(-1)


MOST_STEPS = 1000  # of a path; nodes are solved for in time that grows with their cube


def _gauss_legendre(steps: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return (1 + nodes) / 2, weights / 2


def _riemann_middle(steps: int) -> tuple[np.ndarray, np.ndarray]:
    return (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)


RULES = {'gausslegendre': _gauss_legendre, 'riemann_middle': _riemann_middle}


def integrated_gradients(
    score: Score,
    images: jax.Array,
    *,
    steps: int = 50,
    baseline: jax.typing.ArrayLike | str = 0.0,
    rule: str = 'gausslegendre',
) -> jax.Array:
    """Integrated gradients, [B, H, W]: signed, summed over channels, not normalised.

    M = sum_c (x_c - b_c) int_0^1 d score / d x_c (b + a (x - b)) da (Sundararajan et al. 2017, equation 1). A map sums
    to score(x) - score(b) up to the error of the quadrature. `baseline` is numbers in the units of the images, or
    'zero', 'mean' or 'blur' (see `baselines`). `rule` places and weighs the `steps` points (`RULES`); one point is in
    memory at a time. Raises ValueError for an unknown rule or baseline, or `steps` that are none or above `MOST_STEPS`.
    """
    if not isinstance(steps, (int, np.integer)) or not 1 <= steps <= MOST_STEPS:
        raise ValueError(f'steps must be a whole number from 1 to {MOST_STEPS}, not {steps}.')
    points, weights = lookup(RULES, rule, 'integration rule')(steps)
    images = as_images(images)
    baseline = baseline_images(images, baseline)
    difference = images - baseline

    def add(total, point):
        position, weight = point
        return total + weight * _image_gradient(score, baseline + position * difference), None

    path = jnp.asarray(points, images.dtype), jnp.asarray(weights, images.dtype)
    average, _ = jax.lax.scan(add, jnp.zeros_like(images), path)
    return (difference * average).sum(-1)


@jax.custom_vjp
def guided_relu(x: jax.Array) -> jax.Array:
    """ReLU that passes back positive gradients of active units only: `gradient` of a network built with it is guided
    back-propagation (Springenberg et al. 2015). Signs, channels: as the method it is used under."""
    return jnp.maximum(x, 0)


@jax.custom_vjp
def deconv_relu(x: jax.Array) -> jax.Array:
    """ReLU that passes back positive gradients, active unit or not: `gradient` of a network built with it is the
    deconvnet (Zeiler and Fergus 2014). Signs, channels: as the method it is used under.

    Inactive units receive gradients here, so a max pool after it must send its gradient to one of several tied
    maxima (the first, as `flax.linen.max_pool` does): most ties are between zeros of this ReLU.
    """
    return jnp.maximum(x, 0)


guided_relu.defvjp(
    lambda x: (jnp.maximum(x, 0), x > 0),
    lambda active, gradient: (jnp.where(active, jnp.maximum(gradient, 0), 0),),
)
deconv_relu.defvjp(
    lambda x: (jnp.maximum(x, 0), None),
    lambda _, gradient: (jnp.maximum(gradient, 0),),
)
