"""Config files: Python with `get_config()`, and `get_hyper(hyper)` where it is a sweep."""

import inspect
import math
import re
import runpy
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ml_collections import ConfigDict, FrozenConfigDict

from imbalance_jax.system.files import regular

BLOCK = 'a block'
KINDS = {
    'int': 'a whole number',
    'float': 'a number',
    'str': 'a text',
    'bool': 'True or False',
    'tuple': 'a tuple',
    'list': 'a list',
    'dict': BLOCK,
    'ConfigDict': BLOCK,
}
# What ml_collections says of a field that is set to what it cannot be.
OVERRIDE = re.compile(
    r"Could not override field '(.+?)' \(reference\)\. ?(.*) is of original type <class '(.+?)'> "
    r"and cannot be casted to type <class '(.+?)'>.*"
)
CASTED = "Could not override field '{}' (reference). {} is of original type {} and cannot be casted to type {}."


class ConfigFile(NamedTuple):
    """What a config file gives. get_hyper: its points of a sweep, or None."""

    path: Path
    config: ConfigDict
    get_hyper: Callable[..., Any] | None


def load(text: str) -> ConfigFile:
    """The config of `FILE.py`, or of `FILE.py:ARGUMENT`, whose `get_config` takes the argument as text.

    Modules beside the file and in the current folder can be imported by it, behind all that is installed. Raises
    ValueError if the file is not there or fails.
    """
    if Path(text).is_dir() and not Path(f'{text.rstrip("/")}.py').exists():
        raise ValueError(f'--config={text} is a folder; give the file, such as my_study.py.')
    name, _, argument = text.partition('.py:') if '.py:' in text else (text.removesuffix('.py'), '', '')
    path = Path(f'{name}.py')
    add_folders(path.absolute().parent, Path.cwd())
    with no_bytecode():
        names = _execute(path)
        if not callable(get_config := names.get('get_config')):
            raise ValueError(f'--config={path} has no function get_config.')
        if argument and not inspect.signature(get_config).parameters:
            raise ValueError(f'--config={path} takes no argument, as its get_config has none; given is {argument!r}.')
        config = _call(path, get_config, *([argument] if argument else []))
    if not isinstance(config, ConfigDict):
        raise ValueError(f'--config={path}: get_config gave a {type(config).__name__}; it must give a ConfigDict.')
    try:
        _check_names(config, f'--config={path}: config')
    except RecursionError as error:
        raise ValueError(f'--config={path}: a block of its config holds itself.') from error
    config = ConfigDict(config) if isinstance(config, FrozenConfigDict) else config
    return ConfigFile(path, config.lock(), names.get('get_hyper'))


def points(loaded: ConfigFile, hyper: ModuleType) -> list[dict[str, object]]:
    """The points of the file's sweep, one of no change without one; ValueError if its get_hyper fails or gives none.

    hyper: what it is given, `sweep.hyper`.
    """
    if loaded.get_hyper is None:
        return [{}]
    found = _call(loaded.path, loaded.get_hyper, hyper)
    fine = isinstance(found, Iterable) and not isinstance(found, (str, Mapping))
    found = list(found) if fine else found
    if not fine or not all(isinstance(one, Mapping) and all(isinstance(name, str) for name in one) for one in found):
        shown = ' '.join(repr(found).split())[:80]
        raise ValueError(
            f'--config={loaded.path}: get_hyper gave {shown}; it must give a list of points, such as '
            "[{'config.train.epochs': 3}]."
        )
    plain = [_plain(dict(one)) for one in found]
    for point in plain:
        for name, value in point.items():
            _check_value(value, f'--config={loaded.path}: get_hyper: {name}')
    return plain


def _check_names(config: ConfigDict, where: str) -> None:
    """ValueError for a field or an arm whose name is no text, and for a value that cannot be kept."""
    try:
        names = list(config.keys())
    except TypeError:  # they are sorted, which names of different kinds cannot be
        raise ValueError(f'{where} has names of several kinds; expected text, in quotes.') from None
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f'{where} has the name {name!r}; expected text, in quotes.')
        if isinstance(inner := config[name], ConfigDict):
            _check_names(inner, f'{where}.{name}')
        else:
            _check_value(inner, f'{where}.{name}')


def _check_value(value: Any, where: str) -> None:
    """ValueError for what JSON cannot keep: a set, a path, a function, and a number that is not finite."""
    if isinstance(value, (set, frozenset)):
        raise ValueError(f'{where} is a set, which has no order; expected a tuple, in round brackets.')
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f'{where} is {value}; expected a finite number.')
    if not (value is None or isinstance(value, (bool, int, float, str, tuple, list, Mapping))):
        kinds = 'a number, a text such as str(...), True, False, None, or a tuple or a block of these'
        raise ValueError(f'{where} is {value!r}, of the kind {type(value).__name__}; expected {kinds}.')
    for one in value if isinstance(value, (tuple, list)) else value.values() if isinstance(value, Mapping) else ():
        _check_value(one, where)


def expand_home(config: ConfigDict) -> None:
    """Makes texts that begin with `~/`, which are paths, begin with the home folder, in all blocks and tuples."""
    with config.unlocked():
        for name, value in config.items():
            if isinstance(value, ConfigDict):
                expand_home(value)
                continue
            expanded = tuple(map(_at_home, value)) if isinstance(value, tuple) else _at_home(value)
            if expanded != value:
                config[name] = expanded


def _at_home(value: Any) -> Any:
    return str(Path(value).expanduser()) if isinstance(value, str) and value.startswith('~/') else value


def find_weights(config: ConfigDict, folders: Sequence[Path]) -> None:
    """Makes the paths of weights, config.model.weights and those of arms, absolute.

    Each is that in the first of these folders which has such a file, or else in the first.
    """
    for block in (config.model, *config.arms.values()):
        name = block.get('weights', '') if isinstance(block, ConfigDict) else ''
        if isinstance(name, str) and name not in ('', 'random'):
            there = [folder / name for folder in folders if (folder / name).is_file()]
            with config.unlocked():
                block.weights = str((there[0] if there else folders[0] / name).absolute())


def add_folders(*folders: Path) -> None:
    """Makes modules in these folders importable, behind all that is installed: they hide nothing."""
    sys.path += [str(folder) for folder in dict.fromkeys(folders) if str(folder) not in sys.path]


@contextmanager
def no_bytecode() -> Iterator[None]:
    """Python leaves none: a file that is edited within the second would be taken for what it was."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _plain(value: Any) -> Any:
    """A value with NumPy's numbers and arrays in it as Python's numbers and tuples, which a config can keep."""
    if type(value).__module__ == 'numpy' and hasattr(value, 'dtype'):
        if value.ndim:
            return tuple(map(_plain, value))
        return float(str(value)) if value.dtype.kind == 'f' else value.item()  # 0.1 of 32 bits is 0.1
    if type(value) in (tuple, list):
        return type(value)(map(_plain, value))
    return {name: _plain(one) for name, one in value.items()} if type(value) is dict else value


@contextmanager
def _numbers_are_plain() -> Iterator[None]:
    """A field takes NumPy's numbers as Python's; one that is a number refuses True and False, which ml_collections
    would take for 1.0 and 0.0."""
    set_item = ConfigDict.__setitem__

    def checked(config: ConfigDict, key: str, value: Any) -> None:
        value = _plain(value)
        if isinstance(value, bool) and key in config and type(config[key]) is float:
            raise TypeError(CASTED.format(key, value, bool, float))
        set_item(config, key, value)

    ConfigDict.__setitem__ = checked
    try:
        yield
    finally:
        ConfigDict.__setitem__ = set_item


def _execute(path: Path) -> dict[str, Any]:
    try:
        regular(path).open().close()
    except OSError as error:
        raise ValueError(f'--config={path} could not be read: {error.strerror}.') from error
    return _call(path, lambda: runpy.run_path(str(path.absolute()), run_name=path.stem))


def _call(path: Path, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of the file gives; whatever it raises is the file's fault, and one line."""
    try:
        with _numbers_are_plain():
            return function(*arguments)
    except (Exception, SystemExit) as error:  # a file that leaves would take the program with it
        held: Any = error.args[0] if isinstance(error, AttributeError) and error.args else error
        if isinstance(held, KeyError) and held is not error:  # as ml_collections raises it; its own text is in quotes
            held = held.args[0]
        reason = ' '.join(str(held).split())
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f', line {one.lineno}' for one in frames if one.filename == str(path.absolute())]
        where = lines[-1] if lines else ''
        if found := OVERRIDE.fullmatch(reason):
            raise ValueError(f'--config={path}{where}: {_of_another_kind(*found.groups())}') from error
        said = f'{type(error).__name__}: {reason}'.rstrip(': ')
        raise ValueError(f'--config={path}{where} failed with {said}') from error


def _of_another_kind(name: str, value: str, given: str, wanted: str) -> str:
    """What to say of a field that was set to a value of the type `given`, and is of `wanted`."""
    mine, theirs = (KINDS.get(one.rsplit('.', 1)[-1], f'of type {one}') for one in (wanted, given))
    if BLOCK in (mine, theirs):
        return f'the field {name!r} is {mine} and is set to {theirs}; set the block that it is in as a whole.'
    else_whole = ', or set the block that it is in as a whole' if theirs in (KINDS['tuple'], KINDS['list']) else ''
    return f'the field {name!r} is set to {value or repr(value)}, {theirs}; it must be {mine}{else_whole}.'


def completed(kept: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """A config as it was kept, perhaps by an older version, and the fields of `base` that it lacks."""
    result = {name: dict(value) if isinstance(value, Mapping) else value for name, value in kept.items()}
    for name, value in base.items():
        if name not in result:
            result[name] = value
        elif name != 'arms' and isinstance(value, Mapping):
            result[name] = {**value, **result[name]}
    return result
