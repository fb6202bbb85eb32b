"""Attribution that draws random numbers: SmoothGrad around any other method, and the random baseline."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from imbalance_jax.attribution.bottleneck import information_bottleneck
from imbalance_jax.attribution.cam import CAMS, at_layer, guided_grad_cam
from imbalance_jax.attribution.extremal import extremal_perturbation
from imbalance_jax.attribution.gradients import Score, gradient, input_x_gradient, integrated_gradients, saliency
from imbalance_jax.attribution.perturbation import occlusion, rise
from imbalance_jax.attribution.relu_rules import deconvnet, deeplift, guided_backprop
from imbalance_jax.names import lookup

# What SmoothGrad can wrap: everything but itself and chance.
SMOOTHABLE = {
    'gradient': gradient,
    'saliency': saliency,
    'input_x_gradient': input_x_gradient,
    'integrated_gradients': integrated_gradients,
    'guided_backprop': guided_backprop,
    'deconvnet': deconvnet,
    'deeplift': deeplift,
    **{name: partial(at_layer, cam) for name, cam in CAMS.items()},
    'guided_grad_cam': guided_grad_cam,
    'information_bottleneck': information_bottleneck,
    'occlusion': occlusion,
    'rise': rise,
    'extremal_perturbation': extremal_perturbation,
}
RANDOM = frozenset({'information_bottleneck', 'rise'})  # of these, the ones that draw random numbers
STATISTICS = {
    'mean': lambda mean, variance: mean,
    'squared': lambda mean, variance: mean**2 + variance,
    'variance': lambda mean, variance: variance,
}


def smooth_grad(
    score: Score,
    images: jax.Array,
    *,
    key: jax.Array,
    method: str | Callable = 'gradient',
    samples: int = 50,
    sigma: float = 0.15,
    statistic: str = 'mean',
    **options,
) -> jax.Array:
    """Statistic of a method's maps over noisy copies of the images, [B, H, W]: signs and channels as `method`'s (not
    negative for 'squared' and 'variance'), not normalised.

    Noise is Gaussian; its standard deviation is `sigma` times the image's own max - min, so a constant image gets none.
    `method` is a name in `SMOOTHABLE` or a function like those, and receives `options`; one that draws random numbers
    gets a key of its own for every sample. `statistic`: 'mean' is
    SmoothGrad (Smilkov et al. 2017), 'squared' SmoothGrad-Squared (Hooker et al. 2019), 'variance' VarGrad
    (Adebayo et al. 2018, over all samples, not samples - 1). One sample is in memory at a time. Raises ValueError for
    an unknown method or statistic, or `samples` < 1.
    """
    if samples < 1:
        raise ValueError(f'samples must be at least 1, not {samples}.')
    attribute = method if callable(method) else lookup(SMOOTHABLE, method, 'attribution method')
    summarise = lookup(STATISTICS, statistic, 'SmoothGrad statistic')
    images = jnp.asarray(images)
    deviation = sigma * jnp.ptp(images, axis=(1, 2, 3), keepdims=True)

    def add(moments, sample):
        mean, squares = moments
        count, sample_key = sample
        noisy = images + deviation * jax.random.normal(sample_key, images.shape, images.dtype)
        own = {'key': jax.random.fold_in(sample_key, 1)} if method in RANDOM else {}
        delta = attribute(score, noisy, **options, **own) - mean
        mean += delta / count
        # Welford's update: a difference of raw moments would cancel where the variance is small.
        return (mean, squares + delta**2 * (1 - 1 / count)), None

    start = jnp.zeros(images.shape[:3], images.dtype)
    counts = jnp.arange(1, samples + 1, dtype=images.dtype)
    (mean, squares), _ = jax.lax.scan(add, (start, start), (counts, jax.random.split(key, samples)))
    return summarise(mean, squares / samples)


def random_map(score: Score, images: jax.Array, *, key: jax.Array) -> jax.Array:
    """Noise uniform in [0, 1), [B, H, W], that reads neither score nor pixels: what a method must at least beat."""
    del score
    return jax.random.uniform(key, images.shape[:3], images.dtype)


METHODS = {
    **SMOOTHABLE,
    'smooth_grad': smooth_grad,
    'smooth_grad_squared': partial(smooth_grad, statistic='squared'),
    'var_grad': partial(smooth_grad, statistic='variance'),
    'random': random_map,
}
NEEDS_KEY = frozenset({'smooth_grad', 'smooth_grad_squared', 'var_grad', 'random', *RANDOM})
NEEDS_LAYER = frozenset({*CAMS, 'guided_grad_cam', 'information_bottleneck'})
