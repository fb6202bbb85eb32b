"""A plan as a SLURM job array: saved before the time limit and before preemption, requeued until it is done.

python -m imbalance_jax.launch.slurm --plan runs/sweep.jsonl --sbatch=--time=4:00:00 [--dry-run]
"""

import shlex
from pathlib import Path

from imbalance_jax.launch.sending import parser, send, unfinished, work
from imbalance_jax.sweep import plan
from imbalance_jax.system import output

# A batch shell that is asked to stop waits for its step, which is asked too. A step that saved is 75.
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
cd {here} || exit 2
status=0
srun {command} || status=$?
if [ "$status" = 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
"""


def main() -> None:
    """Entry point."""
    command_line = parser(__doc__)
    command_line.add_argument('--sbatch', action='append', default=[], help='an option of sbatch; repeat it for more')
    command_line.add_argument('--tasks', type=int, default=1, help='processes that train one population together')
    command_line.add_argument('--at-once', type=int, default=0, help='jobs that run at the same time, 0 for all')
    command_line.add_argument('--notice', type=int, default=120, help='seconds before the time limit to save in')
    args = command_line.parse_args()
    folder = plan.folder_of(args.plan).absolute()
    if not args.dry_run:
        (folder / 'logs').mkdir(parents=True, exist_ok=True)
    numbers = ','.join(str(job.number) for job in unfinished(args.plan))
    command = shlex.join(work(args.plan.absolute(), 'JOB', 0.9 * args.notice))
    script = SCRIPT.format(
        name=shlex.quote(args.plan.stem),
        array=numbers + (f'%{args.at_once}' if args.at_once else ''),
        log=shlex.quote(f'{str(folder / "logs").replace("%", "%%")}/slurm-%A_%a.log'),
        tasks=args.tasks,
        notice=args.notice,
        options=''.join(f'#SBATCH {option}\n' for option in args.sbatch),
        here=shlex.quote(str(Path.cwd())),
        command=command.replace('--job=JOB', '--job="$SLURM_ARRAY_TASK_ID"'),
    )
    send(['sbatch'], script, dry_run=args.dry_run)


if __name__ == '__main__':
    output.leave(main)
