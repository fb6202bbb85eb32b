"""The tensors of a model in what a pickle holds: a state dict, one inside a checkpoint, or a whole module."""

from collections.abc import Iterator, Mapping
from typing import Any

from imbalance_jax.names import some
from imbalance_jax.weights.pickled import Global, Record, Tensor
from imbalance_jax.weights.stored import Damaged, require

# Parts of a checkpoint that hold no weights to begin with: of an optimizer, and moving averages beside the weights.
NO_WEIGHTS = ('optim', 'scheduler', 'scaler', 'amp', 'sampler')
AVERAGES = ('ema', 'teacher', 'momentum', 'swa')
# Functions that rebuild what is no plain tensor, and what that is.
NOT_PLAIN = {
    '_rebuild_qtensor': 'a quantised tensor',
    '_rebuild_sparse_tensor': 'a sparse tensor',
    '_rebuild_sparse_csr_tensor': 'a sparse tensor',
    '_rebuild_nested_tensor': 'a nested tensor',
    '_rebuild_meta_tensor_no_storage': 'a tensor of the device meta, without numbers',
    '_reconstruct': 'an array of NumPy',
}
DEPTH = 50  # of modules inside modules
MODULES = 100_000  # the most of them
TENSORS = 100_000


def find(root: Any) -> tuple[dict[str, Tensor], bool]:
    """The tensors by their keys, and whether they are of a whole module.

    Of a checkpoint the state dict is taken; where there is a moving average of the weights beside them, the weights
    are. A tensor beside a state dict is one of its layers' by a name with a dot only: others are a loss, or the state
    of a generator. Raises Damaged where there is none, or more than one that could be meant.
    """
    if _is_module(root):
        return _of_module(root), True
    require(isinstance(root, dict), f'it holds {_said(root)}, and no tensors by name')
    inside = {key: value for key, value in root.items() if isinstance(key, str) and _holds_tensors(value)}
    inside = {key: value for key, value in inside.items() if not any(part in key.lower() for part in NO_WEIGHTS)}
    if _holds_tensors(root) and not inside:
        return _checked(root), False
    weights = [key for key in inside if not any(part in key.lower() for part in AVERAGES)] or list(inside)
    loose = [key for key in _tensors(root) if '.' in key]
    if len(weights) == 1 and not loose:
        value = inside[weights[0]]
        return (_of_module(value), True) if _is_module(value) else (_checked(value), False)
    names = some(sorted(map(str, [*inside, *loose[:1]] if inside else root)), 6)
    for state in () if inside else (root, *(value for value in root.values() if isinstance(value, dict))):
        _check_plain(state)
    if inside:
        raise Damaged(f'it holds weights in more than one place ({names}); save the one that is meant by itself')
    raise Damaged(f'it holds no tensors by name, but {names}' if names else 'it is an empty dict')


def _holds_tensors(value: Any) -> bool:
    """Whether something is a state dict or a module."""
    if _is_module(value):
        return True
    return isinstance(value, dict) and any(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())


def _tensors(state: Mapping[Any, Any]) -> dict[str, Tensor]:
    """What of a state dict is a tensor; extra state is left."""
    return {key: value for key, value in state.items() if isinstance(key, str) and isinstance(value, Tensor)}


def _checked(state: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The tensors of the state dict that is taken."""
    _check_plain(state)
    return _tensors(state)


def _check_plain(state: Mapping[Any, Any]) -> None:
    """Damaged for what stands in the place of a tensor, and is none that can be read."""
    for key, value in state.items():
        kind = value.kind if isinstance(value, Record) else None
        if isinstance(kind, Global) and kind.name in NOT_PLAIN:
            raise Damaged(f'its {str(key)[:60]!r} is {NOT_PLAIN[kind.name]}; save plain tensors, of numbers')


def _attributes(value: Any) -> Mapping[str, Any]:
    """The attributes of what would be an object."""
    state = value.state if isinstance(value, Record) else None
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[0], dict):
        state = state[0]
    return state if isinstance(state, dict) else {}


def _is_module(value: Any) -> bool:
    return isinstance(_attributes(value).get('_parameters'), dict)


def _of_module(root: Any) -> dict[str, Tensor]:
    """The state dict of a whole module: parameters, then buffers that last, then the modules inside."""
    result: dict[str, Tensor] = {}
    for count, (key, tensor) in enumerate(_walk(root, '', 0, [0])):
        require(count < TENSORS, f'it has more than {TENSORS:,} tensors')
        result[key] = tensor
    return result


def _walk(module: Any, prefix: str, depth: int, visited: list[int]) -> Iterator[tuple[str, Tensor]]:
    visited[0] += 1
    require(depth < DEPTH and visited[0] < MODULES, 'its modules are nested without end')
    attributes = _attributes(module)
    passing = _names(attributes.get('_non_persistent_buffers_set'))
    for kind in ('_parameters', '_buffers'):
        for name, tensor in _items(attributes, kind):
            if isinstance(tensor, Tensor) and not (kind == '_buffers' and name in passing):
                yield f'{prefix}{name}', tensor
    for name, inner in _items(attributes, '_modules'):
        if inner is not None:
            yield from _walk(inner, f'{prefix}{name}.', depth + 1, visited)


def _items(attributes: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    part = attributes.get(name)
    if isinstance(part, Record):  # a dict of a class of its own
        part = part.items
    for key, value in (part or {}).items() if isinstance(part, dict) else ():
        if isinstance(key, str):
            yield key, value


def _names(value: Any) -> list[str]:
    """The names in what would be a set."""
    if isinstance(value, Record):
        value = value.arguments[0] if value.arguments else []
    return [one for one in value if isinstance(one, str)] if isinstance(value, (list, tuple)) else []


def _said(value: Any) -> str:
    """What something is, in words."""
    if isinstance(value, Record):
        return f'an object of {value.kind}'[:80]
    return 'one tensor without a name' if isinstance(value, Tensor) else f'a {type(value).__name__}'
