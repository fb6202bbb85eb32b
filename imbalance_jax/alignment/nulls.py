"""What maps that know no model, or no image, score: an alignment means nothing except next to these."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.alignment.heat import region_of
from imbalance_jax.alignment.metrics import METRICS
from imbalance_jax.alignment.pointing import near, near_share
from imbalance_jax.names import lookup
from imbalance_jax.system.shapes import Anything, takes


def chance(masks: jax.Array) -> jax.Array:
    """Area share of each mask, [B]: what a uniform map scores in `pointing_game`, `relevance_mass`, `relevance_rank`
    and `top_k_intersection`, and a uniformly random point's probability of a hit. (`pixel_auroc`: 1/2.)"""
    return region_of(masks).mean((-2, -1))


FEW = 32  # other regions per finding, for a metric that has to be computed pair by pair
LEVELS_OF_MEAN = (0.25, 0.5, 0.75)  # of the mean mask's maximum, at which it is cut


def _uniform(value: float) -> Callable[[jax.Array], jax.Array]:
    def level(masks: jax.Array) -> jax.Array:
        return jnp.where(region_of(masks).any((-2, -1)), value, jnp.nan)

    return level


def _near(masks: jax.Array, tolerance: float = 15) -> jax.Array:
    return near_share(region_of(masks), tolerance)


# What a uniform map scores, where that is not the mask's share of the image.
LEVELS: dict[str, Callable[..., jax.Array]] = {
    'pointing_game_torchray': _near,
    'pointing_game_quantus': _uniform(1.0),  # every pixel ties for the maximum, so one of them hits
    'pixel_auroc': _uniform(0.5),
    'iobb': _uniform(1.0),  # of a map of ones, which covers every region: why it is not to be read alone
}


def chance_level(metric: str, masks: jax.Array, **options: float) -> jax.Array:
    """What a map of ones scores in `METRICS[metric](maps, masks, **options)`, [B]; NaN where the mask is empty.

    It is the mask's share of the image for all metrics but those in `LEVELS`. Raises ValueError for an unknown metric.
    """
    lookup(METRICS, metric, 'alignment metric')
    if metric == 'pixel_auroc':  # no pixel outside, no ranking
        return jnp.where(region_of(masks).all((-2, -1)), jnp.nan, LEVELS[metric](masks))
    if metric in LEVELS:
        return LEVELS[metric](masks, **options)
    return jnp.where(region_of(masks).any((-2, -1)), chance(masks), jnp.nan)


@takes(finding='M', patient=Anything('M'), of_finding='J', of_patient=Anything('J'))
def other_patients(
    finding: np.ndarray, patient: np.ndarray, *, of_finding: np.ndarray, of_patient: np.ndarray
) -> np.ndarray:
    """The weight of J regions for each of M pairs of an image and a finding, [M,J] float32: the same for all of the
    pair's finding that are another patient's, 0 for the rest; rows sum to 1, or to 0 where there is no other patient.

    A map that is held against these regions is shown the finding's usual places and sizes, and not its own: what it
    scores is the expectation of a region drawn at random from the other patients'.
    """
    others = (finding[:, None] == of_finding) & (patient[:, None] != of_patient)
    return (others / np.maximum(others.sum(1, keepdims=True), 1)).astype(np.float32)


@takes(finding='M+', patient=Anything('M'))
def few_of_each(finding: np.ndarray, patient: np.ndarray, most: int = FEW) -> np.ndarray:
    """Rows of at most so many pairs of every finding, spread evenly over its patients, findings in their order."""
    chosen = []
    for k in np.unique(finding):
        rows = np.flatnonzero(finding == k)
        rows = rows[np.argsort(patient[rows], kind='stable')]
        chosen.append(rows[np.unique(np.linspace(0, len(rows) - 1, most).astype(int))])
    return np.concatenate(chosen)


def grid_maps(masks: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Maps that know the mask but have only h x w cells, [3, B, h, w]: each cell's share of mask pixels, the cells that
    the mask fills by half or more (or else the fullest), and the fullest cell alone.

    What the best of them scores once it is brought to the mask's size is the resolution ceiling: a lower bound of what
    the best map of this grid could score.
    """
    masks = np.asarray(region_of(masks, axes=3), np.float64)
    shares = masks
    for axis, cells in ((1, grid[0]), (2, grid[1])):
        # Cell i covers [i, i + 1) x length / cells; a pixel on an edge counts for both in proportion.
        length = masks.shape[axis]
        edges = np.clip(np.arange(length + 1)[None] * cells / length - np.arange(cells)[:, None], 0, 1)
        shares = np.moveaxis(np.tensordot(shares, np.diff(edges, axis=1), (axis, 1)), -1, axis)
    fullest = shares.max((1, 2), keepdims=True)
    first = shares.reshape(len(shares), -1).argmax(1)
    alone = (np.arange(grid[0] * grid[1]) == first[:, None]).reshape(shares.shape)
    half = (shares >= np.minimum(0.5, fullest)) & (shares > 0)
    return np.stack([shares, half, alone * (fullest > 0)])


def centre_map(size: tuple[int, int]) -> jax.Array:
    """A map that looks at the centre of every image, [H, W]: exp(-distance / half diagonal), 1 at pixel
    (H // 2, W // 2), its only maximum, and positive everywhere, so that every metric is defined for it."""
    height, width = size
    rows, columns = jnp.arange(height)[:, None] - height // 2, jnp.arange(width) - width // 2
    return jnp.exp(-jnp.hypot(rows, columns) / (jnp.hypot(height, width) / 2))


def constant_map(train_masks: jax.Array) -> jax.Array:
    """The mean of the training masks [M, H, W] of one class, [H, W]: what is known of the place without any image.

    Its value at a pixel is the share of training images in which that pixel is a hit, so its arg-max is the constant
    point that wins the training pointing game, and no constant map has a larger mean relevance mass than that point.
    Fit it on the training split: on the images it is judged on it is optimistic. Raises ValueError without masks.
    """
    if not np.shape(train_masks) or len(train_masks) == 0:
        raise ValueError('constant_map needs at least one training mask, but train_masks is empty.')
    return region_of(train_masks, 'train_masks', 3).mean(0)


def constant_maps(train_masks: jax.Array, tolerance: float) -> jax.Array:
    """Maps that are the same for every image, [C,H,W], of which each measure has a best, from masks [M,H,W] of a class.

    The mean mask (`constant_map`); the mean of masks divided by #inside #outside, which no constant order of pixels
    beats in mean pixel AUROC; the mean mask cut at shares of its maximum, for IoU; its arg-max alone, for relevance
    mass and the pointing game; and the point from which most masks are less than `tolerance` pixels away, for
    TorchRay's. Which is the best for a measure is to be chosen on training masks.
    """
    mean, masks = constant_map(train_masks), region_of(train_masks, 'train_masks')
    inside = masks.sum((1, 2), keepdims=True)
    order = (masks / jnp.maximum(inside * (masks[0].size - inside), 1)).mean(0)
    cut = [mean >= share * mean.max() for share in LEVELS_OF_MEAN]
    close = near(masks, tolerance).mean(0)
    points = [jnp.zeros(mean.size).at[one.argmax()].set(1).reshape(mean.shape) for one in (mean, close)]
    return jnp.stack([mean, order / order.max(), *cut, *points]).astype(jnp.float32)
