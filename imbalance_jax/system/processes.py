"""Several processes that run the same command as one: `jax.distributed` over one machine or many."""

import os
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax._src import distributed  # of SLURM and others, only JAX knows where the first process is
from jax.experimental import multihost_utils

from imbalance_jax.system import cluster, peers
from imbalance_jax.system.cluster import VARIABLES

T = TypeVar('T')
PATIENCE = 1800  # seconds for the others to come: the first may still be explaining the population before


def join() -> None:
    """Joins the other processes, if the environment says that there are any; call it before JAX computes anything.

    Of processes that users name by hand, all VARIABLES are wanted; ValueError otherwise. Those of SLURM, TPU and
    Kubernetes are found by JAX.
    """
    kind = cluster.role().kind
    if kind == 'alone' or joined():
        return
    if kind == 'named':
        address, count, number = (os.environ[name] for name in VARIABLES)
        jax.distributed.initialize(address, int(count), int(number), initialization_timeout=PATIENCE)
    else:
        jax.distributed.initialize(initialization_timeout=PATIENCE)
    if jax.process_count() > 1:
        peers.watch(jax.process_index(), jax.process_count(), _host_of_first(), agree)


def _host_of_first() -> str:
    """The machine of the first process as the others reach it."""
    address = os.environ.get(VARIABLES[0]) or distributed.global_state.coordinator_address or socket.gethostname()
    return address.rpartition(':')[0].strip('[]') or address


def joined() -> bool:
    """Whether this process has joined others."""
    return jax.distributed.is_initialized()


def leads() -> bool:
    """Whether this process is the first, which alone writes files. True without others."""
    return jax.process_index() == 0 if joined() else cluster.leads()


def agree(value: Any) -> np.ndarray:
    """The first process's value, in all of them: a number or an array of the same shape everywhere."""
    return np.asarray(multihost_utils.broadcast_one_to_all(value)) if jax.process_count() > 1 else np.asarray(value)


def any_of(flag: bool) -> bool:
    """Whether any process says so."""
    return bool(multihost_utils.process_allgather(np.array(flag)).any()) if jax.process_count() > 1 else bool(flag)


def least_of(value: int) -> int:
    """The least of what the processes say."""
    return int(multihost_utils.process_allgather(np.array(value)).min()) if jax.process_count() > 1 else value


def say(text: str) -> None:
    """A line for the user, from the first process alone."""
    if leads():
        print(text, flush=True)


def wait_for_all() -> None:
    """Returns when every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices('wait_for_all')


def first_alone(work: Callable[[], T]) -> T:
    """Runs `work` in the first process, then in the others, which find done what it leaves in files."""
    if leads():
        result = work()
        wait_for_all()
        return result
    wait_for_all()
    return work()
