"""What the suite expects of a model, checked by tracing it: nothing is computed, and no weights are needed."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.errors import FlaxError
from jax.extend.core import Literal

BROKEN = (TypeError, AttributeError, LookupError, OverflowError, FlaxError)  # how a faulty model shows itself


def check(model: nn.Module, image_shape: tuple[int, ...]) -> None:
    """Raises ValueError, one line, for the first way in which a model breaks the contract of `models.make`.

    image_shape: (H, W, C). Whatever ValueError the model raises itself, for images too small, say, passes as it is.
    """
    image = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
    variables = _trace('init', lambda x: model.init(jax.random.key(0), x, mutable=['params', 'batch_stats']), image)
    result = _trace('apply', model.apply, variables, image)
    pair = isinstance(result, (tuple, list)) and len(result) == 2 and isinstance(result[1], dict)
    _require(pair, 'it must return logits and a dict of named activations')
    logits, out = result
    _require(logits.ndim == 2 and len(logits) == 2, f'its logits must be [B,K], and are {list(logits.shape)} for B = 2')
    _check_head(variables['params'], logits.shape[1], out)
    layers = [name for name, value in out.items() if value.ndim == 4]
    _require(bool(layers), f'`out` holds {sorted(out)}: none is a map [B,h,w,U], and maps and units need one')
    for name in layers:
        _require(len(out[name]) == 2, f'out[{name!r}] must be [B,h,w,U], and is {list(out[name].shape)} for B = 2')
    _check_gradients(model, variables, image, {name: out[name] for name in (*layers, 'pooled')})
    training = lambda v, x: model.apply(v, x, train=True, mutable=['batch_stats'])  # noqa: E731
    _trace('apply(..., train=True)', training, variables, image)


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


def _depends(jaxpr: Any) -> list[bool]:
    """Whether each output of a program depends on any of its inputs; a gradient of what is never read does not."""
    reached = set(jaxpr.invars)
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
