"""What is lost without a unit, and how few units carry a class.

A measure is the network with every unit u times `kept[u]`, 1 or 0, plus what stands in for it, and says how well
classes are found (AUROC). It is one pure function, so that all units, and all classes of a search, are one program.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.system.shapes import takes

Measure = Callable[..., jax.Array]
# A search for the unit that hurts most may know a cheaper way than to measure U sets that differ in one unit each:
# (kept [U], *what) -> a function of a unit, which is what is left without that unit too.
Without = Callable[..., Callable[[jax.Array], jax.Array]]


def measured(measure: Measure) -> Without:
    """The way that is always open: to measure every set."""
    return lambda kept, *what: lambda unit: measure(kept.at[unit].set(0), *what)


def single(measure: Measure, units: int, group: int = 0) -> jax.Array:
    """What is left without each unit [U, K] of `measure(kept [U]) -> [K]`, `group` units at a time (0: all)."""
    return single_by(measured(measure), units, group)


def single_by(without: Without, units: int, group: int = 0) -> jax.Array:
    """`single`, by a way of its own."""
    return jax.lax.map(without(jnp.ones(units)), jnp.arange(units), batch_size=group or units)


def greedy(measure: Measure, units: int, classes: int, *, steps: int) -> dict[str, jax.Array]:
    """Takes units away one after the other, each time the one whose loss hurts most, for each class by itself.

    measure: (kept [U], number of a class) -> how well that class is found

    Returns `order` [K, T] int, the units in the order in which they go, and `left` [K, T], what is left of the class
    without them. Among equals the lower number goes first. T is `steps`, at most U. A class that `measure` calls NaN
    stays so throughout.
    """
    return greedy_by(measured(measure), units, classes, steps=steps)


def greedy_by(
    without: Without, units: int, classes: int, *, steps: int, group: int = 0, first: jax.Array | None = None
) -> dict[str, jax.Array]:
    """`greedy`, by a way of its own, which is asked of `group` units at a time (0: all). first: what is left of every
    class without a single unit, [U, K] as of `single`, where that is known: the first step of all classes."""

    def take(kept, left):
        left = jnp.where(kept > 0, left, jnp.inf)
        worst = jnp.argmin(jnp.where(jnp.isnan(left) & (kept > 0), jnp.finfo(left.dtype).max, left))
        return kept.at[worst].set(0), (worst, left[worst])

    def one_class(k):
        def step(kept, _):
            return take(kept, jax.lax.map(without(kept, k), jnp.arange(units), batch_size=group or units))

        number = min(steps, units)
        if first is None or not number:
            return jax.lax.scan(step, jnp.ones(units), length=number)[1]
        kept, begun = take(jnp.ones(units), first[:, k])
        rest = jax.lax.scan(step, kept, length=number - 1)[1]
        return jax.tree.map(lambda one, more: jnp.concatenate([one[None], more]), begun, rest)

    order, left = jax.lax.map(one_class, jnp.arange(classes))
    return {'order': order, 'left': left}


@takes(order='... T')
def without_first(order: jax.Array, units: int) -> jax.Array:
    """Which units are kept [..., T, units] after each step of orders [..., T] in which they go."""
    gone = jnp.cumsum(jax.nn.one_hot(order, units), axis=-2)
    return 1 - jnp.minimum(gone, 1)


@takes(intact='...', left='... T')
def share_left(intact: np.ndarray, left: np.ndarray, *, chance: float = 0.5) -> np.ndarray:
    """How much of an AUROC above chance is left: intact [...], left [..., T] without 1 .. T units.

    NaN where there was nothing to lose: intact is no more than chance.
    """
    intact = np.asarray(intact)[..., None]
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(intact > chance, (left - chance) / (intact - chance), np.nan)


@takes(share='... T')
def carrying(share: np.ndarray, most: float = 0.5) -> np.ndarray:
    """The size [...] of the smallest set without which at most `most` of a class is left, of `share_left` [..., T].

    inf where T units are too few (the size is censored), NaN where there is nothing to lose.
    """
    reached = share <= most
    size = np.where(reached.any(-1), reached.argmax(-1) + 1.0, np.inf)
    return np.where(np.isfinite(share).any(-1), size, np.nan)


@takes(sizes='...')
def censored_median(sizes: np.ndarray) -> float:
    """Kaplan and Meier's median of sizes [n], inf being more than were tried, all of one limit; NaN left out.

    With one limit for all, the estimate is the lowest size that at least half of them do not exceed, inf if more than
    half are censored.
    """
    known = np.sort(sizes[~np.isnan(sizes)])
    return float(known[(len(known) - 1) // 2]) if len(known) else np.nan
