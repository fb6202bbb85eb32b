"""Two host devices, as on a machine with two cores, whatever machine runs the tests; and one tiny trained study."""

import os
import tempfile

# Programs of tests are many and small: they are compiled fast, not to run fast.
FAST = '--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true'
os.environ['XLA_FLAGS'] = f'{os.environ.get("XLA_FLAGS", "")} {FAST}'.strip()

import jax  # noqa: E402
import pytest  # noqa: E402

# What tests compile and measure is not what the user's runs are offered, nor the other way round.
os.environ.setdefault('IMBALANCE_JAX_CACHE', tempfile.mkdtemp())
jax.config.update('jax_num_cpu_devices', 2)


@pytest.fixture(scope='session')
def tiny_config(tmp_path_factory):
    """The quickstart in miniature: 3 arms x 2 seeds, 16 pixels, 2 epochs."""
    from imbalance_jax.configs import base

    config = base.get_config()
    config.seeds = (0, 1)
    with config.unlocked():
        sampled = {'loss': 'bce', 'sampler': 'weighted_sampling'}
        config.arms = {'bce': {}, 'multi_task': {}, 'weighted_sampling': sampled}
    config.data.folder = str(tmp_path_factory.mktemp('data'))
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
def study(tiny_config, tmp_path_factory):
    """The working directory of the tiny study, trained and explained without interruption."""
    from imbalance_jax.explain import run as explain_run
    from imbalance_jax.training import run as training_run

    workdir = tmp_path_factory.mktemp('study') / 'run'
    training_run.run(tiny_config, workdir)
    explain_run.run(workdir)
    return workdir
