"""Which of several processes that work as one this is, as the environment has it; nothing is imported or joined.

Known are the variables that users set by hand (JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROCESS_ID), SLURM's of
a step of several tasks (`srun`), and those of a TPU slice of several hosts on Kubernetes or a TPU VM. On Kubernetes
without TPUs the manifest of `launch/k8s.py` sets the first kind; IMBALANCE_JAX_CLUSTER=k8s asks JAX to find out by
itself, for a manifest that does not. IMBALANCE_JAX_CLUSTER=off works alone, whatever the environment.
"""

import os
from typing import NamedTuple

VARIABLES = ('JAX_COORDINATOR_ADDRESS', 'JAX_NUM_PROCESSES', 'JAX_PROCESS_ID')
NUMBERS = {'k8s': 'JOB_COMPLETION_INDEX', 'tpu': 'IMBALANCE_JAX_PROCESS'}


class Role(NamedTuple):
    """kind: 'alone', 'named' (by VARIABLES), 'slurm', 'tpu' or 'k8s'; number: of this process, from 0."""

    kind: str
    number: int = 0


def role() -> Role:
    """The role of this process; ValueError where the environment says it wrongly."""
    setting = os.environ.get('IMBALANCE_JAX_CLUSTER', '')
    if setting not in ('', 'off', *NUMBERS):
        raise ValueError(f"IMBALANCE_JAX_CLUSTER is {setting!r}; it must be 'off', 'k8s', 'tpu', or not set.")
    if setting == 'off':
        return Role('alone')
    if os.environ.get('JAX_COORDINATOR_ADDRESS'):
        return _named()
    if setting:
        return Role(setting, _whole(NUMBERS[setting]))
    # A batch script has the number of tasks of its allocation too; only a step really runs that many.
    if os.environ.get('SLURM_STEP_NUM_TASKS', '1') not in ('', '1'):
        return Role('slurm', _whole('SLURM_PROCID'))
    hosts = os.environ.get('TPU_PROCESS_ADDRESSES') or os.environ.get('TPU_WORKER_HOSTNAMES', '')
    if ',' in hosts:
        return Role('tpu', _whole('TPU_WORKER_ID'))
    return Role('alone')


def leads() -> bool:
    """Whether this process is the first, which alone writes files. True without others."""
    return role().number == 0


def _named() -> Role:
    values = {name: os.environ.get(name, '') for name in VARIABLES}
    count, number = (values[name] for name in VARIABLES[1:])
    if not (count.isdecimal() and number.isdecimal() and int(number) < int(count)):
        shown = ', '.join(f'{name}={value!r}' for name, value in values.items())
        raise ValueError(f'Several processes need an address, their number, and each its own from 0 on: {shown}.')
    return Role('named', int(number))


def _whole(name: str) -> int:
    value = os.environ.get(name, '')
    if not value.isdecimal():
        raise ValueError(f'{name} is {value!r} in the environment of one of several processes; it must be its number.')
    return int(value)
