"""What `bench.parity` compares: random networks, images, maps and predictions, and what the library makes of them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imbalance_jax import losses
from imbalance_jax.alignment.metrics import METRICS
from imbalance_jax.attribution import faithfulness
from imbalance_jax.attribution.methods import METHODS
from imbalance_jax.metrics import scores
from imbalance_jax.models.pooling import max_pool

PEERS = ('captum', 'quantus', 'sklearn', 'torchmetrics', 'torchvision', 'timm', 'torch')
TOLERANCE = 2e-5
# Sums of some thousand numbers of 32 bits whose parts are larger than they are.
TOLERANCES = {'deeplift': 2e-4, 'integrated_gradients': 1e-4}
SIZE, CHANNELS, CLASSES, IMAGES = (29, 35), 3, 4, 3
CHOSEN = 2  # the class that is explained
WIDTH = 8
EPSILON = 1e-5  # of batch normalisation
NORMS = ('stem', 'first', 'second')
STEPS, WINDOW, STRIDE = 20, 5, 2
OPTIONS: dict[str, dict[str, Any]] = {
    'focal': {'gamma': 2.5, 'alpha': 0.3, 'scale': 1.0},
    'asymmetric': {'gamma_pos': 1.0, 'gamma_neg': 4.0},
}


def make(seed: int) -> dict[str, np.ndarray]:
    """All that peers are given: weights, images [B,H,W,C], a baseline, maps and masks [M,h,w], predictions [N,K]."""
    draw = np.random.default_rng(seed)
    kernels = {
        'stem': (3, 3, CHANNELS, WIDTH),
        'first': (3, 3, WIDTH, WIDTH),
        'second': (3, 3, WIDTH, WIDTH),
        'last': (3, 3, WIDTH, WIDTH),
    }
    given = {
        f'{name}/kernel': draw.normal(0, 1.5 / np.sqrt(np.prod(shape[:3])), shape) for name, shape in kernels.items()
    }
    given |= {f'{name}/bias': draw.normal(0, 0.3, WIDTH) for name in kernels}
    for name in NORMS:
        given |= {f'{name}/scale': draw.uniform(0.5, 1.5, WIDTH), f'{name}/shift': draw.normal(0, 0.3, WIDTH)}
        given |= {f'{name}/mean': draw.normal(0, 0.5, WIDTH), f'{name}/var': draw.uniform(0.3, 2, WIDTH)}
    given |= {'head/kernel': draw.normal(0, 1, (WIDTH, CLASSES)), 'head/bias': draw.normal(0, 1, CLASSES)}
    given |= {
        'images': draw.normal(0, 1, (IMAGES, *SIZE, CHANNELS)),
        'baseline': draw.normal(0, 0.5, (*SIZE, CHANNELS)),
    }
    maps = draw.normal(0, 1, (12, 24, 31))
    rows, columns = np.mgrid[:24, :31]
    corners = draw.integers(0, 15, (12, 2))
    masks = [(rows >= y) & (rows < y + 7) & (columns >= x) & (columns < x + 9) for y, x in corners]
    given |= {'maps': np.abs(maps) + 0.8 * np.array(masks), 'masks': np.array(masks, np.float64)}
    labels = draw.random((400, CLASSES)) < np.array([0.03, 0.1, 0.3, 0.6])
    logits = np.round(2 * draw.normal(size=(400, CLASSES)) + labels - 1, 2)  # with ties
    given |= {'labels': labels.astype(np.float64), 'logits': logits}
    return {name: value.astype(np.float32) for name, value in given.items()}


def network(given: dict[str, np.ndarray], *, averaged: bool = False) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """`apply(images, shift) -> logits [B,K], activation`, the layer being what the residual block gives.

    averaged: with average pools in the place of max pools.
    """

    def convolved(x, name, stride=1):
        strides, padding = (stride, stride), [(1, 1), (1, 1)]
        axes = ('NHWC', 'HWIO', 'NHWC')
        y = jax.lax.conv_general_dilated(
            x, jnp.asarray(given[f'{name}/kernel']), strides, padding, dimension_numbers=axes
        )
        return y + given[f'{name}/bias']

    def normed(x, name):
        factor = given[f'{name}/scale'] / np.sqrt(given[f'{name}/var'] + np.float32(EPSILON))
        return (x - given[f'{name}/mean']) * factor + given[f'{name}/shift']

    def mean(x):
        return nn.avg_pool(x, (2, 2), (2, 2))

    def apply(x, shift=None):
        x = nn.relu(normed(convolved(x, 'stem', 2), 'stem'))
        x = mean(x) if averaged else nn.max_pool(x, (3, 3), (2, 2), [(1, 1), (1, 1)])
        y = nn.relu(normed(convolved(x, 'first'), 'first'))
        x = nn.relu(x + normed(convolved(y, 'second'), 'second'))
        layer = x = x if shift is None else x + shift
        x = nn.relu(convolved(mean(x) if averaged else max_pool(x, 2), 'last'))
        return x.mean((1, 2)) @ given['head/kernel'] + given['head/bias'], layer

    return apply


def ours(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every number that a peer may have, by its name."""
    return {**_attribution(given), **_alignment(given), **_losses(given), **_scores(given)}


def _attribution(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    apply, images = network(given), jnp.asarray(given['images'])

    def score(x):
        return apply(x)[0][:, CHOSEN]

    def layer(x, shift=None):
        logits, activation = apply(x, shift)
        return logits[:, CHOSEN], activation

    far, cams = {'baseline': given['baseline']}, {'layer': layer}
    asked: dict[str, dict[str, Any]] = {
        'gradient': {},
        'saliency': {},
        'input_x_gradient': {},
        'integrated_gradients': {'steps': STEPS, **far},
        'guided_backprop': {},
        'deconvnet': {},
        'grad_cam': cams,
        'grad_cam_plus_plus': cams,
        'hires_cam': cams,
        'layer_cam': cams,
        'guided_grad_cam': {**cams, 'interpolation': 'nearest'},
        'occlusion': {'window': WINDOW, 'stride': STRIDE, **far},
    }

    def answer(x):
        maps = {name: METHODS[name](score, x, **own) for name, own in asked.items()}
        averaged = network(given, averaged=True)
        maps['deeplift'] = METHODS['deeplift'](lambda x: averaged(x)[0][:, CHOSEN], x, **far)
        return maps | {'logits': apply(x)[0], 'deeplift, sum': METHODS['deeplift'](score, x, **far).sum((1, 2))}

    grey = images.mean(-1, keepdims=True)
    shares, goal = np.linspace(0, 1, 6)[1:], jnp.full(grey.shape, 0.25)
    curve = faithfulness.curve(
        lambda x: score(jnp.repeat(x, CHANNELS, -1)), jnp.abs(grey[..., 0]), shares=shares, start=grey, goal=goal
    )
    return {name: np.asarray(value) for name, value in {**jax.jit(answer)(images), 'deletion, logits': curve}.items()}


def _alignment(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = ('pointing_game_quantus', 'relevance_mass', 'relevance_rank', 'pixel_auroc')
    found = {name: np.asarray(METRICS[name](given['maps'], given['masks'])) for name in names}
    found['top_k_intersection'] = np.asarray(METRICS['top_k_intersection'](given['maps'], given['masks'], top_k=50))
    return found


def _losses(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    labels, logits = jnp.asarray(given['labels']), jnp.asarray(given['logits'])
    positive = given['labels'].sum(0)
    found: dict[str, np.ndarray] = {}
    for name in ('bce', 'weighted_bce', 'focal', 'asymmetric', 'cross_entropy'):
        loss = losses.make(name, positive, len(labels) - positive, **OPTIONS.get(name, {}))
        one_hot = name == 'cross_entropy'
        said = jax.nn.one_hot(labels.argmax(-1), CLASSES) if one_hot else labels
        value, slope = jax.value_and_grad(lambda x, loss=loss, said=said: loss({}, x, said))(logits)
        found |= {name: np.asarray(value), f'{name}, gradient': np.asarray(slope)}
    return found


def _scores(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    labels, probabilities = given['labels'], 1 / (1 + np.exp(-given['logits'].astype(np.float64)))
    return {
        'auroc': scores.auroc(probabilities, labels),
        'average_precision': scores.average_precision(probabilities, labels),
        'brier': scores.brier(probabilities, labels),
        'accuracy': scores.accuracy(probabilities, labels),
        'expected_calibration_error': scores.expected_calibration_error(probabilities, labels, spacing='width'),
    }
