"""A plan on an existing Ray cluster whose nodes share this file system (pip install -e '.[ray]').

python -m imbalance_jax.launch.ray --plan runs/sweep.jsonl --address auto --gpus 1 [--dry-run]
"""

import os
import shlex
import sys
import time

from imbalance_jax.launch.sending import at_least, package, parser, unfinished, work
from imbalance_jax.sweep import jobs, plan
from imbalance_jax.system import output, signals

PAUSE = 5.0  # seconds before a job is tried again


class Again(Exception):
    """A job that was asked to stop, or that the worker of a lost node still holds: not done, and nothing is wrong."""


def do(command: list[str], folder: str) -> int:
    """One job on some node; Ray runs it again if it raises Again, or if its node is lost."""
    os.chdir(folder)
    status = signals.run(command)
    if status == signals.RESUMABLE or status < 0:
        time.sleep(PAUSE)
        raise Again(shlex.join(command))
    return status


def main() -> int:
    """Entry point."""
    command_line = parser(__doc__)
    command_line.add_argument('--address', default='auto', help='of the cluster')
    command_line.add_argument('--gpus', type=at_least(0, float), default=0.0, help='of a job')
    command_line.add_argument('--cpus', type=at_least(0, float), default=1.0, help='of a job')
    command_line.add_argument(
        '--retries', type=at_least(-1), default=100, help='of a job, lost nodes included; -1 for ever'
    )
    args = command_line.parse_args()
    commands = [work(args.plan.absolute(), job.id, 8) for job in unfinished(args.plan)]
    options = {'num_cpus': args.cpus, 'num_gpus': args.gpus, 'max_retries': args.retries}
    if args.dry_run:
        print(f'# tasks with {options}', *map(shlex.join, commands), sep='\n')
        return 0
    if (ray := package('ray')) is None:
        return 2
    ray.init(address=args.address)
    task = ray.remote(do).options(**options, retry_exceptions=[Again])
    waiting = [task.remote(command, os.getcwd()) for command in commands]
    while waiting:
        [one], waiting = ray.wait(waiting)
        try:
            ray.get(one)
        except (Again, ray.exceptions.RayError) as error:
            print(f'error: {str(error).splitlines()[-1]}', file=sys.stderr)
        print(jobs.table(plan.examine(args.plan)[0])[0].splitlines()[-1], flush=True)
    text, status = jobs.table(plan.examine(args.plan)[0])
    print(text)
    return status


if __name__ == '__main__':
    output.leave(main)
