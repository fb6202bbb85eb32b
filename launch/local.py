"""A plan on this machine, by one worker or several; a worker that is killed is started again.

python -m imbalance_jax.launch.local --plan runs/sweep.jsonl --workers 2 [--gpus 0,1] [--dry-run]
"""

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from imbalance_jax.launch.sending import HERE, at_least, matching, parser, unfinished
from imbalance_jax.sweep import jobs, plan
from imbalance_jax.system import output, signals

POLL = 0.2  # seconds


class Share(NamedTuple):
    """A worker's part of the machine: environment variables of its own, and its cores, none for all."""

    variables: dict[str, str]
    cores: list[int]


def main() -> int:
    """Entry point."""
    command_line = parser(__doc__)
    command_line.add_argument('--workers', type=at_least(1), default=1, help='processes that take the next job each')
    gpus = matching(r'([^\s,]+(,[^\s,]+)*)?', 'numbers with commas between')
    command_line.add_argument('--gpus', type=gpus, default='', help='their numbers, one per worker: 0,1,...')
    pin = 'give each worker its own cores, as its devices: faster, but last digits depend on the number of devices'
    command_line.add_argument('--pin', action='store_true', help=pin)
    command_line.add_argument('--restarts', type=at_least(0), default=100, help='of workers that were killed, in all')
    args = command_line.parse_args()
    unfinished(args.plan)
    command = [*HERE, 'work', f'--plan={args.plan}']
    shares = [share_of(worker, args.workers, gpus=args.gpus, pin=args.pin) for worker in range(args.workers)]
    if args.dry_run:
        for variables, cores in shares:
            line = shlex.join(['env', *(f'{name}={value}' for name, value in variables.items()), *command])
            print(line, f'# cores {cores}' if cores else '')
        return 0
    return supervise(args.plan, command, shares, restarts=args.restarts)


def share_of(worker: int, workers: int, *, gpus: str, pin: bool) -> Share:
    """The GPU of a worker, and its cores if each is to have its own."""
    every = sorted(os.sched_getaffinity(0)) if pin and hasattr(os, 'sched_getaffinity') else []
    names = [name for name in gpus.split(',') if name]
    gpu = {'CUDA_VISIBLE_DEVICES': names[worker % len(names)]} if names else {}
    return Share(gpu, every[worker::workers] or every)


def start(path: Path, command: list[str], worker: int, share: Share) -> subprocess.Popen:
    """A worker's process, on its own cores if it has such; what it says goes to a log of its own."""
    folder = plan.folder_of(path) / 'logs'
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f'worker-{worker}.log', 'ab') as log:
        child = subprocess.Popen(
            command,
            env={**os.environ, **share.variables},
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=signals.die_with_parent,
        )
    if share.cores:
        os.sched_setaffinity(child.pid, share.cores)
    return child


def supervise(path: Path, command: list[str], shares: list[Share], *, restarts: int) -> int:
    """Waits for all workers. Those that are killed begin again; a signal to stop goes to all. The plan's status."""
    workers = {worker: start(path, command, worker, share) for worker, share in enumerate(shares)}
    stops: list[int] = []
    signals.catch(lambda number, frame: stops.append(number))
    signal.signal(signal.SIGINT, lambda number, frame: stops.append(signal.SIGTERM))
    while workers:
        time.sleep(POLL)
        while stops:
            restarts, number = 0, stops.pop()
            for child in workers.values():
                child.send_signal(number)
        for worker, child in list(workers.items()):
            if child.poll() is not None:
                del workers[worker]
                if child.returncode < 0 and restarts > 0:
                    restarts -= 1
                    print(f'worker {worker} was killed by signal {-child.returncode}; it begins again.', flush=True)
                    workers[worker] = start(path, command, worker, shares[worker])
    text, status = jobs.table(plan.examine(path)[0])
    print(text)
    return status


if __name__ == '__main__':
    output.leave(main)
