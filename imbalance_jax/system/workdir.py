"""A working directory: who may write in it, and arrays, tables and lines of metrics that are whole or not there."""

import contextlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from imbalance_jax.system import files, layout, locks, manifest, processes, records
from imbalance_jax.system.processes import leads

OWN = (FileNotFoundError, PermissionError, MemoryError)  # errors that are not about what is in a file
MADE_FROM = 'made_from'  # in a file of `cached_arrays`: what it was made from


def atomic(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """`files.atomic`, noted in the manifest; of several processes that work as one, only the first writes, here and
    elsewhere in this file."""
    if leads():
        files.atomic(path, write, ready=manifest.expect)


def copy(source: Path, target: Path) -> None:
    """A file as another one, whole or not at all; ValueError if it is not what was written there."""
    manifest.check(source, partial(records.again, layout.home(source)))
    content = files.regular(source).read_bytes()
    atomic(target, lambda file: file.write(content))


def remove(path: Path) -> None:
    """Removes a file that is not to be missed."""
    if leads():
        manifest.forget(path)
        path.unlink()


def write_text(path: Path, text: str) -> None:
    """The text as a file, in UTF-8."""
    atomic(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """A value as a JSON file."""
    atomic(path, lambda file: file.write(_as_json(value)))


def _as_json(value: Any) -> bytes:
    return f'{files.dumps(value, indent=1)}\n'.encode()


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """A compressed .npz; equal arrays give equal bytes."""
    atomic(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """What `write_arrays` wrote; ValueError naming the file if it is damaged, or another one than was written."""
    manifest.check(path, partial(remedy, path))
    try:
        with np.load(files.regular(path), allow_pickle=False) as arrays:
            return dict(arrays)
    except OWN:
        raise
    except Exception as error:  # NumPy and zipfile have many for a file that is none of theirs
        raise ValueError(f'{path} is damaged ({error}); {remedy(path)}.') from error


def remedy(path: Path) -> str:
    """What to do about damaged arrays: the verb that makes them, which is not always the one that reads them."""
    if path.name not in layout.FILES and layout.EXPLAIN in path.parts[-3:-1]:
        return 'delete it and run explain again'
    if layout.WEIGHTS in path.parts[-3:-1] or path.parent == layout.kept(layout.home(path)):
        return 'bring it back from a copy, or train anew in another folder'
    return records.again(layout.home(path))


def cached_arrays(path: Path, source: Path, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of `path`, or what `make` gives, kept there: work is done once, unless `source` has changed since.

    The file also holds the checksum of `source`, MADE_FROM, which is not among the arrays returned. A damaged `path` is
    made again. Of several processes that work as one, all call it, and read what the first has written.
    """
    arrays = kept_arrays(path, source)
    if arrays is None:
        write_arrays(path, **{**make(), MADE_FROM: _stamp(source)})
        processes.wait_for_all()
        arrays = read_arrays(path)
        del arrays[MADE_FROM]
    return arrays


def kept_arrays(path: Path, source: Path) -> dict[str, np.ndarray] | None:
    """The arrays that `cached_arrays` has kept; None without them, or where `source` has changed since. Of several
    processes that work as one, all call it, and all have them or none."""
    try:
        arrays = read_arrays(path)
        found = bool(arrays.pop(MADE_FROM, None) == _stamp(source))
    except (FileNotFoundError, ValueError):
        found = False
    return None if processes.any_of(not found) else arrays


def _stamp(source: Path) -> np.ndarray:
    return np.asarray(np.int64(zlib.crc32(Path(source).read_bytes())))


@contextlib.contextmanager
def lock(workdir: Path) -> Iterator[None]:
    """Holds `workdir` for this process; ValueError, naming the other, if another process holds it, or where a folder
    should be that is none.

    What a killed process left half-written is removed; in the end the manifest says of every file what it is.
    """
    if not leads():
        yield
        return
    files.check_parts(workdir, layout.FOLDERS)
    with locks.acquire(Path(workdir) / layout.LOCK, str(workdir)):
        for unfinished in Path(workdir).rglob(f'.*{files.UNFINISHED}'):
            unfinished.unlink()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # a full disk was said; what may be one of two stays so
                manifest.settle(workdir)


def claim(
    workdir: Path,
    config: dict,
    free: tuple[str, ...] = (),
    complete: Callable[[dict], dict[str, Any]] = dict,
    *,
    ready: Callable[[], Any] = lambda: None,
) -> None:
    """Makes `workdir` the place of this config, or raises ValueError naming the fields in which its config differs.

    free: fields and blocks that may differ, 'data.test_on', as they change nothing of what is trained; complete: gives
    a config that an older version kept the fields that there were not then, with their defaults; ready: is called when
    only free fields differ, before config.json is written, and may refuse.
    """
    path = Path(workdir) / layout.CONFIG
    if not path.exists():
        begun = (Path(workdir) / layout.CHECKPOINTS).exists()
        if begun and not manifest.was(path, _as_json(config)):
            raise ValueError(f'{path} is missing, and held another config than this one; {records.ELSEWHERE}.')
        ready()
        write_json(path, config)
        return
    changed = files.differences(complete(records.read(path, dict, 'bring it back from a copy')), config)
    may_differ = tuple(f'{field}{end}' for field in free for end in ':.')
    if bound := [line for line in changed if not line.startswith(may_differ)]:
        shown = '\n  '.join(bound)
        raise ValueError(f'{workdir} holds a run of another config. Take another --workdir, or undo:\n  {shown}')
    ready()
    if changed:
        write_json(path, config)


def check_same_data(info: dict, workdir: Path) -> None:
    """Raises ValueError if `workdir` was begun with other data: files of the source may have changed since."""
    if (Path(workdir) / layout.DATA).exists() and records.fingerprint(workdir) != info['fingerprint']:
        what = f'{workdir} was begun with other data (labels, images, splits or regions) than {info["name"]} is now'
        raise ValueError(f'{what}: bring back what it was, or take another --workdir.')


def append_metrics(workdir: Path, rows: Iterable[dict]) -> None:
    """Adds lines to metrics.jsonl."""
    if not leads():
        return
    path, text = Path(workdir) / layout.METRICS, ''.join(json.dumps(row) + '\n' for row in rows)
    manifest.check(path, records.ELSEWHERE)
    manifest.expect_more(path, text)
    with files.naming(path), open(path, 'a') as file:
        file.write(text)


def rewind_metrics(workdir: Path, epochs: int, members: set[tuple[str, int]]) -> None:
    """Drops what metrics.jsonl says of `members` (arm, seed) after `epochs` finished epochs: they will say it again."""
    path = Path(workdir) / layout.METRICS
    if path.exists():
        whole = records.lines(path)
        rows = [records.metric(path, number, line, records.WHOSE) for number, line in enumerate(whole, 1)]
        kept = [row['epoch'] <= epochs or (row['arm'], row['seed']) not in members for row in rows]
        write_text(path, ''.join(line for line, keep in zip(whole, kept, strict=True) if keep))


_OTHERS: list[tuple[str, frozenset[str]]] = []  # who writes tables at the moment, and which are not theirs


@contextlib.contextmanager
def keeping(others: Iterable[str], who: str) -> Iterator[None]:
    """Tables of `results/` that `who` has no part in are not written: ValueError, before one is overwritten."""
    _OTHERS.append((who, frozenset(others)))
    try:
        yield
    finally:
        _OTHERS.pop()


def _check_writer(name: str) -> None:
    for who, others in _OTHERS:
        if name in others:
            raise ValueError(f"{who} writes results/{name}, which is another's; name its table otherwise.")


def write_frame(workdir: Path, name: str, table: pd.DataFrame) -> None:
    """results/<name>.csv and .parquet. The CSV holds every digit of a value, so both files say the same."""
    _check_writer(name)
    atomic(layout.table(workdir, name), lambda file: table.to_parquet(file, index=False))
    write_text(layout.table(workdir, name, 'csv'), table.to_csv(index=False))


def write_frames(workdir: Path, name: str, tables: Iterable[pd.DataFrame]) -> None:
    """The same of a table that comes in parts, which are never all in memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def stream(parquet: IO[bytes], csv: IO[bytes]) -> None:
        writer = None
        for part in tables:
            rows = pa.Table.from_pandas(part, schema=writer and writer.schema, preserve_index=False)
            csv.write(part.to_csv(index=False, header=writer is None).encode())
            writer = writer or pq.ParquetWriter(parquet, rows.schema)
            writer.write_table(rows)
        if writer:
            writer.close()

    _check_writer(name)
    path, text = layout.table(workdir, name), layout.table(workdir, name, 'csv')
    atomic(path, lambda parquet: atomic(text, lambda csv: stream(parquet, csv)))


def read_table(workdir: Path, name: str) -> pd.DataFrame:
    """results/<name>.parquet; FileNotFoundError where there is none, ValueError where it is damaged."""
    path = layout.table(workdir, name)
    if not path.exists():
        raise FileNotFoundError(f'{path} is missing: run train, and then explain, on {layout.maker(workdir)} again.')
    again = f'run train, and then explain, on {layout.maker(workdir)} again'
    manifest.check(path, again)
    try:
        return pd.read_parquet(files.regular(path))
    except OWN:
        raise
    except Exception as error:  # of pyarrow and of pandas
        raise ValueError(f'{path} is damaged ({error}); {again}.') from error
