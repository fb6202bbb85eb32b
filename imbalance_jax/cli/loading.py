"""From flags, or from what a working directory or a plan has kept, to a config and a folder: plugins loaded, fields
checked."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from imbalance_jax.config.file import ConfigFile
    from imbalance_jax.system.command_line import Command


def load(name: str | None, texts: Mapping[str, str], base: Callable[[], 'ConfigDict']) -> 'ConfigFile':
    """The config file of that name, its plugins loaded, its overrides applied, its fields checked.

    texts: overrides, {'train.epochs': '3'}; base: gives every field with its default. Raises ValueError, of one line.
    """
    from imbalance_jax.config import fields, file, overrides

    if not name:
        raise ValueError('--config is missing; give a config file, such as --config=configs/quickstart.py.')
    loaded, others = file.load(name), dict(texts)
    config = loaded.config
    if 'plugins' in others:  # before all others, which may be options of what they bring
        overrides.apply_texts(config, {'plugins': others.pop('plugins')})
    file.expand_home(config)
    folders = load_plugins(config, (Path.cwd(), loaded.path.absolute().parent))
    with config.unlocked():
        config.plugin_folders = folders
    overrides.apply_texts(config, others, options)
    file.expand_home(config)
    check(config, base())
    for field, why in fields.unread(config, others).items():
        print(f'Without effect, as {why}: config.{field}.')
    file.find_weights(config, (Path.cwd(), loaded.path.absolute().parent))
    return loaded


def read(plain: Mapping[str, Any]) -> 'ConfigDict':
    """A config that a plan or a working directory has kept, its plugins loaded."""
    from ml_collections import ConfigDict

    config = ConfigDict(plain)
    load_plugins(config, (*map(Path, config.get('plugin_folders', ())), Path.cwd()))
    return config


def check(config: 'ConfigDict', base: 'ConfigDict') -> None:
    """Raises ValueError for the first field that is wrong."""
    from imbalance_jax.config import check as check_fields

    if config.get('plugins'):
        from imbalance_jax.explain import run
        from imbalance_jax.training import plugins

        plugins.add_defaults(base, run.STAGES)
    check_fields(config, base, options)


def load_plugins(config: 'ConfigDict', folders: tuple[Path, ...]) -> tuple[str, ...]:
    """Loads what config.plugins names, adds the defaults of its stages, and returns the folders where it was found."""
    if not config.get('plugins'):
        return ()
    from imbalance_jax.explain import run
    from imbalance_jax.training import plugins

    needed = plugins.load(config.plugins, folders, run.STAGES)
    plugins.add_defaults(config, run.STAGES)
    return needed


def options(kind: str, name: str, block: Mapping[str, Any]) -> Mapping[str, Any]:
    """`plugins.options`, imported only when it is asked: that takes seconds."""
    from imbalance_jax.training import plugins

    return plugins.options(kind, name, block)


def workdir(command: 'Command') -> Path:
    """The working directory that a command names; ValueError where it names none, or a file."""
    if not command.flags.workdir:
        raise ValueError('--workdir is missing; give a folder, such as --workdir=runs/quickstart.')
    from imbalance_jax.system.files import check_folder

    named = Path(command.flags.workdir)
    check_folder(named, 'workdir')
    return named


def trained(command: 'Command', base: Callable[[], 'ConfigDict']) -> Path:
    """The working directory, the plugins of its config loaded; ValueError for a config that was changed by hand and
    accepted as it is, and is none.

    base: gives every field with its default.
    """
    from imbalance_jax.system import files, layout, records

    named = workdir(command)
    files.check_parts(named, layout.FOLDERS)
    if not (named / layout.CONFIG).exists():
        return named
    kept = records.config(named)
    if layout.CONFIG not in records.accepted(named):
        read(kept)
        return named
    from ml_collections import ConfigDict

    from imbalance_jax.config.file import completed

    try:
        read(kept)
        check(ConfigDict(completed(kept, base().to_dict())), base())
    except Exception as error:  # nobody knows what it holds
        reason = ' '.join(f'{error}'.split()).rstrip('.')
        raise ValueError(f'{named / layout.CONFIG} was accepted as it is: {reason}; {records.ELSEWHERE}.') from error
    return named
