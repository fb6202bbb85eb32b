"""Attribution that draws random numbers: SmoothGrad around any other method, and the random baseline."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from imbalance_jax.attribution.inputs import Score, as_images, required_key
from imbalance_jax.names import lookup

NOISY = (
    'smooth_grad',
    'smooth_grad_squared',
    'var_grad',
    'random',
)  # the methods of this file: SmoothGrad wraps none of them
STATISTICS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    'mean': lambda mean, variance: mean,
    'squared': lambda mean, variance: mean**2 + variance,
    'variance': lambda mean, variance: variance,
}


def make_smooth_grad(find: Callable[[str], Callable[..., jax.Array]]) -> Callable[..., jax.Array]:
    """Returns `smooth_grad`, which finds the method that it wraps by its name with `find`."""

    def smooth_grad(
        score: Score,
        images: jax.Array,
        *,
        key: jax.Array | None = None,
        method: str | Callable = 'gradient',
        samples: int = 50,
        sigma: float = 0.15,
        statistic: str = 'mean',
        **options: Any,
    ) -> jax.Array:
        """Statistic of a method's maps over noisy copies of the images, [B, H, W], not normalised.

        Signs and channels are those of `method`; 'squared' and 'variance' are not negative. Noise is Gaussian; its
        standard deviation is `sigma` times the image's own max - min, so a constant image gets none. `method` is a name
        in `METHODS`, but none of this file's, or a function like those, and receives `options`; one that draws random
        numbers gets another key for every sample. `statistic`: 'mean' is SmoothGrad (Smilkov et al. 2017), 'squared'
        SmoothGrad-Squared (Hooker et al. 2019), 'variance' VarGrad (Adebayo et al. 2018, over all samples, not
        samples - 1). One sample is in memory at a time. Raises ValueError for an unknown method or statistic, or
        `samples` < 1, and without a `key`.
        """
        if samples < 1:
            raise ValueError(f'samples must be at least 1, not {samples}.')
        images, key = as_images(images), required_key(key, 'smooth_grad')
        attribute = find(method) if isinstance(method, str) else method
        draws = 'key' in inspect.signature(attribute).parameters
        summarise = lookup(STATISTICS, statistic, 'SmoothGrad statistic')
        if isinstance(sigma, (int, float)) and not sigma >= 0:
            raise ValueError(f"sigma must be 0 or more, a share of the image's own range, not {sigma}.")

        def maps_of(noisy: jax.Array, sample_key: jax.Array) -> jax.Array:
            random = {'key': jax.random.fold_in(sample_key, 1)} if draws else {}
            return attribute(score, noisy, **options, **random)

        return summarise(*_over_noise(maps_of, images, sigma, jax.random.split(key, samples)))

    return smooth_grad


def _over_noise(
    maps_of: Callable[[jax.Array, jax.Array], jax.Array], images: jax.Array, sigma: float, keys: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Mean and variance, [B, H, W] each, of `maps_of(noisy images, key)` over one noisy copy per key."""
    deviation = sigma * jnp.ptp(images, axis=(1, 2, 3), keepdims=True)

    def add(sums, sample):
        mean, squares = sums
        count, key = sample
        noisy = images + deviation * jax.random.normal(key, images.shape, images.dtype)
        delta = maps_of(noisy, key) - mean
        mean += delta / count
        # Welford's update: a difference of raw moments would cancel where the variance is small.
        return (mean, squares + delta**2 * (1 - 1 / count)), None

    start = jnp.zeros(images.shape[:3], images.dtype)
    counts = jnp.arange(1, len(keys) + 1, dtype=images.dtype)
    (mean, squares), _ = jax.lax.scan(add, (start, start), (counts, keys))
    return mean, squares / len(keys)


def random_map(score: Score, images: jax.Array, *, key: jax.Array | None = None) -> jax.Array:
    """Noise uniform in [0, 1), [B, H, W], that reads neither score nor pixels: what a method must at least beat."""
    del score
    images = as_images(images)
    return jax.random.uniform(required_key(key, 'random'), images.shape[:3], images.dtype)
