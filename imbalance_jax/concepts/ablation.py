"""What is lost without a unit, and how few units carry a class.

A measure is the network with every unit u times `kept[u]`, 1 or 0, plus what stands in for it, and says how well
classes are found (AUROC). It is one pure function, so that all units, and all classes of a search, are one program.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def single(measure: Callable[[jax.Array], jax.Array], units: int, group: int = 0) -> jax.Array:
    """What is left without each unit [U, K] of `measure(kept [U]) -> [K]`, `group` units at a time (0: all)."""

    def without(unit):
        return measure(jnp.ones(units).at[unit].set(0))

    return jax.lax.map(without, jnp.arange(units), batch_size=group or units)


def greedy(
    measure: Callable[[jax.Array, jax.Array], jax.Array], units: int, classes: int, *, steps: int
) -> dict[str, jax.Array]:
    """Takes units away one after the other, each time the one whose loss hurts most, for each class by itself.

    measure: (kept [U], number of a class) -> how well that class is found

    Returns `order` [K, T] int, the units in the order in which they go, and `left` [K, T], what is left of the class
    without them. Among equals the lower number goes first. T is `steps`, at most U. A class that `measure` calls NaN
    stays so throughout.
    """

    def one_class(k):
        def step(kept, _):
            def without(unit):
                return jnp.where(kept[unit] > 0, measure(kept.at[unit].set(0), k), jnp.inf)

            left = jax.lax.map(without, jnp.arange(units), batch_size=units)
            worst = jnp.argmin(jnp.where(jnp.isnan(left) & (kept > 0), jnp.finfo(left.dtype).max, left))
            return kept.at[worst].set(0), (worst, left[worst])

        return jax.lax.scan(step, jnp.ones(units), length=min(steps, units))[1]

    order, left = jax.lax.map(one_class, jnp.arange(classes))
    return {'order': order, 'left': left}


def carrying(intact: jax.Array, left: jax.Array, share: float = 0.5, *, chance: float = 0.5) -> jax.Array:
    """The size [K] of the smallest greedy set without which a class keeps at most `share` of what it has over chance.

    intact: [K]; left: [K, T] as from `greedy`. NaN where T units are too few, and where a class has nothing to lose.
    """
    goal = chance + share * (intact - chance)
    reached = left <= goal[:, None]
    size = jnp.argmax(reached, axis=1) + 1.0
    return jnp.where(reached.any(axis=1) & (intact > chance), size, jnp.nan)
