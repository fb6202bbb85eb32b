"""A plan on this machine, by one worker or several; a worker that is killed is started again.

python -m imbalance_jax.launch.local --plan runs/sweep.jsonl --workers 2 [--gpus 0,1] [--dry-run]
"""

import os
import shlex
import signal
import subprocess
import sys
import time

from imbalance_jax.launch.sending import HERE, parser, unfinished
from imbalance_jax.sweep import jobs
from imbalance_jax.sweep import plan as plans
from imbalance_jax.system import signals as stopping

POLL = 0.2  # seconds


def main() -> int:
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument('--workers', type=int, default=1, help='processes that take the next job each')
    arguments.add_argument('--gpus', default='', help='their numbers, one a worker: 0,1,...')
    pin = 'give each worker its own cores, as its devices: faster, but last digits depend on the number of devices'
    arguments.add_argument('--pin', action='store_true', help=pin)
    arguments.add_argument('--restarts', type=int, default=100, help='of workers that were killed, in all')
    given = arguments.parse_args()
    unfinished(given.plan)
    command = [*HERE, 'work', f'--plan={given.plan}']
    places = [place(worker, given.workers, given.gpus, given.pin) for worker in range(given.workers)]
    if given.dry_run:
        for variables, cores in places:
            line = shlex.join(['env', *(f'{name}={value}' for name, value in variables.items()), *command])
            print(line, f'# cores {cores}' if cores else '')
        return 0
    return supervise(given.plan, command, places, given.restarts)


def place(worker: int, workers: int, gpus: str, pin: bool) -> tuple[dict, list[int]]:
    """A worker's own environment variables, and its own cores if it has such."""
    every = sorted(os.sched_getaffinity(0)) if pin and hasattr(os, 'sched_getaffinity') else []
    names = [name for name in gpus.split(',') if name]
    return {'CUDA_VISIBLE_DEVICES': names[worker % len(names)]} if names else {}, every[worker::workers] or every


def start(plan, command: list[str], worker: int, variables: dict, cores: list[int]) -> subprocess.Popen:
    folder = plans.folder_of(plan) / 'logs'
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f'worker-{worker}.log', 'ab') as log:
        child = subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=stopping.die_with_parent,
        )
    if cores:
        os.sched_setaffinity(child.pid, cores)
    return child


def supervise(plan, command: list[str], places: list, restarts: int) -> int:
    """Waits for all workers. Those that are killed begin again; a signal to stop goes to all. The plan's status."""
    workers = {worker: start(plan, command, worker, *where) for worker, where in enumerate(places)}
    asked = []
    stopping.catch(lambda number, frame: asked.append(number))
    signal.signal(signal.SIGINT, lambda number, frame: asked.append(signal.SIGTERM))
    while workers:
        time.sleep(POLL)
        while asked:
            restarts, number = 0, asked.pop()
            for child in workers.values():
                child.send_signal(number)
        for worker, child in list(workers.items()):
            if child.poll() is not None:
                del workers[worker]
                if child.returncode < 0 and restarts > 0:
                    restarts -= 1
                    print(f'worker {worker} was killed by signal {-child.returncode}; it begins again.', flush=True)
                    workers[worker] = start(plan, command, worker, *places[worker])
    text, status = jobs.table(plans.read(plan))
    print(text)
    return status


if __name__ == '__main__':
    sys.exit(main())
