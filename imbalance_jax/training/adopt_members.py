"""Which networks are adopted: what a command line or a table says of each, and rows of members.json made of it.

A network that was trained elsewhere is a member of an arm, as one that was trained here. What is not known of its
training is not made up: its row says what it is given, and nothing more.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from imbalance_jax.config.fields import PREPROCESSING
from imbalance_jax.data.reader.text_files import content, lines_of
from imbalance_jax.data.sources.text import one_line
from imbalance_jax.losses import LOSSES, SIGMOID, SOFTMAX, UNKNOWN, link_of
from imbalance_jax.names import lookup, repeated
from imbalance_jax.system.files import at_home
from imbalance_jax.training import checks
from imbalance_jax.training.members import split_options

FIELDS = ('arm', 'seed', 'weights', 'link', 'preprocessing', 'classes', 'loss')
NEEDED = ('arm', 'seed', 'weights')
BETWEEN = '|'  # classes in one field
EXAMPLE = '--member arm=focal,seed=0,weights=focal_0.pth'


class Adopted(NamedTuple):
    """A network that is adopted.

    weights: its file; link: SIGMOID or SOFTMAX, '' for what the loss or the data set's task says; preprocessing: of
    `PREPROCESSING`, or '' for what is known of the file, or the config says; classes: names of the head's outputs in
    their order, () for what is known of the file, or for the data set's; loss: UNKNOWN, or of `LOSSES` with the options
    `hyper`; where: what gave it, for messages.
    """

    arm: str
    seed: int
    weights: str
    link: str = ''
    preprocessing: str = ''
    classes: tuple[str, ...] = ()
    loss: str = UNKNOWN
    hyper: Mapping[str, float] = {}
    where: str = ''


def from_texts(texts: Sequence[str], needed: Sequence[str] = NEEDED) -> list[Adopted]:
    """Of values of --member, 'arm=focal,seed=0,weights=a.pth'; ValueError for one that does not say who it is."""
    return [_adopted(_fields(text), f'--member {text}', needed) for text in texts]


def from_table(path: Path, needed: Sequence[str] = NEEDED) -> list[Adopted]:
    """Of a .csv with a column per field, a network per line; files are looked for beside the table, too."""
    try:
        reader = csv.DictReader(io.StringIO('\n'.join(lines_of(content(path))), newline=''))
        named = [str(name).strip() for name in reader.fieldnames or ()]
        lines = [{k: v for k, v in line.items() if v not in (None, '')} for line in reader]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, 'strerror', None) or error
        raise ValueError(f'--members={path} could not be read as a table: {str(reason).rstrip(".")}.') from error
    if twice := repeated(named):
        raise ValueError(f'--members={path} has the column {twice[0]!r} twice; expected one of each name.')
    if missing := [name for name in needed if name not in named]:
        has = ', '.join(map(repr, named)) or 'none'
        raise ValueError(f'--members={path} has no column {missing[0]!r}; it has {has}, separated by commas.')
    if not lines:
        raise ValueError(f'--members={path} has no line; it needs the columns {", ".join(needed)}.')
    result = []
    for number, line in enumerate(lines):
        if None in line:
            raise ValueError(f'--members={path}, line {number + 2}: it has more values than the table has columns.')
        one_line(line.values(), f'--members={path}, line {number + 2}')
        one = _adopted({str(k).strip(): str(v).strip() for k, v in line.items()}, f'{path}, line {number + 2}', needed)
        beside = path.parent / one.weights
        result.append(one._replace(weights=str(beside)) if one.weights and beside.exists() else one)
    return result


def _fields(text: str) -> dict[str, str]:
    """'arm=focal,seed=0' as a dict."""
    fields: dict[str, str] = {}
    for part in text.split(','):
        name, equals, value = part.partition('=')
        if not equals or not name.strip():
            raise ValueError(f'--member {text}: {part!r} is no FIELD=VALUE; it goes like {EXAMPLE}.')
        if name.strip() in fields:
            raise ValueError(f'--member {text}: {name.strip()!r} is given twice.')
        fields[name.strip()] = value.strip()
    return fields


def _adopted(fields: Mapping[str, str], where: str, needed: Sequence[str]) -> Adopted:
    for name in needed:
        if not fields.get(name):
            raise ValueError(f'{where}: {name!r} is missing; needed are {", ".join(needed)}, as in {EXAMPLE}.')
    seed = re.sub(r'[.]0+$', '', fields['seed'])  # 0.0 of a table program, where some other cell was empty
    loss, link = fields.get('loss', UNKNOWN), fields.get('link', '')
    if not seed.isdecimal() or int(seed) >= 2**32:
        raise ValueError(f'{where}: seed is {seed!r}; it must be a whole number from 0, below 2^32.')
    lookup({SIGMOID: 0, SOFTMAX: 0} if link else {'': 0}, link, f'link of {where}:')
    if fields.get('preprocessing'):
        lookup(dict.fromkeys(PREPROCESSING), fields['preprocessing'], f'preprocessing of {where}:')
    options = {name: value for name, value in fields.items() if name not in FIELDS}
    if loss == UNKNOWN:
        for name in options:
            lookup(dict.fromkeys(FIELDS), name, f'field of {where}:')
    else:
        lookup({UNKNOWN: 0, **LOSSES}, loss, f'loss of {where}:')
    hyper = {name: _number(value, f'{where}: {name}') for name, value in options.items()}
    if hyper:
        split_options(fields['arm'], loss, 'natural', options=hyper)
    if loss != UNKNOWN and link and link != link_of(loss):
        raise ValueError(f'{where}: link is {link!r}, and the loss {loss!r} is one of a {link_of(loss)}.')
    classes = tuple(name.strip() for name in fields.get('classes', '').split(BETWEEN)) if fields.get('classes') else ()
    if twice := repeated(name for name in classes if name):
        raise ValueError(f'{where}: classes names {twice[0]!r} twice.')
    return Adopted(
        arm=fields['arm'],
        seed=int(seed),
        weights=str(at_home(fields['weights'])) if fields.get('weights') else '',
        link=link or (link_of(loss) if loss != UNKNOWN else ''),
        preprocessing=fields.get('preprocessing', ''),
        classes=classes,
        loss=loss,
        hyper=hyper,
        where=where,
    )


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f'{where} is {text!r}; the option of a loss is a number.') from None


def check(adopted: Sequence[Adopted], reference: str, *, paired: bool) -> None:
    """Raises ValueError for members that cannot be a population."""
    if not adopted:
        raise ValueError(f'No member is given: give {EXAMPLE} for each, or --members=FILE.csv.')
    seen: dict[tuple[str, int], str] = {}
    for one in adopted:
        if (one.arm, one.seed) in seen:
            both = f'{seen[one.arm, one.seed]} and {one.where}'
            raise ValueError(f'Arm {one.arm} has seed {one.seed} twice ({both}); seeds tell members of an arm.')
        seen[one.arm, one.seed] = one.where
    arms = list(dict.fromkeys(one.arm for one in adopted))
    checks.check_names(arms, f'{adopted[0].where}: arms')
    spelt: dict[str, str] = {}
    for arm in arms:
        if '.' in arm:
            where = next(one.where for one in adopted if one.arm == arm)
            raise ValueError(f'{where}: the arm {arm!r} has a dot, which parts the fields of a config; call it '
                             f'{arm.replace(".", "_")!r}, say.')  # fmt: skip
        if (other := spelt.setdefault(arm.casefold().strip(), arm)) != arm:
            raise ValueError(
                f'{adopted[0].where}: the arms {other!r} and {arm!r} differ in the case of letters alone; call one arm '
                'by one name.'
            )
    for arm in arms:
        of_arm = [one for one in adopted if one.arm == arm]
        for field in ('loss', 'hyper', 'link'):
            values = [getattr(one, field) for one in of_arm]
            if any(value != values[0] for value in values):
                raise ValueError(f'Members of arm {arm} differ in {field}: {values}; an arm is one approach.')
    if reference not in arms:
        raise ValueError(
            f'config.reference is {reference!r}, and no member of that arm is adopted. Arms: {", ".join(arms)}; set '
            f'--config.reference={arms[0]}, say.'
        )
    seeds = {arm: sorted(one.seed for one in adopted if one.arm == arm) for arm in arms}
    if paired and any(of_arm != seeds[arms[0]] for of_arm in seeds.values()):
        raise ValueError(f'--paired needs the same seeds in every arm, and these are {seeds}.')


def in_order(adopted: Sequence[Adopted], reference: str) -> list[Adopted]:
    """The reference arm first, then by name and seed, as members.json has them."""
    return sorted(adopted, key=lambda one: (one.arm != reference, one.arm, one.seed))


def row(number: int, one: Adopted, facts: Mapping[str, Any], *, link: str, paired: bool) -> dict[str, Any]:
    """The row of members.json of a network; facts: of its file."""
    known = one.loss != UNKNOWN
    return {
        'member': number,
        'arm': one.arm,
        'loss': one.loss,
        'sampler': 'natural' if known else UNKNOWN,
        'hyper': dict(one.hyper),
        'seed': one.seed,
        'paired': paired,
        'link': link,
        'adopted': dict(facts),
    }
