"""Performance of a population as rows: every member, seed ensembles, means over seeds, paired differences."""

import numpy as np

from imbalance_jax.metrics import scores as metrics
from imbalance_jax.metrics.statistics import cluster_weights
from imbalance_jax.results import rows as tables

MACRO, MICRO, IMAGE = 'macro', 'micro', 'all classes'
RANKING = ('auroc', 'average_precision')


def rows(
    members: list[dict], probabilities, corrected, labels, mask, patients, alive, classes, reference, rounds, seed
) -> list:
    """All rows of one split.

    probabilities: [P,N,K]; corrected: the same under the prior of the training set, for calibration alone, as that
    moves all images of a class alike; labels, mask: [N,K]; patients: [N]; alive: [P] bool. A frozen member has its own
    rows, from the weights it had, and no part in the ensemble, the means and the differences.
    """
    names = [*classes, MACRO, MICRO]
    found = metrics.evaluate(probabilities, labels, mask)
    after = _calibration(corrected, labels, mask)
    values, defined = {**_by_name(found), **_by_name(after)}, {**found['defined'], **after['defined']}
    counts = [*mask.sum(0).astype(int), None, int(mask.sum())]  # of the macro mean: the classes in it, by metric
    correct = metrics.subset_accuracy(probabilities, labels, mask)
    # The study's test across data sets left images without a finding out.
    abnormal = (labels * mask > 0).any(1)
    among = metrics.macro(metrics.auroc(probabilities[:, abnormal], labels[abnormal], mask[abnormal]))[0]
    result = _data_rows(labels, mask, names[:-1])
    for row in members:
        i = row['member']
        own = {metric: value[i] for metric, value in values.items()}
        most = {metric: number[i] for metric, number in defined.items()}
        named = tables.of_member(row, method='member')
        result += _rows(named, own, names, counts, most)
        ill = {'class': MACRO, 'method': 'member', 'metric': 'auroc_of_findings', 'n': int(abnormal.sum())}
        result.append(tables.of_member(row, **ill, value=float(among[i])))
        for metric, value in (('subset_accuracy', correct[i]), ('alive', alive[i])):
            fields = {'class': IMAGE, 'method': 'member', 'metric': metric, 'value': float(value), 'n': len(labels)}
            result.append(tables.of_member(row, **fields))
    first = {arm: members[numbers[0]] for arm, numbers in tables.by_arm(members).items()}
    living = np.where(alive[:, None, None], probabilities, np.nan)
    arms, together = metrics.seed_ensemble(living, [row['arm'] for row in members])
    found = metrics.evaluate(together, labels, mask)
    ensembles, defined = _by_name(found), found['defined']
    for number, arm in enumerate(arms):
        own = {metric: value[number] for metric, value in ensembles.items()}
        most = {metric: value[number] for metric, value in defined.items()}
        row = tables.of_arm(first[arm], method='ensemble')
        result += _rows(row, own, names, counts, most)
        for metric, value in values.items():
            seeds = [row['member'] for row in members if row['arm'] == arm]
            finite = np.where(alive[seeds, None], value[seeds], np.nan)
            result += tables.seed_statistics(first[arm], finite, names, metric, method='member')
    return result + _difference_rows(members, living, labels, mask, patients, names[:-1], reference, rounds, seed)


def _calibration(corrected, labels, mask) -> dict:
    """Brier score and expected calibration error of corrected probabilities, as `metrics.evaluate` gives them."""
    result = {'class': {}, 'macro': {}, 'defined': {}, 'micro': {}}
    for metric in (metrics.brier, metrics.expected_calibration_error):
        key = f'{metric.__name__}_corrected'
        result['class'][key] = metric(corrected, labels, mask)
        result['macro'][key], result['defined'][key] = metrics.macro(result['class'][key])
        result['micro'][key] = metrics.micro(metric, corrected, labels, mask)
    return result


def _by_name(found: dict) -> dict[str, np.ndarray]:
    """Metric -> [P, K + 2]: the classes, macro, micro."""
    levels = (found['macro'], found['micro'])
    return {
        name: np.concatenate([value, *(level[name][:, None] for level in levels)], axis=1)
        for name, value in found['class'].items()
    }


def _rows(row: dict, values: dict, names, counts, defined: dict) -> list[dict]:
    result = []
    for metric, value in values.items():
        for k, name in enumerate(names):
            n = defined[metric] if name == MACRO else counts[k]
            result.append({**row, 'class': name, 'metric': metric, 'value': value[k], 'n': n})
    return result


def _data_rows(labels, mask, names) -> list[dict]:
    """Prevalence, and the accuracy of always answering no, which an accuracy has to be read against."""
    facts = {
        ('data', 'prevalence'): metrics.prevalence(labels, mask),
        ('always negative', 'accuracy'): metrics.all_negative_accuracy(labels, mask),
    }
    result = []
    for (method, metric), value in facts.items():
        both = np.append(value, metrics.macro(value)[0])
        cells = zip(names, both, strict=True)
        result += [
            tables.of_nobody(**{'class': name, 'method': method, 'metric': metric, 'value': v, 'n': len(labels)})
            for name, v in cells
        ]
    return result


def _difference_rows(members, living, labels, mask, patients, names, reference, rounds, seed) -> list[dict]:
    """Every arm minus the reference over paired seeds, with the two-level bootstrap interval of patients and seeds."""
    weights = cluster_weights(patients, rounds, np.random.default_rng(seed))
    point, resampled = metrics.ranking(living, labels, mask), metrics.ranking(living, labels, mask, weights)
    arms = tables.by_arm(members)
    other, result = arms[reference], []
    for metric in RANKING:
        values, drawn = _with_macro(point[metric]), _with_macro(resampled[metric])
        for arm, numbers in arms.items():
            if arm != reference:
                row, rounds = tables.of_arm(members[numbers[0]], method='member'), (drawn[:, numbers], drawn[:, other])
                difference = f'{metric}_difference'
                result += tables.paired_rows(row, values[numbers], values[other], *rounds, names, difference, seed)
    return result


def _with_macro(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, metrics.macro(values)[0][..., None]], axis=-1)
