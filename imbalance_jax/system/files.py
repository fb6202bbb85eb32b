"""Files that appear whole or not at all, and plain data in them; quick to import, for what must answer at once."""

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

UNFINISHED = '.unfinished'


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError that does not say of which file it speaks, as of a full disk, says it of `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        if error.errno is None:  # NumPy counts what it could write, and does not say why
            raise OSError(errno.EIO, f'Could not be written whole ({error}); is the disk full?', str(path)) from error
        raise OSError(error.errno, error.strerror, str(path)) from error


def typed_path(text: str) -> str:
    """A path as a person types it, with `~` for the home folder; ValueError for what is no path on this machine."""
    scheme, separator, _ = text.partition('://')
    if separator and scheme.isalnum():
        raise ValueError(f'{text!r} is no path on this machine; mount it, and give the folder where it is then.')
    if not text.isprintable():
        raise ValueError(f'{text!r} holds a line break or another control character, which a path here must not.')
    return str(at_home(text))


def at_home(path: str | Path) -> Path:
    """A path with `~` for the home folder, or `~name` for somebody's; a name that only begins so, as ~$t.csv, stays."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # nobody is called so
        return Path(path)


def check_parts(folder: Path, names: Iterable[str]) -> None:
    """Raises ValueError where the folder, or one of these names in it, is a file or a dead link."""
    for part in (Path(folder), *(Path(folder) / name for name in names)):
        if fault := no_folder(part):
            raise ValueError(f'{fault}.')


def check_folder(path: Path, flag: str) -> None:
    """Raises ValueError if a path that a flag names can be no folder: it, or one above it, is a file or a dead link."""
    for part in (path, *path.parents):
        if fault := no_folder(part):
            raise ValueError(f'--{flag}={path}: {fault}.')


def no_folder(path: Path) -> str:
    """Why a path can be no folder, '' where it is one or can become one."""
    if path.is_symlink() and not path.exists():
        return f'{path} is a link to {os.readlink(path)}, which is not there; bring that back, or remove the link'
    return f'{path} is a file, not a folder' if path.exists() and not path.is_dir() else ''


def mode() -> int:
    """The rights of a new file, by the umask, which a process cannot ask for without setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def atomic(
    path: Path, write: Callable[[IO[bytes]], Any], *, ready: Callable[[Path, Path], Any] = lambda path, made: None
) -> None:
    """Calls `write(binary file)` on a temporary neighbour of `path` and renames it: a reader never sees half a file.

    ready: (path, neighbour) -> is called when the neighbour is whole and on the disk, before it is renamed.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f'{path} is a folder, in the place of a file that is written here: move it away.')
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.', suffix=UNFINISHED)
    try:
        with naming(path):
            with os.fdopen(handle, 'wb') as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, mode())
            ready(path, Path(name))
            os.replace(name, path)
    finally:
        if os.path.exists(name):
            os.unlink(name)


def write_text(path: Path, text: str) -> None:
    """The text as a file, in UTF-8."""
    atomic(path, lambda file: file.write(text.encode()))


def dumps(value: Any, **options: Any) -> str:
    """JSON with sorted keys: equal values give equal text. NaN is refused, which no other reader would understand."""
    return json.dumps(value, sort_keys=True, allow_nan=False, **options)


def write_json(path: Path, value: Any) -> None:
    """A value as a JSON file."""
    write_text(path, dumps(value, indent=1) + '\n')


def regular(path: Path) -> Path:
    """The path; ValueError for one that is there and no file: reading from a pipe or a device would wait for ever."""
    if Path(path).exists() and not Path(path).is_file():
        raise ValueError(f'{path} is a {"folder" if Path(path).is_dir() else "pipe, socket or device"}, not a file.')
    return Path(path)


def read_json(path: Path) -> Any:
    """The value of a JSON file; ValueError naming it if it is damaged."""
    path = regular(path)
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:  # also what is no text
        raise ValueError(f'{path} is damaged: {error}.') from error


def flatten(tree: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """{'a': {'b': 1}} as {'a.b': 1}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f'{prefix}{key}'
        flat.update(flatten(value, f'{name}.') if isinstance(value, dict) and value else {name: value})
    return flat


def differences(old: dict, new: dict) -> list[str]:
    """'field: old -> new' for every field in which two configs, as plain data, differ."""
    old, new = flatten(old), flatten(json.loads(json.dumps(new)))
    return [f'{k}: {old.get(k)!r} -> {new.get(k)!r}' for k in sorted(old | new) if old.get(k) != new.get(k)]
