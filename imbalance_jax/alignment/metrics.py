"""Every alignment metric by name; several names of one number are several lines."""

from collections.abc import Callable

import jax

from imbalance_jax.alignment import overlaps, pixel_order, pointing, thresholds

METRICS: dict[str, Callable[..., jax.Array]] = {
    'pointing_game': pointing.hit_share,
    'pointing_game_torchray': pointing.hit_torchray,
    'pointing_game_quantus': pointing.hit_quantus,
    'pointing_game_chexlocalize': pointing.hit_chexlocalize,
    'iobb': overlaps.iobb,
    'ior': overlaps.ior,
    'iou': overlaps.iou,
    'relevance_mass': overlaps.ior,  # its name in Arras et al. 2022
    'relevance_rank': pixel_order.relevance_rank,
    'top_k_intersection': pixel_order.top_k_intersection,
    'pixel_auroc': pixel_order.pixel_auroc,
    'focus': overlaps.ior,  # its name on mosaics, Arias-Duart et al. 2022
    'effective_heat_ratio': thresholds.effective_heat_ratio,
    'iobb_chestxray8': thresholds.iobb_chestxray8,
    'miou_otsu': thresholds.miou_otsu,
    'miou_tuned': thresholds.miou_tuned,
}
