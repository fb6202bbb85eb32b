"""What is in a data set: counts by split and class as rows, a contact sheet, and the same as text."""

from functools import partial

import numpy as np

from imbalance_jax.data.arrays import pictures
from imbalance_jax.data.dataset import SPLITS, Dataset
from imbalance_jax.results.rows import Row, of_kind

SHOWN = 5  # file names per kind of problem in the text
SHEET = 4  # images per finding on the contact sheet


def rows(dataset: Dataset) -> list[Row]:
    """Rows of results/data: images and patients; positives, negatives, uncertain labels and prevalence by class;
    regions by concept."""
    return [row for number, split in enumerate(SPLITS) for row in _split_rows(dataset, number, split)]


def _split_rows(dataset: Dataset, number: int, split: str) -> list[Row]:
    index = dataset.rows(split)
    mask, labels = dataset.label_mask[index].astype(int), dataset.labels[index].astype(int)
    positive, counted = (labels * mask).sum(0), mask.sum(0)
    healthy = ~(labels * mask).any(1)
    totals = {'images': len(index), 'patients': len(np.unique(dataset.patient[index])), 'no finding': healthy.sum()}
    by_class = {
        'positives': positive,
        'negatives': counted - positive,
        'uncertain': (1 - mask).sum(0),
        'prevalence': np.divide(positive, counted, out=np.full(len(positive), np.nan), where=counted > 0),
    }
    in_split = dataset.split[dataset.region_image] == number
    regions = np.bincount(dataset.region_concept[in_split], minlength=len(dataset.concepts))
    row = partial(of_kind, 'data', n=len(index), split=split)
    result = [row(metric, value) for metric, value in totals.items()]
    for metric, values in by_class.items():
        result += [row(metric, value, name=name) for name, value in zip(dataset.classes, values, strict=True)]
    return result + [row('regions', n, concept=name) for name, n in zip(dataset.concepts, regions, strict=True)]


def contact_sheet(dataset: Dataset) -> dict[str, np.ndarray]:
    """Training images to look at: the first of each finding alone if there are such, and the first without finding.

    images [n,H,W] or [n,H,W,3] uint8, finding [n] (-1 without), boxes [n,4] in image pixels (NaN without).
    """
    train = dataset.rows('train')
    labels = dataset.labels[train] * dataset.label_mask[train]
    height, width = dataset.images.shape[1:3]
    scale = np.array([width, height, width, height]) / np.array(dataset.info['frame'])[[1, 0, 1, 0]]
    chosen, finding, boxes = [], [], []
    for k in (-1, *range(len(dataset.classes))):
        has = ~labels.any(1) if k < 0 else labels[:, k] > 0
        for row in train[np.argsort(~has * 100 + labels.sum(1), kind='stable')][: min(SHEET, has.sum())]:
            region = (dataset.region_image == row) & (dataset.region_concept == k)
            chosen.append(row)
            finding.append(k)
            boxes.append(dataset.region_box[region][0] * scale if region.any() else np.full(4, np.nan))
    return {
        'images': pictures(dataset.images[chosen]),
        'finding': np.array(finding),
        'boxes': np.array(boxes, np.float32),
    }


def describe(dataset: Dataset) -> str:
    """The data set in a screenful of text."""
    info, lines = dataset.info, []
    value = {
        (row['metric'], row['class'] or row.get('concept', ''), row['split']): row['value'] for row in rows(dataset)
    }
    size = 'x'.join(map(str, dataset.images.shape[1:3]))
    lines.append(f'{info["name"]}: {len(dataset.images):,} images of {size} pixels. {info["source"]}')
    lines.append(f'{"":22}' + ''.join(f'{split:>22}' for split in SPLITS))
    for metric in ('images', 'patients', 'no finding'):
        lines.append(f'{metric:22}' + ''.join(f'{value[metric, "", split]:22,.0f}' for split in SPLITS))
    lines.append(f'{"class":22}' + ''.join(f'{"positives   regions":>22}' for _ in SPLITS))
    for name in dataset.concepts:
        counts = ((value.get(('positives', name, split), 0), value['regions', name, split]) for split in SPLITS)
        lines.append(f'{name:22}' + ''.join(f'{positives:12,.0f}{regions:10,.0f}' for positives, regions in counts))
    for kind, names in info['problems'].items():
        if names:
            more = f' and {len(names) - SHOWN:,} more' if len(names) > SHOWN else ''
            lines.append(f'left out, {kind.replace("_", " ")}: {len(names):,} ({", ".join(names[:SHOWN])}{more})')
    return '\n'.join([*lines, *(f'note: {one}' for one in info.get('notes', []))])
