"""Tables whose rows name no image, joined to the one that does by a key that both have, and what they say of it."""

from collections.abc import Sequence
from typing import Any

from imbalance_jax.data.reader import guess_labels
from imbalance_jax.data.reader.columns import Kinds, kinds_of, surer_patient
from imbalance_jax.data.reader.guess_keys import keys_of
from imbalance_jax.data.reader.guess_tables import OLD, Read, Rest
from imbalance_jax.data.reader.rows import NAMED, Rows, join, my_names, their_names
from imbalance_jax.names import some


def by_key(
    main: Read, joined: Rows, kinds: Kinds, rest: list[Rest], block: dict[str, Any], unsure: list[str]
) -> tuple[Kinds, Read | None, Rows]:
    """What the columns are with those of tables whose rows name no image, and share a key with the main one; the one
    that has labels, where the main one has none; and the rows with what was joined. Those that are joined leave `rest`.
    joined: the rows of the main one with what was joined before."""
    labels, fresh = None, True
    of_labels = main.file if 'labels' in block else ''
    while fresh:  # what was joined may have the key of another
        fresh = False
        for one in sorted(rest, key=lambda one: bool(OLD.search(one.file))):
            on, why = keys_of(joined, one.rows)
            if not on:
                rest[rest.index(one)] = one._replace(why=why or one.why)
                continue
            mine, their = my_names(on)[0], their_names(on)[0]
            own = kinds_of(one.rows, their)
            new = news(own, kinds)
            known = new.get('patient') or kinds.patient
            if mine != known and len(on) == 1 and (why := _is_person(mine, known, own, joined, one.rows, their)):
                new['patient'] = mine
                unsure.append(f'patient: the column {mine!r}, by which a table that says {why} is joined.')
            if own.split.said and not own.split.block and not kinds.split.block:
                sentence = f'{own.split.said[0]} (Of {one.file}.)'
                unsure.extend([sentence] if sentence not in unsure else [])
            has_labels = not of_labels and bool(own.labels or own.names)
            keys = ' and '.join(map(repr, my_names(on)))
            if not new and not has_labels and not has_key_of_others(one, joined, rest):
                labelled = of_labels and (own.labels or own.names)
                said = f'labels are those of {of_labels}' if labelled else 'it says nothing new'
                rest[rest.index(one)] = one._replace(why=f'it could be joined by {keys}, and {said}')
                continue
            block['tables'].append({**one.declared, 'on': list(on)})
            says = ', '.join([*(['labels'] if has_labels else []), *new]) or 'what others are joined by'
            unsure.append(f'tables: {one.file} is joined by {keys}; it says {says}.')
            if of_labels and (too := own.labels or ((own.names,) if own.names else ())):
                unsure.append(
                    f'labels: {some(too, NAMED)} of {one.file} are not used: labels are those of {of_labels}.'
                )
            if not has_labels:
                guess_labels.of_others(own, unsure, one.file)
            rest.remove(one)
            kinds, fresh = kinds._replace(**new), True
            joined, _ = join(joined, one.rows, on)
            if has_labels:
                of_labels = one.file
                labels = Read(one.file, one.rows, their, 1.0, 0, own, [one.declared])
    for one in list(rest) if not of_labels and not kinds.labels and not kinds.names else ():
        on, _ = keys_of(joined, one.rows)
        if on and (may_be := kinds_of(one.rows, their_names(on)[0]).others):
            keys = ' and '.join(map(repr, my_names(on)))
            said = some([f'{name!r} ({some(found, 3)})' for name, found in may_be.items()], NAMED)
            unsure.append(
                f'labels: {one.file}, which could be joined by {keys}, has columns that may be classes: {said}.'
            )
    return kinds, labels, joined


def leads_to_labels(one: Read, rest: Sequence[Rest]) -> bool:
    """Whether a table can be joined to one of the rest that has labels."""
    for other in rest:
        if on := keys_of(one.rows, other.rows).on:
            kinds = kinds_of(other.rows, their_names(on)[0])
            if kinds.labels or kinds.names:
                return True
    return False


def _is_person(mine: str, known: str, own: Kinds, joined: Rows, their: Rows, key: str) -> str:
    """What a table that is joined by the column `mine` says that is one for a person, '' where that column is not who
    an image is of: sex or age, or the split of all its images, where nobody is known, or `known` is a study of whom
    `mine` is. own: what the table's columns are; key: the column of it."""
    if known:
        if known not in joined.columns:
            return ''
        whose = set(zip(map(str, joined.columns[known]), map(str, joined.columns[mine]), strict=True))
        within = len({one for one, _ in whose}) == len(whose) and len({one for _, one in whose}) < len(whose)
        if not within or surer_patient(known, 'study'):
            return ''
    if {'sex', 'age'} & own.groups.keys():
        return 'sex or age'
    several = len(set(map(str, joined.columns[mine]))) < len(joined)
    apart = len(set(map(str, their.columns[key]))) == len(their)
    return 'splits' if not known and own.split.block and several and apart else ''


def has_key_of_others(one: Read | Rest, joined: Rows, rest: Sequence[Rest]) -> bool:
    """Whether a table has the key of another one, which what is joined has not."""
    others = [other.rows for other in rest if other is not one]
    return any(keys_of(one.rows, rows).on and not keys_of(joined, rows).on for rows in others)


def news(of_other: Kinds, known: Kinds) -> dict[str, Any]:
    """What a table says of patients, splits and groups where nothing does."""
    news: dict[str, Any] = {}
    if of_other.patient and (not known.patient or surer_patient(of_other.patient, known.patient)):
        news['patient'] = of_other.patient
    if of_other.split.block and not known.split.block:
        news['split'] = of_other.split
    more = {name: rule for name, rule in of_other.groups.items() if name not in known.groups}
    return news | ({'groups': {**known.groups, **more}} if more else {})
