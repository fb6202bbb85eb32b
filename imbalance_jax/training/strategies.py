"""The one mapper that runs a member's function for all members of a population, and the strategies it knows."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as Spec

STRATEGIES = 'vmap, map, unroll, vmap:k (k members at a time), each also as shard:... and data:d:shard:...'


def _unroll(fn: Callable, members: Any) -> Any:
    count = jax.tree.leaves(members)[0].shape[0]
    results = [fn(jax.tree.map(lambda a, i=i: a[i], members)) for i in range(count)]
    return jax.tree.map(lambda *a: jnp.stack(a), *results)


MAPPERS: dict[str, Callable[[Callable, Any], Any]] = {
    'vmap': lambda fn, members: jax.vmap(fn)(members),
    'map': jax.lax.map,
    'unroll': _unroll,
}


class Strategy(NamedTuple):
    """Parts: `data` devices share a batch; members are spread if `shard`; `kind`; `group`, the k of `vmap:k`, or 0."""

    data: int
    shard: bool
    kind: str
    group: int


def parse(strategy: str) -> Strategy:
    """The parts of a strategy; ValueError for one that there is not."""
    match = re.fullmatch(r'(?:data:([1-9]\d*):(?=shard))?(shard:)?(map|unroll|vmap)(?:(?<=vmap):([1-9]\d*))?', strategy)
    if not match:
        raise ValueError(f'Unknown population strategy {strategy!r}. Known: {STRATEGIES}.')
    share, shard, kind, group = match.groups()
    return Strategy(int(share or 1), bool(shard), kind, int(group or 0))


def without_sharing(strategy: str) -> str:
    """The same strategy without `data:d:`."""
    return strategy.removeprefix(f'data:{parse(strategy).data}:')


def with_sharing(strategy: str, devices: int) -> str:
    """`data:d:` before a strategy that spreads members; another, or one device, as it is."""
    return f'data:{devices}:{strategy}' if devices > 1 and parse(strategy).shard else strategy


def map_members(fn: Callable, strategy: str, mesh: Mesh | None = None) -> Callable:
    """Returns `mapped(members, *shared)`: `fn(member, *shared)` for every entry of the leading axis of `members`.

    One signature for training, evaluation, attribution and concepts. Member i of the result is `fn` of member i alone.

    vmap: one batched program. map: one member after the other in a loop. unroll: the same without a loop, so compile
    time grows with P. vmap:k: a loop over groups of k. `shard:` before any of them: members are spread over the
    `member` axis of `mesh`, each device running its own; P must then be a multiple of the axis. `data:d:` before that
    changes nothing here: it is about where arrays lie (`placement`). Raises ValueError for an unknown strategy, and for
    `shard:` without a mesh.
    """
    _, shard, kind, group = parse(strategy)
    mapper = partial(jax.lax.map, batch_size=group) if group else MAPPERS[kind]

    def local(members: Any, *shared: Any) -> Any:
        return mapper(lambda one: fn(one, *shared), members)

    if not shard:
        return local
    if mesh is None:
        raise ValueError(f'Strategy {strategy!r} needs a mesh with a "member" axis.')

    def sharded(members: Any, *shared: Any) -> Any:
        # Other axes of the mesh are left to the compiler: what is spread over them stays so, with the same result.
        # The layers' hand-written gradients are opaque to the varying-axes check.
        specs = (Spec('member'), *(Spec() for _ in shared))
        mapped = jax.shard_map(
            local, mesh=mesh, in_specs=specs, out_specs=Spec('member'), axis_names={'member'}, check_vma=False
        )
        return mapped(members, *shared)

    return sharded
