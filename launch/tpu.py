"""A plan on Cloud TPU slices that are there and have the project installed: slice k of m does every m-th population.

    python -m imbalance_jax.launch.tpu --plan FOLDER/sweep.jsonl --slices a,b --zone us-east5-b --folder imbalance_jax

The plan, its results and config.data.folder must lie where all slices find them: a Filestore share or a bucket mounted
with locks, not each slice's own disk. Hosts of one slice train each population together.
"""

import shlex
import subprocess
import sys
from argparse import Namespace

from imbalance_jax.launch.sending import INSTALLED, at_least, matching, parser, unfinished
from imbalance_jax.names import repeated
from imbalance_jax.system import output

WORKER = 'http://metadata.google.internal/computeMetadata/v1/instance/attributes/agent-worker-number'
NAME = '[a-z]([-a-z0-9]{0,61}[a-z0-9])?'
PROJECT = '([a-z0-9.-]+:)?[a-z][-a-z0-9]{4,28}[a-z0-9]'
AGAIN = 30  # seconds between two attempts at a share that is not done


def main() -> int:
    """Entry point."""
    command_line = parser(__doc__)
    slices = matching(f'{NAME}(,{NAME})*', 'names of TPU VMs with commas between')
    command_line.add_argument('--slices', required=True, type=slices, help='names of TPU VMs, with commas between')
    command_line.add_argument('--zone', required=True, type=matching(NAME, 'a zone'))
    command_line.add_argument('--project', type=matching(PROJECT, 'a project'), help="gcloud's own, if not given")
    command_line.add_argument('--folder', required=True, help='the repository on the TPU VMs, its .venv in it')
    command_line.add_argument('--hosts', type=at_least(1), default=1, help='of a slice')
    args = command_line.parse_args()
    if not args.plan.is_absolute():
        command_line.error(f'--plan={args.plan} is no absolute path, by which all slices find it')
    names = args.slices.split(',')
    if twice := repeated(names):
        command_line.error(f'--slices has {twice[0]} twice; each slice does a share of its own')
    unfinished(args.plan)
    commands = [command(args, name, f'{number}/{len(names)}') for number, name in enumerate(names)]
    if args.dry_run:
        print('\n'.join(map(shlex.join, commands)))
        return 0
    try:
        running = [subprocess.Popen(one) for one in commands]
    except FileNotFoundError:
        print('error: there is no gcloud here; --dry-run prints what it would be given.', file=sys.stderr)
        return 2
    ended = [one.wait() for one in running]
    for name, status in zip(names, ended, strict=True):
        if status < 0:
            print(f'error: gcloud of {name} was killed by signal {-status}.', file=sys.stderr)
    return max(status if status >= 0 else 128 - status for status in ended)


def command(args: Namespace, name: str, shard: str) -> list[str]:
    """gcloud's command line for one slice: on all of its hosts, again as long as there is something to resume."""
    work = shlex.join([*INSTALLED, 'work', f'--plan={args.plan}', f'--shard={shard}', '--grace=25'])
    cluster = ''
    if args.hosts > 1:
        number = f'$(curl -sfH "Metadata-Flavor: Google" {WORKER})'
        cluster = f'export IMBALANCE_JAX_CLUSTER=tpu IMBALANCE_JAX_PROCESS={number} && '
    loop = f'until {work}; do [ $? = 75 ] || exit 1; sleep {AGAIN}; done'
    home, folder = ('~/', args.folder[2:] or '.') if f'{args.folder}/'.startswith('~/') else ('', args.folder)
    line = f'cd -- {home}{shlex.quote(folder)} && source .venv/bin/activate && {cluster}{loop}'
    project = [f'--project={args.project}'] if args.project else []
    ssh = ['gcloud', 'compute', 'tpus', 'tpu-vm', 'ssh', name, f'--zone={args.zone}', *project, '--worker=all']
    return [*ssh, f'--command={line}']


if __name__ == '__main__':
    output.leave(main)
