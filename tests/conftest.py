"""Two host devices, as on a machine with two cores, whatever machine runs the tests; and one tiny trained study."""

import fcntl
import gc
import os
import platform
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

# Programs of tests are many and small: they are compiled fast, not to run fast. Without fused multiply-adds, sums are
# rounded alike however a program is cut into kernels.
FAST = '--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true'
FAST += ' --xla_cpu_parallel_codegen_split_count=1'
if tuple(map(int, metadata.version('jaxlib').split('.')[:2])) < (0, 11):  # one that XLA does not know ends the process
    FAST += ' --xla_cpu_use_fusion_emitters=false'
if platform.machine() == 'x86_64':
    FAST += ' --xla_cpu_max_isa=AVX'
os.environ['XLA_FLAGS'] = f'{os.environ.get("XLA_FLAGS", "")} {FAST}'.strip()

# Each program is compiled once: for all workers and the processes they start, and for the next run of the tests.
PROGRAMS = Path(__file__).parent.parent / '.pytest_cache' / 'd' / 'programs'
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(PROGRAMS))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES', '-1')

import jax  # noqa: E402
import pytest  # noqa: E402

# What tests measure is not what the user's runs are offered, nor the other way round.
os.environ.setdefault('IMBALANCE_JAX_CACHE', tempfile.mkdtemp())
jax.config.update('jax_num_cpu_devices', 2)


# Files whose tests take longest come first, so that no worker is left with one of them in the end.
LONGEST = (
    'test_study.py',
    'training/test_eight_devices.py',
    'test_stopping.py',
    'system/test_processes.py',
    'sweep/test_whole_sweep.py',
    'test_recipes.py',
    'analysis/test_notebook.py',
    'explain/test_maps.py',
    'analysis/test_thesis.py',
    'analysis/test_dose_response.py',
    'training/test_loop.py',
    'training/test_strategies.py',
    'training/test_kept.py',
    'attribution/test_attribution.py',
    'data/test_soundness.py',
    'analysis/test_report.py',
    'analysis/test_report_of_maps.py',
    'alignment/test_alignment.py',
    'training/test_multi_class.py',
    'test_readmes.py',
    'training/test_autotune.py',
    'training/test_two_stages.py',
    'training/test_supply.py',
    'explain/test_interventions.py',
    'losses/test_recalibration.py',
    'training/test_member.py',
    'training/test_other_sets.py',
    'analysis/test_validation_predictions.py',
    'models/test_product.py',
)


def pytest_collection_modifyitems(items):
    """Sorts the files; within one, tests stay in order."""
    place = {str(Path(__file__).parent / name): number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(str(item.path), len(LONGEST)))


def pytest_collection_finish():
    """What was imported is not looked through again for garbage, and the rest seldom: that took a twentieth of all."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 10)


@pytest.fixture(scope='session')
def shared(tmp_path_factory, worker_id):
    """A folder that all workers of this run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == 'master' else own.parent


@pytest.fixture(scope='session')
def tiny_config(shared):
    """The quickstart in miniature: 3 arms x 2 seeds, 16 pixels, 2 epochs."""
    from imbalance_jax.configs import base

    config = base.get_config()
    config.seeds = (0, 1)
    with config.unlocked():
        sampled = {'loss': 'bce', 'sampler': 'weighted_sampling'}
        config.arms = {'bce': {}, 'multi_task': {}, 'weighted_sampling': sampled}
    config.data.folder = str(shared / 'tiny_data')
    config.data.image_size = 16
    config.data.phantom.num_patients = 60
    config.data.phantom.imbalance_ratio = 1.0
    config.model.cnn.widths = (4, 8)
    config.train.epochs = 2
    config.train.batch_size = 16
    config.train.learning_rate = 1e-2
    config.train.warmup_steps = 2
    config.train.steps_per_dispatch = 2
    config.population.strategy = 'shard:map'
    config.evaluate.bootstrap_rounds = 20
    config.attribution.integrated_gradients.steps = 4
    config.attribution.max_pairs = 20
    config.attribution.faithfulness_pairs = 4
    config.attribution.metrics = ('relevance_rank', 'pixel_auroc', 'miou_otsu', 'pointing_game_chexlocalize')
    config.concepts.quantile = 0.02
    config.concepts.rounds = 10
    config.concepts.max_images = 20
    return config


@pytest.fixture(scope='session')
def study(tiny_config, shared, tmp_path_factory):
    """The working directory of the tiny study, trained and explained without interruption; each worker has a copy."""
    from imbalance_jax.explain import run as explain_run
    from imbalance_jax.training import run as training_run

    made = shared / 'tiny_study'
    with open(shared / 'tiny_study.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / 'explained').exists():
            shutil.rmtree(made, ignore_errors=True)
            training_run.run(tiny_config, made / 'run')
            explain_run.run(made / 'run')
            (made / 'explained').touch()
    return shutil.copytree(made / 'run', tmp_path_factory.mktemp('study') / 'run')
