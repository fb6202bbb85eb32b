"""A plan on Kubernetes, as a JobSet (jobset.sigs.k8s.io): a pod a population, or several pods each.

    python -m imbalance_jax.launch.k8s --plan /mnt/sweep.jsonl --image IMAGE --claim CLAIM [--gpus 1] [--hosts 2]

The volume claim, mounted at --mount in every pod, holds the plan, its results and config.data.folder. --plan is the
plan as pods see it; the same file must be readable here, under --local if its name is another.
"""

import shlex
from pathlib import Path

import yaml

from imbalance_jax.launch.sending import INSTALLED, parser, send, unfinished, work
from imbalance_jax.system.signals import RESUMABLE

PORT = 8476
INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
# Kubernetes' own: a pod that saved, or was evicted, is no failure; wrong input is one that no retry mends.
POLICY = [
    {'action': 'Ignore', 'onExitCodes': {'operator': 'In', 'values': [RESUMABLE]}},
    {'action': 'Ignore', 'onPodConditions': [{'type': 'DisruptionTarget', 'status': 'True'}]},
]
FATAL = {'action': 'FailIndex', 'onExitCodes': {'operator': 'In', 'values': [2]}}


def main() -> None:
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument('--local', type=Path, default=None, help='the plan as it is found here')
    arguments.add_argument('--image', required=True, help='with the project installed')
    arguments.add_argument('--claim', required=True, help='a persistent volume claim, ReadWriteMany')
    arguments.add_argument('--mount', default='/mnt', help='where it is in a pod')
    arguments.add_argument('--namespace', default='default')
    arguments.add_argument('--gpus', type=int, default=0, help='of a pod')
    arguments.add_argument('--memory', default='16Gi', help='of a pod')
    arguments.add_argument('--cpus', default='4', help='of a pod')
    arguments.add_argument('--at-once', type=int, default=4, help='pods at the same time')
    arguments.add_argument('--hosts', type=int, default=1, help='pods that train one population together')
    arguments.add_argument('--grace', type=int, default=120, help='seconds to save in when a pod has to go')
    given = arguments.parse_args()
    jobs = unfinished(given.local or given.plan)
    sets = [one_pod_each(given, jobs)] if given.hosts == 1 else [together(given, job) for job in jobs]
    send(['kubectl', 'apply', '-f', '-'], yaml.safe_dump_all(sets, sort_keys=False, width=1000), given.dry_run)


def one_pod_each(given, jobs: list) -> dict:
    """A JobSet of one indexed Job: pod i does the i-th unfinished population, and only its own failures count."""
    ids = [job.id for job in jobs]
    words = ['sh', '-c', f'set -- {" ".join(ids)}; shift "$INDEX"; exec {_line(given)}']
    index = {'name': 'INDEX', 'valueFrom': {'fieldRef': {'fieldPath': INDEX}}}
    job = {
        'completionMode': 'Indexed',
        'completions': len(jobs),
        'parallelism': min(given.at_once, len(jobs)),
        'backoffLimitPerIndex': 10,
        'podFailurePolicy': {'rules': [*POLICY, FATAL]},
        'template': _pod(given, words, [index]),
    }
    return _jobset(given, given.plan.stem, job, restarts=0)


def together(given, job) -> dict:
    """A JobSet for one population that several pods train as one: if one pod has to go, all begin again and resume."""
    name = f'{given.plan.stem}-{job.id}'
    words = ['sh', '-c', f'set -- {job.id}; exec {_line(given)}']
    environment = [
        {'name': 'JAX_COORDINATOR_ADDRESS', 'value': f'{_name(name)}-work-0-0.{_name(name)}:{PORT}'},
        {'name': 'JAX_NUM_PROCESSES', 'value': str(given.hosts)},
        {'name': 'JAX_PROCESS_ID', 'valueFrom': {'fieldRef': {'fieldPath': INDEX}}},
    ]
    spec = {
        'completionMode': 'Indexed',
        'completions': given.hosts,
        'parallelism': given.hosts,
        'backoffLimit': 0,
        'template': _pod(given, words, environment),
    }
    return _jobset(given, name, spec, restarts=100)


def _line(given) -> str:
    return shlex.join(work(given.plan, 'ID', 0.9 * given.grace, INSTALLED)).replace('--job=ID', '--job="$1"')


def _pod(given, words: list[str], environment: list[dict]) -> dict:
    limits = {'cpu': given.cpus, 'memory': given.memory, **({'nvidia.com/gpu': given.gpus} if given.gpus else {})}
    container = {
        'name': 'work',
        'image': given.image,
        'command': words,
        'workingDir': given.mount,
        'env': environment,
        'resources': {'limits': limits},
        'volumeMounts': [{'name': 'shared', 'mountPath': given.mount}],
    }
    volume = {'name': 'shared', 'persistentVolumeClaim': {'claimName': given.claim}}
    spec = {'restartPolicy': 'Never', 'terminationGracePeriodSeconds': given.grace}
    return {'spec': {**spec, 'containers': [container], 'volumes': [volume]}}


def _jobset(given, name: str, job: dict, restarts: int) -> dict:
    return {
        'apiVersion': 'jobset.x-k8s.io/v1alpha2',
        'kind': 'JobSet',
        'metadata': {'name': _name(name), 'namespace': given.namespace},
        'spec': {
            'failurePolicy': {'maxRestarts': restarts},
            'replicatedJobs': [{'name': 'work', 'replicas': 1, 'template': {'spec': job}}],
        },
    }


def _name(text: str) -> str:
    """A name as Kubernetes allows it."""
    return ''.join(letter if letter.isascii() and letter.isalnum() else '-' for letter in text.lower()).strip('-')[:40]


if __name__ == '__main__':
    main()
