"""Where a population lives: the devices of one or several processes, and what goes to which of them."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as Spec

from imbalance_jax.system import limits
from imbalance_jax.training.grid import GROUPS, fewest_rows
from imbalance_jax.training.strategies import map_members, parse, with_sharing, without_sharing

BLOCK = 1024  # rows that are sent to the devices at a time
# How arrays of members [P,...], of members and examples [P,n,...], and of all lie on a mesh.
MEMBER, OF_EXAMPLES, SHARED = Spec('member'), Spec('member', 'data'), Spec()


def use_all_cores() -> None:
    """Gives JAX one host device per core: one core per member is faster than two cores per member.

    Call it before JAX computes anything; afterwards, or where the number was set by hand, it changes nothing.
    """
    set_by_hand: int = getattr(jax.config, 'jax_num_cpu_devices')  # noqa: B009  an option that type checkers don't know
    if 'xla_force_host_platform_device_count' in os.environ.get('XLA_FLAGS', '') or set_by_hand > 0:
        return
    try:
        jax.config.update('jax_num_cpu_devices', limits.cores())
    except RuntimeError:  # JAX runs already
        return


class Placement(NamedTuple):
    """Where P = `num_members` members live: a mesh with the axes `member` and `data`, and the strategy that runs there.

    Along `data`, devices share the batches of the same members.
    """

    num_members: int
    mesh: Mesh
    strategy: str

    @property
    def padded(self) -> int:
        """P rounded up to the mesh; the members added repeat member 0 and appear in no result."""
        return -(-self.num_members // self.mesh.shape['member']) * self.mesh.shape['member']

    @property
    def queue(self) -> int:
        """Members per device."""
        return self.padded // self.mesh.shape['member']

    @property
    def shares(self) -> int:
        """Devices that have the same members and share their examples."""
        return self.mesh.shape['data']

    @property
    def in_a_turn(self) -> int:
        """Members of a device that a program computes side by side; where they are no multiple of a group, those of a
        group and those that are left."""
        _, _, kind, group = parse(self.strategy)
        if kind == 'map':
            return 1
        return group + self.queue % group if 0 < group < self.queue else self.queue

    def evenly(self, count: int) -> int:
        """So many examples at most, as many on each device that shares them; all where there are fewer than devices."""
        return count - count % self.shares if count > self.shares else count

    def narrower(self) -> Iterator['Placement']:
        """This placement, and then the same devices with fewer of their members at a time."""
        yield self
        share, shard, kind, group = parse(self.strategy)
        begin = f'data:{share}:shard:' if share > 1 else 'shard:' * shard
        together = group or self.queue
        for smaller in GROUPS if kind == 'vmap' else ():
            if smaller < together:
                yield self._replace(strategy=f'{begin}vmap:{smaller}')
        if kind != 'map':
            yield self._replace(strategy=f'{begin}map')

    def members(self, tree: Any) -> Any:
        """NumPy arrays [P, ...] padded and spread over the mesh."""
        index = np.arange(self.padded) * (np.arange(self.padded) < self.num_members)
        return self._put(jax.tree.map(lambda a: np.asarray(a)[index], tree), Spec('member'))

    def shared(self, tree: Any) -> Any:
        """The same arrays on every device."""
        return self._put(tree, Spec())

    def rows(self, rows: Any) -> jax.Array:
        """Rows [N,...], an array or `streams.Rows`, on every device, sent block by block: the host never holds all."""
        sharding, size = NamedSharding(self.mesh, Spec()), min(BLOCK, len(rows))
        whole = jax.jit(lambda: jnp.zeros(rows.shape, rows.dtype), out_shardings=sharding)()
        fill = jax.jit(jax.lax.dynamic_update_slice_in_dim, static_argnums=3, donate_argnums=0, out_shardings=sharding)
        for start in range(0, len(rows), size):
            first = min(start, len(rows) - size)  # the last block overlaps the one before it: one shape, one program
            whole = fill(whole, self.shared(np.asarray(rows[first : first + size])), np.int32(first), 0)
        return whole

    def like_shared(self, tree: Any) -> Any:
        """The shapes of arrays as `shared` places them, to compile for."""
        sharding = NamedSharding(self.mesh, Spec())
        return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), tree)

    def batches(self, tree: Any) -> Any:
        """Arrays [n, B, ...] for all members, whose examples are spread over the `data` axis."""
        return self._put(tree, self._examples(1))

    def spread(self, order: jax.Array) -> jax.Array:
        """A device array [P, n, B], such as the order of an epoch, with its examples spread over the `data` axis."""
        if self.shares == 1:
            return order
        return jax.jit(lambda a: a, out_shardings=NamedSharding(self.mesh, Spec('member', *self._examples(1))))(order)

    def _examples(self, before: int) -> Spec:
        return Spec(*(None,) * before, 'data') if self.shares > 1 else Spec()

    def _put(self, tree: Any, spec: Spec) -> Any:
        sharding = NamedSharding(self.mesh, spec)
        if not self.mesh.is_multi_process:
            return jax.device_put(tree, sharding)
        # Every process holds the whole and gives its own devices their part.
        whole = jax.tree.map(np.asarray, tree)
        return jax.tree.map(lambda a: jax.make_array_from_callback(a.shape, sharding, lambda i: a[i]), whole)

    def fetch(self, tree: Any) -> Any:
        """NumPy arrays [P, ...] without the padding, in every process."""
        return jax.tree.map(lambda a: a[: self.num_members], self.whole(tree))

    def whole(self, tree: Any) -> Any:
        """Arrays of the devices, of whatever axes, as NumPy arrays in every process."""
        if self.mesh.is_multi_process:
            tree = multihost_utils.process_allgather(tree, tiled=True)
        return jax.tree.map(np.asarray, tree)

    def map(self, fn: Callable, donate: bool = False) -> Any:
        """`map_members(fn)` of this placement, jitted: `mapped(members, *shared)`.

        With `donate`, `mapped(first, rest, *shared)` gives `fn` the members' (*first, *rest), and the memory of `first`
        to its result: `first` is gone afterwards.
        """
        mapped = map_members(fn, self.strategy, self.mesh)
        spread = NamedSharding(self.mesh, Spec('member'))
        if not donate:
            return jax.jit(mapped, out_shardings=spread)
        joined = lambda first, rest, *shared: mapped((*first, *rest), *shared)  # noqa: E731  its name is in traces
        return jax.jit(joined, out_shardings=spread, donate_argnums=0)

    def map_examples(self, fn: Callable) -> Any:
        """`map` of `fn(member, *arrays [n,...])`, whose results [n,...] are each of one example alone: where devices
        share examples, each takes its part of them."""
        return self.split(lambda mapper: mapper(fn))

    def split(self, program: Callable[[Callable], Callable], members: Any = MEMBER) -> Any:
        """`call(members, *arrays [n,...])`, a tree [P,n,...]: the jitted `program(mapper)` of what members and
        examples each device has; `mapper(fn)` maps `fn(member, *arrays)` over members.

        members: how their trees lie on the mesh, as of `jax.shard_map`; `OF_EXAMPLES` are [P,n,...]. Where n is no
        multiple of the devices that share them, the first examples are taken twice, and what they give is cut off.
        """
        if self.shares == 1:
            return program(self.map)
        here = without_sharing(self.strategy).removeprefix('shard:')
        local = program(lambda fn: map_members(fn, here))

        def call(of_members: Any, *arrays: Any) -> Any:
            count = _number_of_examples(of_members, members, arrays)
            filled = np.arange(-(-count // self.shares) * self.shares) % count
            if len(filled) > count:
                arrays = jax.tree.map(lambda a: a[filled], arrays)
                of_members = _of_examples(lambda a: a[:, filled], of_members, members)
            specs = (members, *(Spec('data') for _ in arrays))
            split = jax.shard_map(local, mesh=self.mesh, in_specs=specs, out_specs=OF_EXAMPLES, check_vma=False)
            result = split(of_members, *arrays)
            if len(filled) == count:
                return result
            return jax.lax.with_sharding_constraint(
                jax.tree.map(lambda a: a[:, :count], result), NamedSharding(self.mesh, MEMBER)
            )

        return jax.jit(call)

    def like(self, tree: Any) -> Any:
        """The shapes of members' arrays [P, ...] as they lie on the devices, to compile for."""
        sharding = NamedSharding(self.mesh, Spec('member'))
        return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), tree)


def place(num_members: int, strategy: str, devices: Sequence[jax.Device] | None = None) -> Placement:
    """Spreads P members over the fewest devices that give the shortest queue; without `shard`, over one device.

    `data:d:` before a strategy lets d devices share every member's batches. Raises ValueError for an unknown strategy
    or too few devices.
    """
    share, shard, _, _ = parse(strategy)
    devices = jax.devices() if devices is None else list(devices)
    if share > len(devices):
        raise ValueError(f'Strategy {strategy!r} needs {share} devices; there are {len(devices)}.')
    rows = len(devices) // share if shard else 1
    several = len({device.process_index for device in devices}) > 1
    if several and not shard:
        raise ValueError(f'Strategy {strategy!r} has one device; several processes need one that begins with shard:.')
    rows = rows if several else fewest_rows(num_members, rows)  # no process may be left without a part
    mesh = Mesh(np.array(devices[: rows * share]).reshape(rows, share), ('member', 'data'))
    return Placement(num_members, mesh, strategy)


def place_sharing(num_members: int, strategy: str, shares: int) -> Placement:
    """`place` on the devices of all processes, of which so many share the examples of the same members; of several
    processes none is left without a part, so there so many share, or fewer, as divide the devices."""
    devices = jax.devices()
    if jax.process_count() > 1:
        shares = max(share for share in range(1, shares + 1) if len(devices) % share == 0)
    return place(num_members, with_sharing(strategy, shares), devices)


def first_member(tree: Any) -> Any:
    """The first of the members' arrays [P, ...] that this process has, on the host; no program runs for it."""
    return jax.tree.map(lambda a: np.asarray((a.addressable_data(0) if isinstance(a, jax.Array) else a)[0]), tree)


def _number_of_examples(of_members: Any, specs: Any, arrays: Sequence[Any]) -> int:
    """n, of arrays [n,...], or else of the members' arrays [P,n,...]."""
    if arrays:
        return len(jax.tree.leaves(arrays)[0])
    counts: list[int] = []
    _of_examples(lambda a: counts.append(a.shape[1]), of_members, specs)
    return counts[0]


def _of_examples(fn: Callable, of_members: Any, specs: Any) -> Any:
    """`fn` of the members' arrays that are of examples, and all others as they are."""
    if isinstance(specs, Spec):
        return jax.tree.map(fn, of_members) if specs == OF_EXAMPLES else of_members
    return tuple(_of_examples(fn, tree, spec) for tree, spec in zip(of_members, specs, strict=True))


def runnable(strategy: str, devices: Sequence[jax.Device] | None = None) -> str:
    """The strategy itself if it runs on these devices; else the nearest that does, with the same numbers to rounding.

    Of `data:d:` as many devices share a batch as there are and divide d; several processes spread the members.
    """
    share, shard, _, _ = parse(strategy)
    devices = jax.devices() if devices is None else list(devices)
    fewer = max(k for k in range(1, share + 1) if share % k == 0 and k <= len(devices))
    several = len({device.process_index for device in devices}) > 1
    return (
        (f'data:{fewer}:' if fewer > 1 else '') + ('' if shard or not several else 'shard:') + without_sharing(strategy)
    )
