"""How P members are dealt to D devices: rows have the members between them, and devices of a row share examples."""

from collections.abc import Sequence

import jax

GROUPS = (16, 4)  # members at a time, of which a batched program is tried
NEARLY = 1.25  # times the shortest time: a grid of devices that is as good, if it has fewer members on each


def fewest_rows(num_members: int, rows: int) -> int:
    """As few rows of devices as have no more of P members each than on so many rows."""
    return -(-num_members // -(-num_members // min(rows, num_members)))


def best_sharing(num_members: int, num_devices: int) -> int:
    """How many devices share the examples of the same P members, so that what is done example by example ends soonest.

    Of D devices, r rows of D // r that share: a device has P / r members, and of each 1 / (D // r) of the examples. Of
    all r that are nearly as fast as the fastest, the one with the fewest members per device.
    """
    every = range(1, min(num_members, num_devices) + 1)
    times = {rows: -(-num_members // rows) / (num_devices // rows) for rows in every}
    rows = max(rows for rows, time in times.items() if time <= NEARLY * min(times.values()))
    return num_devices // fewest_rows(num_members, rows)


def spare_sharing(num_members: int, num_devices: int) -> int:
    """How many devices share the examples of the same members without any device having more members for it."""
    return num_devices // fewest_rows(num_members, num_devices)


def candidates(num_members: int, batch_size: int, devices: Sequence[jax.Device] | None = None) -> list[str]:
    """The strategies that can be the fastest for P members here, for a measurement to choose from.

    On a CPU a batched convolution of many kernels runs at 0.2-0.4 of a plain one, so members stay apart there. On an
    accelerator small networks are bound by launches and large ones by arithmetic, so both ways are tried. Devices share
    batches where members alone would leave some of them idle.
    """
    devices = jax.devices() if devices is None else list(devices)
    queue = -(-num_members // len(devices))
    names = ['shard:map']
    if devices[0].platform == 'cpu':
        names += ['shard:unroll'] if queue <= 2 else []
    else:
        names += ['shard:unroll'] if 1 < queue <= 8 else []
        names += [f'shard:vmap:{k}' for k in reversed(GROUPS) if queue > k] + ['shard:vmap']
    if queue <= 4:
        shared = sharings(num_members, batch_size, len(devices))[-2:]
        names += [f'data:{share}:shard:map' for share in shared]
        batched = num_members > 1 and devices[0].platform != 'cpu'
        names += [f'data:{share}:shard:vmap' for share in shared[-1:] if batched]
    return names


def sharings(num_members: int, batch_size: int, num_devices: int) -> list[int]:
    """Ascending, how many devices may share every batch of B examples so that a step takes less, by its arithmetic
    alone, than with any fewer: of d devices that share, each has B / d examples of P / (D // d) members."""
    found: list[int] = []
    best = float(-(-num_members // num_devices))
    for share in range(2, num_devices + 1):
        time = -(-num_members // (num_devices // share)) / share
        if batch_size % share == 0 and time < best:
            found, best = [*found, share], time
    return found


def of_heads(num_members: int, devices: Sequence[jax.Device] | None = None) -> list[str]:
    """`candidates` where members are heads on features: a step of one is too small to fill a device."""
    devices = jax.devices() if devices is None else list(devices)
    queue = -(-num_members // len(devices))
    return ['shard:map', *(f'shard:vmap:{k}' for k in (16, 64) if queue > k), *(['shard:vmap'] if queue > 1 else [])]
