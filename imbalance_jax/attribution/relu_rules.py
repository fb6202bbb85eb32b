"""Attribution that rewrites what a network's ReLUs and max pools send back: the score's program is read and replayed.

`score` is traced once. Linear operations are replayed as they are; max(x, 0), in whatever form it was written, and for
DeepLift also max pooling and elementwise functions, get the method's own backward rule. Of a ReLU6, min(max(x, 0), 6),
the lower end gets the rule; the upper one keeps its ordinary gradient, 0 above 6, but for DeepLift, of which the slope
is that of the whole. Loops and branches inside a score are replayed whole, with their ordinary gradients; so are
functions with a hand-written gradient, such as `guided_relu`. A network of other activations than ReLUs is refused,
GELUs for DeepLift, as the rules say nothing there.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from imbalance_jax.attribution.baselines import baseline_images
from imbalance_jax.attribution.gradients import Score, deconv_relu, guided_relu, image_scores
from imbalance_jax.attribution.inputs import as_images

CALLS = {'jit': 'jaxpr', 'pjit': 'jaxpr', 'custom_jvp_call': 'call_jaxpr', 'checkpoint': 'jaxpr', 'remat2': 'jaxpr'}
CURVED = frozenset({'tanh', 'logistic', 'exp', 'log', 'log1p', 'erf', 'abs', 'sqrt', 'rsqrt', 'integer_pow', 'square'})
PIECES = frozenset({'pad', 'slice', 'max', 'squeeze', 'reshape'})  # what `models.pooling.max_pool` is made of
SMOOTH = frozenset({'erf', 'erfc', 'tanh', 'logistic', 'expm1'})  # what activations in place of a ReLU are made of
GATED = frozenset({'erf', 'erfc'})  # GELU is its argument times such a function of it
CLOSE = 1e-10  # inputs nearer to the baseline's than this have a derivative instead of a slope, as in captum

# A rule is `rule(eqn, lanes) -> outputs, one per lane, or None if it does not concern the operation`. A lane is one
# input's way through the network; DeepLift has two, the image's and the baseline's.
Rule = Callable


def replay(score: Score, inputs: Sequence[jax.Array], rule: Rule) -> list[jax.Array]:
    """The scores [B] of each of `inputs`, whose operations are `rule`'s where it has any."""
    closed = jax.make_jaxpr(lambda x: image_scores(score, x))(inputs[0])
    return list(_run(closed.jaxpr, closed.consts, [tuple(inputs)], rule)[0])


def _run(jaxpr, consts, arguments: list[tuple], rule: Rule) -> list[tuple]:
    """Evaluates a jaxpr on tuples of lanes; what does not depend on the input has one lane for all."""
    values = dict(zip(jaxpr.constvars, ((c,) for c in consts), strict=True))
    values |= zip(jaxpr.invars, arguments, strict=True)

    def read(atom) -> tuple:
        return (atom.val,) if isinstance(atom, Literal) else values[atom]

    for eqn in jaxpr.eqns:
        outputs = _step(eqn, [read(atom) for atom in eqn.invars], rule)
        values |= zip(eqn.outvars, outputs, strict=True)
    return [read(atom) for atom in jaxpr.outvars]


def _step(eqn, inputs: list[tuple], rule: Rule) -> list[tuple]:
    if eqn.primitive.name in CALLS:
        inner = eqn.params[CALLS[eqn.primitive.name]]
        return _run(getattr(inner, 'jaxpr', inner), getattr(inner, 'consts', ()), inputs, rule)
    count = max((len(lanes) for lanes in inputs), default=1)
    lanes = [[one[min(i, len(one) - 1)] for one in inputs] for i in range(count)]
    replaced = rule(eqn, lanes)
    if replaced is not None:
        return [tuple(replaced)]
    return list(zip(*(_bind(eqn, lane) for lane in lanes), strict=True))


def _bind(eqn, values) -> list:
    outputs = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(eqn.params))
    return outputs if eqn.primitive.multiple_results else [outputs]


def _rectified(eqn, lanes: list[list]) -> int | None:
    """Which operand of max(x, 0) is x, or None for any other operation."""
    if eqn.primitive.name != 'max':
        return None
    zero = [all(_is_zero(lane[i]) for lane in lanes) for i in range(2)]
    return zero.index(False) if any(zero) and not all(zero) else None


def _is_zero(value) -> bool:
    return not isinstance(value, jax.core.Tracer) and np.ndim(value) == 0 and bool(np.asarray(value) == 0)


def _clipped(eqn, lanes: list[list]) -> int | None:
    """Which operand of min(x, number), the upper end of a ReLU6, is x, or None for any other operation."""
    if eqn.primitive.name != 'min':
        return None
    number = [all(not isinstance(lane[i], jax.core.Tracer) and np.ndim(lane[i]) == 0 for lane in lanes) for i in (0, 1)]
    return number.index(False) if any(number) and not all(number) else None


def _with_relu(method: str, relu: Callable) -> Rule:
    def rule(eqn, lanes):
        _refuse(method, eqn, SMOOTH)
        operand = _rectified(eqn, lanes)
        return None if operand is None else [relu(lane[operand]) for lane in lanes]

    return rule


def _refuse(method: str, eqn, functions: frozenset[str]) -> None:
    """ValueError for an activation that is no ReLU: a function of pixels or tokens, neither of gates nor of scores."""
    shape = eqn.outvars[0].aval.shape
    if eqn.primitive.name in functions and len(shape) > 2 and np.prod(shape[1:-1]) > 1:
        raise ValueError(
            f'{method} has a rule for ReLUs, and this network has other activations, such as GELU or SiLU '
            f'({eqn.primitive.name} of {list(shape)}): take integrated_gradients, smooth_grad or grad_cam.'
        )


def _rewritten_gradient(method: str, score: Score, images: jax.Array, relu: Callable) -> jax.Array:
    rule = _with_relu(method, relu)
    return jax.grad(lambda x: replay(score, [x], rule)[0].sum())(as_images(images)).sum(-1)


def guided_backprop(score: Score, images: jax.Array) -> jax.Array:
    """Guided back-propagation, [B, H, W]: signed, summed over channels, not normalised.

    The gradient, in which every ReLU passes back positive gradients of active units only (Springenberg et al. 2015).
    A score of a network that was built with `guided_relu` gives the same.
    """
    return _rewritten_gradient('guided_backprop', score, images, guided_relu)


def deconvnet(score: Score, images: jax.Array) -> jax.Array:
    """Deconvnet, [B, H, W]: signed, summed over channels, not normalised.

    The gradient, in which every ReLU passes back positive gradients, active unit or not (Zeiler and Fergus 2014). A
    max pool sends its gradient to its maximum; of several, to the first.
    """
    return _rewritten_gradient('deconvnet', score, images, deconv_relu)


def deeplift(score: Score, images: jax.Array, *, baseline: jax.typing.ArrayLike | str = 0.0) -> jax.Array:
    """DeepLift with the rescale rule, [B, H, W]: signed, summed over channels, not normalised.

    M = sum_c (x_c - b_c) m_c, where the multiplier m goes back like a gradient in which an elementwise function f has
    the slope (f(x) - f(b)) / (x - b) between image and baseline instead of its derivative (Shrikumar et al. 2017,
    section 3.5.1). A map of a network of convolutions, ReLUs, max pools, averages and BatchNorm in evaluation mode sums
    to score(x) - score(b). Products of two activations (group normalisation, gates) have their derivative, and then it
    need not. `baseline`: see `baselines`.
    """
    images = as_images(images)
    start = baseline_images(images, baseline)
    multiplier = jax.grad(lambda x: replay(score, [x, start], _rescale)[0].sum())(images)
    return ((images - start) * multiplier).sum(-1)


def _rescale(eqn, lanes: list[list]) -> list | None:
    if len(lanes) == 1:
        return None
    _refuse('deeplift', eqn, GATED)
    x, start = lanes
    operand = _rectified(eqn, lanes)
    if operand is not None:
        return _pair(lambda a: jnp.maximum(a, 0), _slope, x[operand], start[operand])
    operand = _clipped(eqn, lanes)
    if operand is not None:
        end = x[1 - operand]
        return _pair(lambda a: jnp.minimum(a, end), _slope, x[operand], start[operand])
    if eqn.primitive.name in CURVED:
        return _pair(lambda a: _bind(eqn, [a])[0], _slope, x[0], start[0])
    if eqn.primitive.name == 'reduce_window_max' or _is_pool(eqn):
        return _pair(lambda a: _bind(eqn, [a])[0], _pooled, x[0], start[0])
    return None


def _is_pool(eqn) -> bool:
    """Whether a function with a gradient of its own is a maximum of pieces of its one argument."""
    if eqn.primitive.name != 'custom_vjp_call' or len(eqn.invars) != 1:
        return False
    inner = eqn.params['call_jaxpr']
    names = [one.primitive.name for one in getattr(inner, 'jaxpr', inner).eqns]
    return set(names) <= PIECES and {'slice', 'max'} <= set(names)


def _pair(fn: Callable, back: Callable, x, start) -> list:
    """fn(x), whose gradient is `back(fn, x, start, gradient)`, and fn(start)."""

    @jax.custom_vjp
    def lifted(x, start):
        return fn(x)

    def backward(kept, gradient):
        x, start = kept
        (derivative,) = jax.vjp(fn, x)[1](gradient)
        difference = x - start
        near = jnp.abs(difference) < CLOSE
        slope = back(fn, x, start, gradient) / jnp.where(near, 1, difference)
        return jnp.where(near, derivative, slope), jnp.zeros_like(start)

    lifted.defvjp(lambda x, start: (fn(x), (x, start)), backward)
    start = jnp.broadcast_to(start, x.shape)
    return [lifted(x, start), fn(start)]


def _slope(fn, x, start, gradient):
    return gradient * (fn(x) - fn(start))


def _pooled(fn, x, start, gradient):
    """What the maximum rises by goes to the image's maximum, what it falls by to the baseline's (Shrikumar et al. 2017,
    as in their program and captum): either has moved at least as far, so that no multiplier is beyond 0..1. Of several
    maxima of the baseline the image's is the one, so that a constant baseline leaves an ordinary gradient."""
    of_image, to_image = jax.vjp(fn, x)
    of_start, to_start = jax.vjp(fn, start)
    under = jax.linear_transpose(lambda g: to_image(g)[0], gradient)(start)[0]  # the baseline at the image's maximum
    rise = jnp.where(under == of_start, of_image, jnp.maximum(of_image, of_start)) - of_start
    return to_image(gradient * rise)[0] + to_start(gradient * (of_image - of_start - rise))[0]
