"""The parts of a network, from its head to its front, found by what its named activations depend on.

A variable belongs to the first named activation that depends on it: whatever a model calls its parameters, and however
its layers are connected, what lies between two named layers is one part. `params['head']` is a part by itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

HEAD, REST = 'head', 'logits'  # REST: what only logits depend on, beside the head
STORED = ['params', 'batch_stats']
FROZEN = 'frozen'  # collection that tells batch normalisation of a closed part to keep to its running statistics
CALLS = ('jit', 'pjit', 'closed_call', 'core_call', 'remat', 'remat2', 'checkpoint')  # programs within a program


class Parts(NamedTuple):
    """names: of the parts before the head that have variables, the last one first; depth: for each variable of
    {'params', 'batch_stats'} a whole number, 0 in the head and n in the n-th of `names`."""

    names: list[str]
    depth: dict[str, Any]


def parts_of(model: Any, variables: Any, image_shape: tuple[int, ...]) -> Parts:
    """The parts of a model; nothing is computed. variables: its own, or their shapes; image_shape: (H, W, C)."""
    variables = {name: variables[name] for name in STORED if name in variables}
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
    variables = {name: variables[name] for name in STORED if name in variables}
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


def check_stages(model: Any, rows: Sequence[Mapping[str, Any]], image_shape: tuple[int, ...]) -> None:
    """Raises ValueError where parts open one after the other in a model whose batch normalisation cannot be told that
    its part is closed, and would go on with the statistics of the batch. rows: of members.json."""
    staged = [row['arm'] for row in rows if row.get('unfreeze') == 'stages']
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *image_shape)), mutable=STORED))
    if not staged or not variables.get('batch_stats'):
        return
    flags = statistics(variables['batch_stats'], lambda _: jax.ShapeDtypeStruct((), bool))
    image = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)

    def logits(flags: Any, variables: Any, image: jax.Array) -> jax.Array:
        given = {**variables, FROZEN: flags}
        return model.apply(given, image, train=True, mutable=['batch_stats'])[0][0]

    traced = jax.make_jaxpr(logits)(flags, variables, image).jaxpr
    leaves = jax.tree_util.tree_leaves_with_path(flags)
    [read] = dependencies(traced, [1 << i for i in range(len(leaves))] + [0] * (len(traced.invars) - len(leaves)))
    for i, (path, _) in enumerate(leaves):
        if not read >> i & 1:
            layer = '/'.join(key.key for key in path[:-1])
            needs = f'batch normalisation {layer} of the model does not know of closed parts'
            use = "use imbalance_jax.models.normalisation.BatchNorm there, or unfreeze 'at_once'"
            raise ValueError(f"config.arms.{staged[0]}.unfreeze is 'stages', but {needs}; {use}.")


def statistics(batch_stats: Any, value: Callable[[Any], Any]) -> Any:
    """The collection 'frozen' of `models.normalisation`: for every layer with running statistics `value` of one of
    these, under the name 'statistics'. batch_stats: the running statistics, or anything of that structure."""
    own = [leaf for leaf in batch_stats.values() if not isinstance(leaf, Mapping)]
    inner = {name: statistics(one, value) for name, one in batch_stats.items() if isinstance(one, Mapping)}
    return {**inner, 'statistics': value(own[0])} if own else inner
