"""How many operations a second the devices do in a matrix product: what the speed of training is held against."""

import time
from typing import Any

import jax
import jax.numpy as jnp

from imbalance_jax.system import cache, environment, limits

SIZES = {'cpu': 1024}  # rows and columns of the factors; elsewhere LARGE
LARGE = 4096
SECONDS = 0.3  # of products, after the first


def flops_per_second() -> float:
    """Of all devices of this process together: products of float32 numbers, at the precision of this process; in the
    fastest of some rounds. Measured once on a machine, in less than a second, and kept (`system.cache`)."""
    devices = jax.local_devices()
    size = SIZES.get(devices[0].platform, LARGE)
    machine = {'device': devices[0].device_kind, 'devices': len(devices), 'cores': limits.cores()}
    conditions = {'matrix product': size, **machine, 'precision': environment.precision(), 'jax': jax.__version__}
    known = cache.recall(conditions)
    if known is None:
        known = {'flops_per_second': _measured(devices, size)}
        cache.remember(conditions, known)
    return float(known['flops_per_second'])


def _measured(devices: list[Any], size: int) -> float:
    factors = [jax.device_put(jnp.ones((size, size), jnp.float32), device) for device in devices]
    product = jax.jit(lambda a: a @ a)
    jax.block_until_ready([product(a) for a in factors])  # which also compiles it
    best, begin = float('inf'), time.perf_counter()
    while best == float('inf') or time.perf_counter() - begin < SECONDS:
        last = time.perf_counter()
        jax.block_until_ready([product(a) for a in factors])
        best = min(best, time.perf_counter() - last)
    return len(devices) * 2 * size**3 / best
