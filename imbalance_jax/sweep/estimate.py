"""What a population will need, from its config alone: memory and time, before anything is imported or run.

Multiply-adds and sizes of maps are counted as the models have them; the rest is what was measured once and is named
here. The same config gives the same estimate everywhere: a finished population says what its machine really needs.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

GIB = 2**30
GIGA_PER_SECOND = 37.0  # thousand million multiply-adds: two CPU cores, the small CNN of analysis/bench/benchmarks.md
CROWDED = 1.5  # what a compiled program needs beside the maps that its gradient keeps: measured 1.2 - 1.7
COMPILE_SECONDS = 60.0
FILMS = 2.0  # of a phantom patient, in the mean
NIH = {'official': (77_900, 8_600, 25_596), 'chexnet': (78_468, 11_219, 22_433), 'by_patient': (78_500, 11_200, 22_400)}
BOXED = {'nih_chest_xray14': 984}  # (image, class) pairs with a box in the test split
GRADIENT = 3.0  # a map of one gradient costs so many forward passes
REPEATED = ('integrated_gradients', 'smooth_grad')  # methods that take a gradient at each of so many steps or samples


class Cost(NamedTuple):
    """Of one image through a model: multiply-adds, values in all maps, and the model's parameters."""

    multiply_adds: float
    values: float
    parameters: float


def estimate(plain: dict) -> dict | None:
    """{'gib', 'gib_batched', 'seconds'} of a population, or None for a model or data set unknown here.

    The memory of one device that holds all members: one after the other at work (`map`), and all at once (`vmap`).
    The time of train and explain on two CPU cores.
    """
    try:
        cost, counts = of_model(plain), of_splits(plain)
    except (KeyError, TypeError, OverflowError, ZeroDivisionError):  # options that model or data set will refuse
        return None
    if cost is None or counts is None:
        return None
    train, validation, test = counts
    members, epochs = len(plain['arms']) * len(plain['seeds']), plain['train']['epochs']
    batch, pixels = plain['train']['batch_size'], plain['data']['image_size'] ** 2
    state = 4 * 5 * cost.parameters  # weights, two moments, gradient, best weights
    maps = 4 * CROWDED * batch * cost.values
    one, all_ = (members * state + count * maps + (train + validation) * pixels for count in (1, members))
    passes = epochs * (3 * train + validation) + test + _explain_passes(plain, test)
    seconds = COMPILE_SECONDS + members * passes * cost.multiply_adds / GIGA_PER_SECOND / 1e9
    return {'gib': round(one / GIB, 3), 'gib_batched': round(all_ / GIB, 3), 'seconds': round(seconds)}


def _explain_passes(plain: dict, test: float) -> float:
    """Forward passes of one member for all maps and units, in images."""
    setting = plain['attribution']
    boxed: float = BOXED.get(plain['data']['name'], test)
    pairs = min(boxed, setting['max_pairs'] or boxed)
    passes = 0.0
    for method in setting['methods']:
        options = setting.get(method, {})
        passes += GRADIENT * (options.get('steps', options.get('samples', 50)) if method in REPEATED else 1)
    return pairs * passes + min(test, plain['concepts']['max_images'])


def of_splits(plain: dict) -> tuple[float, float, float] | None:
    """Images in train, validation and test, before any are thinned out; None for a data set unknown here."""
    name, options = plain['data']['name'], plain['data'].get(plain['data']['name'], {})
    if name == 'nih_chest_xray14':
        return NIH.get(options.get('split', 'official'))
    if name != 'phantom':
        return None
    films = FILMS * options['num_patients']
    validation, test = options['validation_fraction'] * films, options['test_fraction'] * films
    return films - validation - test, validation, test


def of_model(plain: dict) -> Cost | None:
    """The cost of one image through the config's model."""
    name, size = plain['model']['name'], plain['data']['image_size']
    options = plain['model'].get(name, {})
    return MODELS[name](size, **options) if name in MODELS else None


def _convolution(size: float, kernel: int, *, stride: int, before: int, after: int) -> tuple[float, Cost]:
    """Its maps' size, and its cost with that of the normalisation and ReLU behind it."""
    size = math.ceil(size / stride)
    weights = kernel * kernel * before * after
    return size, Cost(size * size * weights, 2.0 * size * size * after, weights + 2 * after)


def _sum(costs: list[Cost]) -> Cost:
    return Cost(*(sum(values) for values in zip(*costs, strict=True)))


def _cnn(size: int, widths: Sequence[int] = (16, 32, 64), stem_stride: int = 1, pools: int = 2, **_) -> Cost:
    side, before, costs = float(size), 1, []
    for number, width in enumerate(widths, 1):
        side = side // 2 if 1 < number <= pools + 1 else side
        side, cost = _convolution(side, 3, stride=stem_stride if number == 1 else 1, before=before, after=width)
        costs.append(cost)
        before = width
    return _sum(costs)


def _resnet(
    size: int, depths: Sequence[int], *, width: int = 64, stem: str = 'imagenet', bottleneck: bool = False, **_
) -> Cost:
    kernel, stride, pooling = (7, 2, 2) if stem == 'imagenet' else (3, 1, 1)
    side, cost = _convolution(size, kernel, stride=stride, before=1, after=width)
    side, before, costs = math.ceil(side / pooling), width, [cost]
    for number, depth in enumerate(depths):
        inner = width * 2**number
        after = 4 * inner if bottleneck else inner
        for block in range(depth):
            stride = 2 if number and not block else 1
            if stride > 1 or before != after:  # the projection of the shortcut
                costs.append(_convolution(side, 1, stride=stride, before=before, after=after)[1])
            kernels = (1, 3, 1) if bottleneck else (3, 3)
            widths = (inner, inner, after)[: len(kernels)]
            strided = 1 if bottleneck else 0  # which of them has the stride
            for index, (kernel, features) in enumerate(zip(kernels, widths, strict=True)):
                step = stride if index == strided else 1
                side, cost = _convolution(side, kernel, stride=step, before=before, after=features)
                costs.append(cost)
                before = features
    return _sum(costs)


MODELS: dict[str, Callable[..., Cost]] = {
    'cnn': _cnn,
    'resnet18': partial(_resnet, depths=(2, 2, 2, 2)),
    'resnet34': partial(_resnet, depths=(3, 4, 6, 3)),
    'resnet50': partial(_resnet, depths=(3, 4, 6, 3), bottleneck=True),
}
