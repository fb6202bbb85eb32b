"""How much heat lies in the region, and how much of the region is hot."""

import jax
import jax.numpy as jnp

from imbalance_jax.alignment.heat import defined, heat_and_region
from imbalance_jax.alignment.thresholds import scaled_heat

ROUNDING = 1e-4  # above 1, of a map that was enlarged or scaled


def overlap(maps: jax.Array, masks: jax.Array, threshold: float | None = None) -> dict[str, jax.Array]:
    """IoBB, IoR and IoU of maps h in 0..1 and masks B, all [B, H, W]; three arrays [B], in the study's naming.

    With I = sum(h B):  iobb = I / |B|,  ior = I / sum(h),  iou = I / (|B| + sum(h) - I)  (Khakzar et al. 2022).
    `threshold=None` takes the heat as it is (soft); otherwise h is 1 where it reaches `threshold` (>=), else 0. Heat
    is not rescaled here, as it is in `METRICS`: maps come in 0..1 (`min_max`), and one that is there and exceeds 1 is a
    ValueError; under `jit` no value is known. Nothing detected scores 0, an empty mask NaN.

    Beware of the name: the study's IoBB divides by the annotated box and is the coverage of the finding; the IoBB of
    ChestX-ray8 (Wang et al. 2017) divides by the detected area, which here is `ior`.
    """
    heat, region = heat_and_region(maps, masks)
    if not isinstance(heat, jax.core.Tracer) and heat.size and heat.max() > 1 + ROUNDING:
        raise ValueError(f'maps reach {heat.max():.6g}, and overlap wants 0..1: give alignment.min_max(maps).')
    return _overlap(heat, region, threshold)


def _overlap(heat: jax.Array, region: jax.Array, threshold: float | None) -> dict[str, jax.Array]:
    if threshold is not None:
        heat = ((heat >= threshold) & (heat > 0)).astype(jnp.float32)
    area = region.sum((-2, -1), dtype=jnp.float32)
    mass = heat.sum((-2, -1))
    both = jnp.where(region, heat, 0).sum((-2, -1))
    wholes = {'iobb': area, 'ior': mass, 'iou': area + mass - both}
    return {name: defined(both / jnp.where(whole > 0, whole, 1), heat, region) for name, whole in wholes.items()}


def iobb(maps: jax.Array, masks: jax.Array, *, threshold: float | None = None) -> jax.Array:
    """Share of the annotated area that is hot, [B]: `overlap`'s first, of heat scaled to 0..1 as in the study, so that
    it does not depend on a map's scale. 1 for a constant map: read it next to `ior`."""
    heat, region = heat_and_region(maps, masks)
    return _overlap(scaled_heat(heat), region, threshold)['iobb']


def ior(maps: jax.Array, masks: jax.Array, *, threshold: float | None = None) -> jax.Array:
    """Share of the heat that lies in the annotated area, [B]: sum(h B) / sum(h), `overlap`'s second; with a `threshold`
    of heat scaled to 0..1.

    Soft, it is the relevance mass accuracy of Arras et al. 2022 and the energy-based pointing game of Wang et al. 2020
    (Score-CAM). On the pictures of a `mosaic`, with masks that say which quarters show the class, it is the focus of
    Arias-Duart et al. 2022, which needs no annotated region: two quarters of four make its chance level 1/2. It does
    not depend on the scale of a map.
    """
    heat, region = heat_and_region(maps, masks)
    return _overlap(heat if threshold is None else scaled_heat(heat), region, threshold)['ior']


def iou(maps: jax.Array, masks: jax.Array, *, threshold: float | None = None) -> jax.Array:
    """Intersection over union of heat and annotated area, [B]; `overlap`'s third, of heat scaled as for `iobb`."""
    heat, region = heat_and_region(maps, masks)
    return _overlap(scaled_heat(heat), region, threshold)['iou']


def mosaic(images: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mosaics [B, 2 H, 2 W, C] of images [B, 4, H, W, C], two above two, and the mask [B, 2 H, 2 W] of the `target`
    [B, 4] ones."""
    images, target = jnp.asarray(images), jnp.asarray(target).astype(bool)
    if images.ndim != 5 or images.shape[:2] != target.shape or images.shape[1] != 4:
        raise ValueError(f'images must be [B, 4, H, W, C] and target [B, 4], not {images.shape} and {target.shape}.')
    batch, _, height, width, channels = images.shape
    grid = images.reshape(batch, 2, 2, height, width, channels).transpose(0, 1, 3, 2, 4, 5)
    mask = target.reshape(batch, 2, 2).repeat(height, 1).repeat(width, 2)
    return grid.reshape(batch, 2 * height, 2 * width, channels), mask
