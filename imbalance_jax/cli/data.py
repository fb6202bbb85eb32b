"""Verbs of a data set: data prepare, data inspect, data guess."""

from pathlib import Path
from typing import Any

from imbalance_jax.cli import loading
from imbalance_jax.cli.outside import Outside
from imbalance_jax.system.command_line import Command


def prepare(command: Command, outside: Outside) -> None:
    """Makes the data set of the config ready."""
    config = loading.load(command.flags.config, command.overrides, outside.base).config
    from imbalance_jax.system import signals
    from imbalance_jax.training import network, other_sets

    signals.leave_when_asked(saves=False)
    other_sets.check(config)
    dataset = network.load_dataset(config, again=command.flags.again)
    other_sets.load_all(config, dataset)


def inspect(command: Command, outside: Outside) -> None:
    """Says what is in the data set of the config."""
    config = loading.load(command.flags.config, command.overrides, outside.base).config
    from imbalance_jax.results import inspection
    from imbalance_jax.system import signals
    from imbalance_jax.training import network, other_sets

    signals.leave_when_asked(saves=False)
    other_sets.check(config)
    dataset = network.load_dataset(config)
    print(inspection.describe(dataset, config.data.policies.to_dict()))
    _tell_mistakes(config)
    other_sets.warn_of_likeness(dataset)
    other_sets.load_all(config, dataset)


def _tell_mistakes(config: Any) -> None:
    """Says what published loaders make of the same files by mistake, where that is known."""
    from imbalance_jax.data.sources import mistakes

    block = config.data.to_dict().get(config.data.name, {})
    folder = block.get('manual_dir') if isinstance(block, dict) else None
    for line in mistakes.lines(mistakes.of(block.get('reader', config.data.name), folder)) if folder else ():
        print(f'a known mistake: {line}')


def guess(command: Command, _: Outside) -> None:
    """Proposes a config for a folder."""
    if not command.flags.folder:
        raise ValueError('A folder is missing: imbalance-jax data guess FOLDER.')
    from imbalance_jax.data import sources
    from imbalance_jax.data.reader import guess
    from imbalance_jax.system.files import write_text

    folder = Path(command.flags.folder)
    found = guess.guess(folder, sources.DATASETS)
    text = guess.text(found, folder)
    if not command.flags.out:
        print(text, end='')
        return
    if Path(command.flags.out).exists() and not command.flags.again:
        raise ValueError(f'--out={command.flags.out} is there already: name another file, or say --again.')
    write_text(Path(command.flags.out), text)
    print('\n'.join([found.examined, *guess.remarks(found)]))
