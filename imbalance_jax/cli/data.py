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
    from imbalance_jax.data.reader import guess, proposal
    from imbalance_jax.system.files import write_text

    folder, out = Path(command.flags.folder), Path(command.flags.out or '.')
    if command.flags.out:
        _check_new(out, command.flags.again)
    found = guess.guess(folder, sources.DATASETS)
    text = proposal.text(found, folder)
    if not command.flags.out:
        print(text, end='')
        return
    write_text(out, text)
    print('\n'.join([found.examined, *proposal.remarks(found)]))


def _check_new(out: Path, again: bool) -> None:
    """ValueError for a file that cannot be written: it is a folder, below a file, or there already."""
    if out.is_dir():
        raise ValueError(f'--out={out} is a folder; name a file in it, such as --out={out / "my_study.py"}.')
    if part := next((one for one in out.parents if one.exists() and not one.is_dir()), None):
        raise ValueError(f'--out={out} is below {part}, which is a file; name a file in a folder.')
    if out.exists() and not again:
        raise ValueError(f'--out={out} is there already: name another file, or say --again.')
