"""Engines: what each would send for a plan, and to whom; nothing is sent."""

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from imbalance_jax.configs import base
from imbalance_jax.launch import k8s, local, sending
from imbalance_jax.sweep import hyper, populations
from imbalance_jax.sweep import plan as plans
from imbalance_jax.system import cluster, files

ROOT = Path(__file__).parents[2]
DONE = {'state': 'done', 'note': '', 'seconds': 1.0, 'starts': 1}


@pytest.fixture
def plan(tmp_path):
    """Three populations, of which the first is done."""
    path = tmp_path / 'a sweep.jsonl'
    jobs, _ = plans.write(
        path, populations.populations(base.get_config(), hyper.sweep('data.image_size', [32, 48, 64]))
    )
    finish(jobs[0])
    return path


def finish(job) -> None:
    """What a job leaves that is done."""
    (job.workdir / 'results').mkdir(parents=True, exist_ok=True)
    files.write_json(job.folder / f'{job.id}.json', DONE)


class Said(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def launch(monkeypatch, capsys):
    """Runs an engine's `main` as its command would; `path` is where it looks for the engine's client."""

    def supervise(*args, **kwargs):
        raise AssertionError('workers would begin')

    monkeypatch.setattr(local, 'supervise', supervise)

    def run(engine: str, plan, *words, path: str = '') -> Said:
        monkeypatch.setattr(sys, 'argv', [engine, '--plan', str(plan), *words])
        if path:
            monkeypatch.setenv('PATH', path)
        capsys.readouterr()
        try:
            status = importlib.import_module(f'imbalance_jax.launch.{engine}').main() or 0
        except SystemExit as left:
            status = left.code
        return Said(status, *capsys.readouterr())

    return run


def works(text: str) -> list[list[str]]:
    """The command lines in a text that do some work."""
    return [shlex.split(line) for line in text.splitlines() if ' work ' in line]


ENGINES = {
    'local': ('--workers=2',),
    'slurm': (),
    'submitit': (),
    'ray': (),
    'tpu': ('--slices=a,b', '--zone=z', '--folder=here'),
    'k8s': ('--image=i', '--claim=c', '--mount=/'),
}


@pytest.mark.parametrize('engine', ENGINES)
def test_a_dry_run_names_the_plan_and_leaves_nothing(launch, plan, engine):
    before = sorted(plan.parent.rglob('*'))
    result = launch(engine, plan, *ENGINES[engine], '--dry-run')
    assert result.returncode == 0, result.stderr
    assert 'a sweep.jsonl' in result.stdout
    assert sorted(plan.parent.rglob('*')) == before


@pytest.mark.parametrize('engine', ENGINES)
def test_what_is_wrong_is_one_line(launch, plan, engine, tmp_path):
    result = launch(engine, tmp_path / 'none.jsonl', *ENGINES[engine])
    assert (result.returncode, result.stderr.count('\n')) == (2, 1)
    for job in plans.read(plan):
        finish(job)
    result = launch(engine, plan, *ENGINES[engine])
    assert (result.returncode, result.stdout) == (0, f'Every population of {plan} is done.\n')


def test_engines_that_are_not_here_are_said(launch, plan):
    for engine in ('slurm', 'tpu', 'k8s'):
        result = launch(engine, plan, *ENGINES[engine], path='/nowhere')
        assert result.returncode == 2
        assert '--dry-run prints what it would be given' in result.stderr


@pytest.mark.parametrize('engine', ['ray', 'submitit'])
def test_packages_that_are_not_here_are_said(launch, plan, monkeypatch, engine):
    monkeypatch.setitem(sys.modules, engine, None)
    result = launch(engine, plan)
    assert (result.returncode, result.stderr.count('\n')) == (2, 1)
    assert f'{engine} cannot be imported' in result.stderr


def test_slurm_gets_an_array_of_what_is_not_done(launch, plan, tmp_path):
    words = ('--sbatch=--time=1:00:00', '--sbatch=--gres=gpu:1', '--tasks=2', '--at-once=4', '--notice=60')
    script = launch('slurm', plan, *words, '--dry-run').stdout
    options = [line.removeprefix('#SBATCH ') for line in script.splitlines() if line.startswith('#SBATCH')]
    wanted = {'--array=1-2%4', '--requeue', '--signal=USR1@60', '--ntasks=2', '--time=1:00:00', '--gres=gpu:1'}
    assert wanted <= set(options)
    (tmp_path / 'script').write_text(script.partition('\n')[2])
    assert subprocess.run(['bash', '-n', tmp_path / 'script']).returncode == 0


@pytest.mark.parametrize(('status', 'requeued'), [(0, False), (2, False), (75, True)])
def test_the_batch_script_requeues_what_saved(launch, plan, tmp_path, status, requeued):
    """The script as SLURM would run it, with programs of its names that note how they were called."""
    script = launch('slurm', plan, '--dry-run').stdout.partition('\n')[2]
    for name, code in (('srun', status), ('scontrol', 0)):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> "{tmp_path}/calls"\nexit {code}\n')
        (tmp_path / name).chmod(0o755)
    variables = {'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'SLURM_ARRAY_TASK_ID': '2', 'SLURM_JOB_ID': '77'}
    variables |= {'SLURM_ARRAY_JOB_ID': '77'}  # one task of an array has the array's own number
    assert subprocess.run(['bash', '-c', script], env=variables).returncode == status
    calls = (tmp_path / 'calls').read_text().splitlines()
    assert '--job=2' in calls[0].split()
    assert calls[1:] == (['scontrol requeue 77_2'] if requeued else [])


def test_ray_and_submitit_get_a_command_a_population(launch, plan):
    ids = [job.id for job in plans.read(plan)[1:]]
    for engine in ('ray', 'submitit'):
        result = works(launch(engine, plan, '--dry-run').stdout)
        assert [words[-2] for words in result] == [f'--job={one}' for one in ids]
        assert all(f'--plan={plan}' in words for words in result)


def test_local_workers_get_their_gpus_and_cores(launch, plan):
    result = works(launch('local', plan, '--workers=3', '--gpus=4,5', '--dry-run').stdout)
    assert [words[1] for words in result] == [f'CUDA_VISIBLE_DEVICES={gpu}' for gpu in (4, 5, 4)]
    pinned = launch('local', plan, '--workers=2', '--pin', '--dry-run').stdout
    assert pinned.count('# cores [') == 2


def test_tpu_slices_share_the_plan(launch, plan):
    words = ('--slices=a,b', '--zone=z', '--folder=my folder', '--hosts=2', '--project=my-project', '--dry-run')
    lines = [shlex.split(line) for line in launch('tpu', plan, *words).stdout.splitlines()]
    assert [line[:6] for line in lines] == [['gcloud', 'compute', 'tpus', 'tpu-vm', 'ssh', name] for name in 'ab']
    for number, line in enumerate(lines):
        assert {'--zone=z', '--project=my-project', '--worker=all'} <= set(line)
        remote = line[-1].removeprefix('--command=')
        assert f'--shard={number}/2' in remote
        assert 'IMBALANCE_JAX_CLUSTER=tpu' in remote
        assert subprocess.run(['bash', '-n', '-c', remote]).returncode == 0


def test_a_slice_whose_gcloud_is_killed_is_an_error(launch, plan, tmp_path):
    (tmp_path / 'bin').mkdir()
    gcloud = tmp_path / 'bin' / 'gcloud'
    gcloud.write_text('#!/bin/sh\ncase "$*" in *" a "*) kill -9 $$;; esac\n')
    gcloud.chmod(0o755)
    words = ('--slices=a,b', '--zone=z', '--folder=here')
    result = launch('tpu', plan, *words, path=f'{gcloud.parent}:{os.environ["PATH"]}')
    assert (result.returncode, result.stderr) == (137, 'error: gcloud of a was killed by signal 9.\n')


def test_kubernetes_gets_an_indexed_job_that_ignores_what_saved(launch, plan):
    [result] = yaml.safe_load_all(launch('k8s', plan, *ENGINES['k8s'], '--gpus=1', '--dry-run').stdout)
    assert (result['apiVersion'], result['kind']) == ('jobset.x-k8s.io/v1alpha2', 'JobSet')
    assert re.fullmatch(r'a-sweep-[0-9a-f]{8}', result['metadata']['name'])  # not that of `a-sweep.jsonl`
    job = result['spec']['replicatedJobs'][0]['template']['spec']
    assert (job['completionMode'], job['completions']) == ('Indexed', 2)
    assert job['podFailurePolicy']['rules'][0] == {
        'action': 'Ignore', 'onExitCodes': {'operator': 'In', 'values': [75]},
    }  # fmt: skip
    pod = job['template']['spec']
    assert pod['restartPolicy'] == 'Never'  # or there may be no podFailurePolicy
    [container] = pod['containers']
    assert container['resources']['limits']['nvidia.com/gpu'] == 1
    ids = [job.id for job in plans.read(plan)[1:]]
    for index, one in enumerate(ids):
        words = [one.replace('exec imbalance-jax', 'printf "%s\\n"') for one in container['command']]
        said = subprocess.run(words, env={'INDEX': str(index)}, capture_output=True, text=True).stdout
        assert said.splitlines() == ['work', f'--plan={plan}', f'--job={one}', '--grace=108']


def test_a_sweep_that_is_too_large_for_kubernetes_is_said(plan, monkeypatch, capsys):
    monkeypatch.setattr(k8s, 'MOST_BYTES', 1000)
    monkeypatch.setattr(sys, 'argv', ['k8s', f'--plan={plan}', *ENGINES['k8s'], '--dry-run'])
    with pytest.raises(SystemExit):
        k8s.main()
    assert re.search('2 populations make a JobSet of [0-9,]+ bytes, and .* takes 1,000', capsys.readouterr().err)


def test_a_path_that_looks_like_the_job_is_left_as_it_is():
    words = sending.work(Path('/mnt/a --job=JOB.jsonl'), 'JOB', 9)
    said = sending.line(words, 'JOB', '$N')
    assert "'--plan=/mnt/a --job=JOB.jsonl'" in said
    assert said.endswith('--job="$N" --grace=9')


def test_kubernetes_pods_of_one_population_find_each_other(launch, plan):
    sets = list(yaml.safe_load_all(launch('k8s', plan, *ENGINES['k8s'], '--hosts=2', '--dry-run').stdout))
    assert len(sets) == 2
    for result in sets:
        name = result['metadata']['name']
        pod = result['spec']['replicatedJobs'][0]['template']['spec']['template']['spec']
        environment = {one['name']: one.get('value') for one in pod['containers'][0]['env']}
        assert set(environment) == set(cluster.VARIABLES)
        assert environment['JAX_COORDINATOR_ADDRESS'] == f'{name}-work-0-0.{name}:8476'
        assert environment['JAX_NUM_PROCESSES'] == '2'
    assert sets[0]['metadata']['name'] != sets[1]['metadata']['name']


LONG = '2026-11-nih-chestxray14-resnet18-imbalance-dose-response'


def test_names_on_kubernetes_are_labels_and_never_one_for_two():
    texts = [
        'sweep',
        'a sweep',
        'a-sweep',
        'größe',
        'grosse',
        '7',
        '2026',
        LONG,
        f'{LONG}-1',
        f'{LONG}-2',
        'x' * 41,
        '-',
    ]
    names = [k8s._name(text) for text in texts]
    assert all(re.fullmatch('[a-z]([-a-z0-9]*[a-z0-9])?', name) and len(name) <= 40 for name in names), names
    assert len(set(names)) == len(texts)
    assert names[0] == 'sweep'


@pytest.mark.parametrize('name', ["it's; touch pwned #", '$(touch pwned)', '-a "b" %A', 'größe `touch pwned`'])
def test_a_hostile_path_is_no_code(launch, tmp_path, name):
    """The batch script and what a pod runs, in a shell, with programs that note how they are called."""
    folder = tmp_path / name
    folder.mkdir()
    path = folder / f'{name}.jsonl'
    plans.write(path, populations.populations(base.get_config(), hyper.sweep('data.image_size', [32, 48])))
    script = launch('slurm', path, '--dry-run').stdout.partition('\n')[2]
    options = dict(
        line[10:].split('=', 1) for line in script.splitlines() if line.startswith('#SBATCH --') and '=' in line
    )
    assert shlex.split(options['job-name']) == [name]
    assert shlex.split(options['output']) == [f'{folder}/{name}/logs/slurm-%A_%a.log'.replace('%A/', '%%A/')]
    for program in ('srun', 'scontrol', 'imbalance-jax'):
        (tmp_path / program).write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{tmp_path}/calls"\n')
        (tmp_path / program).chmod(0o755)
    variables = {'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'SLURM_ARRAY_TASK_ID': '1', 'INDEX': '0'}
    [result] = yaml.safe_load_all(launch('k8s', path, *ENGINES['k8s'], '--dry-run').stdout)
    pod = result['spec']['replicatedJobs'][0]['template']['spec']['template']['spec']
    remote = shlex.split(launch('tpu', path, '--slices=a', '--zone=z', f'--folder={name}', '--dry-run').stdout)[-1]
    (folder / '.venv' / 'bin').mkdir(parents=True)
    (folder / '.venv' / 'bin' / 'activate').write_text('')
    (tmp_path / 'sky_workdir' / '.venv' / 'bin').mkdir(parents=True)
    (tmp_path / 'sky_workdir' / '.venv' / 'bin' / 'imbalance-jax').symlink_to(tmp_path / 'imbalance-jax')
    sky = yaml.safe_load((ROOT / 'launch' / 'sky.yaml').read_text())['run'].replace('/sweep', str(tmp_path))
    variables |= {'HOME': str(tmp_path), 'PLAN': f'{name}/{name}.jsonl', 'SKYPILOT_NODE_RANK': '0'}
    variables['SKYPILOT_NUM_NODES'] = '1'
    in_pod = re.sub(r'\$(\$|\(\w+\))', lambda one: '$' if one[1] == '$' else one[0], pod['containers'][0]['command'][2])
    for line in (script, in_pod, remote.removeprefix('--command='), sky):  # what Kubernetes makes of $$ and $(NAME)
        (tmp_path / 'calls').unlink(missing_ok=True)
        subprocess.run(['bash', '-c', line], env=variables, cwd=tmp_path, check=True)
        assert f'--plan={path}' in (tmp_path / 'calls').read_text().splitlines()
    assert not list(tmp_path.rglob('pwned'))


def test_a_plan_larger_than_an_array_is_several(launch, tmp_path):
    """Every job is in one array, whose numbers SLURM allows, and its script finds it."""
    path = tmp_path / 'large.jsonl'
    sizes = hyper.sweep('data.image_size', [32 + 8 * number for number in range(7)])
    jobs, _ = plans.write(path, populations.populations(base.get_config(), sizes))
    finish(jobs[1])
    said = launch('slurm', path, '--array-size=3', '--dry-run').stdout
    scripts = [f'#!/bin/bash{one}' for one in said.split('#!/bin/bash')[1:]]
    arrays = [re.search(r'--array=(\S+)', one)[1] for one in scripts]
    assert arrays == ['0,2', '0-2', '0']
    (tmp_path / 'srun').write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> "{tmp_path}/calls"\n')
    (tmp_path / 'srun').chmod(0o755)
    for text, number in ((scripts[0], 2), (scripts[1], 1), (scripts[2], 0)):
        variables = {'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'SLURM_ARRAY_TASK_ID': str(number)}
        subprocess.run(['bash', '-c', text], env=variables, check=True)
    calls = (tmp_path / 'calls').read_text().splitlines()
    assert [word for word in calls if word.startswith('--job')] == ['--job=2', '--job=4', '--job=6']


def test_a_job_is_requeued_so_often(launch, plan, tmp_path):
    text = launch('slurm', plan, '--requeues=2', '--dry-run').stdout.partition('\n')[2]
    for name, code in (('srun', 75), ('scontrol', 0)):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} >> "{tmp_path}/calls"\nexit {code}\n')
        (tmp_path / name).chmod(0o755)
    variables = {'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'SLURM_ARRAY_TASK_ID': '1', 'SLURM_JOB_ID': '7'}
    for count in ({}, {'SLURM_RESTART_COUNT': '1'}, {'SLURM_RESTART_COUNT': '2'}):
        assert subprocess.run(['bash', '-c', text], env={**variables, **count}).returncode == 75
    assert (tmp_path / 'calls').read_text().split() == ['srun', 'scontrol', 'srun', 'scontrol', 'srun']


@pytest.mark.parametrize(
    ('engine', 'word', 'said'),
    [
        ('slurm', '--at-once=-1', "'-1' is not a whole number of 0 or more"),
        ('slurm', '--tasks=0', "'0' is not a whole number of 1 or more"),
        ('slurm', '--notice=soon', "'soon' is not a whole number of 1 or more"),
        ('slurm', '--sbatch=partition=gpu', 'begins with a dash'),
        ('slurm', '--sbatch=--time=1\ntouch pwned', 'in one line'),
        ('local', '--workers=0', '1 or more'),
        ('local', '--gpus=0, 1', 'numbers with commas between'),
        ('ray', '--cpus=-1', "'-1' is not a number of 0 or more"),
        ('ray', '--gpus=nan', 'a number of 0 or more'),
        ('submitit', '--set=timeout_min', 'is not NAME=VALUE'),
        ('tpu', '--slices=a,,b', 'names of TPU VMs'),
        ('tpu', '--slices=-a', 'names of TPU VMs'),
        ('tpu', '--slices=a,a', 'has a twice'),
        ('tpu', '--plan=sweep.jsonl', 'no absolute path'),
        ('k8s', '--cpus=.', 'an amount of Kubernetes'),
        ('tpu', '--hosts=0', '1 or more'),
        ('tpu', '--project=My Project', 'a project'),
        ('k8s', '--image=me/suite:1.0:2', 'an image'),
        ('k8s', '--image=<image>', 'an image'),
        ('k8s', '--hosts=0', '1 or more'),
        ('k8s', '--at-once=0', '1 or more'),
        ('k8s', '--claim=My_claim', 'a name on Kubernetes'),
        ('k8s', '--memory=much', 'an amount of Kubernetes'),
        ('k8s', '--mount=/elsewhere', 'is not below --mount=/elsewhere'),
    ],
)
def test_a_flag_that_an_engine_would_refuse_later_is_one_line(launch, plan, engine, word, said):
    result = launch(engine, plan, *ENGINES[engine], word, '--dry-run')
    assert (result.returncode, result.stdout, result.stderr.count('\n')) == (2, '', 1)
    assert said in result.stderr


def test_a_backslash_of_a_path_is_no_name_of_slurm(launch, tmp_path):
    result = launch('slurm', tmp_path / 'a\\b' / 'plan.jsonl', '--dry-run')
    assert (result.returncode, result.stderr.count('\n')) == (2, 1)
    assert 'holds a backslash' in result.stderr


def test_a_path_with_a_line_break_or_a_bucket_is_one_line(launch, capsys):
    for text, word in (('a\nb.jsonl', 'line break'), ('gs://bucket/a.jsonl', 'mount it')):
        result = launch('slurm', text, '--dry-run')
        assert result.returncode == 2
        assert word in result.stderr


def test_the_skypilot_example_is_a_task():
    task = yaml.safe_load((ROOT / 'launch' / 'sky.yaml').read_text())
    assert task['resources']['job_recovery']['recover_on_exit_codes'] == [75]
    assert '--shard=$SKYPILOT_NODE_RANK/$SKYPILOT_NUM_NODES' in task['run']


@pytest.mark.parametrize(
    ('variables', 'role'),
    [
        ({}, ('alone', 0)),
        ({'SLURM_NTASKS': '4', 'SLURM_PROCID': '0'}, ('alone', 0)),  # a batch script, which is one process
        ({'SLURM_STEP_NUM_TASKS': '1', 'SLURM_PROCID': '0'}, ('alone', 0)),
        ({'SLURM_STEP_NUM_TASKS': '4', 'SLURM_PROCID': '3'}, ('slurm', 3)),
        ({'TPU_WORKER_HOSTNAMES': 'one', 'TPU_WORKER_ID': '0'}, ('alone', 0)),
        ({'TPU_WORKER_HOSTNAMES': 'one,two', 'TPU_WORKER_ID': '1'}, ('tpu', 1)),
        ({'JOB_COMPLETION_INDEX': '5', 'KUBERNETES_SERVICE_HOST': 'x'}, ('alone', 0)),  # a sweep's own index
        ({'JOB_COMPLETION_INDEX': '5', 'IMBALANCE_JAX_CLUSTER': 'k8s'}, ('k8s', 5)),
        ({'IMBALANCE_JAX_PROCESS': '2', 'IMBALANCE_JAX_CLUSTER': 'tpu'}, ('tpu', 2)),
        ({'SLURM_STEP_NUM_TASKS': '4', 'SLURM_PROCID': '3', 'IMBALANCE_JAX_CLUSTER': 'off'}, ('alone', 0)),
        (dict(zip(cluster.VARIABLES, ('host:1', '2', '1'), strict=True)), ('named', 1)),
    ],
)
def test_roles_in_environments(variables, role, monkeypatch):
    for name in cluster.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert tuple(cluster.role()) == role
    assert cluster.leads() == (role[1] == 0)


@pytest.mark.parametrize(
    ('variables', 'said'),
    [
        ({'IMBALANCE_JAX_CLUSTER': 'on'}, "'off', 'k8s', 'tpu'"),
        ({'IMBALANCE_JAX_CLUSTER': 'tpu'}, 'IMBALANCE_JAX_PROCESS is'),
        ({'SLURM_STEP_NUM_TASKS': '2', 'SLURM_PROCID': ''}, 'SLURM_PROCID is'),
    ],
)
def test_environments_that_are_wrong_are_said(variables, said, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=said):
        cluster.role()


def test_the_parameters_of_submitit_are_numbers_and_words(launch, plan):
    text = launch('submitit', plan, '--set=timeout_min=240', '--set=slurm_partition=gpu', '--dry-run').stdout
    parameters = json.loads(text.splitlines()[0])
    assert (parameters['timeout_min'], parameters['slurm_partition']) == (240, 'gpu')
