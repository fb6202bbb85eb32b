"""What maps that know no model, or no image, score: an alignment means nothing except next to these."""

import jax
import jax.numpy as jnp


def chance(masks: jax.Array) -> jax.Array:
    """Area share of each mask, [B]: what a uniform map scores in `pointing_game`, `relevance_mass`, `relevance_rank`
    and `top_k_intersection`, and a uniformly random point's probability of a hit. (`pixel_auroc`: 1/2.)"""
    return jnp.asarray(masks).astype(bool).mean((-2, -1))


def centre_map(size: tuple[int, int]) -> jax.Array:
    """A map that looks at the centre of every image, [H, W]: exp(-distance / half diagonal), 1 at pixel
    (H // 2, W // 2), its only maximum, and positive everywhere, so that every metric is defined for it."""
    height, width = size
    rows, columns = jnp.arange(height)[:, None] - height // 2, jnp.arange(width) - width // 2
    return jnp.exp(-jnp.hypot(rows, columns) / (jnp.hypot(height, width) / 2))


def constant_map(train_masks: jax.Array) -> jax.Array:
    """The best map that is the same for every image, [H, W]: the mean of the training masks [M, H, W], one class's.

    Its value at a pixel is the share of training images in which that pixel is a hit, so its arg-max is the constant
    point that wins the training pointing game, and no constant map has a larger mean relevance mass than that point.
    Fit it on the training split: on the images it is judged on it is optimistic. Raises ValueError without masks.
    """
    if len(train_masks) == 0:
        raise ValueError('constant_map needs at least one training mask, but train_masks is empty.')
    return jnp.asarray(train_masks).astype(bool).mean(0)
