"""Which split an image is in: as something states it, or drawn from the patients of training."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from imbalance_jax.data.dataset import LEFT_OUT, SPLITS
from imbalance_jax.data.reader import split_lists
from imbalance_jax.data.reader.layout import Split
from imbalance_jax.data.reader.rows import NAMED, PATH, SHOWN, SPLIT, Found, Rows
from imbalance_jax.data.reader.spelling import canonical, first_group, letters_of, matches, share, table_of
from imbalance_jax.names import some

UNSTATED = 254  # of an image whose split is drawn


def stated(folder: Path, rows: Rows, first: np.ndarray, names: Sequence[str], rule: Split, found: Found) -> np.ndarray:
    """The split that is stated for each image; UNSTATED where none is, LEFT_OUT where it is none of the three.

    ValueError for what is to state it and does not, of any image.
    """
    split = np.full(len(first), UNSTATED, np.uint8)
    spelt = table_of(rule.values)
    others = LEFT_OUT if rule.others == 'left_out' else split_lists.number_of(rule.others)
    if rule.column:
        texts = rows.column(rule.column, 'split.column')
        said = [str(texts[row]) for row in first]
        split[:] = [_number(spelt, canonical(text), others) for text in said]
        if not any(canonical(text) in spelt for text in said):
            raise ValueError(
                f'{rows.files[0]}: {rule.column} (split.column) says of no image which split it is in: it has '
                f"{_values(said)}; split.values says what they mean, such as {{'train': {said[0]!r}}}."
            )
        _say_unknown(said, spelt, rule, found)
    elif rule.lists:
        at = [str(rows.columns[PATH][row] or name) for row, name in zip(first, names, strict=True)]
        split[:] = split_lists.listed(folder, names, at, rule, others, found)
    elif rule.path == 'folder':
        split[:] = [_of_folders(str(rows.columns[PATH][row]), spelt, others) for row in first]
        of_two = [path for row in first if len(set(_of_parts(path := str(rows.columns[PATH][row]), spelt))) > 1]
        if of_two:
            what = f'{len(of_two)} of {len(first)} images lie in folders of two splits, of which the inner one counts'
            found.doubts.append(f"{what} (split.path = 'folder'; an expression says which): {some(of_two, NAMED)}.")
    elif rule.path:
        groups = [first_group(rule.path, str(rows.columns[PATH][row])) for row in first]
        split[:] = [_number(spelt, canonical(text), others) for text in groups]
    elif SPLIT in rows.columns:
        split[:] = [_number(spelt, canonical(str(rows.columns[SPLIT][row])), others) for row in first]
    for column, values in rule.test_where.items():
        texts = rows.column(column, 'split.test_where')
        said = [str(texts[row]) for row in first]
        meant = np.array([matches(text, values) for text in said], bool)
        if not meant.any():
            wanted = ' or '.join(map(repr, values))
            raise ValueError(
                f'split.test_where: {column} of no image is {wanted}; {rows.files[0]} has {_values(said)}.'
            )
        there = set(map(canonical, said))
        if unseen := [value for value in values if canonical(str(value)) not in there]:
            found.doubts.append(f'split.test_where: {column} of no image is {_values(unseen)}.')
        look = {letters_of(str(value)) for value in values}
        if alike := [text for text, one in zip(said, meant, strict=True) if not one and letters_of(text) in look]:
            named = some([ascii(text) for text in dict.fromkeys(alike)], NAMED)
            what = f'{named} of {column} look like it and are not of the test split, {len(alike)} images'
            found.doubts.append(f'split.test_where is {_values(values)}, and {what}.')
        split[meant] = SPLITS.index('test')
    return split


def _values(texts: Iterable[object]) -> str:
    """The first of the different values, for a message."""
    return some([repr(text) for text in dict.fromkeys(texts)], NAMED)


def _say_unknown(texts: Sequence[str], spelt: Mapping[str, str], rule: Split, found: Found) -> None:
    """Says which words of a column of splits mean none."""
    if unknown := Counter(text or 'empty' for text in texts if canonical(text) not in spelt):
        what = ', '.join(f'{text} {count}' for text, count in unknown.most_common(SHOWN))
        (found.doubts if rule.others == Split.others else found.notes).append(
            f'Values of {rule.column} that mean no split (split.values), of images that are '
            f'{rule.others.replace("_", " ")}: {what}.'
        )


def _number(spelt: Mapping[str, str], text: str, others: int) -> int:
    return SPLITS.index(spelt[text]) if text in spelt else others


def _of_folders(path: str, spelt: Mapping[str, str], others: int) -> int:
    known = _of_parts(path, spelt)
    return SPLITS.index(known[-1]) if known else others


def _of_parts(path: str, spelt: Mapping[str, str]) -> list[str]:
    """The splits that the folders of a path are called as, from the outermost."""
    return [spelt[canonical(part)] for part in path.split('/')[:-1] if canonical(part) in spelt]


def drawn(before: np.ndarray, labels: np.ndarray, patient: Sequence[str], rule: Split, found: Found) -> np.ndarray:
    """Splits [N] with those that nobody states drawn from the patients of training. labels: [N,K] bool."""
    split = np.where(before == UNSTATED, 0, before).astype(np.uint8)
    stated = [name for number, name in enumerate(SPLITS) if (before == number).any()]
    shares, below = {'test': rule.test, 'validation': rule.validation}, 0.0
    for name, portion in shares.items():
        if name in stated and portion not in (0, getattr(Split, name)):
            found.notes.append(f'split.{name} = {portion:g} is not used: which images are of that split is stated.')
        if name in stated or portion <= 0:
            continue
        number = SPLITS.index(name)
        of_patient = {one: max(split[i] for i in rows) for one, rows in _by_patient(patient).items()}
        people = [one for one, most in of_patient.items() if most == 0]  # who is in no other split, too
        chosen = _sample(labels, patient, people, portion, rule, below)
        below += portion
        split[[one in chosen for one in patient]] = number
        found.notes.append(f'{len(chosen)} of {len(people)} patients were drawn for the {name} split.')
    return split


def _by_patient(patient: Sequence[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, one in enumerate(patient):
        rows.setdefault(one, []).append(row)
    return rows


def _sample(
    labels: np.ndarray, patient: Sequence[str], people: Sequence[str], portion: float, rule: Split, below: float
) -> set[str]:
    """A share of the patients by hash: of all, or, stratified, of those of each class, the rarest class first. below:
    the share that was drawn before, of all."""
    rank = {one: share(one, rule.seed) for one in people}
    if not rule.stratify:
        return {one for one in people if below <= rank[one] < below + portion}
    rows = _by_patient(patient)
    counts = labels.sum(0)
    strata: dict[int, list[str]] = {}
    for one in people:
        has = np.flatnonzero(labels[rows[one]].any(0))
        strata.setdefault(int(has[np.argmin(counts[has])]) if len(has) else -1, []).append(one)
    chosen: set[str] = set()
    seen = 0
    for _, members in sorted(strata.items()):  # what a class is short of by rounding, the next has more
        seen += len(members)
        ordered = sorted(members, key=lambda one: (rank[one], one))
        chosen.update(ordered[: max(round(portion * seen) - len(chosen), 0)])
    return chosen
