"""Do other members represent the same: CKA of layers, units that match, and what becomes of detectors."""

import itertools

import numpy as np

from imbalance_jax.concepts import persistence
from imbalance_jax.metrics.statistics import arms_beyond_seeds, holm
from imbalance_jax.results import rows as tables

COLUMNS = ('other_arm', 'other_seed')
RELATIONS = {
    'other seed': (True, False),  # same arm, another seed
    'other arm': (False, True),  # another arm, same seed: the same initial weights and data order
    'other arm and seed': (False, False),
}


def pair_rows(members, alive, cka, partner, r, layers) -> list[dict]:
    """Rows of every ordered pair of living members: CKA of layers, and the share and mean r of units that match.

    `cka` is that of the same layer; `cka to` another layer also compares a member with itself.
    """
    made, main = [], layers[0]
    for i, j in itertools.permutations(range(len(layers)), 2):
        for a, b in itertools.product(np.flatnonzero(alive), repeat=2):
            metric = f'cka to {layers[j]}'
            made.append(_row(members[a], '', layers[i], metric, cka[i, a, j, b], 1, other(members[b])))
    for a, b in pairs_of(members, alive):
        fields = other(members[b])
        for i, layer in enumerate(layers):
            made.append(_row(members[a], '', layer, 'cka', cka[i, a, i, b], 1, fields))
        found = partner[a, b] >= 0
        mean = r[a, b][found].astype(float).mean() if found.any() else np.nan
        made.append(_row(members[a], '', main, 'matched_units', found.mean(), len(found), fields))
        made.append(_row(members[a], '', main, 'matched_r', mean, int(found.sum()), fields))
    return made


def fate_rows(members, alive, results, labels, partner, names, layer) -> list[dict]:
    """Rows of every ordered pair of living members: detectors of the first that the second keeps, moves and loses.

    results: a dict a member with `detector` [U,S]; labels: `best_concept` [U] of each. n is the number of detectors.
    """
    made = []
    for a, b in pairs_of(members, alive):
        found = persistence.detector_persistence(labels[a], results[b]['detector'], _pairs(partner[a, b]))
        for s, name in [(None, 'all concepts'), *enumerate(names)]:
            chosen = found if s is None else found[labels[a] == s]
            counts = persistence.persistence_counts(chosen)
            if counts.sum():
                for fate, number in zip(persistence.OUTCOMES, counts, strict=True):
                    made.append(_row(members[a], name, layer, fate, number, counts.sum(), other(members[b])))
    return made


def fates_of_units(members, alive, results, labels, partner) -> list[dict[str, np.ndarray]]:
    """A dict a member: relation -> share [U] of related members that keep a unit's detector, NaN for no detector."""
    found = []
    for a, row in enumerate(members):
        shares = {}
        for relation, kind in RELATIONS.items():
            related = [b for b in range(len(members)) if b != a and alive[b] and relation_of(row, members[b]) == kind]
            fates = [
                persistence.detector_persistence(labels[a], results[b]['detector'], _pairs(partner[a, b]))
                for b in related
            ]
            kept = np.mean([one == persistence.KEPT for one in fates], axis=0) if related else np.nan
            shares[relation] = np.where(labels[a] >= 0, kept, np.nan)
        found.append(shares)
    return found


def by_relation(members, made: list[dict], arms) -> list[dict]:
    """Arm rows of the pair rows: mean over pairs of each relation, for the arm's members as the first of the pair.

    Fates become shares of the detectors, all pairs together. `metric` gets the relation as a suffix.
    """
    cells: dict[tuple, list[tuple[float, float]]] = {}
    rows = {(row['arm'], str(row['seed'])): row for row in members}
    for row in made:
        a, b = rows[row['arm'], row['seed']], rows[row['other_arm'], row['other_seed']]
        relation = next((name for name, kind in RELATIONS.items() if relation_of(a, b) == kind), 'itself')
        value = (row['value'], row['n']) if row['metric'] in persistence.OUTCOMES else (row['value'], 1)
        cells.setdefault((row['arm'], row['class'], row['method'], row['metric'], relation), []).append(value)
    result = []
    for (arm, name, method, metric, relation), values in cells.items():
        totals, weights = np.array(values, float).T
        kept = np.isfinite(totals)
        mean = totals[kept].sum() / weights[kept].sum() if kept.any() else np.nan
        fields = {
            'class': name,
            'method': method,
            'metric': f'{metric}, {relation}',
            'value': mean,
            'n': int(kept.sum()),
        }
        result.append(tables.of_arm(arms[arm], **fields))
    return result


def beyond_rows(members, alive, distances: dict[str, np.ndarray], reference: str, rounds: int = 9999) -> list[dict]:
    """Do arms differ by more than seeds do? One test of all arms by kind of distance [P,P], and one of each arm.

    `class` is the kind of distance; `between` the mean distance of members of other arms and other seeds, `within` that
    of one arm's, `p` by exchange of arms within seeds, `p_holm` corrected over the kinds (of an arm: over arms too).
    """
    living = np.flatnonzero(alive)
    arms = list(dict.fromkeys(members[i]['arm'] for i in living))
    groups = {'': arms, **{arm: [reference, arm] for arm in arms if arm != reference and reference in arms}}
    tests: dict[tuple, object] = {}
    for arm, chosen in groups.items():
        rows = [i for i in living if members[i]['arm'] in chosen]
        names, seeds = ([members[i][key] for i in rows] for key in ('arm', 'seed'))
        for kind, distance in distances.items():
            tests[arm, kind] = arms_beyond_seeds(distance[np.ix_(rows, rows)], names, seeds, rounds)
    first, made = {row['arm']: row for row in reversed(members)}, []
    for family in (
        [
            '',
        ],
        [arm for arm in groups if arm],
    ):
        keys = [key for key in tests if key[0] in family]
        adjusted = holm([tests[key].p for key in keys])
        for (arm, kind), p in zip(keys, adjusted, strict=True):
            values = {**tests[arm, kind]._asdict(), 'p_holm': p}
            pairs = int(values.pop('pairs'))
            for metric, value in values.items():
                fields = {
                    'class': kind,
                    'method': 'arms beyond seeds',
                    'metric': metric,
                    'value': float(value),
                    'n': pairs,
                }
                made.append(tables.of_arm(first[arm], **fields) if arm else tables.of_nobody(**fields))
    return made


def relation_of(a: dict, b: dict) -> tuple[bool, bool]:
    """Whether two members share the arm, and the seed."""
    return a['arm'] == b['arm'], a['seed'] == b['seed']


def pairs_of(members, alive):
    return [(a, b) for a, b in itertools.permutations(range(len(members)), 2) if alive[a] and alive[b]]


def other(row: dict) -> dict:
    return dict(zip(COLUMNS, (row['arm'], str(row['seed'])), strict=True))


def _pairs(partner: np.ndarray) -> np.ndarray:
    unit = np.flatnonzero(partner >= 0)
    return np.stack([unit, partner[unit]], axis=1)


def _row(row: dict, name: str, layer: str, metric: str, value, n: int, fields: dict) -> dict:
    cell = {'class': name, 'method': layer, 'metric': metric, 'value': float(value), 'n': int(n)}
    return {**tables.of_member(row, **cell), **fields}
