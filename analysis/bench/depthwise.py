"""Times depthwise convolution and its gradients against the library's grouped convolution.

    python -m imbalance_jax.analysis.bench.depthwise --rounds=7

Shapes are MobileNetV2's at 96 pixels and ConvNeXt's first at 224. Rounds are interleaved; the figure is the shortest of
the rounds, in milliseconds. Both gradients are computed. Prints a table.
"""

import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from jax import lax

from imbalance_jax.models.depthwise import depthwise
from imbalance_jax.system import output

ROUNDS = flags.DEFINE_integer('rounds', 7, 'interleaved rounds')
BATCH = flags.DEFINE_integer('batch', 32, 'images')
SHAPES = (  # pixels, channels, kernel, stride
    (48, 32, 3, 1),
    (48, 96, 3, 2),
    (24, 144, 3, 1),
    (12, 192, 3, 1),
    (6, 384, 3, 1),
    (3, 960, 3, 1),
    (56, 96, 7, 1),
)


def grouped(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    """The same by `lax.conv_general_dilated`."""
    sides, layout = ((padding, padding),) * 2, ('NHWC', 'HWIO', 'NHWC')
    groups = x.shape[-1]
    return lax.conv_general_dilated(
        x, kernel[:, :, None], (stride, stride), sides, dimension_numbers=layout, feature_group_count=groups
    )


def gradients(form: Callable, x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Those of half the sum of squares, with respect to both."""
    return jax.grad(lambda x, kernel: (form(x, kernel) ** 2).sum() / 2, argnums=(0, 1))(x, kernel)


def shortest(functions: list[Callable], arguments: tuple) -> list[float]:
    """Milliseconds of each compiled function."""
    programs = [jax.jit(one).lower(*arguments).compile() for one in functions]
    best = [np.inf] * len(programs)
    for _ in range(ROUNDS.value + 1):  # the first warms up, and is never the shortest
        for index, program in enumerate(programs):
            start = time.perf_counter()
            jax.block_until_ready(program(*arguments))
            best[index] = min(best[index], time.perf_counter() - start)
    return [1e3 * seconds for seconds in best]


def main(_: list[str]) -> None:
    random = np.random.default_rng(0)
    print('| pixels | channels | kernel | stride | forward | grouped | gradients too | grouped | times |')
    print('| --- | --- | --- | --- | --- | --- | --- | --- | --- |')
    for size, channels, window, stride in SHAPES:
        x = jnp.asarray(random.standard_normal((BATCH.value, size, size, channels)), jnp.float32)
        kernel = jnp.asarray(random.standard_normal((window, window, channels)), jnp.float32)
        forms = [partial(form, stride=stride, padding=window // 2) for form in (depthwise, grouped)]
        ours, theirs = shortest(list(forms), (x, kernel))
        both, their_both = shortest([partial(gradients, form) for form in forms], (x, kernel))
        figures = f'{ours:.1f} | {theirs:.1f} | {both:.1f} | {their_both:.1f} | {their_both / both:.1f}'
        print(f'| {size} | {channels} | {window} | {stride} | {figures} |', flush=True)


if __name__ == '__main__':
    output.never_fails()
    app.run(main)
