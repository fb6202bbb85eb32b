"""Any module of Flax, Linen or NNX, as a model of the contract: layers are named from outside, nothing is rewritten.

Submodules are named by their paths, 'encoder/block1' or 'blocks.0'. The output of one is a named layer; the input of
the head is 'pooled'. The module returns logits, as its head gives them.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx
from flax.errors import InvalidRngError
from jax import Array
from jax.ad_checkpoint import checkpoint_name

from imbalance_jax.models.layers import cosines
from imbalance_jax.names import lookup

HEAD = 'head'
AWAY = 'other_head'  # the name of a submodule 'head' that is not the last layer
TRAINING, EVALUATING = ('train', 'training', 'is_training'), ('deterministic', 'use_running_average', 'eval_mode')
DROPOUT = 'draws random numbers in training, dropout for one, and training here has none: set its rate to 0'
Path = tuple[Any, ...]


def of_linen(module: nn.Module, layers: Mapping[str, str], *, head: str) -> 'Linen':
    """A Linen module as a model. layers: name -> path of the submodule that gives it; head: path of the last Dense.

    If its `__call__` has a parameter `train`, `training`, `deterministic` or `use_running_average`, it is told.
    """
    return Linen(module, layers, head)


def of_nnx(build: Callable[[nnx.Rngs], nnx.Module], layers: Mapping[str, str], *, head: str) -> 'NNX':
    """An NNX module as a model. build: rngs -> the module; layers: name -> path of the submodule that gives it; head:
    path of the last Linear. In training it is in the mode of `module.train()`, otherwise in that of `module.eval()`.

    Raises ValueError for a path that there is not, dropout above 0, and variables that are neither parameters nor
    statistics of batches.
    """
    return NNX(build, layers, head)


class Taps:
    """Of one call of a module: what its named submodules give, with the caller's perturbations added."""

    def __init__(self, layers: Mapping[str, str], head: str, variables: Mapping[str, Any]) -> None:
        self.names = {_path(path): name for name, path in layers.items()}
        self.head, self.variables, self.out = _path(head), variables, {}  # type: ignore[var-annotated]
        self.paths: list[Path] = []

    def __call__(self, path: Path, call: Callable, arguments: tuple, options: dict) -> Any:
        """What the submodule at `path` gives, or is made to give."""
        self.paths.append(path)
        if path == self.head:
            return self._classified(call, arguments, options)
        result = call(*arguments, **options)
        return self._added(self.names[path], result) if path in self.names else result

    def _added(self, name: str, x: Any) -> Array:
        if not hasattr(x, 'ndim'):
            raise ValueError(f'Layer {name!r} is a {type(x).__name__}: name a submodule that gives one array.')
        if name in self.out:
            raise ValueError(f'The submodule of layer {name!r} is called more than once: name one that is called once.')
        added = self.variables.get('perturbations', {}).get(name)
        x = checkpoint_name(x, name)
        self.out[name] = x if added is None else x + added
        return self.out[name]

    def _classified(self, call: Callable, arguments: tuple, options: dict) -> Array:
        x = self._added('pooled', arguments[0])
        logits = call(x, *arguments[1:], **options)
        cosine = self.variables.get('link', {}).get('cosine')
        if cosine is None:
            return logits
        return jnp.where(cosine > 0, cosines(x, self.variables['params'][HEAD]['kernel']), logits)

    def finish(self, logits: Any) -> tuple[Array, dict[str, Array]]:
        """The result of a model; ValueError for a layer that was not met, or a perturbation of none."""
        for path, name in {**self.names, self.head: HEAD}.items():
            called = {'/'.join(map(str, one)): None for one in self.paths if one}
            if path not in self.paths:
                lookup(called, '/'.join(map(str, path)), f'submodule of {name!r}:')
        for name in self.variables.get('perturbations', {}):
            lookup(self.out, name, 'layer')
        if not hasattr(logits, 'ndim'):
            raise ValueError(f'The module must return logits [B,K] alone, not a {type(logits).__name__}.')
        return logits.astype(jnp.promote_types(logits.dtype, jnp.float32)), self.out


class Adapter:
    """What both kinds have in common: `init` and `apply` of the contract, and where the head lies."""

    def __init__(self, layers: Mapping[str, str], head: str) -> None:
        if 'pooled' in layers or not layers:
            raise ValueError(f"Layers are {dict(layers)}: name at least one, and none 'pooled', the head's input.")
        self.layers, self.head = dict(layers), head

    def apply(self, variables: Any, image: Array, train: bool = False, *, mutable: Any = False) -> Any:
        """Logits [B,K] and the named activations; beside them, if `mutable`, the statistics of batches."""
        if image.ndim != 4 or not jnp.issubdtype(image.dtype, jnp.floating):
            raise ValueError(f'image must be [B,H,W,C] float, got {image.dtype}{list(image.shape)}.')
        result, statistics = self._run(variables, image, train)
        frozen = variables.get('frozen', {}).get('statistics')
        if train and frozen is not None:
            evaluated = self._run(variables, image, False)
            result, statistics = jax.tree.map(
                lambda a, b: jnp.where(frozen, a, b), evaluated, (result, statistics)
            )  # `out` is sorted by this, which in training nobody reads
        return (result, {'batch_stats': statistics} if statistics else {}) if mutable else result

    def _run(self, variables: Any, image: Array, train: bool) -> tuple[Any, Any]:
        raise NotImplementedError

    def _out(self, params: dict) -> dict:
        """The module's parameters with those of its last layer as 'head'."""
        *outer, last = _path(self.head)
        params = _copied(params)
        inner = params
        for name in outer:
            inner = inner.get(str(name), {})
        if not isinstance(inner.get(str(last)), Mapping):
            raise ValueError(f'The module has no parameters of the head {self.head!r} beside {sorted(params)}.')
        taken = inner.pop(str(last))
        if HEAD in params:
            params[AWAY] = params.pop(HEAD)
        return {**params, HEAD: taken}

    def _into(self, params: Mapping) -> dict:
        """The inverse of `_out`."""
        *outer, last = _path(self.head)
        params = _copied(params)
        taken = params.pop(HEAD)
        if AWAY in params:
            params[HEAD] = params.pop(AWAY)
        inner = params
        for name in outer:
            inner = inner.setdefault(str(name), {})
        inner[str(last)] = taken
        return params


class Linen(Adapter):
    """See `of_linen`."""

    def __init__(self, module: nn.Module, layers: Mapping[str, str], head: str) -> None:
        super().__init__(layers, head)
        self.module = module
        parameters = inspect.signature(type(module).__call__).parameters
        self.flag = next((name for name in (*TRAINING, *EVALUATING) if name in parameters), None)

    def init(self, key: Array, image: Array, mutable: Any = None) -> dict[str, Any]:
        """The variables before training."""
        variables = self.module.init({'params': key}, image, **self._mode(False))
        unknown = sorted(set(variables) - {'params', 'batch_stats'})
        if unknown:
            raise ValueError(f"The module has variables {unknown}; a model here has 'params' and 'batch_stats'.")
        return {**variables, 'params': self._out(variables['params'])}

    def _mode(self, train: bool) -> dict[str, Any]:
        return {} if self.flag is None else {self.flag: train == (self.flag in TRAINING)}

    def _run(self, variables: Any, image: Array, train: bool) -> tuple[Any, Any]:
        taps = Taps(self.layers, self.head, variables)

        def around(call: Callable, arguments: tuple, options: dict, context: Any) -> Any:
            if context.method_name != '__call__':
                return call(*arguments, **options)
            return taps(context.module.path, call, arguments, options)

        own = {'params': self._into(variables['params']), 'batch_stats': variables.get('batch_stats', {})}
        try:
            with nn.intercept_methods(around):
                logits, updates = self.module.apply(own, image, **self._mode(train), mutable=['batch_stats'])
        except InvalidRngError as error:
            raise ValueError(f'The module {type(self.module).__name__} {DROPOUT}.') from error
        return taps.finish(logits), updates.get('batch_stats', {})


class NNX(Adapter):
    """See `of_nnx`."""

    def __init__(self, build: Callable[[nnx.Rngs], nnx.Module], layers: Mapping[str, str], head: str) -> None:
        super().__init__(layers, head)
        self.build = build
        abstract = nnx.eval_shape(lambda: build(nnx.Rngs(0)))
        known = _submodules(abstract)
        for where, module in known.items():
            if isinstance(module, nnx.Dropout) and module.rate > 0:
                raise ValueError(f'The submodule {where!r} {DROPOUT}.')
        for name, path in {**layers, HEAD: head}.items():
            lookup(known, '/'.join(_path(path)), f'submodule of {name!r}:')
        parts: Any = nnx.split(abstract, nnx.Param, nnx.BatchStat, ...)
        self.graph, self.params, self.statistics, self.rest = parts
        for place, variable in nnx.to_flat_state(self.rest):
            if not isinstance(variable, nnx.RngState):
                where = '/'.join(map(str, place))
                raise ValueError(
                    f'{where!r} is a {type(variable).__name__}; a model here has Param and BatchStat alone.'
                )

    def init(self, key: Array, image: Array, mutable: Any = None) -> dict[str, Any]:
        """The variables before training."""
        parts: Any = nnx.split(self.build(nnx.Rngs(key)), nnx.Param, nnx.BatchStat, ...)
        _, params, statistics, _ = parts
        found = {'params': self._out(_pure(params))}
        return {**found, 'batch_stats': _pure(statistics)} if len(statistics) else found

    def _run(self, variables: Any, image: Array, train: bool) -> tuple[Any, Any]:
        params = _filled(self.params, self._into(variables['params']))
        statistics = _filled(self.statistics, variables.get('batch_stats', {}))
        module = nnx.merge(self.graph, params, statistics, self.rest)
        module.train() if train else module.eval()
        taps, known = Taps(self.layers, self.head, variables), _submodules(module)
        for path in (*taps.names, taps.head):
            _tap(known['/'.join(map(str, path))], functools.partial(taps, path))
        logits = module(image)
        return taps.finish(logits), _pure(nnx.state(module, nnx.BatchStat))


def _path(path: str) -> Path:
    return tuple(path.replace('.', '/').strip('/').split('/'))


def _submodules(module: nnx.Module) -> dict[str, nnx.Module]:
    """Every submodule by its path."""
    return {'/'.join(map(str, path)): one for path, one in nnx.iter_modules(module) if path}


def _copied(tree: Mapping) -> dict:
    """Nested mappings as dicts of their own, with strings as keys; leaves are the same."""
    return {str(name): _copied(value) if isinstance(value, Mapping) else value for name, value in tree.items()}


def _pure(state: Any) -> dict:
    return _copied(nnx.to_pure_dict(state))


def _filled(state: Any, values: Mapping) -> Any:
    """An abstract state with values; those are nested dicts in which numbers of a list are strings."""

    def value_at(path: Path) -> Any:
        return functools.reduce(lambda tree, name: tree[str(name)], path, values)

    filled = ((path, variable.replace(value_at(path))) for path, variable in nnx.to_flat_state(state))
    return nnx.from_flat_state(list(filled))


def _tap(module: nnx.Module, tap: Callable) -> None:
    """Has `tap(call, arguments, options)` called in place of a module's own `__call__`."""
    module.__class__ = _tapped(type(module))
    object.__setattr__(module, '_tap', tap)


@functools.lru_cache(maxsize=256)
def _tapped(kind: type) -> type:
    """The class of a module whose `__call__` goes through its `_tap`."""

    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        return self._tap(functools.partial(kind.__call__, self), arguments, options)

    return type(kind.__name__, (kind,), {'__call__': call, '__doc__': kind.__doc__})
