"""What a user's environment may not change: the numbers. What it lacks ends in one line.

Keys are threefry's whatever JAX_DEFAULT_PRNG_IMPL says: of other keys `vmap` draws from the first alone, and members of
one seed would no longer be paired; JAX_RANDOM_SEED_OFFSET would make other seeds of those of the config. Numbers have
32 bits whatever JAX_ENABLE_X64 says: checkpoints are made so. How the factors of products are rounded on an accelerator
is the config's, whatever JAX_DEFAULT_MATMUL_PRECISION says.
"""

import os
import traceback
from pathlib import Path

import jax
from jax.typing import ArrayLike

# No atomic additions in any order, and no kernels that are chosen by what was fastest this time.
DETERMINISTIC = ('--xla_gpu_deterministic_ops=true', '--xla_gpu_autotune_level=0')
# What numbers depend on, and switches of debugging that would end a run, or make it a hundred times as long.
PINNED = {
    'jax_default_prng_impl': 'threefry2x32',
    'jax_threefry_partitionable': True,
    'jax_random_seed_offset': 0,
    'jax_enable_x64': False,
    'jax_disable_most_optimizations': False,
    'jax_disable_jit': False,
    'jax_debug_nans': False,  # a member whose loss is not finite is left out, and ends no other
    'jax_debug_infs': False,
    'jax_debug_key_reuse': False,
    'jax_check_tracer_leaks': False,
    'jax_numpy_dtype_promotion': 'standard',
    'jax_numpy_rank_promotion': 'allow',
    'jax_transfer_guard': 'allow',
}


def pin(precision: str = 'default', *, deterministic: bool = False) -> None:
    """Sets what numbers depend on for the rest of this process; before JAX computes anything.

    precision: of products and convolutions, as in `config.precision`; deterministic: also on an accelerator.
    """
    for name, value in PINNED.items():
        jax.config.update(name, value)
    jax.config.update('jax_default_matmul_precision', precision)
    if deterministic:
        flags = os.environ.get('XLA_FLAGS', '').split()
        os.environ['XLA_FLAGS'] = ' '.join([*flags, *(flag for flag in DETERMINISTIC if flag not in flags)])


def precision() -> str:
    """How products and convolutions round their factors in this process, as in `config.precision`."""
    wanted: str | None = getattr(jax.config, 'jax_default_matmul_precision')  # noqa: B009  type checkers don't know it
    return wanted or 'default'


def deterministic() -> bool:
    """Whether an accelerator gives the same bits from run to run in this process."""
    return set(DETERMINISTIC) <= set(os.environ.get('XLA_FLAGS', '').split())


def key(seed: ArrayLike) -> jax.Array:
    """A key of random numbers that are the same under every strategy and in every environment."""
    return jax.random.key(seed, impl=PINNED['jax_default_prng_impl'])


def lacks_space(error: BaseException) -> bool:
    """Whether an error is that a disk is full, or was raised for one that is."""
    return _is_of_disk(str(error)) or bool(error.__cause__ and lacks_space(error.__cause__))


def _is_of_disk(text: str) -> bool:
    return 'No space left on device' in text or 'ENOSPC' in text


def _is_of_jax(error: BaseException) -> bool:
    """Whether JAX itself raised an error."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and 'jax' in Path(frames[-1].filename).parts


def explained(error: BaseException) -> str | None:
    """One line for an error of JAX that is about the machine, not about the program; None for any other.

    error: the error itself, or whatever it was raised for.
    """
    text = ' '.join(str(error).split())
    if 'RESOURCE_EXHAUSTED' in text or isinstance(error, MemoryError):
        hint = 'set config.population.memory_gib, or take a smaller batch, image or model'
        return f'memory does not suffice ({text[:200]}); {hint}.' if text else f'memory does not suffice here; {hint}.'
    if "can't start new thread" in text:
        return 'this process may start no more threads, or take no more memory (ulimit -u, ulimit -v): allow it more.'
    if _is_of_disk(text):
        return f'no space is left on a disk ({text[:200]}); make room, and give the same command again.'
    platforms = jax.config.jax_platforms  # type: ignore[attr-defined]
    bare = isinstance(error, AssertionError) and not text and _is_of_jax(error)
    if 'Unable to initialize backend' in text or (platforms and bare):
        return f"JAX finds no device for JAX_PLATFORMS='{platforms}' here; JAX_PLATFORMS='' takes what there is."
    if text.startswith('Unknown backend'):
        return f'JAX finds no such device here ({text[:200]}); JAX_PLATFORM_NAME, or JAX_PLATFORMS, asks for it.'
    return explained(error.__cause__) if error.__cause__ else None
