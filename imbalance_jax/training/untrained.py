"""Networks as training began with them, with batch statistics that fit the images: a null for what was learned.

Before training, running statistics are mean 0 and variance 1 whatever the layer sees. A network that is untrained but
not calibrated differs from a trained one also in that nothing is normalised.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.data.dataset import Dataset
from imbalance_jax.training import grid, placement
from imbalance_jax.training.members import member_arrays
from imbalance_jax.training.network import Network
from imbalance_jax.training.placement import Placement
from imbalance_jax.training.start import Starts, began_as, begin

BATCH, BATCHES = 32, 8  # training images that statistics are taken from


def calibration_images(dataset: Dataset) -> np.ndarray:
    """Evenly chosen images of the training split in batches [n,B,H,W,C], the same for all networks."""
    rows = dataset.rows('train')
    batches = max(1, min(BATCHES, len(rows) // BATCH))
    chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), batches * BATCH)).astype(int)]
    return dataset.images[chosen].reshape(batches, -1, *dataset.images.shape[1:])


def calibrated(model: nn.Module, normalise: Callable[[jax.Array], jax.Array], variables: Any, images: jax.Array) -> Any:
    """The variables of one network with its running statistics replaced by their mean over batches [n,B,H,W,C].

    A running statistic s becomes m s + (1 - m) x in a batch whose own is x, whatever the momentum m: from s of 0 and of
    1, m and x follow. A model without batch statistics stays as it is.
    """
    statistics = variables.get('batch_stats', {})
    if not jax.tree.leaves(statistics):
        return variables

    def of_batch(batch: jax.Array) -> Any:
        x = normalise(batch)

        def updated(start: float) -> Any:
            begun = jax.tree.map(partial(jnp.full_like, fill_value=start), statistics)
            return model.apply({**variables, 'batch_stats': begun}, x, train=True, mutable=['batch_stats'])[1]

        from_zero, from_one = (updated(start)['batch_stats'] for start in (0.0, 1.0))
        return jax.tree.map(lambda zero, one: zero / jnp.maximum(1 - (one - zero), 1e-6), from_zero, from_one)

    means = jax.tree.map(lambda a: a.mean(0), jax.lax.map(of_batch, images))
    return {**variables, 'batch_stats': means}


def random_networks(untrained: Network, members: list[dict], *, dataset: Dataset) -> Any:
    """Variables [B,...] of the networks that members began as, before they got any weights: each drawn by its seed,
    behind the entrance of its members, with batch statistics of training images."""
    first, _ = began_as(members)
    images = calibration_images(dataset)

    def begun(one: tuple[Any, dict[str, Any]], images: jax.Array) -> Any:
        member, link = one
        variables = untrained.init(member)
        entered = {**variables, 'link': {**variables['link'], **link}} if link else variables
        return calibrated(untrained.model, untrained.normalise, entered, images)

    links = untrained.links([members[i] for i in first])
    arrays = jax.tree.map(lambda a: a[np.array(first)], member_arrays(members, own_order=True))
    fresh = jax.jit(lambda both, images: jax.lax.map(lambda one: begun(one, images), both))((arrays, links), images)
    return jax.tree.map(np.asarray, fresh)


def with_untrained(
    members: list[dict], best: Any, drawn: Callable[[], Any], *, starts: Starts, strategy: str
) -> tuple[Placement, Any]:
    """The members' variables [P], and after them those of the networks [B] that they began as, on a grid of devices
    that makes their maps, pair by pair, soonest."""
    first, _ = began_as(members)
    count = len(members) + len(first)
    place = placement.place_sharing(count, strategy, grid.best_sharing(count, len(jax.devices())))
    fresh = begin(drawn(), [members[i] for i in first], starts)
    return place, place.members(jax.tree.map(lambda *a: np.concatenate(a), best, fresh))
