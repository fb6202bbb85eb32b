"""A sweep that is disturbed and one that is not: are the collected tables the same, byte for byte?

    python -m imbalance_jax.analysis.bench.chaos FOLDER --engine local --populations 12 --kills 20
    python -m imbalance_jax.analysis.bench.chaos FOLDER --engine ray  # two nodes on this machine; one is killed
    python -m imbalance_jax.analysis.bench.chaos FOLDER --engine slurm  # its jobs are requeued

Exit status 0 if they are. Minutes, not seconds: the tests have the single faults.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from imbalance_jax.configs import base
from imbalance_jax.launch import console
from imbalance_jax.sweep import jobs, populations
from imbalance_jax.sweep import plan as plans
from imbalance_jax.system import output


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--engine', choices=tuple(ENGINES), default='local')
    parser.add_argument('--populations', type=int, default=12)
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--pause', type=float, default=4.0, help='seconds between two disturbances, in the mean')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    folder = options.folder.absolute()
    calm, rough = (make_plan(folder, name, options.populations) for name in ('calm', f'rough_{options.engine}'))
    if subprocess.run([*console.PROGRAM, 'work', f'--plan={calm}'], stdout=subprocess.DEVNULL).returncode:
        raise SystemExit('The undisturbed sweep failed.')
    begin = time.monotonic()
    disturbed = ENGINES[options.engine](rough, options.kills, options.pause, random.Random(options.seed))
    text, status = jobs.table(plans.read(rough))
    print(text)
    if status:
        raise SystemExit(f'The disturbed sweep ended with status {status}.')
    same = [collect(plan).read_bytes() for plan in (calm, rough)]
    verdict = 'the same' if same[0] == same[1] else 'DIFFERENT'
    seconds = time.monotonic() - begin
    print(
        f'{options.engine}: {options.populations} populations, {disturbed} disturbances in {seconds:.0f} s; {verdict}.'
    )
    return int(same[0] != same[1])


def make_plan(folder: Path, name: str, count: int) -> Path:
    """A plan of tiny populations that differ in what costs no compilation, so that disturbances meet every stage."""
    config = base.get_config()
    config.seeds = (0, 1)
    with config.unlocked():
        config.arms = {'bce': {}, 'multi_task': {}}
    config.data.folder = str(folder / f'data_{name}')
    shutil.rmtree(config.data.folder, ignore_errors=True)
    config.data.image_size = 16
    config.data.phantom.num_patients, config.data.phantom.imbalance_ratio = 60, 1.0
    config.model.cnn.widths = (4, 8)
    config.train.epochs, config.train.batch_size, config.train.warmup_steps = 3, 16, 2
    config.train.steps_per_dispatch, config.train.save_seconds = 2, 0.01
    config.population.strategy = 'shard:map'
    config.evaluate.bootstrap_rounds = 20
    config.attribution.methods, config.attribution.max_pairs = ('saliency', 'grad_cam'), 20
    config.concepts.quantile, config.concepts.rounds, config.concepts.max_images = 0.02, 10, 20
    points = [{'evaluate.bootstrap_seed': i // 2, 'data.order': ('own', 'shared')[i % 2]} for i in range(count)]
    path = folder / f'{name}.jsonl'
    shutil.rmtree(path.with_suffix(''), ignore_errors=True)
    plans.write(path, populations.populations(config, points))
    return path


def collect(plan: Path) -> Path:
    """The collected table without what names the population: its id is a hash of a config with the data's folder."""
    if subprocess.run([*console.PROGRAM, 'collect', f'--plan={plan}'], stdout=subprocess.DEVNULL).returncode:
        raise SystemExit(f'{plan} could not be collected.')
    text = (plans.folder_of(plan) / 'results.csv').read_text()
    for job in plans.read(plan):
        text = text.replace(job.id, '')
    path = plans.folder_of(plan) / 'compared.csv'
    path.write_text(text)
    return path


def locally(plan: Path, kills: int, pause: float, rng: random.Random) -> int:
    """Two workers, and kill -9 of a worker or its job at random moments."""
    command = [
        sys.executable,
        '-m',
        'imbalance_jax.launch.local',
        '--plan',
        str(plan),
        '--workers=2',
        '--restarts=1000',
    ]
    done = 0
    with subprocess.Popen(command) as engine:
        while engine.poll() is None:
            time.sleep(rng.uniform(0, 2 * pause))
            below = descendants(engine.pid)
            if done < kills and below:
                victim = rng.choice(below)
                try:
                    os.kill(victim, signal.SIGKILL)
                    done += 1
                except ProcessLookupError:
                    continue
    while any(jobs.standing(job).state == 'running' for job in plans.read(plan)):
        time.sleep(0.5)  # a job whose worker was the last to be killed
    subprocess.run([*console.PROGRAM, 'work', f'--plan={plan}'], stdout=subprocess.DEVNULL)
    return done


def descendants(pid: int) -> list[int]:
    """Processes that a process started, theirs included."""
    parents = {}
    for entry in Path('/proc').iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / 'stat').read_text().rpartition(')')[2].split()[1])
            except OSError:
                continue
    below, level = [], [pid]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        below += level
    return below


def on_ray(plan: Path, kills: int, pause: float, rng: random.Random) -> int:
    """Two nodes of one processor; one is killed when it works, and a new one comes."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={'num_cpus': 1})
    nodes = [cluster.add_node(num_cpus=1)]
    command = [sys.executable, '-m', 'imbalance_jax.launch.ray', '--plan', str(plan), '--address', cluster.address]
    done, kills = 0, max(1, kills // 10)
    with subprocess.Popen(command) as engine:
        while engine.poll() is None:
            time.sleep(rng.uniform(0, 2 * pause) + 15)
            if done < kills and engine.poll() is None:
                cluster.remove_node(nodes.pop(), allow_graceful=False)
                done += 1
                nodes.append(cluster.add_node(num_cpus=1))
    cluster.shutdown()
    return done


def on_slurm(plan: Path, kills: int, pause: float, rng: random.Random) -> int:
    """Jobs that run are requeued from outside, as preemption does, or asked to stop with SIGUSR1, as time limits do."""
    sent = [sys.executable, '-m', 'imbalance_jax.launch.slurm', '--plan', str(plan), '--at-once=2']
    subprocess.run(sent, check=True)
    done, kills = 0, max(1, kills // 5)
    while subprocess.run(['squeue', '-h'], capture_output=True, text=True).stdout.strip():
        time.sleep(rng.uniform(0, 2 * pause))
        listed = subprocess.run(['squeue', '-h', '-t', 'R', '-o', '%A'], capture_output=True, text=True).stdout.split()
        if done < kills and listed:
            job = rng.choice(listed)
            how = ['scontrol', 'requeue', job] if done % 2 else ['scancel', '--signal=USR1', job]
            done += subprocess.run(how, capture_output=True).returncode == 0
    return done


ENGINES = {'local': locally, 'ray': on_ray, 'slurm': on_slurm}


if __name__ == '__main__':
    output.leave(main)
