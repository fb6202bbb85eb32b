"""Several processes that run the same command as one: `jax.distributed` over one machine or many."""

import os
from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils

VARIABLES = ('JAX_COORDINATOR_ADDRESS', 'JAX_NUM_PROCESSES', 'JAX_PROCESS_ID')


def join() -> None:
    """Joins the other processes, if the environment names a coordinator; call it before JAX computes anything.

    JAX_COORDINATOR_ADDRESS=host:port, JAX_NUM_PROCESSES and JAX_PROCESS_ID (from 0) are wanted together; ValueError
    otherwise.
    """
    given = {name: os.environ.get(name, '') for name in VARIABLES}
    if not given['JAX_COORDINATOR_ADDRESS'] or together():
        return
    count, number = (given[name] for name in VARIABLES[1:])
    if not (count.isdecimal() and number.isdecimal() and int(number) < int(count)):
        said = ', '.join(f'{name}={value!r}' for name, value in given.items())
        raise ValueError(f'Several processes need an address, their number, and each its own from 0 on: {said}.')
    jax.distributed.initialize(given['JAX_COORDINATOR_ADDRESS'], int(count), int(number))


def together() -> bool:
    """Whether this process has joined others."""
    return jax.distributed.is_initialized()


def leads() -> bool:
    """Whether this process is the first, which alone writes files. True without others."""
    return jax.process_index() == 0 if together() else os.environ.get('JAX_PROCESS_ID', '0') in ('', '0')


def agree(value) -> np.ndarray:
    """The first process's value, in all of them: a number or an array of the same shape everywhere."""
    return np.asarray(multihost_utils.broadcast_one_to_all(value)) if jax.process_count() > 1 else np.asarray(value)


def any_of(flag: bool) -> bool:
    """Whether any process says so."""
    return bool(multihost_utils.process_allgather(np.array(flag)).any()) if jax.process_count() > 1 else bool(flag)


def wait_for_all() -> None:
    """Returns when every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices('wait_for_all')


def first_alone(work: Callable):
    """Runs `work` in the first process, then in the others, which find done what it leaves in files."""
    result = work() if leads() else None
    wait_for_all()
    return result if leads() else work()
