"""A command line: verbs with flags of their own, and overrides of a config, with errors that a user can act on."""

import argparse
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from imbalance_jax.names import lookup
from imbalance_jax.system import output
from imbalance_jax.system.files import typed_path

OVERRIDES = 'and --config.FIELD=VALUE for any field of the config, such as --config.train.epochs=3'


def path(text: str) -> str:
    """A path as it is typed, for a flag; argparse shows no other error than its own."""
    if not text.strip():
        raise argparse.ArgumentTypeError('the path is empty')
    try:
        return typed_path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).rstrip('.')) from error


def seconds(text: str) -> float:
    """A time, 0 or more, for a flag."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f'{text!r} is no time; it must be 0 or more, in seconds')
    return value


class Command(NamedTuple):
    """What stands after a verb. flags: those of the verb; overrides: {'train.epochs': '3'}, as text."""

    flags: argparse.Namespace
    overrides: dict[str, str]


class Verb(NamedTuple):
    """run: does it, and returns the exit status; text: what its help says; flags: those it has; operand: what may
    stand beside its flags in the place of one of them: ('workdir', 'WORKDIR'); answers: what it prints is what it is
    for."""

    run: Callable[..., int | None]
    text: str
    flags: tuple[str, ...]
    operand: tuple[str, str] | None = None
    answers: bool = False


class Parser(argparse.ArgumentParser):
    """A parser whose errors are the caller's to show."""

    def print_help(self, file: Any = None) -> None:
        """Raises OSError if it could not be written."""
        super().print_help(file)
        output.check_written()

    def error(self, message: str) -> Any:
        """Raises ValueError."""
        if 'ignored explicit argument' in message:  # argparse's words for a switch that was given a value
            flag, value = message.split()[1].rstrip(':'), message.rpartition(' ')[2]
            message = f'{flag} takes no value, and {value} was given: leave that, or the flag, out'
        raise ValueError(f'{message[0].upper()}{message[1:]}.')


def split_verb(arguments: list[str], verbs: Mapping[str, Verb]) -> tuple[str, list[str]]:
    """The verb, of one word or two, and what follows it; ValueError for one that there is not."""
    for count in (2, 1):
        if (name := ' '.join(arguments[:count])) in verbs:
            return name, arguments[count:]
    if arguments[0].startswith('-'):
        raise ValueError(f'The verb comes first, then flags such as {arguments[0]}: imbalance-jax VERB [flags].')
    begun = {name: verb for name, verb in verbs.items() if name.startswith(f'{arguments[0]} ')}
    typed = [word for word in arguments[: 2 if begun else 1] if not word.startswith('-')]
    lookup(begun or verbs, ' '.join(typed), 'verb')
    raise AssertionError


def parse(name: str, arguments: list[str], verb: Verb, *, flags: Mapping[str, Mapping[str, Any]], note: str) -> Command:
    """The flags of a verb and the overrides of its config; ValueError for what the verb does not have.

    flags: all flags, as `ArgumentParser.add_argument` wants them; note: the last line of the help.
    """
    arguments, overrides = split_overrides(arguments)
    parser = Parser(
        prog=f'imbalance-jax {name}',
        description=f'{verb.text[0].upper()}{verb.text[1:]}.',
        epilog=f'{OVERRIDES}\n\n{note}' if 'config' in verb.flags else note,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if verb.operand:
        flag, shown = verb.operand
        parser.add_argument('operand', nargs='?', metavar=shown, help=f'the same as --{flag}')
        begins = f'{name} takes one {shown}'
    for flag in verb.flags:
        parser.add_argument(f'--{flag}', **flags[flag])
    parsed, unknown = parser.parse_known_args(arguments)
    for flag in verb.flags:
        if (getattr(parsed, flag) == '' and flags[flag].get('default') != '') or f'--{flag}=' in arguments:
            raise ValueError(f'--{flag} is empty; give it a value, or leave it out.')
    if verb.operand and (more := [word for word in unknown if not word.startswith('-')]) and parsed.operand:
        raise ValueError(f'{begins}, not two: {parsed.operand} and {more[0]}.')
    for argument in unknown:
        lookup(dict.fromkeys(verb.flags), argument.partition('=')[0].lstrip('-'), f'flag of {name}')
    if overrides and 'config' not in verb.flags:
        raise ValueError(f'{name} takes no --config.{next(iter(overrides))}: the config is settled when it begins.')
    if verb.operand and parsed.operand:
        flag, named = verb.operand[0], getattr(parsed, verb.operand[0])
        if named and named != parsed.operand:
            raise ValueError(f'{begins}, not two: {parsed.operand} and --{flag}={named}.')
        setattr(parsed, flag, parsed.operand)
    return Command(parsed, overrides)


def split_overrides(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Takes --config.FIELD=VALUE, or the two apart, out of the other arguments."""
    others: list[str] = []
    overrides: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        if not word.startswith('--config.'):
            others.append(word)
            continue
        name, equals, value = word.removeprefix('--config.').partition('=')
        overrides[name] = value if equals else next(words, '')
    return others, overrides


def usage(verbs: Mapping[str, Verb], groups: Mapping[str, str]) -> str:
    """The verbs, a line each; groups: heading -> its first verb."""
    width = max(map(len, verbs))
    headings = {first: heading for heading, first in groups.items()}
    lines = ['usage: imbalance-jax VERB [flags]     what a verb takes: imbalance-jax VERB --help']
    for name, verb in verbs.items():
        lines += [f'\n{headings[name]}'] if name in headings else []
        lines.append(f'  {name:{width}}  {verb.text}')
    return '\n'.join(lines)
