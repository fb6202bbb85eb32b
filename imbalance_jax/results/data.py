"""What is in a data set: counts by split and class as rows, a contact sheet, and the same as text."""

import numpy as np

from imbalance_jax.data.dataset import SPLITS, Dataset
from imbalance_jax.results import rows as tables

SHOWN = 5  # file names a kind of problem in the text
SHEET = 4  # images a finding on the contact sheet


def rows(dataset: Dataset) -> list[dict]:
    """Rows of results/data: images, patients; positives, negatives, uncertain, prevalence and regions by class."""
    made = []
    for number, split in enumerate(SPLITS):
        index = dataset.rows(split)
        mask, labels = dataset.label_mask[index].astype(int), dataset.labels[index].astype(int)
        positive = (labels * mask).sum(0)
        in_split = dataset.split[dataset.region_image] == number
        regions = np.bincount(dataset.region_concept[in_split], minlength=len(dataset.concepts))
        by_class = {
            'positives': positive,
            'negatives': mask.sum(0) - positive,
            'uncertain': (1 - mask).sum(0),
            'prevalence': np.divide(positive, mask.sum(0), out=np.full(len(positive), np.nan), where=mask.sum(0) > 0),
        }
        healthy = ~(labels * mask).any(1)
        totals = {'images': len(index), 'patients': len(np.unique(dataset.patient[index])), 'no finding': healthy.sum()}
        made += [_row('', split, metric, value, len(index)) for metric, value in totals.items()]
        for metric, values in by_class.items():
            made += [_row(name, split, metric, v, len(index)) for name, v in zip(dataset.classes, values, strict=True)]
        made += [_row(name, split, 'regions', v, len(index)) for name, v in zip(dataset.concepts, regions, strict=True)]
    return made


def _row(name: str, split: str, metric: str, value, n: int) -> dict:
    fields = {'class': name, 'split': split, 'method': 'data', 'metric': metric, 'value': float(value), 'n': n}
    return tables.of_nobody(**fields)


def contact_sheet(dataset: Dataset) -> dict[str, np.ndarray]:
    """Training images to look at: the first of each finding alone if there are such, and the first without finding.

    images [n,H,W] uint8, finding [n] (-1 without), boxes [n,4] in image pixels (NaN without).
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
        'images': dataset.images[chosen, :, :, 0],
        'finding': np.array(finding),
        'boxes': np.array(boxes, np.float32),
    }


def describe(dataset: Dataset) -> str:
    """The data set in a screenful of text."""
    info, lines = dataset.info, []
    found = {(row['class'], row['split'], row['metric']): row['value'] for row in rows(dataset)}
    size = 'x'.join(map(str, dataset.images.shape[1:3]))
    lines.append(f'{info["name"]}: {len(dataset.images):,} images of {size} pixels. {info["source"]}')
    lines.append(f'{"":22}' + ''.join(f'{split:>22}' for split in SPLITS))
    for metric in ('images', 'patients', 'no finding'):
        lines.append(f'{metric:22}' + ''.join(f'{found["", split, metric]:22,.0f}' for split in SPLITS))
    lines.append(f'{"class":22}' + ''.join(f'{"positives   regions":>22}' for _ in SPLITS))
    for name in dataset.concepts:
        counts = ((found.get((name, split, 'positives'), 0), found[name, split, 'regions']) for split in SPLITS)
        lines.append(f'{name:22}' + ''.join(f'{positives:12,.0f}{regions:10,.0f}' for positives, regions in counts))
    for kind, names in info['problems'].items():
        if names:
            more = f' and {len(names) - SHOWN:,} more' if len(names) > SHOWN else ''
            lines.append(f'left out, {kind.replace("_", " ")}: {len(names):,} ({", ".join(names[:SHOWN])}{more})')
    return '\n'.join(lines)
