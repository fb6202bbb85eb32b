"""A plan through submitit: the same as launch/slurm.py for those who have it (pip install -e '.[slurm]').

python -m imbalance_jax.launch.submitit --plan runs/sweep.jsonl --set slurm_partition=gpu [--dry-run]
"""

import json
import shlex
import signal
import subprocess
from typing import Any

from imbalance_jax.launch.sending import add_limits, matching, package, parser, unfinished, work
from imbalance_jax.sweep import plan
from imbalance_jax.system import output, signals

OF_EXECUTOR = '_max_num_timeout'  # what ends so belongs to the executor, and is no parameter of a job


class Work:
    """One job, as submitit wants it: callable, picklable, and able to say how it goes on after preemption."""

    def __init__(self, command: list[str]) -> None:
        self.command = command

    def __call__(self) -> int:
        self.child = subprocess.Popen(self.command, preexec_fn=signals.die_with_parent)
        status = self.child.wait()
        if status:
            raise RuntimeError(f'{shlex.join(self.command)} ended with status {status}')
        return status

    def checkpoint(self) -> Any:
        """Called on SLURM's signal: the work saves, and is submitted again."""
        import submitit

        self.child.send_signal(signal.SIGTERM)
        self.child.wait()
        return submitit.helpers.DelayedSubmission(Work(self.command))


def main() -> int:
    """Entry point."""
    command_line = parser(__doc__)
    command_line.add_argument('--cluster', default=None, help="submitit's executor: slurm, local, or found by itself")
    pair = matching(r'(?s)\w+=.*', 'NAME=VALUE')
    command_line.add_argument(
        '--set', type=pair, action='append', default=[], help='a parameter of its executor, NAME=VALUE'
    )
    add_limits(command_line, requeues=100)
    args = command_line.parse_args()
    commands = [work(args.plan.absolute(), job.id, 0.9 * args.notice) for job in unfinished(args.plan)]
    parameters = {'slurm_signal_delay_s': args.notice, 'name': args.plan.stem}
    parameters |= {name: value_of(text) for name, _, text in (pair.partition('=') for pair in args.set)}
    if args.dry_run:
        print(json.dumps(parameters), *map(shlex.join, commands), sep='\n')
        return 0
    if (submitit := package('submitit')) is None:
        return 2
    made_with = {name: parameters.pop(name) for name in list(parameters) if name.endswith(OF_EXECUTOR)}
    limits = {'slurm_max_num_timeout': args.requeues, **made_with}
    executor = submitit.AutoExecutor(plan.folder_of(args.plan) / 'logs', cluster=args.cluster, **limits)
    executor.update_parameters(**parameters)
    with executor.batch():
        sent = [executor.submit(Work(command)) for command in commands]
    print(*(one.job_id for one in sent), sep='\n')
    return 0


def value_of(text: str) -> Any:
    """A number or word of the command line."""
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == '__main__':
    output.leave(main)
