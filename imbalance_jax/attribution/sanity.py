"""Sanity: does a map change when the network does? Its parts are randomised, the last first, and maps are compared.

Adebayo et al. 2018: a map that stays the same while the layers above are randomised does not explain what the network
has learned.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from imbalance_jax.attribution.faithfulness import correlation
from imbalance_jax.attribution.inputs import as_planes


def rank_correlation(maps: jax.Array, others: jax.Array) -> jax.Array:
    """Spearman correlation of maps [B,H,W] with other maps, [B]; ties share their mean rank; NaN for a constant map."""
    maps, others = as_planes(maps), as_planes(others)
    if maps.shape != others.shape:
        raise ValueError(
            f'maps are {maps.shape} and the others {others.shape}: bring both to one number and size first.'
        )

    def midranks(values):
        flat = values.reshape(len(values), -1)
        ordered = jnp.sort(flat, axis=-1)
        find = jax.vmap(lambda o, v, side: jnp.searchsorted(o, v, side=side), (0, 0, None))
        return (find(ordered, flat, 'left') + find(ordered, flat, 'right')).astype(jnp.float32) / 2

    return correlation(midranks(maps), midranks(others))


def cascade(names: Sequence[str]) -> dict[str, list[str]]:
    """The parts of a network in the order in which they are randomised, each with its parameters among `names` (such as
    'stage2_conv'): the head, then the stages, the last first, then the stem."""
    parts: dict[str, list[str]] = {}
    for name in names:
        parts.setdefault(name.split('_')[0], []).append(name)
    stages = sorted((p for p in parts if p.startswith('stage')), key=lambda p: (len(p), p), reverse=True)
    rest = sorted(p for p in parts if p != 'head' and p not in stages)
    return {p: parts[p] for p in ['head', *stages, *rest] if p in parts}


def randomise(
    variables: dict[str, Any], fresh: dict[str, Any], parts: dict[str, list[str]], depth: ArrayLike
) -> dict[str, Any]:
    """`variables` with the first `depth` (traced) of `parts` as in an untrained network, statistics too."""
    number = {name: i for i, names in enumerate(parts.values()) for name in names}

    def mixed(kind):
        return {
            name: jax.tree.map(
                lambda old, new, i=number[name]: jnp.where(i < depth, new, old), value, fresh[kind][name]
            )
            for name, value in variables[kind].items()
        }

    return {**variables, **{kind: mixed(kind) for kind in ('params', 'batch_stats') if kind in variables}}
