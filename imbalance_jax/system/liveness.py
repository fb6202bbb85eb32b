"""How much memory a function needs on a device, from its trace alone: nothing is compiled, and no array is there.

A value is there from the operation that makes it to the last that reads it. What XLA fuses is not: the result of an
operation element by element, or of one that only says where numbers lie, if a single other operation reads it. XLA
orders and packs as it likes, so that this is an estimate; training/README.md has what was measured.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

# Operations whose result lies nowhere if a single other one reads it, beside those element by element; and those that
# are not element by element for all their shapes.
PLACING = ('broadcast_in_dim', 'iota', 'reshape', 'transpose', 'squeeze', 'expand_dims', 'slice', 'rev', 'pad')
APART = ('dot', 'conv_', 'gather', 'scatter', 'dynamic_', 'sort', 'top_k', 'fft', 'reduce', 'cum', 'select_and_')


class Held(NamedTuple):
    """Bytes: of arguments, of results, and at most of what lies beside them."""

    arguments: int
    results: int
    beside: int


def held(function: Callable, *arguments: Any) -> Held:
    """What a function of trees of arrays, or of their shapes, holds."""
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    results = tree_bytes(shapes)
    return Held(tree_bytes(arguments), results, max(0, _peak(closed.jaxpr) - results))


def tree_bytes(tree: Any) -> int:
    """Bytes of a tree of arrays, or of their shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _peak(jaxpr: Any) -> int:
    """The most bytes that values made in a trace take at a time, its results among them."""
    last, readers = _readers(jaxpr)
    kept = {id(var) for var in jaxpr.outvars}
    live: dict[int, int] = {}
    until: dict[int, list[int]] = {}  # operation -> values that nobody reads after it
    peak = 0
    for number, eqn in enumerate(jaxpr.eqns):
        made = 0
        for var in eqn.outvars:
            if id(var) not in last and id(var) not in kept:
                continue
            fused = _fuses(eqn) and readers[id(var)] == 1 and id(var) not in kept
            live[id(var)] = 0 if fused else _size(var)
            made += live[id(var)]
            if fused:  # what it is made of stays until it is read
                for source in eqn.invars:
                    if id(source) in live:
                        last[id(source)] = max(last[id(source)], last[id(var)])
            until.setdefault(last.get(id(var), -1), []).append(id(var))
        inner = max((_peak(inside) for inside in _inside(eqn)), default=0)
        peak = max(peak, sum(live.values()) - made + max(made, inner))
        for var_id in until.get(number, ()):
            if last[var_id] <= number and var_id not in kept:
                live.pop(var_id, None)
            elif var_id not in kept:
                until.setdefault(last[var_id], []).append(var_id)
    return peak


def _readers(jaxpr: Any) -> tuple[dict[int, int], Counter[int]]:
    """Of every value the last operation that reads it, and how many do."""
    last: dict[int, int] = {}
    readers: Counter[int] = Counter()
    for number, eqn in enumerate(jaxpr.eqns):
        for key in {id(var) for var in eqn.invars}:
            last[key] = number
            readers[key] += 1
    return last, readers


def _fuses(eqn: Any) -> bool:
    """Whether XLA makes the result where it is read: as large as what it is made of, element by element, or placed."""
    if eqn.primitive.name in PLACING:
        return True
    if any(True for _ in _inside(eqn)) or len(eqn.outvars) != 1:
        return False
    shape = getattr(eqn.outvars[0].aval, 'shape', None)
    shapes = [getattr(var.aval, 'shape', ()) for var in eqn.invars]
    return all(one in ((), shape) for one in shapes) and not eqn.primitive.name.startswith(
        (*APART, 'reduce', 'cum', 'select_and')
    )


def _inside(eqn: Any) -> Iterator[Any]:
    """The traces that an operation runs."""
    for value in eqn.params.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            inner = getattr(one, 'jaxpr', one)
            if hasattr(inner, 'eqns'):
                yield inner


def _size(var: Any) -> int:
    aval = var.aval
    return aval.size * aval.dtype.itemsize if hasattr(aval, 'size') and hasattr(aval.dtype, 'itemsize') else 0
