"""Every alignment metric by name."""

from imbalance_jax.alignment import overlaps, pointing, ranking, thresholds

METRICS = {
    'pointing_game': pointing.hit_share,
    'pointing_game_torchray': pointing.hit_torchray,
    'pointing_game_quantus': pointing.hit_quantus,
    'pointing_game_chexlocalize': pointing.hit_chexlocalize,
    'iobb': overlaps.iobb,
    'ior': overlaps.ior,
    'iou': overlaps.iou,
    'relevance_mass': overlaps.relevance_mass,
    'relevance_rank': ranking.relevance_rank,
    'top_k_intersection': ranking.top_k_intersection,
    'pixel_auroc': ranking.pixel_auroc,
    'focus': overlaps.focus,
    'effective_heat_ratio': thresholds.effective_heat_ratio,
    'iobb_chestxray8': thresholds.iobb_chestxray8,
    'miou_otsu': thresholds.miou_otsu,
    'miou_tuned': thresholds.miou_tuned,
}
