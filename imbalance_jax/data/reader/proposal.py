"""A proposed layout as the text of a config file, with a comment for all that is not sure."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Guess(NamedTuple):
    """name: of the data set; block: config.data.NAME; unsure: sentences; missing: what the block lacks to be read;
    examined: a sentence about what was found."""

    name: str
    block: dict[str, Any]
    unsure: list[str]
    missing: list[str]
    examined: str


TEXT = '''"""{examined}

A proposal for {folder}: read it before you trust it.
"""

from imbalance_jax.configs import base


def get_config():
    config = base.get_config()
{comments}    config.data.name = {name!r}
    config.data.{name} = {block}
    config.data.image_size = 64
    config.seeds = (0, 1)
    config.train.epochs = 20
    config.train.batch_size = 16
    config.train.warmup_steps = 20
    config.train.learning_rate = 1e-3
{arms}    return config
'''


OF_ONE_CLASS = """    # One class per image: losses of a softmax.
    config.arms = {'cross_entropy': {}, 'weighted_cross_entropy': {}, 'softmax_focal': {}, 'balanced_softmax': {}}
    config.reference = 'cross_entropy'
"""


def text(found: Guess, folder: Path) -> str:
    """The proposal as a config file."""
    comments = [line for one in remarks(found) for line in textwrap.wrap(one, 108)]
    return TEXT.format(
        examined=found.examined,
        folder=folder,
        comments=''.join(f'    # {line}\n' for line in comments),
        name=found.name,
        block=_shown(found.block, 4),
        arms=OF_ONE_CLASS if found.block.get('task') == 'multi_class' else '',
    )


def remarks(found: Guess) -> list[str]:
    """What is missing and what is not sure, a line each."""
    return [f'missing: {one}' for one in found.missing] + [f'unsure: {one}' for one in found.unsure]


def _shown(value: Any, indent: int) -> str:
    """A value as Python text, blocks with a field per line."""
    if not isinstance(value, dict) and not (isinstance(value, list) and any(isinstance(one, dict) for one in value)):
        short = repr(tuple(value) if isinstance(value, list) else value)
        return short if len(short) + indent < 110 else _wrapped(value, indent)
    inner = ' ' * (indent + 4)
    if isinstance(value, dict):
        lines = [f'{inner}{key!r}: {_shown(one, indent + 4)},' for key, one in value.items()]
        return '{\n' + '\n'.join(lines) + f'\n{" " * indent}}}'
    return '(\n' + '\n'.join(f'{inner}{_shown(one, indent + 4)},' for one in value) + f'\n{" " * indent})'


def _wrapped(value: Sequence[Any], indent: int) -> str:
    if isinstance(value, str):
        return repr(value)
    inner = ' ' * (indent + 4)
    return '(\n' + '\n'.join(f'{inner}{one!r},' for one in value) + f'\n{" " * indent})'
