"""From the names and axes of PyTorch to those of Flax, and back.

A convolution's kernel is [U,C,h,w] there and [h,w,C,U] here, a linear one [U,C] and [C,U]; all else is as it is.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from imbalance_jax.weights.stored import Stored

Path = tuple[str, ...]
Name = Callable[[Path], str]
COUNTER = 'num_batches_tracked'
# What is no weight: counters of batches and of networks that were averaged, and the thresholds of torchxrayvision.
LEFT = (COUNTER, 'n_averaged', 'op_threshs')
HEAD = 'head'
# Beginnings of keys of a training module beside its network: the state of its loss and of its metrics.
BESIDE = re.compile(r'([^.]+_)?(criterion|criteria|loss|losses|metric|metrics)(_[^.]+)?\.|(pos_weight|class_weights?)$')
# The first files of DenseNets have 'norm.1' where modules are called 'norm1' since.
OLD = re.compile(r'(denselayer\d+\.(?:norm|relu|conv))\.([12]\.(?:weight|bias|running_mean|running_var))$')


class OtherShape(ValueError):
    """A tensor has another shape than the model's."""


def to_flax(
    stored: Stored | Mapping[str, np.ndarray],
    shapes: Any,
    names: Name | Mapping[str, Name],
    *,
    head: str = 'exact',
) -> dict[str, Any]:
    """Weights in the shapes of a model, {'params': ..., 'batch_stats': ...}, float32 as the model has them.

    shapes: the model's variables, abstract or not; names: from a variable's path to its key, or several such functions
    by scheme, of which the one that fits is taken; a prefix that all keys share is no matter. head: 'exact', or 'new',
    which leaves the head out, whatever the file has there. Flax's own names, 'params/head/kernel', fit as well.

    Raises ValueError, which names the first key that does not fit, unless all keys and shapes are the same.
    """
    if head not in ('exact', 'new'):
        raise ValueError(f"head is {head!r}; it must be 'exact' or 'new'.")
    tensors = stored.tensors if isinstance(stored, Stored) else stored
    tensors = {OLD.sub(r'\1\2', key): value for key, value in tensors.items() if not _is_left(key)}
    leaves = dict(flat(shapes))
    if any(key.startswith('params/') for key in tensors):
        return _own(tensors, leaves, head)
    schemes = names if isinstance(names, Mapping) else {'': names}
    faults = []
    for scheme, name in schemes.items():
        keys = {path: name(path[1:]) for path in leaves}
        found = _fit(tensors, keys, head)
        if isinstance(found, dict):
            return nested({path: _array(found[path], keys[path], path, leaves[path].shape) for path in found})
        faults.append((found[0], scheme, found[1]))
    if not faults:
        raise ValueError('This model has no names in PyTorch by which weights could be read.')
    _, scheme, fault = max(faults, key=lambda one: one[0])
    raise ValueError(f'{fault} (by the names of {scheme}).' if scheme else f'{fault}.')


def to_torch(variables: Any, names: Name | Mapping[str, Name]) -> dict[str, np.ndarray]:
    """The inverse of `to_flax`: the state dict of a model's variables, with counters of batches that are 0.

    names: one scheme, or several, of which the first is taken. Other collections than params and batch_stats are left.
    """
    name = next(iter(names.values())) if isinstance(names, Mapping) else names
    result = {}
    for path, leaf in flat({part: variables[part] for part in ('params', 'batch_stats') if part in variables}):
        key = name(path[1:])
        result[key] = to_torch_layout(np.asarray(leaf), path, key)
        if key.endswith('running_var'):
            result[key.removesuffix('running_var') + COUNTER] = np.zeros((), np.int64)
    return result


def flat(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The leaves of nested mappings, with their paths."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from flat(value, (*path, name))
    else:
        yield path, tree


def nested(leaves: Mapping[Path, Any]) -> dict[str, Any]:
    """The inverse of `flat`."""
    tree: dict[str, Any] = {}
    for (*outer, last), value in leaves.items():
        inner = tree
        for name in outer:
            inner = inner.setdefault(name, {})
        inner[last] = value
    return tree


def to_torch_layout(leaf: np.ndarray, path: Path, key: str = '') -> np.ndarray:
    """A variable with the axes of PyTorch; that of a 'layer_scale' of torchvision, one per channel, is [U,1,1]."""
    if key.endswith('.layer_scale'):
        return leaf.reshape(-1, 1, 1)
    if path[-1] != 'kernel':
        return leaf
    return np.ascontiguousarray(leaf.transpose((3, 2, 0, 1) if leaf.ndim == 4 else (1, 0)))


def torch_shape(shape: tuple[int, ...], path: Path, key: str = '') -> tuple[int, ...]:
    """The shape that a variable has in PyTorch."""
    return to_torch_layout(np.broadcast_to(np.float32(0), shape), path, key).shape


def _is_left(key: str) -> bool:
    return key.rpartition('.')[2] in LEFT or bool(BESIDE.match(key))


def _is_head(path: Path) -> bool:
    return path[1] == HEAD


def _fit(tensors: Mapping[str, np.ndarray], keys: Mapping[Path, str], head: str) -> dict[Path, Any] | tuple[int, str]:
    """The tensor of each variable by its path; where keys differ, how many fit, and the first that does not.

    keys: of each variable. Shapes are looked at by `_array`.
    """
    wanted = {path: key for path, key in keys.items() if head == 'exact' or not _is_head(path)}
    passed = _head_of(keys) if head == 'new' else ()
    prefix = _prefix(tensors, wanted)
    missing = [key for key in wanted.values() if prefix + key not in tensors]
    known = {prefix + key for key in wanted.values()}
    left = [key for key in tensors if key not in known and not key.removeprefix(prefix).startswith(passed)]
    fits = len(wanted) - len(missing)
    if missing:
        there = f'; the file has {left[0]!r} {list(tensors[left[0]].shape)}, which the model has not' if left else ''
        return fits, f'Tensor {prefix + missing[0]!r} of the model is not in the file{there}'
    if left:
        shape = list(tensors[left[0]].shape)
        return (
            fits,
            f'Tensor {left[0]!r} {shape} of the file is not in the model; a file must hold nothing beside the network',
        )
    return {path: tensors[prefix + key] for path, key in wanted.items()}


def _prefix(tensors: Mapping[str, Any], wanted: Mapping[Path, str]) -> str:
    """What stands before the model's keys in the file, as of a wrapper: 'module.', 'model.'."""
    keys = list(wanted.values())
    for key in keys[:3]:
        before = [one[: -len(key)] for one in tensors if one == key or one.endswith(f'.{key}')]
        fits = {prefix: sum(prefix + one in tensors for one in keys) for prefix in before}
        if fits:
            return max(fits, key=lambda prefix: (fits[prefix], -len(prefix)))
    return ''


def _head_of(keys: Mapping[Path, str]) -> tuple[str, ...]:
    """Beginnings of keys that are the head's, and nobody else's: 'fc.' covers 'fc.1.weight' as well."""
    others = [key for path, key in keys.items() if not _is_head(path)]
    result = []
    for path, key in keys.items():
        if _is_head(path):
            parts = key.split('.')[:-1]
            while len(parts) > 1 and not any(one.startswith('.'.join(parts[:-1]) + '.') for one in others):
                parts.pop()
            result.append('.'.join(parts) + '.')
    return tuple(dict.fromkeys(result))


def _array(tensor: np.ndarray, key: str, path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor with the axes of Flax, float32; ValueError unless it has that shape and is of finite numbers."""
    wanted = torch_shape(tuple(shape), path, key)
    if tensor.shape != wanted:
        raise OtherShape(f'Tensor {key!r} of the file is {list(tensor.shape)}, and the model wants {list(wanted)}.')
    array = _numbers(tensor, key, path)
    if path[-1] == 'kernel':
        array = array.transpose((2, 3, 1, 0) if array.ndim == 4 else (1, 0))
    return np.ascontiguousarray(array).reshape(shape)


def _numbers(tensor: np.ndarray, key: str, path: Path) -> np.ndarray:
    if tensor.dtype.kind in 'iubc':
        raise ValueError(f'Tensor {key!r} of the file is {tensor.dtype}: weights must be floating-point numbers.')
    array = tensor.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f'Tensor {key!r} of the file has numbers that are not finite.')
    if path[-1] == 'var' and (array.min(initial=0) < 0 or not array.any()):
        least = f'has {array.min():g}' if array.any() else 'is 0 everywhere'
        raise ValueError(f'Tensor {key!r} of the file {least}: running variances are above 0.')
    return array


def _own(tensors: Mapping[str, np.ndarray], leaves: Mapping[Path, Any], head: str) -> dict[str, Any]:
    """Weights by the names of Flax."""
    wanted = {path: '/'.join(path) for path in leaves if head == 'exact' or not _is_head(path)}
    for key in wanted.values():
        if key not in tensors:
            raise ValueError(f'Tensor {key!r} of the model is not in the file.')
    known = {'/'.join(path) for path in leaves}
    for key in tensors:
        if key not in known and not (head == 'new' and key.startswith(f'params/{HEAD}/')):
            raise ValueError(f'Tensor {key!r} {list(tensors[key].shape)} of the file is not in the model.')
    result = {}
    for path, key in wanted.items():
        shape = tuple(leaves[path].shape)
        if tensors[key].shape != shape:
            said = f'is {list(tensors[key].shape)}, and the model wants {list(shape)}'
            raise OtherShape(f'Tensor {key!r} of the file {said}.')
        result[path] = _numbers(tensors[key], key, path)
    return nested(result)
