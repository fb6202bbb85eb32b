"""Rematerialisation of any Flax model: what happens within a block is computed again for the gradient, not kept.

A block is a module with several layers that all lie within one part of the network (`parts`), the outermost such: a
residual block, a dense layer, a transformer block. The model is not changed, and neither are its results. Source: Chen
et al. 2016, "Training deep nets with sublinear memory cost" (arXiv 1604.06174).
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax

Path = tuple[str, ...]


def blocks_of(depth: Any, path: Path = ()) -> set[Path]:
    """The paths of a model's blocks. depth: of each of its parameters, as `parts.Parts` has it."""
    inner = {name: tree for name, tree in depth.items() if isinstance(tree, Mapping)}
    if path and len(inner) > 1 and len(set(jax.tree.leaves(depth))) == 1:
        return {path}
    return set().union(*(blocks_of(tree, (*path, name)) for name, tree in inner.items()))


def rematerialised(apply: Callable, blocks: set[Path]) -> Callable:
    """`apply`, a function that calls a Flax model, with these blocks computed again for the gradient."""
    inside: list[Path] = []

    def call(next_call: Callable, args: tuple, kwargs: dict, context: nn.module.InterceptorContext) -> Any:
        path = context.module.path
        if context.method_name != '__call__' or path not in blocks or path in inside:
            return next_call(*args, **kwargs)
        inside.append(path)
        try:
            return nn.remat(lambda module, *args: module(*args, **kwargs))(context.module, *args)
        finally:
            inside.pop()

    def applied(*arguments: Any) -> Any:
        with nn.intercept_methods(call):
            return apply(*arguments)

    return applied
