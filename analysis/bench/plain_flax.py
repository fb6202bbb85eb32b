"""The loop over members that one would write with flax's own layers: what the population engine is compared with."""

import time
from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from imbalance_jax.analysis.bench.contestants import widths

Norm = partial(nn.BatchNorm, momentum=0.9)
Conv = partial(nn.Conv, use_bias=False)


class CNN(nn.Module):
    """`imbalance_jax.models.cnn` with pooling after every stage but the last."""

    num_classes: int
    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, x, train: bool):
        for number, width in enumerate(self.widths):
            x = x if number == 0 else nn.max_pool(x, (2, 2), (2, 2))
            x = Conv(width, (3, 3))(x)
            x = nn.relu(Norm(use_running_average=not train)(x))
        return nn.Dense(self.num_classes)(x.mean((1, 2)))


class ResNet(nn.Module):
    """`imbalance_jax.models.resnet` with the small stem; `bottleneck` makes it ResNet-50."""

    num_classes: int
    width: int
    depths: tuple[int, ...] = (2, 2, 2, 2)
    bottleneck: bool = False
    imagenet: bool = False

    @nn.compact
    def __call__(self, x, train: bool):
        norm = partial(Norm, use_running_average=not train)
        stem = Conv(self.width, (7, 7), (2, 2), padding=3) if self.imagenet else Conv(self.width, (3, 3), padding=1)
        x = nn.relu(norm()(stem(x)))
        if self.imagenet:
            x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for stage, depth in enumerate(self.depths):
            for n in range(depth):
                x = self.block(x, self.width * 2**stage, 2 if stage and not n else 1, norm)
        return nn.Dense(self.num_classes)(x.mean((1, 2)))

    def block(self, x, width, stride, norm):
        features = 4 * width if self.bottleneck else width
        if self.bottleneck:
            y = nn.relu(norm()(Conv(width, (1, 1))(x)))
            y = nn.relu(norm()(Conv(width, (3, 3), (stride, stride), padding=1)(y)))
            y = norm()(Conv(features, (1, 1))(y))
        else:
            y = nn.relu(norm()(Conv(width, (3, 3), (stride, stride), padding=1)(x)))
            y = norm()(Conv(width, (3, 3), padding=1)(y))
        if stride != 1 or x.shape[-1] != features:
            x = norm()(Conv(features, (1, 1), (stride, stride))(x))
        return nn.relu(x + y)


def make(name: str, num_classes: int, width: int, size: int) -> nn.Module:
    """The counterpart of the suite's model of that name."""
    if name == 'cnn':
        return CNN(num_classes, widths(width))
    depths = (2, 2, 2, 2) if name == 'resnet18' else (3, 4, 6, 3)
    return ResNet(num_classes, width, depths, bottleneck=name == 'resnet50', imagenet=size > 64)


def make_round(model: nn.Module, images, labels, order, members: int) -> Callable[[], float]:
    """Returns `run() -> seconds` for every member's steps `order` [steps,B]: forward, backward and Adam."""
    optimizer = optax.adam(1e-3)
    images, labels = jnp.asarray(images), jnp.asarray(labels)

    @jax.jit
    def init(key):
        variables = model.init(key, jnp.zeros((1, *images.shape[1:])), train=False)
        return variables, optimizer.init(variables['params'])

    @jax.jit
    def step(variables, opt_state, rows):
        def loss(params):
            x = (images[rows].astype(jnp.float32) / 255 - 0.5) / 0.25
            logits, updates = model.apply({**variables, 'params': params}, x, train=True, mutable=['batch_stats'])
            return optax.sigmoid_binary_cross_entropy(logits, labels[rows]).mean(), updates

        gradients, updates = jax.grad(loss, has_aux=True)(variables['params'])
        changes, opt_state = optimizer.update(gradients, opt_state)
        return {'params': optax.apply_updates(variables['params'], changes), **updates}, opt_state

    states = [init(jax.random.key(seed)) for seed in range(members)]

    def run() -> float:
        begin = time.perf_counter()
        for rows in order:
            for i in range(members):
                states[i] = step(*states[i], rows)
        jax.block_until_ready(states)
        return time.perf_counter() - begin

    return run
