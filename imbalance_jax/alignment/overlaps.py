"""How much heat lies in the region, and how much of the region is hot."""

import jax
import jax.numpy as jnp

from imbalance_jax.alignment.heat import defined, heat_and_region


def overlap(maps: jax.Array, masks: jax.Array, threshold: float | None = None) -> dict[str, jax.Array]:
    """IoBB, IoR and IoU of maps h in 0..1 and masks B, all [B, H, W]; three arrays [B], in the study's naming.

    With I = sum(h B):  iobb = I / |B|,  ior = I / sum(h),  iou = I / (|B| + sum(h) - I)  (Khakzar et al. 2022).
    `threshold=None` takes the heat as it is (soft); otherwise h is 1 where it reaches `threshold` (>=), else 0. Heat
    is not rescaled here: unless maps come in 0..1 (`min_max`), iobb and iou are in units of the map. Nothing
    detected scores 0, an empty mask NaN.

    Beware of the name: the study's IoBB divides by the annotated box and is the coverage of the finding; the IoBB of
    ChestX-ray8 (Wang et al. 2017) divides by the detected area, which here is `ior`.
    """
    heat, region = heat_and_region(maps, masks)
    if threshold is not None:
        heat = ((heat >= threshold) & (heat > 0)).astype(jnp.float32)
    area = region.sum((-2, -1), dtype=jnp.float32)
    mass = heat.sum((-2, -1))
    both = jnp.where(region, heat, 0).sum((-2, -1))
    wholes = {'iobb': area, 'ior': mass, 'iou': area + mass - both}
    return {name: defined(both / jnp.where(whole > 0, whole, 1), heat, region) for name, whole in wholes.items()}


def iobb(maps: jax.Array, masks: jax.Array, *, threshold: float | None = None) -> jax.Array:
    """Share of the annotated area that is hot, [B]; `overlap`'s first. 1 for a map of ones: read it next to `ior`."""
    return overlap(maps, masks, threshold)['iobb']


def ior(maps: jax.Array, masks: jax.Array, *, threshold: float | None = None) -> jax.Array:
    """Share of the heat that lies in the annotated area, [B]: sum(h B) / sum(h), `overlap`'s second.

    Soft, it is the relevance mass accuracy of Arras et al. 2022 and the energy-based pointing game of Wang et al. 2020
    (Score-CAM). On the pictures of a `mosaic`, with masks that say which quarters show the class, it is the focus of
    Arias-Duart et al. 2022, which needs no annotated region: two quarters of four make its chance level 1/2. It does
    not depend on the scale of a map.
    """
    return overlap(maps, masks, threshold)['ior']


def iou(maps: jax.Array, masks: jax.Array, *, threshold: float | None = None) -> jax.Array:
    """Intersection over union of heat and annotated area, [B]; `overlap`'s third."""
    return overlap(maps, masks, threshold)['iou']


def mosaic(images: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mosaics [B, 2 H, 2 W, C] of images [B, 4, H, W, C], two above two, and the mask [B, 2 H, 2 W] of the `target`
    [B, 4] ones."""
    images, target = jnp.asarray(images), jnp.asarray(target).astype(bool)
    batch, _, height, width, channels = images.shape
    grid = images.reshape(batch, 2, 2, height, width, channels).transpose(0, 1, 3, 2, 4, 5)
    mask = target.reshape(batch, 2, 2).repeat(height, 1).repeat(width, 2)
    return grid.reshape(batch, 2 * height, 2 * width, channels), mask
