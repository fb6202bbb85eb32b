"""A user's own losses, samplers, models, data sets, attribution methods, alignment metrics, nulls and stages.

`config.plugins` names modules that have any of the dicts of `TABLES` (or STAGES, which `explain` has); what is in them
stands beside ours under its name. They are loaded before a config is checked, and again by every process that reads it.
"""

import ast
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import flax.linen as nn
from ml_collections import ConfigDict

from imbalance_jax import alignment, attribution, losses, models
from imbalance_jax.attribution import options as attribution_options
from imbalance_jax.concepts import nulls
from imbalance_jax.config import file
from imbalance_jax.data import samplers, sources
from imbalance_jax.losses.loss import Loss
from imbalance_jax.names import lookup, options_of
from imbalance_jax.results import schema
from imbalance_jax.system import provenance

log = logging.getLogger(__name__)


class Table(NamedTuple):
    """A dict that plugins add to, and the module where it stands."""

    home: str
    entries: dict[str, Any]


TABLES: dict[str, Table] = {
    'LOSSES': Table('imbalance_jax.losses', losses.LOSSES),
    'SAMPLERS': Table('imbalance_jax.data.samplers', samplers.SAMPLERS),
    'MODELS': Table('imbalance_jax.models', models.MODELS),
    'DATASETS': Table('imbalance_jax.data.sources', sources.DATASETS),
    'METHODS': Table('imbalance_jax.attribution', attribution.METHODS),
    'METRICS': Table('imbalance_jax.alignment', alignment.METRICS),
    'NULLS': Table('imbalance_jax.concepts', nulls.NULLS),
}
KINDS = (*TABLES, 'STAGES')
FILE_NAME = re.compile(r'[\w+-][\w.+ -]{0,99}')  # what a file may be called by, on any system
_origins: dict[tuple[str, str], str] = {}  # (kind, name) -> the file that added it


def load(names: Iterable[str], folders: Iterable[str | Path], stages: dict[str, Any] | None = None) -> tuple[str, ...]:
    """Adds what the plugins of those names have to our tables; loaded again they change nothing.

    names: of modules, or paths that end in .py; both are looked for in `folders`, modules first of all among what is
    installed. stages: the table that STAGES are added to, where the caller has it. Returns the folders that were
    needed, absolute, to be given to the next process. Raises ValueError, of one line, for a plugin that is not there or
    fails, for one that has none of the tables, and for a name that is there already.
    """
    tables = TABLES if stages is None else {**TABLES, 'STAGES': Table('imbalance_jax.explain.run', stages)}
    names = [names] if isinstance(names, str) else list(names)
    if odd := [one for one in names if not isinstance(one, str)]:
        raise ValueError(f"config.plugins has {odd[0]!r}; expected names of modules or files, such as 'my_losses.py'.")
    searched, needed, used = [Path(folder).absolute() for folder in folders], [], []
    for name in names:
        module, folder = _find(name, searched)
        needed += [folder] if folder else []
        used += _files_of(module)
        for kind, entries in _entries(module, name).items():
            if kind in tables:
                _add(kind, tables[kind], entries, str(module.__file__))
    provenance.use(used)
    return tuple(dict.fromkeys(map(str, needed)))


def _files_of(module: ModuleType) -> list[Path]:
    """A plugin's file, and those beside it or below that it imports, wherever in it, and that these import."""
    start = Path(str(module.__file__)).resolve()
    found, waiting = [], [start]
    while waiting:
        path = waiting.pop()
        if path not in found and path.is_file():
            found.append(path)
            waiting += _imported(path, start.parent)
    return found


def _imported(path: Path, folder: Path) -> Iterable[Path]:
    """The files in a folder, or below it, that a file of Python names in its imports; those that there are not, too."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (SyntaxError, ValueError):
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            homes = [(folder, one.name.split('.')) for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            home = path.parents[node.level - 1] if 0 < node.level <= len(path.parents) else folder
            parts = node.module.split('.') if node.module else []
            homes = [(home, parts), *((home, [*parts, one.name]) for one in node.names)]
        else:
            continue
        for home, parts in homes:
            for number in range(1, len(parts) + 1):
                of_part = home.joinpath(*parts[:number])
                yield from (of_part.with_suffix('.py'), of_part / '__init__.py')


def load_kept(config: Mapping[str, Any], stages: dict[str, Any] | None = None) -> None:
    """The plugins of a config that was loaded before: from where they were then, or else from the current folder."""
    load(config.get('plugins', ()), (*config.get('plugin_folders', ()), Path.cwd()), stages)


def add_defaults(config: ConfigDict, stages: Mapping[str, Any]) -> None:
    """Gives a config the blocks of options that stages have, where it does not set them itself."""
    with config.unlocked():
        for name, stage in stages.items():
            if stage.defaults:
                config[name] = {**stage.defaults, **config.get(name, {})}


def options(kind: str, name: str, block: Mapping[str, Any]) -> dict[str, Any]:
    """What a data set, model, attribution method, loss or sampler takes, with defaults: `config.fields.OptionsOf`."""
    if kind == 'data':
        return _options_of_data(sources.find(name, block).make, block)
    if kind == 'model':
        return options_of(lookup(models.MODELS, name, 'model'), skip=(*models.NOT_OPTIONS, 'relu'))
    if kind == 'attribution':
        lookup(attribution.METHODS, name, 'attribution method')
        return attribution_options.kinds(name, block)
    table: Mapping[str, Callable[..., Any]] = losses.LOSSES if kind == 'loss' else samplers.SAMPLERS
    return options_of(lookup(table, name, kind), required=True)


def _options_of_data(make: Callable[..., Any], block: Mapping[str, Any]) -> dict[str, Any]:
    """Also those without a default, such as a folder; with `**` in its signature, whatever is set."""
    parameters = inspect.signature(make).parameters
    required = [name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    anything = block if any(p.kind is p.VAR_KEYWORD for p in parameters.values()) else ()
    known = dict.fromkeys(name for name in (*required, *anything) if name not in sources.NOT_OPTIONS)
    return {sources.READER: '', **known, **options_of(make, skip=sources.NOT_OPTIONS)}


def _find(name: str, folders: list[Path]) -> tuple[ModuleType, Path | None]:
    """The module of that name, and the folder that it was found in; None if it is installed."""
    file.add_folders(*folders)
    try:
        with file.no_bytecode():
            if name.endswith('.py'):
                return _from_path(name, folders)
            module = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # one that leaves would take the program with it
        reason = ' '.join(str(error).split())
        raise ValueError(f'config.plugins: {name} failed with {type(error).__name__}: {reason}') from error
    folder = _root(module)
    return module, folder if folder in folders else None


def _root(module: ModuleType) -> Path | None:
    """The folder that a module was imported from: that of its outermost package."""
    spec = module.__spec__
    if not spec or not spec.origin:
        return None
    inner = spec.name.count('.') + (1 if spec.submodule_search_locations else 0)
    return Path(spec.origin).absolute().parents[inner]


def _from_path(name: str, folders: list[Path]) -> tuple[ModuleType, Path]:
    there = [folder for folder in dict.fromkeys(folders) if (folder / name).is_file()]
    if not there:
        raise FileNotFoundError(f'there is no such file in {" or ".join(map(str, dict.fromkeys(folders)))}')
    used, content = there[0] / name, (there[0] / name).read_bytes()
    if others := [folder / name for folder in there[1:] if (folder / name).read_bytes() != content]:
        log.warning('config.plugins: %s is used, and %s, which is another, is not.', used, others[0])
    return _execute(used.resolve()), there[0]


def _execute(path: Path) -> ModuleType:
    """The module of a file, executed once, under a name of its own: it hides no other module."""
    name = f'{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}'
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f'{path} is no Python file')
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _entries(module: ModuleType, name: str) -> dict[str, dict[str, Any]]:
    """The tables of a plugin: those of its dicts in upper case whose names we know."""
    dicts = {key: value for key, value in vars(module).items() if key.isupper() and isinstance(value, dict)}
    known = {kind: entries for kind, entries in dicts.items() if kind in KINDS}
    for kind in dicts.keys() - known.keys():
        if not known or difflib.get_close_matches(kind, KINDS, n=1, cutoff=0.8):
            lookup(dict.fromkeys(KINDS), kind, f'table in config.plugins, {name}:')
    if not known:
        raise ValueError(f'config.plugins: {name} has none of the dicts {", ".join(KINDS)}.')
    return known


def _add(kind: str, table: Table, entries: dict[str, Any], origin: str) -> None:
    if entries is table.entries:  # ours, imported by the plugin
        return
    for name, value in entries.items():
        if _origins.get((kind, name)) == origin:
            continue
        if not isinstance(name, str) or not FILE_NAME.fullmatch(name):
            what = 'a text of letters, digits and _ - . + or blanks, as files are called by it'
            raise ValueError(f'config.plugins: {kind} of {origin} has the name {name!r}; expected {what}.')
        if name in table.entries:
            before = _origins.get((kind, name), table.home)
            raise ValueError(f'config.plugins: {kind} of {origin} has {name!r}, as {before} has; name it otherwise.')
        if not callable(value) and not isinstance(value, tuple):
            raise ValueError(f'config.plugins: {kind}[{name!r}] of {origin} is {value!r}; it must be a function.')
        if isinstance(value, (nn.Module, Loss)):
            made = f'{type(value).__name__} that is made already'
            raise ValueError(f'config.plugins: {kind}[{name!r}] of {origin} is a {made}; expected what makes one.')
        try:
            inspect.signature(value) if callable(value) else None
        except (TypeError, ValueError) as error:
            said = f'config.plugins: {kind}[{name!r}] of {origin} is {value!r}, whose arguments nothing says'
            raise ValueError(f'{said}; expected a function or a class of Python.') from error
        if kind == 'STAGES':
            _check_stage(f'STAGES[{name!r}] of {origin}', value)
            _check_tables(name, value, table.entries, origin)
        table.entries[name] = value
        _origins[kind, name] = origin


def _check_stage(where: str, stage: Any) -> None:
    """ValueError for what is no `Stage`, whose run takes something else, or whose tables are no tuple of names."""
    from imbalance_jax.training import trained  # which loads plugins

    if not isinstance(stage, trained.Stage):
        raise ValueError(f'config.plugins: {where} is a {type(stage).__name__}; expected a training.trained.Stage.')
    for field, given in (('run', 2), ('check', 4), ('programs', 1)):
        function = getattr(stage, field)
        if function is None:
            continue
        try:
            inspect.signature(function).bind(*range(given))
        except (TypeError, ValueError) as error:
            said = f'config.plugins: {field} of {where} does not take {given} argument{"s" * (given > 1)}'
            raise ValueError(f'{said}: {error}; expected what `training.trained.Stage` says.') from error
    lookup(
        dict.fromkeys((trained.FROM_NETWORKS, trained.FROM_FEATURES, trained.FROM_BOTH)),
        stage.needs,
        f'needs of {where}:',
    )
    if not isinstance(stage.defaults, Mapping):
        raise ValueError(f'config.plugins: defaults of {where} is {stage.defaults!r}; expected a block, {{"a": 1}}.')
    for field in ('tables', 'reads'):
        names = getattr(stage, field)
        if not isinstance(names, tuple) or not all(isinstance(name, str) and name for name in names):
            raise ValueError(f"config.plugins: {field} of {where} is {names!r}; expected a tuple of names, ('a',).")


def _check_tables(name: str, stage: Any, others: Mapping[str, Any], origin: str) -> None:
    """ValueError for a stage that would write a table of `results/` in the place of another one."""
    taken = {table: 'the suite' for table in schema.TABLES}
    taken |= {table: f'stage {other!r}' for other, one in others.items() for table in getattr(one, 'tables', ())}
    for table in getattr(stage, 'reads', ()):
        what = f'table that STAGES[{name!r}] of {origin} reads:'
        lookup({**taken, **dict.fromkeys(stage.tables)}, table, what)
    for table in getattr(stage, 'tables', ()):
        if table in taken:
            said = f'config.plugins: STAGES[{name!r}] of {origin} writes results/{table}, which {taken[table]} writes'
            raise ValueError(f'{said}; name its table otherwise.')
