"""Information-bottleneck attribution: how much of a layer's activation the score cannot do without."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from imbalance_jax.attribution.baselines import blur
from imbalance_jax.attribution.inputs import Layer, Score, Watch, as_images, required_key, required_layer
from imbalance_jax.attribution.maps import image_size, upsample

OPEN = 5.0  # where the gate's logit starts: 0.993 of the activation passes


def _capacity(gate_logit: jax.Array, standardised: jax.Array, sigma: float) -> tuple[jax.Array, jax.Array]:
    """The gates [B, h, w, U] in 0..1, and the nats that pass each: KL of N(gate z, (1 - gate)^2) from N(0, 1)."""
    gate = blur(jax.nn.sigmoid(gate_logit), sigma)
    noise = jnp.maximum(1 - gate, 1e-6)
    nats = 0.5 * ((gate * standardised) ** 2 + noise**2 - 1) - jnp.log(noise)
    return gate, nats


def _statistics(
    activation: jax.Array,
    mean: jax.typing.ArrayLike | None,
    deviation: jax.typing.ArrayLike | None,
    active: jax.typing.ArrayLike | None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean and standard deviation; where not given, of each image and unit over its positions. And which of the
    activations count, [B, h, w, U]: those that vary, where it is not given."""
    mean = activation.mean((1, 2), keepdims=True) if mean is None else jnp.asarray(mean)
    deviation = activation.std((1, 2), keepdims=True) if deviation is None else jnp.asarray(deviation)
    active = deviation > 0 if active is None else jnp.asarray(active, bool)
    return mean, deviation, jnp.broadcast_to(active, activation.shape)


def _descend(
    loss: Callable[[jax.Array, jax.Array], jax.Array], start: jax.Array, keys: jax.Array, rate: float
) -> jax.Array:
    """Where Adam comes to from `start`, one step of `loss(x, key)` per key."""
    optimizer = optax.adam(rate)

    def step(state, key):
        x, opt_state = state
        change, opt_state = optimizer.update(jax.grad(loss)(x, key), opt_state)
        return (x + change, opt_state), None

    (x, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), keys)
    return x


def information_bottleneck(
    score: Score,
    images: jax.Array,
    *,
    key: jax.Array | None = None,
    layer: Layer | None = None,
    mean: jax.typing.ArrayLike | None = None,
    deviation: jax.typing.ArrayLike | None = None,
    active: jax.typing.ArrayLike | None = None,
    beta: float = 10.0,
    steps: int = 10,
    samples: int = 10,
    rate: float = 1.0,
    sigma: float = 1.0,
    least: float = 0.01,
) -> jax.Array:
    """Information-bottleneck attribution (IBA), [B, H, W]: bits per position of the layer, so never negative; summed
    over units, brought bilinearly to the images' size.

    A gate lambda lets lambda R + (1 - lambda) noise through in place of the activation R; Adam minimises
    -log sigmoid(score) + beta mean(information) over it, image by image (Schulz et al. 2020, per-sample bottleneck; the
    cross-entropy of one binary logit). `layer`: see `inputs.Layer`. `mean` and `deviation`
    are those of R over a data set and broadcast against [B, h, w, U]; without them, of each image over its positions.
    `active`: which activations count, by default those that vary; the others stay as they are and pass no bit (the
    authors leave out those that are 0 in 99 % of a data set). The mean is over those that count, so that units that
    never fire change nothing; theirs is over all. The map is that of the gates after the last step, theirs before it;
    the blur repeats the edge within 3 sigma, theirs reflects it within 2.
    `steps` of rate `rate` with `samples` draws of noise each; the gates are blurred with `sigma`; `least` bounds the
    deviation from below. Defaults are the authors'. Raises ValueError without a `key` or a `layer`, or for fewer than
    one step or sample.
    """
    if steps < 1 or samples < 1:
        raise ValueError(f'information_bottleneck needs steps >= 1 and samples >= 1, not {steps}, {samples}.')
    del score  # the layer returns it
    images, key = as_images(images), required_key(key, 'information_bottleneck')
    layer, watch = required_layer(layer, 'information_bottleneck'), Watch()
    _, inside = layer(images, None)
    activation = inside.astype(jnp.promote_types(inside.dtype, jnp.float32))
    mean, deviation, active = _statistics(activation, mean, deviation, active)
    deviation = jnp.maximum(deviation, least)
    standardised, counted = (activation - mean) / deviation, jnp.maximum(active.sum((1, 2, 3)), 1)

    def loss(gate_logit, key):
        gate, nats = _capacity(gate_logit, standardised, sigma)

        def cross_entropy(key):
            noise = mean + deviation * jax.random.normal(key, activation.shape, activation.dtype)
            shift = watch.mark(jnp.where(active, (1 - gate) * (noise - activation), 0))
            scores, _ = layer(images, shift.astype(inside.dtype))
            return jax.nn.softplus(-scores)

        entropy = jax.lax.map(cross_entropy, jax.random.split(key, samples)).mean(0)
        return (entropy + beta * jnp.where(active, nats, 0).sum((1, 2, 3)) / counted).sum()

    start = jnp.full(activation.shape, OPEN, activation.dtype)
    gate_logit = _descend(loss, start, jax.random.split(key, steps), rate)
    watch.require()
    _, nats = _capacity(gate_logit, standardised, sigma)
    return upsample(jnp.where(active, nats, 0).sum(-1) / math.log(2), image_size(images))
