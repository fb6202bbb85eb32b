"""What a population will need, from its config alone: memory and time, to plan by, before anything is imported or run.

Multiply-adds and sizes of maps are counted as the models have them; the rest is what was measured once and is named
here. The same config gives the same estimate everywhere: a finished population says what its machine really needs.
"""

import math
from typing import NamedTuple

GIB = 2**30
GIGA_PER_SECOND = 37.0  # thousand million multiply-adds: two CPU cores, the small CNN of analysis/bench/benchmarks.md
CROWDED = 1.5  # what a compiled program needs beside the maps that its gradient keeps: measured 1.2 - 1.7
COMPILE_SECONDS = 60.0
FILMS = 2.0  # of a phantom patient, in the mean
PHANTOM = {'num_patients': 1500, 'validation_fraction': 0.15, 'test_fraction': 0.25}
NIH = {'official': (77_900, 8_600, 25_596), 'chexnet': (78_468, 11_219, 22_433), 'by_patient': (78_500, 11_200, 22_400)}
BOXED = {'nih_chest_xray14': 984}  # (image, class) pairs with a box in the test split
# multiply-adds of a pass for the map of one image, in forward passes
PASSES = {'saliency': 3.0, 'integrated_gradients': None, 'smooth_grad': None}


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
    except (TypeError, OverflowError, ZeroDivisionError):  # options that the model itself will refuse
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


def _explain_passes(plain: dict, test: int) -> float:
    """Forward passes of one member for all maps and units, in images."""
    setting = plain['attribution']
    pairs = BOXED.get(plain['data']['name'], test)
    pairs = min(pairs, setting['max_pairs'] or pairs)
    passes = 0.0
    for method in setting['methods']:
        known = PASSES.get(method, 3.0)
        options = setting.get(method, {})
        passes += 3.0 * options.get('steps', options.get('samples', 50)) if known is None else known
    return pairs * passes + min(test, plain['concepts']['max_images'])


def of_splits(plain: dict) -> tuple[float, float, float] | None:
    """Images in train, validation and test, before any are thinned out."""
    name, options = plain['data']['name'], plain['data'].get(plain['data']['name'], {})
    if name == 'nih_chest_xray14':
        return NIH.get(options.get('split', 'official'))
    if name != 'phantom':
        return None
    patients, *shares = (options.get(name, default) for name, default in PHANTOM.items())
    films = FILMS * patients
    validation, test = (share * films for share in shares)
    return films - validation - test, validation, test


def of_model(plain: dict) -> Cost | None:
    """The cost of one image through the config's model."""
    name, size = plain['model']['name'], plain['data']['image_size']
    options = plain['model'].get(name, {})
    return MODELS[name](size, **options) if name in MODELS else None


def _convolution(size: float, kernel: int, stride: int, before: int, after: int) -> tuple[float, Cost]:
    """Its maps' size, and its cost with that of the normalisation and ReLU behind it."""
    size = math.ceil(size / stride)
    weights = kernel * kernel * before * after
    return size, Cost(size * size * weights, 2.0 * size * size * after, weights + 2 * after)


def _sum(costs: list[Cost]) -> Cost:
    return Cost(*(sum(values) for values in zip(*costs, strict=True)))


def _cnn(size: int, widths=(16, 32, 64), stem_stride: int = 1, pools: int = 2, **_) -> Cost:
    before, costs = 1, []
    for number, width in enumerate(widths, 1):
        size = size // 2 if 1 < number <= pools + 1 else size
        size, cost = _convolution(size, 3, stem_stride if number == 1 else 1, before, width)
        costs.append(cost)
        before = width
    return _sum(costs)


def _resnet(depths: tuple[int, ...], bottleneck: bool, size: int, width: int = 64, stem: str = 'imagenet', **_) -> Cost:
    kernel, stride, pooled = (7, 2, 2) if stem == 'imagenet' else (3, 1, 1)
    size, cost = _convolution(size, kernel, stride, 1, width)
    costs, before, size = [cost], width, math.ceil(size / pooled)
    for number, depth in enumerate(depths):
        inner = width * 2**number
        after = 4 * inner if bottleneck else inner
        for block in range(depth):
            stride = 2 if number and not block else 1
            first, second = (1, stride) if bottleneck else (stride, 1)
            if stride > 1 or before != after:
                costs.append(_convolution(size, 1, stride, before, after)[1])
            kernels = [(1, first, before, inner), (3, second, inner, inner), (1, 1, inner, after)]
            kernels = kernels if bottleneck else [(3, first, before, inner), (3, second, inner, inner)]
            for kernel, step, come, go in kernels:
                size, cost = _convolution(size, kernel, step, come, go)
                costs.append(cost)
            before = after
    return _sum(costs)


MODELS = {
    'cnn': _cnn,
    'resnet18': lambda size, **options: _resnet((2, 2, 2, 2), False, size, **options),
    'resnet34': lambda size, **options: _resnet((3, 4, 6, 3), False, size, **options),
    'resnet50': lambda size, **options: _resnet((3, 4, 6, 3), True, size, **options),
}
