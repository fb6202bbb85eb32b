"""Label policies: what the cells of a label table become, a label that is learned and measured, or none.

A table says more than yes and no: a report may hedge or be silent, several readers may differ, and labels are revised.
A policy is a choice between these, and it moves prevalences by factors: of CheXpert's Atelectasis 15 % are positive if
silence is a no and a hedge is one, too, and 96 % if only what is said counts. A source makes its labels by
`reduce_cells` with its default policy, and an arm is trained on others by `labels = 'u_ones'`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imbalance_jax.data.dataset import ABSENT, NOT_MENTIONED, NOT_READ, PRESENT, UNCERTAIN, Dataset
from imbalance_jax.names import lookup

OWN = 'own'  # the labels of the data set; of an arm, those that everything is judged by
PERMUTED = 'permuted'  # of an arm: those of another image, which teach nothing
LABELS_ALONE = f'{{}} has labels only, no cells to choose from: its labels can only be {OWN!r}.'
REST = '*'  # in a rule per class: all classes that it does not name
UNCERTAIN_RULES = ('zeros', 'ones', 'ignore')
EMPTY_RULES = ('zeros', 'ignore', 'zeros_if_no_finding')
READER_RULES = ('any', 'majority', 'all', 'one')
NO_FINDING = ('no finding', 'no_finding', 'normal')  # how sets call it, in lower case
DEVICES = ('support devices',)  # are no finding: an image without one may show them

Cells = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Policy:
    """How cells become labels.

    uncertain: 'zeros', 'ones', 'ignore' (the label counts nowhere), or one of these per class, '*' for the rest, which
    is ignored without it. empty: what is not mentioned, 'zeros', 'ignore', or 'zeros_if_no_finding': a zero where the
    same reading says that there is no finding, and else ignored. readers: of the readings that count, 'any' says yes,
    more than half do ('majority', a tie is a no), 'all' do; 'one': the first that has read the image; or a reader's
    name. version: of the labels, '' for the first.
    """

    uncertain: str | Mapping[str, str] = 'ignore'
    empty: str = 'zeros'
    readers: str = 'majority'
    version: str = ''


# The rule per class that did best in Irvin et al. 2019, "CheXpert" (arXiv 1901.07031); of others it says nothing.
BEST = {
    'Atelectasis': 'ones',
    'Edema': 'ones',
    'Pleural Effusion': 'ones',
    'Cardiomegaly': 'zeros',
    'Consolidation': 'zeros',
}
POLICIES: dict[str, Policy] = {
    'u_zeros': Policy(uncertain='zeros'),
    'u_ones': Policy(uncertain='ones'),
    'u_ignore': Policy(uncertain='ignore'),
    'u_best': Policy(uncertain=BEST),
    'empty_ignored': Policy(empty='ignore'),
    'empty_if_no_finding': Policy(empty='zeros_if_no_finding'),  # as torchxrayvision reads CheXpert and MIMIC
    'any': Policy(readers='any'),
    'majority': Policy(readers='majority'),
    'all': Policy(readers='all'),
    'one': Policy(readers='one'),
}


def parse(name: str, fields: Mapping[str, Any], where: str = '') -> Policy:
    """The policy of config.data.policies.NAME, or of `where`; ValueError for a field or rule that there is not."""
    where, known = where or f'config.data.policies.{name}', {field.name: None for field in dataclasses.fields(Policy)}
    if name in (OWN, PERMUTED):
        raise ValueError(f'{where}: {name!r} has a meaning already; give the policy another name.')
    if not isinstance(fields, Mapping):
        raise ValueError(f"{where} is {fields!r}; it must be a block, such as {{'uncertain': 'ones'}}.")
    for field in fields:
        lookup(known, field, f'field of {where}:')
    values: dict[str, Any] = {key: dict(one) if isinstance(one, Mapping) else one for key, one in fields.items()}
    policy = Policy(**values)
    rules = policy.uncertain.values() if isinstance(policy.uncertain, Mapping) else [policy.uncertain]
    for rule in rules:
        lookup(dict.fromkeys(UNCERTAIN_RULES), rule, f'rule of {where}.uncertain:')
    lookup(dict.fromkeys(EMPTY_RULES), policy.empty, f'rule of {where}.empty:')
    for field in ('readers', 'version'):
        if not isinstance(value := getattr(policy, field), str):
            raise ValueError(f'{where}.{field} is {value!r}; it must be a word.')
    return policy


def named(own: Mapping[str, Any]) -> dict[str, Policy]:
    """All policies by name. own: those of `config.data.policies`; ValueError for one that is called
    as one that is built in, and is another."""
    mine = {name: parse(name, fields) for name, fields in own.items()}
    for name, policy in mine.items():
        if policy != POLICIES.get(name, policy):
            raise ValueError(
                f'config.data.policies.{name} is another policy than {name!r} is everywhere else; give it another name.'
            )
    return {**POLICIES, **mine}


def relabelled(dataset: Dataset, name: str, own: Mapping[str, Any]) -> Dataset:
    """The data set with the labels of config.data.labels, and the policy's name in its info; itself for 'own'.

    own: policies of `config.data.policies`. Raises ValueError for a policy that there is not, or as `apply` does.
    """
    policy = lookup({OWN: None, **named(own)}, name, 'label policy, config.data.labels:')
    if policy is None:
        return dataset
    try:
        labels, mask = apply(dataset, policy)
    except ValueError as error:
        raise ValueError(f'config.data.labels is {name!r}: {error}') from error
    return dataclasses.replace(dataset, labels=labels, label_mask=mask, info={**dataset.info, 'policy': name})


def apply(dataset: Dataset, policy: Policy) -> Cells:
    """Labels and label_mask [N,K] uint8 of a data set under a policy.

    Raises ValueError if it has no cells to apply a policy to, or not the reader, version or class that is named.
    """
    name = dataset.info['name']
    if dataset.cells is None:
        raise ValueError(LABELS_ALONE.format(name))
    try:
        return reduce_cells(dataset.cells, dataset.info['readings'], dataset.classes, policy=policy)
    except ValueError as error:
        raise ValueError(f'{name}: {error}') from error


def readings_of(readings: Sequence[Sequence[str]], version: str = '') -> list[int]:
    """The numbers of the readings of a version, '' for the first."""
    return [a for a, (one, _) in enumerate(readings) if one == (version or readings[0][0])]


def reduce_cells(
    cells: np.ndarray, readings: Sequence[Sequence[str]], classes: Sequence[str], *, policy: Policy
) -> Cells:
    """Labels and label_mask [N,K] uint8 of cells [A,N,K]; a label that does not count is 0.

    readings: A pairs (version, reader). Raises ValueError for a reader, version or class that there is not, or
    'zeros_if_no_finding' without a class for it.
    """
    said = cells[readings_under(readings, policy)]
    if policy.readers == 'one':
        said = _first(said)
    rules = _uncertain_rules(policy.uncertain, classes)
    no, yes = np.zeros(cells.shape[1:], np.int16), np.zeros(cells.shape[1:], np.int16)
    for reading in said:
        says_no, says_yes = _resolved(reading, classes, rules, policy.empty)
        no += says_no
        yes += says_yes
    counted = no + yes > 0
    if policy.readers == 'any':
        labels = yes > 0
    elif policy.readers == 'all':
        labels = counted & (no == 0)
    else:
        labels = yes > no
    return labels.astype(np.uint8), counted.astype(np.uint8)


def _first(cells: np.ndarray) -> np.ndarray:
    """Of readings [A,N,K] the first that has read each image [1,N,K]."""
    first = cells[0].copy()
    for reading in cells[1:]:
        first = np.where(first == NOT_READ, reading, first)
    return first[None]


def _resolved(cells: np.ndarray, classes: Sequence[str], uncertain: np.ndarray, empty: str) -> Cells:
    """Where one reading [N,K] says no, and where yes, [N,K] bool; elsewhere it does not count."""
    doubted, silent = cells == UNCERTAIN, cells == NOT_MENTIONED
    no = (cells == ABSENT) | (doubted & (uncertain == 'zeros'))
    yes = (cells == PRESENT) | (doubted & (uncertain == 'ones'))
    if empty == 'zeros':
        no |= silent
    elif empty == 'zeros_if_no_finding':
        no |= silent & _ruled_out(cells, classes)
    return no, yes


def _ruled_out(cells: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Where silence is a no [N,K] bool: of findings where the reading says that there is none, never of devices.

    "No finding" itself is not said but concluded: where it is not, there is a finding.
    """
    lower = [name.lower() for name in classes]
    column = next((k for k, name in enumerate(lower) if name in NO_FINDING), None)
    if column is None:
        raise ValueError(f"empty = 'zeros_if_no_finding' needs a class 'No Finding'; there are {', '.join(classes)}.")
    ruled_out = np.repeat(cells[:, column, None] == PRESENT, len(classes), axis=1)
    ruled_out[:, [name in DEVICES for name in lower]] = False
    ruled_out[:, column] = True
    return ruled_out


def readings_under(readings: Sequence[Sequence[str]], policy: Policy) -> list[int]:
    """The numbers of the readings that a policy looks at."""
    lookup(dict.fromkeys(('', *(one for one, _ in readings))), policy.version, 'version of the labels:')
    of_version = {a: readings[a][1] for a in readings_of(readings, policy.version)}
    if policy.readers in READER_RULES:
        return list(of_version)
    lookup(dict.fromkeys((*READER_RULES, *of_version.values())), policy.readers, 'reader or rule for readers:')
    return [a for a, reader in of_version.items() if reader == policy.readers]


def _uncertain_rules(uncertain: str | Mapping[str, str], classes: Sequence[str]) -> np.ndarray:
    """One rule per class [K]."""
    if isinstance(uncertain, str):
        return np.full(len(classes), uncertain)
    if dict(uncertain) != BEST:  # which is for sets with other classes, too
        for name in uncertain.keys() - {REST}:
            lookup(dict.fromkeys(classes), name, 'class of a rule for what is uncertain:')
    return np.array([uncertain.get(name, uncertain.get(REST, 'ignore')) for name in classes])
