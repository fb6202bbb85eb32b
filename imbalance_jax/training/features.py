"""Features of images by networks that are not trained, computed once and kept: what populations of heads train on.

A file of features is named by all that it comes from: the program that computes them, with its model, normalisation and
code, the networks' weights or seeds, and the data. So studies of other losses on the same networks and images find it.
It grows block by block, each with its checksum, and whoever finds it unfinished or damaged computes what is missing.
"""

import contextlib
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax import weights
from imbalance_jax.data.arrays import full_batches
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.streams import ahead, take
from imbalance_jax.system import locks, processes, progress
from imbalance_jax.system.files import naming
from imbalance_jax.training import placement, start
from imbalance_jax.training.members import Member, backbones, member_arrays
from imbalance_jax.training.network import Network

FOLDER = 'features'  # of the folder of prepared data sets
BATCHES = 4  # of a block at most: what a killed run loses, and a line of progress, at 224 pixels some seconds of a CPU
GIB = 2**30


class Block(NamedTuple):
    """A part of a file of features: of the networks `first` .. `stop` - 1, rows `begin` .. `end` - 1."""

    first: int
    stop: int
    begin: int
    end: int


def width(untrained: Network, image_shape: tuple[int, ...]) -> int:
    """U, the length of the vector that the head reads."""
    shapes = jax.eval_shape(untrained.init, _one())
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    return jax.eval_shape(untrained.model.apply, shapes, image)[1]['pooled'].shape[-1]


def make_draw(untrained: Network) -> Callable[[Any], Any]:
    """Returns `draw(members [Q]) -> variables [Q,...]` of networks drawn by their seeds, without heads; compiled."""
    return jax.jit(partial(jax.lax.map, lambda one: _without_head(untrained.init(one))))


def variables_of(
    untrained: Network, rows: Sequence[Mapping[str, Any]], draw: Callable[[Any], Any] | None = None
) -> dict[str, Any]:
    """Variables [Q,...], NumPy arrays, of the networks that members begin with, behind their entrance, without heads.

    rows: of members.json, one per network; draw: of `make_draw`, if it is at hand.
    """
    drawn = jax.tree.map(np.asarray, (draw or make_draw(untrained))(_arrays([row['seed'] for row in rows])))
    headless = {name: start.Start(one.facts, _without_head(one.variables)) for name, one in untrained.starts.items()}
    variables = start.begin(drawn, rows, headless)
    links = untrained.links(rows)
    return {**variables, 'link': links} if links else variables


def _without_head(variables: Mapping[str, Any]) -> dict[str, Any]:
    params = {name: value for name, value in variables['params'].items() if name != 'head'}
    return {'params': params, 'batch_stats': variables.get('batch_stats', {})}


def _arrays(seeds: Sequence[int]) -> Member:
    """The numbers [Q] of members of which a network's start reads the seed alone."""
    plain = {'arm': '', 'sampler': 'natural', 'retrain_head_from': 1.0, 'learning_rate': 1.0, 'weight_decay': 0.0}
    return member_arrays([{**plain, 'head': 'linear', 'loss': 'bce', 'seed': seed} for seed in seeds], own_order=True)


def _one() -> Member:
    """Those of one member, whose seed does not matter."""
    return jax.tree.map(lambda a: a[0], _arrays([0]))


def make_features(untrained: Network) -> Callable[[Any, jax.Array], jax.Array]:
    """Returns `features(variables, images [n,B,H,W,C] uint8) -> [n,B,U]`, in evaluation mode, without augmentation.

    variables: of one network of `variables_of`. The head that the model wants all the same is one of zeros.
    """
    head = jax.eval_shape(untrained.init, _one())['params']['head']

    def features(variables: Any, images: jax.Array) -> jax.Array:
        zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), head)
        whole = {**variables, 'params': {**variables['params'], 'head': zeros}}
        pooled = lambda x: untrained.model.apply(whole, untrained.normalise(x))[1]['pooled']  # noqa: E731
        return jax.lax.map(pooled, images)

    return features


def name_of(untrained: Network, rows: Sequence[Mapping[str, Any]], dataset: Dataset, batch_size: int) -> str:
    """Sixteen hexadecimal digits of all that features come from. rows: of the networks; dataset: with the images."""
    one = _one()
    headless = jax.eval_shape(lambda one: _without_head(untrained.init(one)), one)
    links = {name: value[0] for name, value in untrained.links(rows).items()}
    variables = {**headless, 'link': links} if links else headless
    image = jax.ShapeDtypeStruct((1, batch_size, *dataset.images.shape[1:]), jnp.uint8)
    programs = [jax.jit(make_features(untrained)).lower(variables, image).as_text()]
    if any(start.weights_of(row) == start.RANDOM for row in rows):
        programs.append(jax.jit(lambda one: _without_head(untrained.init(one))).lower(one).as_text())
    kinds = [row.get(start.SHA256) or ['seed', row['seed']] for row in rows]
    given = [
        {'/'.join(path): zlib.crc32(np.ascontiguousarray(leaf).tobytes()) for path, leaf in weights.flat(one.variables)}
        for one in untrained.starts.values()
    ]  # what was read of a file, whatever the reader
    entrances = {name: np.asarray(value).tolist() for name, value in untrained.links(rows).items()}
    machine = [jax.__version__, jax.devices()[0].platform, len(jax.devices())]
    data = [dataset.info.get('fingerprint', ''), list(dataset.images.shape)]
    text = json.dumps([programs, kinds, given, entrances, machine, data], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load(
    folder: Path, untrained: Network, members: Sequence[Mapping[str, Any]], dataset: Dataset, *, batch_size: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Features of all images of a data set, [N,U] float32, or [N,G,U] of G networks, mapped from their file.

    They are computed now as far as they are not there. members: rows of members.json; folder: of prepared data sets.
    Also what is told of them: the file, its bytes, and the share of it that was there. Raises OSError where the disk
    has no room.
    """
    first, _ = backbones(members)
    rows = [members[i] for i in first]
    path = Path(folder) / FOLDER / f'{name_of(untrained, rows, dataset, batch_size)}.npy'
    shape = (len(dataset.images), len(rows), width(untrained, dataset.images.shape[1:]))
    blocks = _blocks(len(rows), len(dataset.images), batch_size)
    lock = locks.wait(path.with_suffix('.lock'), str(path)) if processes.leads() else contextlib.nullcontext()
    with lock:
        sound = processes.agree(np.array(_ready(path, shape, blocks)))
        left = [block for block, done in zip(blocks, sound, strict=True) if not done]
        if left:
            _compute(path, untrained, rows, dataset, left=left, batch_size=batch_size)
        processes.wait_for_all()
    array = np.load(path, mmap_mode='r', allow_pickle=False)
    facts = {
        'file': path.name,
        'bytes': int(np.prod(shape)) * 4,
        'networks': len(rows),
        'was_there': float(sound.mean()),
    }
    return array[:, 0] if len(rows) == 1 else array, facts


def _blocks(networks: int, images: int, batch_size: int) -> list[Block]:
    """All of a file. As many networks at a time as there are devices; of the images at most BATCHES batches."""
    devices = len(jax.devices())
    at_once = devices if networks >= devices else 1
    size = _images_at_once(images, batch_size)
    return [
        Block(first, min(first + at_once, networks), begin, min(begin + size, images))
        for first in range(0, networks, at_once)
        for begin in range(0, images, size)
    ]


def _images_at_once(images: int, batch_size: int) -> int:
    """Images of a block: full batches, and blocks of one size."""
    batches = len(full_batches(images, batch_size))
    return batch_size * -(-batches // -(-batches // BATCHES))


def _ready(path: Path, shape: tuple[int, ...], blocks: list[Block]) -> list[bool]:
    """Which blocks of a file are there and what they were; the file is made if it is not there."""
    if not processes.leads():
        return [False] * len(blocks)
    if not path.exists():
        _allocate(path, shape)
    array, checksums = np.load(path, mmap_mode='r', allow_pickle=False), _checksums(path)
    return [checksums.get(_key(block)) == _crc32(array, block) for block in blocks]


def _allocate(path: Path, shape: tuple[int, ...]) -> None:
    """A file of zeros, whole or not at all; says how much it takes, and OSError says so where that is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix('.jsonl').unlink(missing_ok=True)
    needed, free = int(np.prod(shape)) * 4, shutil.disk_usage(path.parent).free
    text = f'Features of {shape[0]:,} images by {shape[1]} networks take {needed / GIB:.2f} GiB in {path.parent}'
    if needed > free:
        raise OSError(f'{text}, where {free / GIB:.2f} GiB are free: set config.data.folder to a larger disk.')
    print(f'{text}.', flush=True)
    partial_path = path.with_name(f'.{path.name}.{os.getpid()}')
    array = np.lib.format.open_memmap(partial_path, mode='w+', dtype=np.float32, shape=shape)
    with naming(partial_path), open(partial_path, 'r+b') as file:
        os.posix_fallocate(file.fileno(), 0, partial_path.stat().st_size)
    array.flush()
    os.replace(partial_path, path)


def _key(block: Block) -> str:
    return '-'.join(map(str, block))


def _crc32(array: np.ndarray, block: Block) -> int:
    return zlib.crc32(array[block.begin : block.end, block.first : block.stop].tobytes())


def _checksums(path: Path) -> dict[str, int]:
    """Of the blocks that were finished; a line that a killed process left half-written counts for nothing."""
    journal = path.with_suffix('.jsonl')
    known: dict[str, int] = {}
    for line in journal.read_text(encoding='utf-8').splitlines() if journal.exists() else ():
        try:
            known |= json.loads(line)
        except (ValueError, TypeError, RecursionError):
            continue
    return known


def _compute(
    path: Path,
    untrained: Network,
    rows: Sequence[Mapping[str, Any]],
    dataset: Dataset,
    *,
    left: list[Block],
    batch_size: int,
) -> None:
    """Fills the blocks that are left."""
    array = np.load(path, mmap_mode='r+', allow_pickle=False) if processes.leads() else None
    function, done = make_features(untrained), 0
    total = sum((block.end - block.begin) * (block.stop - block.first) for block in left)
    draw, programs = make_draw(untrained), {}
    with progress.show('features', total) as update:
        for first, stop in dict.fromkeys((block.first, block.stop) for block in left):
            if stop - first not in programs:  # but for the last ones all are of one size
                place = _place(stop - first, batch_size)
                programs[stop - first] = place, place.map(function)
            place, mapped = programs[stop - first]
            variables = place.members(variables_of(untrained, rows[first:stop], draw))
            of_networks = [block for block in left if block.first == first]
            size = _images_at_once(len(dataset.images), batch_size)
            for block, images in ahead(_sent(place, dataset.images, of_networks, size, batch_size)):
                values = place.fetch(mapped(variables, images))  # [Q,n,B,U]
                if array is not None:
                    _write(array, path, block, values.reshape(len(values), -1, values.shape[-1]))
                done += (block.end - block.begin) * (stop - first)
                update(done, note='images x networks')


def _place(networks: int, batch_size: int) -> placement.Placement:
    """All devices: one network each, or the batches of one."""
    devices = len(jax.devices())
    shared = f'data:{devices}:' if networks == 1 and devices > 1 and batch_size % devices == 0 else ''
    return placement.place(networks, f'{shared}shard:map')


def _sent(
    place: placement.Placement, images: Any, blocks: list[Block], size: int, batch_size: int
) -> Iterator[tuple[Block, jax.Array]]:
    """The images of each block on the devices [n,B,...]; the last ones are filled up by starting again."""
    for block in blocks:
        index = (block.begin + np.arange(size)) % len(images)
        yield block, place.batches(take(images, index).reshape(-1, batch_size, *images.shape[1:]))


def _write(array: np.ndarray, path: Path, block: Block, values: np.ndarray) -> None:
    """A block into its file, and then its checksum beside it. values: [Q,n,U]."""
    array[block.begin : block.end, block.first : block.stop] = values[:, : block.end - block.begin].swapaxes(0, 1)
    array.flush()  # type: ignore[attr-defined]
    with open(path.with_suffix('.jsonl'), 'a') as file:
        file.write(json.dumps({_key(block): _crc32(array, block)}) + '\n')
