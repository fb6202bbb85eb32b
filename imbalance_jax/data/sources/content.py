"""What data are made from, by content: the bytes of files, the code that reads them, and options however spelt.

A file that was touched, moved or copied has the content that it had, and so has a path that is written in another way.
"""

import ast
import functools
import hashlib
import inspect
import io
import os
import textwrap
import time
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from imbalance_jax.data.streams import on_all_cores
from imbalance_jax.system.files import atomic, regular

CACHE = 'content.npy'  # in the folder of prepared data: digests of files that were read
FILE = np.dtype([('device', 'u8'), ('inode', 'u8'), ('size', 'u8'), ('modified', 'i8'), ('changed', 'i8')])
ENTRY = np.dtype([('file', FILE), ('digest', 'V16')])
SETTLED = 2.0  # seconds since its last change from which on a file that changes again has another time stamp
FILES_AT_ONCE = 64  # of a thread


def digest(
    files: Mapping[str, Path] | Iterable[Path],
    cache: Path | None = None,
    progress: Callable[[int, int], Any] | None = None,
) -> str:
    """Thirty-two hexadecimal digits of the names and bytes of files, whatever their order, folder and times.

    files: {name: path}; without names, a file's own is its name. cache: a file that keeps what was read, by device,
    inode, size and times of each file: what has not changed since costs one `stat`. progress: called as
    progress(files read, files to be read). Raises FileNotFoundError for a file that is not there.
    """
    named = list(files.items()) if isinstance(files, Mapping) else [(Path(path).name, path) for path in files]
    contents = _digests([Path(path) for _, path in named], cache, progress)
    total = hashlib.sha256()
    for name, content in sorted((name, content) for (name, _), content in zip(named, contents, strict=True)):
        total.update(f'{len(name)} {name} '.encode('utf-8', 'surrogateescape') + content)
    return total.hexdigest()[:32]


def below(path: Path) -> dict[str, Path]:
    """{name relative to `path`: file} of all files below a folder but hidden ones, or of a file alone."""
    path = Path(path)
    if path.is_file():
        return {path.name: path}
    found = {}
    for folder, folders, names in os.walk(path, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        for name in names:
            file = Path(folder, name)
            if not name.startswith('.') and (file.is_file() or not file.exists()):  # no pipe, which nobody may fill
                found[os.path.relpath(os.path.join(folder, name), path)] = file
    return found


def _digests(paths: list[Path], cache: Path | None, progress: Callable | None) -> list[bytes]:
    """The digest of the bytes of every file, in order; only those that the cache does not know are read."""
    known = _read_cache(cache)
    keys = [_key(path) for path in paths]
    unknown = sorted({key: path for key, path in zip(keys, paths, strict=True) if key not in known}.items())
    fresh: dict[tuple, bytes] = {}
    groups = [unknown[start : start + FILES_AT_ONCE] for start in range(0, len(unknown), FILES_AT_ONCE)]
    for group, contents in zip(groups, on_all_cores(_read_group, groups), strict=True):
        fresh.update(zip((key for key, _ in group), contents, strict=True))
        if progress:
            progress(len(fresh), len(unknown))
    settled = time.time_ns() - int(SETTLED * 1e9)
    if kept := {key: content for key, content in fresh.items() if max(key[3:]) < settled}:
        _write_cache(cache, {**_read_cache(cache), **kept})
    return [known.get(key) or fresh[key] for key in keys]


def _key(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read_group(group: list[tuple[tuple, Path]]) -> list[bytes]:
    contents = []
    for _, path in group:
        with open(regular(path), 'rb') as file:
            contents.append(hashlib.file_digest(file, 'sha256').digest()[:16])
    return contents


def _read_cache(cache: Path | None) -> dict[tuple, bytes]:
    """{key: digest}; nothing of a cache that is not there or is damaged: files are read again."""
    try:
        entries = np.load(cache, allow_pickle=False) if cache else np.zeros(0, ENTRY)
        if entries.dtype != ENTRY:
            return {}
    except (OSError, ValueError, EOFError):
        return {}
    return {tuple(key): bytes(content) for key, content in entries.tolist()}


def _write_cache(cache: Path | None, known: dict[tuple, bytes]) -> None:
    if cache:
        entries = np.array(list(known.items()), ENTRY)
        atomic(cache, lambda file: np.save(file, entries, allow_pickle=False))


def code(make: Callable, *modules: str) -> str:
    """Thirty-two hexadecimal digits of the code that `make` is made of: its module, and what that imports of the
    package's `data` or, of a user's own, of modules beside it, and so on. Comments, documentation and blank lines are
    no code.

    modules: of the package's `data`, whose code counts too.
    """
    while isinstance(make, functools.partial):
        make = make.func
    module = inspect.getmodule(inspect.unwrap(make))
    first = getattr(module, '__file__', None)
    if module is None or first is None:  # of a notebook, say
        try:
            return hashlib.sha256(statements(textwrap.dedent(inspect.getsource(make))).encode()).hexdigest()[:32]
        except (OSError, TypeError, SyntaxError, tokenize.TokenError):  # also of a file that is no Python, as a page
            return ''
    maker = f'{module.__name__}.__init__' if Path(first).name == '__init__.py' else module.__name__
    root, found, waiting = Path(first).parents[maker.count('.')], {}, [(maker, Path(first))]
    waiting += filter(None, (_own(name, root, maker) for name in modules))
    while waiting:
        name, path = waiting.pop()
        if name not in found:
            found[name], imported = _module(path.read_text(encoding='utf-8'), name)
            waiting += filter(None, (_own(one, root, maker) for one in imported))
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:32]


@functools.lru_cache(maxsize=1024)
def _module(text: str, name: str) -> tuple[str, tuple[str, ...]]:
    """The digest of a module's statements, and what it imports; every source has many of its modules in common with
    the others, and taking one apart is slow."""
    return hashlib.sha256(statements(text).encode()).hexdigest(), tuple(dict.fromkeys(_imports(text, name)))


def statements(text: str) -> str:
    """The lines of a module without comments, documentation and blank lines."""
    lines = text.splitlines(keepends=True)
    starts = np.cumsum([0, *map(len, lines)])
    documentation = {
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    kept, position = [], 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        documents = token.type == tokenize.STRING and token.start[0] in documentation
        if token.type == tokenize.COMMENT or documents:
            kept.append(text[position : starts[token.start[0] - 1] + token.start[1]])
            position = starts[token.end[0] - 1] + token.end[1]
    rest = ''.join([*kept, text[position:]])
    return '\n'.join(line.rstrip() for line in rest.splitlines() if line.strip())


def _imports(text: str, module: str) -> Iterator[str]:
    """Names that may be modules and that a module's text imports, anywhere in it."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.rsplit('.', node.level)[0] if node.level else ''
            base = '.'.join(filter(None, (package, node.module)))
            yield base
            yield from (f'{base}.{alias.name}' for alias in node.names)


def _own(name: str, root: Path, maker: str) -> tuple[str, Path] | None:
    """A module, as its imports see it, and its file: of the package's `data`, or of a user's own code below `root`,
    where `maker` is; None for any other, and for the list of all sources, of which each is made by itself."""
    package, top = __name__.partition('.')[0], maker.partition('.')[0]
    if name.startswith(f'{package}.'):
        if not name.startswith(f'{package}.data.') or name == f'{package}.data.sources':
            return None
        root = Path(__file__).parents[__name__.count('.')]
    elif not name or (root.name == 'site-packages' and not (maker != top and name.startswith(f'{top}.'))):
        return None
    path = root.joinpath(*name.split('.'))
    for one, file in ((name, path.with_suffix('.py')), (f'{name}.__init__', path / '__init__.py')):
        if file.is_file():
            return one, file
    return None


def paths_of(make: Callable, options: Mapping[str, Any]) -> dict[str, Path]:
    """Those options that are paths: by their type in the signature, or a name that ends in `_dir`."""
    hints = get_type_hints(make) if inspect.isfunction(make) else {}
    named = [name for name in options if name.endswith('_dir') or hints.get(name) in (Path, Path | None)]
    return {name: Path(options[name]) for name in named if options[name]}


def with_defaults(make: Callable, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options and the defaults of those that are left out, so that saying a default changes nothing."""
    known = inspect.signature(make).parameters.values()
    defaults = {one.name: one.default for one in known if one.default is not one.empty}
    return {**defaults, **options}
