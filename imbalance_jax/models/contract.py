"""What the suite expects of a model, checked by tracing it and by one gradient at random weights."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import FlaxError
from jax.extend.core import Literal

from imbalance_jax.names import is_ours
from imbalance_jax.system import tracing

BROKEN = (TypeError, AttributeError, LookupError, OverflowError, FlaxError)  # how a faulty model shows itself
# The gradient is computed once: compiling is what takes time.
UNOPTIMISED = {'xla_backend_optimization_level': 0, 'xla_llvm_disable_expensive_passes': True}
ALIKE = 0.05  # of the largest logit: by how much one may miss the head's, in half precision too
OTHER = 3.0  # times the image that it is shown beside
SEEN = 1e-6  # of the largest logit: what is less between two images is rounding
SMALL = 64  # pixels of the image that the one gradient is taken of, if the model takes an image of that size


def check(model: nn.Module, image_shape: tuple[int, ...], num_classes: int = 0) -> None:
    """Raises ValueError, one line, for the first way in which a model breaks the contract of `models.make`.

    image_shape: (H, W, C); num_classes: of its logits, 0 for any. Whatever ValueError the model raises itself, for
    images too small, say, passes as it is.
    Shapes, order and what depends on what are found by tracing; one gradient, at random weights and at no more than
    64 pixels where the model allows that, finds a layer at which it is exactly 0 none the less. A model that kept the
    contract once is not asked again by this process.
    """
    logits = _check(model, tuple(image_shape))
    said = f'its logits are [B,{logits}] where there are {num_classes} classes'
    _require(num_classes in (0, logits), f'{said}: as many as `num_classes`, with which it is made')


def _once(function: Callable) -> Callable:
    """`function(model, image_shape)`, called once per model and shape of a process; a failure is not remembered."""
    remembered = functools.lru_cache(maxsize=64)(function)

    @functools.wraps(function)
    def called(model: nn.Module, image_shape: tuple[int, ...]) -> Any:
        try:
            hash(model)
        except TypeError:  # a field of the model is a list or a dict
            return function(model, image_shape)
        return remembered(model, image_shape)

    return called


@_once
def _check(model: nn.Module, image_shape: tuple[int, ...]) -> int:
    """How many logits a model that keeps the contract has."""
    image = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
    variables = _trace('init', lambda x: model.init(jax.random.key(0), x, mutable=['params', 'batch_stats']), image)
    in_order: list[Any] = []
    result = _trace('apply', functools.partial(_apply, model, in_order), variables, image)
    pair = isinstance(result, (tuple, list)) and len(result) == 2 and isinstance(result[1], dict)
    _require(pair, 'it must return logits and a dict of named activations')
    logits, out = result
    for name, value in {'logits': logits, **out}.items():
        is_array = isinstance(value, jax.ShapeDtypeStruct)
        _require(is_array, f'what it returns as {name!r} must be an array, and is {value!r}')
    _require(logits.ndim == 2 and len(logits) == 2, f'its logits must be [B,K], and are {list(logits.shape)} for B = 2')
    if not is_ours(type(model)):
        apply = functools.partial(model.apply, mutable=False)
        _require(not tracing.is_another_each_time(apply, variables, image), f'it {tracing.ANOTHER}')
    single = 'end with logits.astype(jax.numpy.float32)'
    _require(logits.dtype == jnp.float32, f'its logits must be float32, and are {logits.dtype}: {single}')
    _check_head(variables['params'], logits.shape[1], out)
    layers = [name for name in in_order if out[name].ndim == 4]
    _require(bool(layers), f'`out` holds {sorted(out)}: none is a map [B,h,w,U], and maps and units need one')
    for name in layers:
        _require(len(out[name]) == 2, f'out[{name!r}] must be [B,h,w,U], and is {list(out[name].shape)} for B = 2')
    shapes = {name: out[name] for name in (*layers, 'pooled')}
    _check_gradients(model, variables, image, shapes)
    _check_order(model, variables, image, shapes)
    training = lambda v, x: model.apply(v, x, train=True, mutable=['batch_stats'])  # noqa: E731
    _trace('apply(..., train=True)', training, variables, image)
    sizes, apart, mixed, seen = _at_random(model, image_shape)
    ends = "its logits are not those of 'head' on out['pooled']: nothing may come after the head, such as a sigmoid"
    _require(apart < ALIKE, ends)
    others = 'its logits of an image depend on the other images of the batch, when it is not trained: statistics of a'
    _require(mixed < ALIKE, f'{others} batch belong to training alone, as those of `flax.linen.BatchNorm`')
    for name, largest in sizes.items():
        hint = (
            'whatever lies between it and the head lets nothing through (stop_gradient, times 0, tokens nobody reads)'
        )
        _require(largest > 0, f'the gradient of the logits at {name!r} is exactly 0: {hint}; name an earlier layer')
    lost = 'nothing of an image reaches them (a threshold that no pixel reaches, times 0, stop_gradient)'
    _require(seen > SEEN, f'its logits are the same for every image: {lost}')
    return logits.shape[1]


def _apply(model: nn.Module, in_order: list[str], variables: dict, image: Any) -> Any:
    """What the model gives, with the names in its `out` as they come: a traced dict has them sorted."""
    result = model.apply(variables, image)
    if isinstance(result, (tuple, list)) and len(result) == 2 and isinstance(result[1], dict):
        in_order.extend(result[1])
        if odd := [name for name in in_order if not isinstance(name, str)]:
            _require(False, f'`out` names activations by texts, and has {odd[0]!r}')
    return result


def _check_head(params: dict, num_classes: int, out: dict) -> None:
    """The last step: a linear layer named 'head' on the vector `out['pooled']`."""
    _require('head' in params, f"its parameters must have a part named 'head', the last layer, beside {sorted(params)}")
    pooled = out.get('pooled', jax.ShapeDtypeStruct((), jnp.float32))
    vector = pooled.ndim == 2 and pooled.shape[0] == 2
    _require(vector, "`out` must have 'pooled' [B,U], the vector that the head reads")
    shapes = {name: value.shape for name, value in params['head'].items() if hasattr(value, 'shape')}
    wanted = {'kernel': (pooled.shape[1], num_classes), 'bias': (num_classes,)}
    _require(shapes == wanted, f"its 'head' must have {wanted}, as `flax.linen.Dense` on out['pooled'], not {shapes}")


def _check_gradients(model: nn.Module, variables: dict, image: Any, layers: dict) -> None:
    """Every layer takes part in the collection 'perturbations', by itself and beside the others."""

    def gradients(shapes: dict) -> Callable:
        def of_score(variables: dict, image: jax.Array) -> dict:
            zeros = {name: jnp.zeros(value.shape, value.dtype) for name, value in shapes.items()}
            apply = lambda added: model.apply({**variables, 'perturbations': added}, image)[0][:, 0].sum()  # noqa: E731
            return jax.grad(apply)(zeros)

        return of_score

    first = next(iter(layers))
    alone = f'apply with a perturbation of {first!r} alone (`perturb` of imbalance_jax.models.layers allows that)'
    _trace(alone, gradients({first: layers[first]}), variables, image)
    traced = jax.make_jaxpr(gradients(layers))(variables, image)
    for name, reached in zip(sorted(layers), _depends(traced.jaxpr), strict=True):
        hint = f'write x = out[{name!r}] = perturb(self, {name!r}, x), with `perturb` of imbalance_jax.models.layers'
        _require(reached, f'the logits do not change with a perturbation of {name!r}: {hint}')


def _check_order(model: nn.Module, variables: dict, image: Any, shapes: dict) -> None:
    """No layer depends on one that is named after it."""
    names = list(shapes)
    zeros = [jax.ShapeDtypeStruct(shapes[name].shape, shapes[name].dtype) for name in names]

    def activations(added: list, variables: dict, image: Any) -> list:
        out = model.apply({**variables, 'perturbations': dict(zip(names, added, strict=True))}, image)[1]
        return [out[name] for name in names]

    jaxpr = jax.make_jaxpr(activations)(zeros, variables, image).jaxpr
    reached = [_depends(jaxpr, [variable]) for variable in jaxpr.invars[: len(names)]]
    for i, early in enumerate(names):
        for j in range(i + 1, len(names)):
            wrong = reached[j][i] and not reached[i][j]
            _require(not wrong, f'`out` must name layers from front to back, and {early!r} comes after {names[j]!r}')


def _at_random(model: nn.Module, image_shape: tuple[int, ...]) -> tuple[dict[str, float], float, float, float]:
    """Layer -> the largest absolute gradient of a score there; and how far the logits are from what 'head' gives of
    `out['pooled']`, from those beside another image, and from those of that image, as a share of the largest. A model
    within another one is asked itself."""
    inner = isinstance(getattr(model, 'model', None), nn.Module) and len(vars(model)) == 1
    return _drawn_once(model.model if inner else model, image_shape)


@_once
def _drawn_once(model: nn.Module, image_shape: tuple[int, ...]) -> tuple[dict[str, float], float, float, float]:
    def shapes_of(height: int, width: int) -> tuple[Any, Any, Any]:
        image = jax.ShapeDtypeStruct((1, height, width, *image_shape[2:]), jnp.float32)
        return image, variables, jax.eval_shape(lambda v, x: model.apply(v, x)[1], variables, image)

    first = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    start = lambda x: model.init(jax.random.key(0), x, mutable=['params', 'batch_stats'])  # noqa: E731
    variables = jax.eval_shape(start, first)
    try:
        image, variables, out = shapes_of(*(min(size, SMALL) for size in image_shape[:2]))
    except (*BROKEN, ValueError):  # weights that are made for one size
        image, variables, out = shapes_of(*image_shape[:2])
    generator = np.random.default_rng(0)
    drawn = jax.tree_util.tree_map_with_path(lambda path, leaf: _drawn(generator, str(path[-1]), leaf), variables)
    pixels = np.asarray(generator.standard_normal(image.shape), np.float32)
    layers = {name: value for name, value in out.items() if value.ndim == 4 or name == 'pooled'}

    def score(added: dict, variables: dict, pixels: Any) -> Any:
        logits, out = model.apply({**variables, 'perturbations': added}, pixels)
        head = variables['params']['head']
        apart = jnp.abs(logits - (out['pooled'] @ head['kernel'] + head['bias'])).max() / jnp.abs(logits).max()
        return (logits * jnp.cos(jnp.arange(logits.shape[1]))).sum().astype(jnp.float32), (apart, logits)

    def largest(added: dict, variables: dict, pixels: Any) -> tuple[dict[str, jax.Array], list[jax.Array]]:
        gradients, (apart, alone) = jax.grad(score, has_aux=True)(added, variables, pixels)
        beside = model.apply(variables, jnp.concatenate([pixels, OTHER * pixels[:, ::-1]]))[0]
        mixed, seen = (jnp.abs(beside[:1] - one).max() / jnp.abs(alone).max() for one in (alone, beside[1:]))
        return {name: jnp.abs(value).max() for name, value in gradients.items()}, [apart, mixed, seen]

    zeros = {name: np.zeros(value.shape, value.dtype) for name, value in layers.items()}
    found, (apart, mixed, seen) = jax.jit(largest, compiler_options=UNOPTIMISED)(zeros, drawn, pixels)
    return {name: float(value) for name, value in found.items()}, float(apart), float(mixed), float(seen)


def _drawn(generator: np.random.Generator, name: str, leaf: Any) -> Any:
    """A variable at random, so that nothing is 0 only because training begins there."""
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
        return np.zeros(leaf.shape, leaf.dtype)
    noise = generator.standard_normal(leaf.shape)
    if leaf.ndim > 1:
        noise = noise * np.sqrt(2 / np.prod(leaf.shape[:-1]))
    else:
        noise = 0.1 * noise + any(part in name for part in ('scale', 'var'))
    return np.asarray(noise, leaf.dtype)


def _depends(jaxpr: Any, inputs: Any = None) -> list[bool]:
    """Whether each output of a program depends on any of its inputs, or of those given; a gradient of what is never
    read does not."""
    reached = set(jaxpr.invars if inputs is None else inputs)
    for eqn in jaxpr.eqns:
        if any(not isinstance(atom, Literal) and atom in reached for atom in eqn.invars):
            reached |= set(eqn.outvars)
    return [not isinstance(atom, Literal) and atom in reached for atom in jaxpr.outvars]


def _trace(what: str, function: Callable, *arguments: Any) -> Any:
    try:
        return jax.eval_shape(function, *arguments)
    except (*BROKEN, ValueError) as error:
        if isinstance(error, ValueError) and 'Perturbation collection' not in str(error):
            raise
        raise ValueError(f'The model fails in {what}: {" ".join(str(error).split())}') from error


def _require(sound: bool, message: str) -> None:
    if not sound:
        raise ValueError(f'The model breaks the contract of imbalance_jax/models/README.md: {message}.')
