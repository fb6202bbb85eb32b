"""Ways to train a population, to be timed: the suite, the plain flax loop, PyTorch, and what the machine can do at all.

Each is made by `make_`, as `run() -> seconds` of a round and facts about it.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from imbalance_jax.analysis.bench import contestants

CLASSES = 8
TRACING = threading.Lock()


class Setting(NamedTuple):
    """What is trained: a model's name, pixels, images per step, P, steps per dispatch, channels, type of
    computation."""

    model: str = 'cnn'
    size: int = 28
    batch: int = 64
    members: int = 16
    steps: int = 4
    width: int = 16
    dtype: str = 'float32'


def make_data(setting: Setting) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images [256,H,W,1] uint8, labels [256,K] and the rows [steps,B] of one dispatch."""
    random, size = np.random.default_rng(0), setting.size
    images = random.integers(0, 256, (256, size, size, 1)).astype(np.uint8)
    labels = (random.random((256, CLASSES)) < 0.2).astype(np.float32)
    return images, labels, random.integers(0, 256, (setting.steps, setting.batch)).astype(np.int32)


def make_model(setting: Setting):
    """The suite's model."""
    from imbalance_jax import models

    if setting.model == 'cnn':
        options = {'widths': contestants.widths(setting.width)}
    else:
        options = {'width': setting.width, 'stem': 'imagenet' if setting.size > 64 else 'small'}
    return models.make(setting.model, CLASSES, dtype=setting.dtype, **options)


def make_suite(setting: Setting, strategy: str, conv: Callable | None = None):
    """Returns `run() -> seconds` and facts about the compiled program; `conv`: another form of `models.layers.conv`."""
    import jax

    from imbalance_jax import losses
    from imbalance_jax.data import arrays as data_arrays
    from imbalance_jax.data import batches as data_batches
    from imbalance_jax.training import member as train
    from imbalance_jax.training import members as training_members
    from imbalance_jax.training import placement

    placement.use_all_cores()
    images, labels, order = make_data(setting)
    rows = training_members.make_members(
        {'bce': {}}, range(setting.members), 'bce', learning_rate=1e-3, weight_decay=0.0
    )
    model, functions = make_model(setting), [losses.make('bce', [1] * CLASSES, [4] * CLASSES)]
    step = train.make_train_step(model, functions, train.schedule(1, 1000, 0.01))
    steps = train.make_train_steps(step, data_batches.make_batch(0.5, 0.25, data_batches.Augmentation()))
    place = placement.place(len(rows), strategy)
    members = place.members(training_members.member_arrays(rows, own_order=True))
    network_init = train.make_network_init(model, (setting.size, setting.size, 1))
    state = place.map(train.make_init(network_init, functions))(members)
    order = place.members(np.broadcast_to(order, (len(rows), *order.shape)))
    arrays = place.shared(data_arrays.Arrays(images, labels, np.ones_like(labels)))
    begin = time.perf_counter()
    order, mapped = place.spread(order), place.map(steps, donate=True)
    with using(conv):
        lowered = mapped.lower((state,), (members, order), arrays, *map(np.int32, (0, 0, setting.steps)))
    compiled = lowered.compile()
    facts = {'compile_seconds': round(time.perf_counter() - begin, 1), 'temporary_bytes': _temporary(compiled)}
    states = [state]

    def run() -> float:
        begin = time.perf_counter()
        states[0], _ = compiled((states[0],), (members, order), arrays, *map(np.int32, (0, 0, setting.steps)))
        jax.block_until_ready(states[0])
        return time.perf_counter() - begin

    return run, facts


@contextlib.contextmanager
def using(conv: Callable | None):
    """Programs are traced with this convolution, one at a time."""
    from imbalance_jax.models import layers

    with TRACING:
        usual = layers.conv
        layers.conv = conv or usual
        yield
        layers.conv = usual


def _temporary(compiled) -> int | None:
    memory = compiled.memory_analysis()
    return memory and memory.temp_size_in_bytes


def make_forward(setting: Setting, strategy: str, train: bool):
    """Times the forward pass alone of all members, in evaluation or as in training."""
    import jax

    from imbalance_jax.data import arrays as data_arrays
    from imbalance_jax.training import placement

    placement.use_all_cores()
    images, _, order = make_data(setting)
    model, image = make_model(setting), np.zeros((1, setting.size, setting.size, 1), np.float32)
    place = placement.place(setting.members, strategy)

    def init(seed):
        return model.init(jax.random.key(seed), image, mutable=['params', 'batch_stats'])

    def forward(variables, batches):
        def logits(x):
            x = data_arrays.normalise(x, 0.5, 0.25)
            return model.apply(variables, x, train, mutable=['batch_stats'])[0][0]

        return jax.lax.map(logits, batches)

    variables = place.map(init)(place.members(np.arange(setting.members)))
    mapped, batches = place.map(forward), place.batches(images[order])

    def run() -> float:
        begin = time.perf_counter()
        jax.block_until_ready(mapped(variables, batches))
        return time.perf_counter() - begin

    return run, {}


def make_loop(setting: Setting):
    """The plain flax loop, on JAX's default device, as one meets it."""
    from imbalance_jax.analysis.bench import plain_flax

    model = plain_flax.make(setting.model, CLASSES, setting.width, setting.size)
    return plain_flax.make_round(model, *make_data(setting), setting.members), {}


def make_torch(setting: Setting, way: str):
    from imbalance_jax.analysis.bench import plain_torch

    return plain_torch.WAYS[way](setting.model, CLASSES, setting.width, *make_data(setting), setting.members), {}


def make_peak():
    """Times a multiplication of 2048 x 2048 float32 matrices on all cores or the first accelerator."""
    import jax
    import jax.numpy as jnp

    multiply = jax.jit(lambda a: a @ a)
    a = jnp.ones((2048, 2048))

    def run() -> float:
        begin = time.perf_counter()
        multiply(a).block_until_ready()
        return time.perf_counter() - begin

    return run, {'flops': 2 * 2048**3}


def forward_flops(setting: Setting) -> float:
    """Multiplications and additions of one image's forward pass, by XLA's count of the program as written."""
    import jax
    import jax.numpy as jnp

    model, image = make_model(setting), jnp.zeros((1, setting.size, setting.size, 1))
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), image, mutable=['params', 'batch_stats']))
    cpu = jax.sharding.SingleDeviceSharding(jax.devices('cpu')[0])  # a GPU's program hides what its libraries do
    variables = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=cpu), variables)
    counted = jax.jit(lambda v: model.apply(v, jnp.zeros(image.shape))[0]).lower(variables)
    return (counted.cost_analysis() or counted.compile().cost_analysis())['flops']
