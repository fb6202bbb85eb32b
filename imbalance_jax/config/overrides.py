"""Fields of a config set from outside its file: by the command line, as text, or by a point of a sweep."""

import ast
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from imbalance_jax.config.fields import NAMED_BY_USER, OptionsOf, check_kind, default_of
from imbalance_jax.config.file import KINDS

TRUTH = {'true': True, 'false': False}


def apply_texts(config: ConfigDict, texts: Mapping[str, str], options: OptionsOf | None = None) -> None:
    """Sets fields, by their names without `config.`, to what the texts of a command line say.

    Raises ValueError for a field that there is not, with the nearest, and for a value of another kind than its own.
    """
    for name, text in texts.items():
        expected = default_of(config.to_dict(), name, options)
        if isinstance(expected, dict):
            raise ValueError(f'config.{name} is a block; set one of its fields, as in --config.{name}.FIELD=VALUE.')
        _put(config, name, parse(name, text, expected))


def apply_point(config: ConfigDict, point: Mapping[str, Any], options: OptionsOf | None = None) -> None:
    """Sets the fields of a point of a sweep, whose names may begin with `config.`; ValueError as `apply_texts`."""
    for name, value in point.items():
        name = name.removeprefix('config.')
        if name != 'arms':  # whose blocks are checked as they are read
            expected = default_of(config.to_dict(), name, options)
            if isinstance(expected, Mapping) and name not in NAMED_BY_USER:
                raise ValueError(
                    f'config.{name} is a block; a point sets one of its fields, as in config.{name}.FIELD.'
                )
            check_kind(name, value, expected)
        _put(config, name, value)


def parse(name: str, text: str, expected: Any) -> Any:
    """The value that a text stands for, of the kind of `expected`; ValueError naming the field if it is of another."""
    if isinstance(expected, bool):
        value = TRUTH.get(text.lower(), text)
    elif isinstance(expected, str):
        return text
    elif isinstance(expected, (tuple, list)):
        return _parse_tuple(name, text, tuple(expected))
    else:
        value = _literal(text)
    check_kind(name, value, expected)
    return float(value) if isinstance(expected, float) else value


def _parse_tuple(name: str, text: str, expected: tuple) -> tuple:
    """(1, 2) or 1,2 of numbers; ('a', 'b') or a,b or a of words."""
    value = _literal(text)
    of_words = not expected or isinstance(expected[0], str)
    if isinstance(value, str) and of_words:
        value = tuple(word.strip() for word in value.split(',') if word.strip())
    if not isinstance(value, (tuple, list)):
        alone = f'"({text},)" for this one alone, or ' if isinstance(value, (int, float)) else ''
        raise ValueError(
            f'config.{name} is {text}; it must be a tuple: --config.{name}={alone}"{expected or "(...)"}".'
        )
    check_kind(name, value, expected)
    return tuple(value)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text


def _put(config: ConfigDict, name: str, value: Any) -> None:
    *blocks, last = name.split('.')
    with config.unlocked():
        block, path = config, 'config'
        for name_of_block in blocks:
            if name_of_block not in block:
                block[name_of_block] = ConfigDict()
            block, path = block[name_of_block], f'{path}.{name_of_block}'
            if not isinstance(block, ConfigDict):
                raise ValueError(f'{path} is {block!r} and has no fields, so {name} cannot be set: give {path} itself.')
        try:
            block[last] = value
        except (TypeError, ValueError) as error:
            kind = type(block[last]).__name__
            raise ValueError(f'config.{name} is {value!r}; it must be {KINDS.get(kind, f"a {kind}")}.') from error
