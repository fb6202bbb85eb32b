"""A plan on Kubernetes, as a JobSet (jobset.sigs.k8s.io): one pod per population, or several.

    python -m imbalance_jax.launch.k8s --plan /mnt/sweep.jsonl --image IMAGE --claim CLAIM [--gpus 1] [--hosts 2]

The volume claim, mounted at --mount in every pod, holds the plan, its results and config.data.folder. --plan is the
plan as pods see it; the same file must be readable here, under --local if its name is another.
"""

import hashlib
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import yaml

from imbalance_jax.launch.sending import INSTALLED, at_least, line, matching, parser, path, send, unfinished, work
from imbalance_jax.sweep.plan import Job
from imbalance_jax.system import output
from imbalance_jax.system.signals import RESUMABLE

PORT = 8476
NAME, DOTTED = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?', '[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?'
LONGEST, DIGEST = 40, 8  # letters of a name, to which Kubernetes adds up to 63, and of the digest at its end
INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
# Kubernetes' own: a pod that saved, or was evicted, is no failure; wrong input is one that no retry mends.
POLICY = [
    {'action': 'Ignore', 'onExitCodes': {'operator': 'In', 'values': [RESUMABLE]}},
    {'action': 'Ignore', 'onPodConditions': [{'type': 'DisruptionTarget', 'status': 'True'}]},
]
MOST_BYTES = 256 * 1024  # of an object, which `kubectl apply` keeps in its annotations
FATAL = {'action': 'FailIndex', 'onExitCodes': {'operator': 'In', 'values': [2]}}
IMAGE = r'[A-Za-z0-9][\w.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*(:\w[\w.-]{0,127})?(@sha256:[0-9a-f]{64})?'


def main() -> int:
    """Entry point."""
    command_line = parser(__doc__)
    name, claim = (matching(one, 'a name on Kubernetes: small letters, digits, dashes') for one in (NAME, DOTTED))
    quantity = matching(r'([0-9]+([.][0-9]*)?|[.][0-9]+)[A-Za-z]*', 'an amount of Kubernetes, such as 4, 500m or 16Gi')
    command_line.add_argument('--local', type=path, default=None, help='the plan as it is found here')
    command_line.add_argument('--image', required=True, type=matching(IMAGE, 'an image'), help='with the project')
    command_line.add_argument('--claim', required=True, type=claim, help='a persistent volume claim, ReadWriteMany')
    command_line.add_argument('--mount', type=path, default=Path('/mnt'), help='where it is in a pod')
    command_line.add_argument('--namespace', type=name, default='default')
    command_line.add_argument('--gpus', type=at_least(0), default=0, help='of a pod')
    command_line.add_argument('--memory', type=quantity, default='16Gi', help='of a pod')
    command_line.add_argument('--cpus', type=quantity, default='4', help='of a pod')
    command_line.add_argument('--at-once', type=at_least(1), default=4, help='pods at the same time')
    command_line.add_argument('--hosts', type=at_least(1), default=1, help='pods that train one population together')
    command_line.add_argument('--grace', type=at_least(1), default=120, help='seconds to save in when a pod has to go')
    command_line.add_argument('--retries', type=at_least(0), default=10, help='of a population that failed')
    args = command_line.parse_args()
    jobs = unfinished(args.local or args.plan)
    if args.mount not in args.plan.parents:
        command_line.error(f'--plan={args.plan} is not below --mount={args.mount}, where pods find it')
    sets = [indexed_jobs(args, jobs)] if args.hosts == 1 else [replicated_job(args, job) for job in jobs]
    longest = max(len(json.dumps(one)) for one in sets)
    if longest > MOST_BYTES:
        command_line.error(
            f'{len(jobs):,} populations make a JobSet of {longest:,} bytes, and `kubectl apply` takes {MOST_BYTES:,}: '
            'write several plans of fewer'
        )
    text = yaml.safe_dump_all(sets, sort_keys=False, width=1000, allow_unicode=True)
    return send(['kubectl', 'apply', '-f', '-'], text, dry_run=args.dry_run)


def indexed_jobs(args: Namespace, jobs: list[Job]) -> dict[str, Any]:
    """A JobSet of one indexed Job: pod i does the i-th unfinished population, and only its own failures count."""
    ids = [job.id for job in jobs]
    words = ['sh', '-c', f'shift "$INDEX"; exec {_line(args)}', 'sh', *ids]  # a word each: one has 128 KiB at most
    index: dict[str, Any] = {'name': 'INDEX', 'valueFrom': {'fieldRef': {'fieldPath': INDEX}}}
    job = {
        'completionMode': 'Indexed',
        'completions': len(jobs),
        'parallelism': min(args.at_once, len(jobs)),
        'backoffLimitPerIndex': args.retries,
        'podFailurePolicy': {'rules': [*POLICY, FATAL]},
        'template': _pod(args, words, [index]),
    }
    return _jobset(args, args.plan.stem, job, restarts=0)


def replicated_job(args: Namespace, job: Job) -> dict[str, Any]:
    """A JobSet for one population that several pods train as one: if one pod has to go, all begin again and resume."""
    name = f'{args.plan.stem}-{job.id}'
    words = ['sh', '-c', f'exec {_line(args)}', 'sh', job.id]
    environment: list[dict[str, Any]] = [
        {'name': 'JAX_COORDINATOR_ADDRESS', 'value': f'{_name(name)}-work-0-0.{_name(name)}:{PORT}'},
        {'name': 'JAX_NUM_PROCESSES', 'value': str(args.hosts)},
        {'name': 'JAX_PROCESS_ID', 'valueFrom': {'fieldRef': {'fieldPath': INDEX}}},
    ]
    spec = {
        'completionMode': 'Indexed',
        'completions': args.hosts,
        'parallelism': args.hosts,
        'backoffLimit': 0,
        'template': _pod(args, words, environment),
    }
    return _jobset(args, name, spec, restarts=100)


def _line(args: Namespace) -> str:
    words = work(args.plan, 'ID', 0.9 * args.grace, program=INSTALLED)
    return line([word.replace('$', '$$') for word in words], 'ID', '$1')  # $(NAME) and $$ are Kubernetes' own


def _pod(args: Namespace, words: list[str], environment: list[dict[str, Any]]) -> dict[str, Any]:
    limits = {'cpu': args.cpus, 'memory': args.memory, **({'nvidia.com/gpu': args.gpus} if args.gpus else {})}
    container = {
        'name': 'work',
        'image': args.image,
        'command': words,
        'workingDir': str(args.mount),
        'env': environment,
        'resources': {'limits': limits},
        'volumeMounts': [{'name': 'shared', 'mountPath': str(args.mount)}],
    }
    volume = {'name': 'shared', 'persistentVolumeClaim': {'claimName': args.claim}}
    spec = {'restartPolicy': 'Never', 'terminationGracePeriodSeconds': args.grace}
    return {'spec': {**spec, 'containers': [container], 'volumes': [volume]}}


def _jobset(args: Namespace, name: str, job: dict[str, Any], restarts: int) -> dict[str, Any]:
    return {
        'apiVersion': 'jobset.x-k8s.io/v1alpha2',
        'kind': 'JobSet',
        'metadata': {'name': _name(name), 'namespace': args.namespace},
        'spec': {
            'failurePolicy': {'maxRestarts': restarts},
            'replicatedJobs': [{'name': 'work', 'replicas': 1, 'template': {'spec': job}}],
        },
    }


def _name(text: str) -> str:
    """A name as Kubernetes allows it for a service (RFC 1035): small letters, digits and dashes, a letter first.

    Whatever of the text that cannot be said so, or is too long, leaves a digest: different texts have different names.
    """
    said = ''.join(letter if letter.isascii() and letter.isalnum() else '-' for letter in text.lower()).strip('-')
    said = said if said[:1].isalpha() else f'p-{said}'.strip('-')
    if said == text and len(said) <= LONGEST:
        return said
    digest = hashlib.sha256(text.encode()).hexdigest()[:DIGEST]
    return f'{said[: LONGEST - DIGEST - 1].rstrip("-")}-{digest}'


if __name__ == '__main__':
    output.leave(main)
