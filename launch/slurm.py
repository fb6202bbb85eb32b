"""A plan as a SLURM job array: saved before the time limit and before preemption, requeued until it is done.

python -m imbalance_jax.launch.slurm --plan runs/sweep.jsonl --sbatch=--time=4:00:00 [--dry-run]
"""

import shlex
from argparse import Namespace
from pathlib import Path

from imbalance_jax.launch.sending import add_limits, at_least, line, matching, parser, send, unfinished, work
from imbalance_jax.sweep import plan
from imbalance_jax.system import output

# A batch shell that is asked to stop waits for its step, which is asked too. A step that saved is 75. Of one task of
# an array SLURM_JOB_ID is the array's own number, by which all its tasks would be requeued.
SCRIPT = """\
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --array={array}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={log}
#SBATCH --ntasks={tasks}
#SBATCH --signal=USR1@{notice}
{options}
trap : TERM USR1
cd -- {here} || exit 2
status=0
srun {command} || status=$?
if [ "$status" = 75 ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {requeues} ]; then
    task=${{SLURM_ARRAY_JOB_ID:+${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID}}
    scontrol requeue "${{task:-$SLURM_JOB_ID}}"
fi
exit "$status"
"""


def main() -> int:
    """Entry point."""
    command_line = parser(__doc__)
    option = matching('-[ -~]+', 'an option of sbatch, which begins with a dash, in one line')
    command_line.add_argument(
        '--sbatch', type=option, action='append', default=[], help='an option of sbatch; repeat it for more'
    )
    command_line.add_argument(
        '--tasks', type=at_least(1), default=1, help='processes that train one population together'
    )
    command_line.add_argument(
        '--at-once', type=at_least(0), default=0, help='jobs of an array that run at the same time, 0 for all'
    )
    add_limits(command_line, requeues=1000)
    command_line.add_argument(
        '--array-size', type=at_least(1), default=1000, help='jobs of one array, fewer than MaxArraySize of slurm.conf'
    )
    args = command_line.parse_args()
    if '\\' in str(args.plan.absolute()):
        command_line.error(f'--plan={args.plan.absolute()} holds a backslash, which SLURM drops from the names of logs')
    numbers = [job.number for job in unfinished(args.plan)]
    if not args.dry_run:
        (plan.folder_of(args.plan) / 'logs').mkdir(parents=True, exist_ok=True)
    for base in sorted({number // args.array_size * args.array_size for number in numbers}):
        here = [number - base for number in numbers if base <= number < base + args.array_size]
        if status := send(['sbatch'], script(args, here, base), dry_run=args.dry_run):
            return status
    return 0


def script(args: Namespace, numbers: list[int], base: int) -> str:
    """The batch script of an array of the jobs `base` + n, n of `numbers`."""
    folder = plan.folder_of(args.plan).absolute()
    number = f'$((SLURM_ARRAY_TASK_ID + {base}))' if base else '$SLURM_ARRAY_TASK_ID'
    command = line(work(args.plan.absolute(), 'JOB', 0.9 * args.notice), 'JOB', number)
    return SCRIPT.format(
        name=shlex.quote(args.plan.stem),
        array=ranges(numbers) + (f'%{args.at_once}' if args.at_once else ''),
        log=shlex.quote(f'{str(folder / "logs").replace("%", "%%")}/slurm-%A_%a.log'),
        tasks=args.tasks,
        notice=args.notice,
        requeues=args.requeues,
        options=''.join(f'#SBATCH {option}\n' for option in args.sbatch),
        here=shlex.quote(str(Path.cwd())),
        command=command,
    )


def ranges(numbers: list[int]) -> str:
    """Ascending numbers as sbatch takes them: '0-2,5'."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ','.join(str(first) if first == last else f'{first}-{last}' for first, last in runs)


if __name__ == '__main__':
    output.leave(main)
