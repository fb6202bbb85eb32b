"""What is asked of an alignment metric and of a null model, before hours of work; a user's own is asked more."""

import logging

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax import alignment
from imbalance_jax.concepts import nulls
from imbalance_jax.names import is_ours, lookup
from imbalance_jax.system import environment, provenance, tracing

log = logging.getLogger(__name__)


def check_metric(name: str, size: tuple[int, int]) -> None:
    """ValueError for an alignment metric that does not give a number per map."""
    maps = jax.ShapeDtypeStruct((2, *size), jnp.float32)
    masks = jax.ShapeDtypeStruct(maps.shape, jnp.bool_)
    try:
        given = jax.eval_shape(alignment.METRICS[name], maps, masks)
    except Exception as error:
        reason = provenance.of_plugin(error) or ' '.join(str(error).split())
        raise ValueError(f'alignment metric {name!r}: {reason}') from error
    real = isinstance(given, jax.ShapeDtypeStruct) and not jnp.issubdtype(given.dtype, jnp.complexfloating)
    if not real or given.shape != maps.shape[:1]:
        said = jax.tree.map(lambda one: f'{one.dtype} {list(one.shape)}', given)
        raise ValueError(f'alignment metric {name!r} gives {said} of maps {list(maps.shape)}; expected a number each.')
    if not is_ours(alignment.METRICS[name]):
        if tracing.is_another_each_time(alignment.METRICS[name], maps, masks):
            raise ValueError(f'alignment metric {name!r} {tracing.ANOTHER}.')
        _check_alone(name, size)
        _say_of_ends(name, size)


def _say_of_ends(name: str, size: tuple[int, int]) -> None:
    """Says where a metric is not 1 for a map that equals its mask, 0 for an empty map and NaN for an empty mask."""
    mask = np.zeros(size, bool)
    mask[: size[0] // 2, : size[1] // 4] = True  # in a corner, and no square
    maps, masks = np.stack([mask, 0 * mask, mask]), np.stack([mask, mask, 0 * mask])
    given = np.asarray(alignment.METRICS[name](jnp.asarray(maps, jnp.float32), jnp.asarray(masks, bool)), np.float64)
    cases = ('a map that equals its mask', 'an empty map', 'an empty mask')
    for what, value, wanted in zip(cases, given, (1.0, 0.0, np.nan), strict=True):
        if not np.isclose(value, wanted, rtol=0, atol=1e-3, equal_nan=True):
            log.warning('alignment metric %r gives %.3g for %s; %.3g is expected.', name, value, what, wanted)


def _check_alone(name: str, size: tuple[int, int]) -> None:
    """ValueError for a metric whose value for a map depends on the other maps that it is given."""
    metric, generator = alignment.METRICS[name], np.random.default_rng(0)
    scales = np.array([0.5, 1, 0.25])[:, None, None]
    maps = np.asarray(scales * generator.random((3, *size)) ** (1 / scales), np.float32)
    masks = generator.random(maps.shape) < np.array([0.2, 0.4, 0.6])[:, None, None]
    together = np.asarray(metric(jnp.asarray(maps), jnp.asarray(masks)), np.float64)
    alone = [np.asarray(metric(jnp.asarray(maps[i : i + 1]), jnp.asarray(masks[i : i + 1])))[0] for i in range(3)]
    if not np.allclose(together, np.asarray(alone, np.float64), rtol=1e-3, atol=1e-5, equal_nan=True):
        raise ValueError(f'alignment metric {name!r}: its value for a map depends on the other maps that it is given.')


def check_null(name: str, size: tuple[int, int]) -> None:
    """ValueError for a null model that there is not, and for a user's own that gives what is none."""
    if is_ours(lookup(nulls.NULLS, name, 'null model in config.concepts.null:')):
        return
    few, key = np.arange(8), environment.key(0)
    given = [nulls.Block(few.copy(), 0, size, few.copy()) for _ in range(2)]
    try:
        once, again = (nulls.displaced(name, key, 4, block) for block in given)
    except Exception as error:
        reason = provenance.of_plugin(error) or ' '.join(str(error).split())
        raise ValueError(f'config.concepts.null: {name!r}: {reason}') from error
    said = f'config.concepts.null: {name!r}'
    if not all(map(np.array_equal, once, again)):
        raise ValueError(f'{said} gives other places each time it is asked; expected the same of the same key.')
    if not all(np.array_equal(one, few) for block in given for one in (block.images, np.asarray(block.patients))):
        raise ValueError(f'{said} changes the block that it is given: take a copy.')
    if np.array_equal(once.source, np.broadcast_to(few, once.source.shape)) and not once.offset.any():
        raise ValueError(f'{said} displaces nothing, so that chance would be what was measured: of 8 images of 8 '
                         'patients, in 4 rounds, each keeps its own annotations.')  # fmt: skip
    if all((one == one[:1]).all() for one in once):
        raise ValueError(f'{said} gives the same places in every round, of which chance is to be the spread.')
