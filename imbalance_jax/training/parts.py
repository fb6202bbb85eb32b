"""The parts of a network, from its head to its front, found by what its named activations depend on.

A variable belongs to the first named activation that depends on it: whatever a model calls its parameters, and however
its layers are connected, what lies between two named layers is one part. `params['head']` is a part by itself.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

HEAD, REST = 'head', 'logits'  # REST: what only logits depend on, beside the head
CALLS = ('jit', 'pjit', 'closed_call', 'core_call', 'remat', 'remat2', 'checkpoint')  # programs within a program


class Parts(NamedTuple):
    """names: of the parts before the head that have variables, the last one first; depth: for each variable of
    {'params', 'batch_stats'} a whole number, 0 in the head and n in the n-th of `names`."""

    names: list[str]
    depth: dict[str, Any]


def parts_of(model: Any, variables: Any, image_shape: tuple[int, ...]) -> Parts:
    """The parts of a model; nothing is computed. variables: its own, or their shapes; image_shape: (H, W, C)."""
    variables = {name: variables[name] for name in ('params', 'batch_stats') if name in variables}
    image, layers = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32), []

    def activations(variables: Any, image: jax.Array) -> list[Any]:
        logits, out = model.apply(variables, image)
        layers.extend([*out, REST])
        return [*out.values(), logits]

    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), variables)
    traced = jax.make_jaxpr(activations)(shapes, image).jaxpr
    leaves, tree = jax.tree.flatten(shapes)
    read = dependencies(traced, [1 << i for i in range(len(leaves))] + [0])
    in_head = [_is_head(path) for path, _ in jax.tree_util.tree_leaves_with_path(shapes)]
    first = [next((n for n, bits in enumerate(read) if bits >> i & 1), 0) for i in range(len(leaves))]
    used = sorted({n for n, head in zip(first, in_head, strict=True) if not head}, reverse=True)
    depth = [0 if head else used.index(n) + 1 for n, head in zip(first, in_head, strict=True)]
    return Parts([layers[n] for n in used], jax.tree.unflatten(tree, depth))


def head_and_rest(variables: Any) -> Parts:
    """The same with all but the head as one part."""
    variables = {name: variables[name] for name in ('params', 'batch_stats') if name in variables}
    depth = jax.tree_util.tree_map_with_path(lambda path, _: 0 if _is_head(path) else 1, variables)
    return Parts([REST], depth)


def _is_head(path: tuple) -> bool:
    return [key.key for key in path[:2]] == ['params', HEAD]


def dependencies(program: Any, given: list[int]) -> list[int]:
    """Of each output of a jaxpr, the union of the sets of the inputs it depends on; sets are bits of a number [inputs].

    Programs within the program are looked into, so that one compiled as a whole is no dead end.
    """
    known: dict[Any, int] = dict(zip(program.invars, given, strict=True))

    def of(atom: Any) -> int:
        return 0 if isinstance(atom, Literal) else known.get(atom, 0)

    for eqn in program.eqns:
        inputs = [of(atom) for atom in eqn.invars]
        inner = eqn.params.get('jaxpr', eqn.params.get('call_jaxpr'))
        inner = getattr(inner, 'jaxpr', inner)
        if eqn.primitive.name in CALLS and inner is not None and len(inner.invars) == len(inputs):
            outputs = dependencies(inner, inputs)
        else:
            union = 0
            for bits in inputs:
                union |= bits
            outputs = [union] * len(eqn.outvars)
        known |= dict(zip(eqn.outvars, outputs, strict=True))
    return [of(atom) for atom in program.outvars]
