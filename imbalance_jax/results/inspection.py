"""A data set as text: what is in it, under which labels, whose images they are, and what was left out."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from imbalance_jax.data import coverage, policies
from imbalance_jax.data.dataset import SPLITS, Dataset
from imbalance_jax.data.soundness import SHOWN, problem
from imbalance_jax.names import some
from imbalance_jax.results.data import SILENT, rows

NAME, COLUMN = 22, 33  # characters
LONGEST = 40  # of a name
MANY = 40  # classes, from which on policies are shown for training alone
ABREAST = 4  # policies beside one another

Values = dict[tuple[str, ...], float]  # (metric, class or concept, split, labels, grouping, group) -> value


def describe(dataset: Dataset, own_policies: Mapping[str, Any] = MappingProxyType({})) -> str:
    """The data set in a few screenfuls of text. own_policies: of `config.data.policies`."""
    value = {
        (row['metric'], row['class'] or row.get('concept', ''), row['split'], *_where(row)): row['value']
        for row in rows(dataset, own_policies)
    }
    width = min(LONGEST, max(NAME, *(len(name) + 2 for name in dataset.concepts)))
    blocks = [
        _head(dataset),
        _splits(value, dataset, width),
        _classes(value, dataset, width),
        _cells(value, dataset, width),
        _policies(value, dataset, width, coverage.allowed(dataset, own_policies)),
        _hidden(dataset, own_policies),
        _problems(dataset),
    ]
    return '\n\n'.join('\n'.join(block) for block in blocks if block)


def _where(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(row.get(key, '') for key in ('labels', 'grouping', 'group'))


def _get(value: Values, metric: str, name: str, split: str, labels: str = '') -> float:
    return value.get((metric, name, split, labels, '', ''), 0)


def _head(dataset: Dataset) -> list[str]:
    info, (height, width, channels) = dataset.info, dataset.images.shape[1:]
    kind = 'colour' if channels == 3 else 'grey' if channels == 1 else f'{channels} channels'
    lines = [f'{info["name"]}: {len(dataset.images):,} images of {width} x {height} pixels, {kind}.', info['source']]
    if dataset.source_size is not None:
        lines.append(_sizes(dataset))
    words = {'task': 'task', 'modality': 'modality', 'family': 'images of', 'policy': 'labels by the policy'}
    if said := [f'{word}: {_policy_name(info[key])}' for key, word in words.items() if info.get(key)]:
        lines.append('; '.join(said))
    return lines


def _policy_name(value: Any) -> str:
    return ', '.join(f'{key} {one}' for key, one in value.items()) if isinstance(value, Mapping) else str(value)


def _sizes(dataset: Dataset) -> str:
    assert dataset.source_size is not None
    (low, middle, high), prepared = np.quantile(dataset.source_size, (0, 0.5, 1), axis=0), dataset.images.shape[1:3]
    smaller = int((dataset.source_size < prepared).any(1).sum())
    spans = [
        f'{a:.0f}' if a == c else f'{a:.0f} to {c:.0f} (median {b:.0f})'
        for a, b, c in zip(low, middle, high, strict=True)
    ]
    text = f'files: {spans[1]} x {spans[0]} pixels'
    uneven = int((dataset.source_size[:, 0] != dataset.source_size[:, 1]).sum())
    if uneven:
        became = {'stretch': 'stretched', 'pad': 'padded', 'crop': 'cropped'}[dataset.info.get('resize', 'stretch')]
        text += f'; {uneven:,} are not square and were {became}'
    return text + (f'; {smaller:,} are smaller than the images and were enlarged' if smaller else '')


def _splits(value: Values, dataset: Dataset, width: int) -> list[str]:
    """Images and patients of the splits, of all and by group."""
    lines = [f'{"":{width}}' + ''.join(f'{split:>{COLUMN}}' for split in SPLITS)]
    for metric in ('images', 'patients', 'no finding'):
        lines.append(f'{metric:{width}}' + ''.join(f'{_get(value, metric, "", s):{COLUMN},.0f}' for s in SPLITS))
    groups = dict.fromkeys(key[4:] for key in value if key[4])
    for grouping, group in groups:
        counts = (value.get(('images', '', split, '', grouping, group), 0) for split in SPLITS)
        shares = (
            f'{n:{COLUMN - 9},.0f} {_percent(n, _get(value, "images", "", split))}'
            for n, split in zip(counts, SPLITS, strict=True)
        )
        lines.append(_name(f'{grouping}: {group}', width) + ''.join(shares))
    return lines


def _classes(value: Values, dataset: Dataset, width: int) -> list[str]:
    """Positives, prevalence and regions by class and split; concepts that are no class have regions alone."""
    regions = len(dataset.region_box) > 0
    title = 'positives prevalence' + ('   regions' if regions else '')
    lines = [f'{"class":{width}}' + ''.join(f'{title:>{COLUMN}}' for _ in SPLITS)]
    for name in dataset.concepts if regions else dataset.classes:
        cells = []
        for split in SPLITS:
            positive, share = _get(value, 'positives', name, split), _get(value, 'prevalence', name, split)
            figures = f'{positive:,.0f} {_share(share):>10}' if name in dataset.classes else ''
            cells.append(f'{figures:>20}' + (f'{_get(value, "regions", name, split):10,.0f}' if regions else ''))
        lines.append(_name(name, width) + ''.join(f'{cell:>{COLUMN}}' for cell in cells))
    uncounted = sum(_get(value, 'not counted', name, split) for name in dataset.classes for split in SPLITS)
    return [*lines, f'{uncounted:,.0f} labels are uncertain or missing and count nowhere.'] if uncounted else lines


def _cells(value: Values, dataset: Dataset, width: int) -> list[str]:
    """What cells say that say neither yes nor no, of training images."""
    if dataset.cells is None or not any(
        value.get((metric, n, 'train', '', '', ''), 0) for metric in SILENT for n in dataset.classes
    ):
        return []
    lines = [f'{"train, images that are":{width}}' + ''.join(f'{metric:>16}' for metric in SILENT)]
    for name in dataset.classes:
        lines.append(_name(name, width) + ''.join(f'{_get(value, m, name, "train"):16,.0f}' for m in SILENT))
    return lines


def _policies(value: Values, dataset: Dataset, width: int, names: Iterable[str]) -> list[str]:
    """Positives, of how many that count, and prevalence under every policy."""
    names = list(names)
    lines: list[str] = []
    splits: Sequence[str] = SPLITS if len(dataset.classes) < MANY else SPLITS[:1]
    for split in splits:
        for start in range(0, len(names), ABREAST):
            abreast = names[start : start + ABREAST]
            lines += [''] * bool(lines)
            lines.append(_name(f'{split}, by policy', width) + ''.join(f'{name:>{COLUMN}}' for name in abreast))
            for name in dataset.classes:
                lines.append(_name(name, width) + ''.join(_figures(value, name, split, policy) for policy in abreast))
    if names and len(splits) == 1:
        lines.append('The other splits by policy: results/data of a trained population.')
    return lines


def _figures(value: Values, name: str, split: str, policy: str) -> str:
    positive, negative = (_get(value, metric, name, split, policy) for metric in ('positives', 'negatives'))
    return f'{f"{positive:,.0f} of {positive + negative:,.0f}":>{COLUMN - 9}} {_percent(positive, positive + negative)}'


def _hidden(dataset: Dataset, own_policies: Mapping[str, Any]) -> list[str]:
    """Which labels hide the negatives of which class."""
    index, lines = dataset.rows('train'), []
    read = coverage.were_read(dataset)[index]
    own = dataset.labels[index], dataset.label_mask[index]
    lines += [f'Warning: {said}.' for said in coverage.hidden_negatives(own, read, dataset.classes)]
    for name, policy in coverage.allowed(dataset, own_policies).items():
        labels, mask = policies.apply(dataset, policy)
        read = coverage.were_read(dataset, policy)[index]
        for said in coverage.hidden_negatives((labels[index], mask[index]), read, dataset.classes):
            lines.append(f'Warning, {name}: {said}.')
    return lines


def _problems(dataset: Dataset) -> list[str]:
    lines = [problem(kind, names) for kind, names in dataset.info['problems'].items() if names]
    notes = [*dataset.info.get('notes', []), *dataset.info.get('doubts', []), *_one_sided(dataset)]
    return [*lines, *(f'note: {one}' for one in notes)]


def _one_sided(dataset: Dataset) -> list[str]:
    """Classes that every label that counts affirms, or every one denies, in all splits together; and those without a
    positive image in one split."""
    used = dataset.split < len(SPLITS)
    counted = dataset.label_mask[used].sum(0, dtype=int)
    positive = (dataset.labels * dataset.label_mask)[used].sum(0, dtype=int)
    sides = {'positive': (positive == counted) & (counted > 0), 'negative': (positive == 0) & (counted > 0)}
    lacking = {}
    for number, split in enumerate(SPLITS):
        of_split = (dataset.labels * dataset.label_mask)[dataset.split == number].sum(0, dtype=int)
        lacking[split] = (of_split == 0) & (positive > 0) & (dataset.split == number).any()
    return [
        *(
            f'no positive image in {split}: {some([dataset.classes[k] for k in np.flatnonzero(of_class)], SHOWN)}.'
            for split, of_class in lacking.items()
            if of_class.any()
        ),
        *_all_alike(dataset, sides),
    ]


def _all_alike(dataset: Dataset, sides: dict[str, np.ndarray]) -> list[str]:
    """Sentences about classes [K] of one side only."""
    return [
        f'{side} in all images that count, so that there is nothing to learn: '
        f'{some([dataset.classes[k] for k in np.flatnonzero(of_side)], SHOWN)}.'
        for side, of_side in sides.items()
        if of_side.any()
    ]


def _name(name: str, width: int) -> str:
    return f'{name if len(name) < width else name[: width - 2] + "…":{width}}'


def _share(share: float) -> str:
    """A share in per cent, with two digits below one per cent."""
    if not np.isfinite(share):
        return '–'
    return f'{100 * share:.{1 if share >= 0.01 or not share else 2}f} %'


def _percent(part: float, whole: float) -> str:
    return f'{_share(part / whole) if whole else "–":>8}'
