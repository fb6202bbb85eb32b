"""What is in a data set, as rows: counts by split and class, under every label policy, by group; a contact sheet."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from imbalance_jax.data import coverage, policies
from imbalance_jax.data.arrays import pictures
from imbalance_jax.data.dataset import NOT_MENTIONED, NOT_READ, SPLITS, UNCERTAIN, Dataset
from imbalance_jax.results.rows import Row, of_kind

UNKNOWN = 'unknown'  # a group
SHEET = 4  # images per finding on the contact sheet
# What the cells of a class say where they say neither yes nor no.
SILENT = {'uncertain': UNCERTAIN, 'not mentioned': NOT_MENTIONED, 'not read': NOT_READ}


def rows(dataset: Dataset, own_policies: Mapping[str, Any] = MappingProxyType({})) -> list[Row]:
    """Rows of results/data, by split.

    Images and patients, of all and by group; images whose file is smaller than they are; positives, negatives, labels
    that do not count, and prevalence by class, as everything is judged and, where a set has cells, under every policy;
    cells that are uncertain, silent or not read; regions by concept. own_policies: of `config.data.policies`.
    """
    labels = {'': (dataset.labels, dataset.label_mask), **under_policies(dataset, own_policies)}
    result = []
    for number, split in enumerate(SPLITS):
        index = dataset.rows(split)
        row = partial(of_kind, 'data', n=len(index), split=split)
        result += [*_totals(dataset, index, row), *_groups(dataset, index, row)]
        for name, (values, mask) in labels.items():
            result += _classes(dataset, values[index], mask[index], partial(row, labels=name))
        result += _silent(dataset, index, row)
        in_split = dataset.split[dataset.region_image] == number
        regions = np.bincount(dataset.region_concept[in_split], minlength=len(dataset.concepts))
        result += [row('regions', n, concept=name) for name, n in zip(dataset.concepts, regions, strict=True)]
    return result


def under_policies(
    dataset: Dataset, own_policies: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, policies.Cells]:
    """Labels and mask [N,K] under every policy that the cells of a data set allow; {} without cells."""
    if dataset.cells is None:
        return {}
    return {name: policies.apply(dataset, policy) for name, policy in coverage.allowed(dataset, own_policies).items()}


def _totals(dataset: Dataset, index: np.ndarray, row: Any) -> list[Row]:
    findings = [k for k, name in enumerate(dataset.classes) if name.lower() not in policies.NO_FINDING]
    known, present = (array[index][:, findings].astype(bool) for array in (dataset.label_mask, dataset.labels))
    healthy = known.all(1) & ~present.any(1)  # as of `units.HEALTHY`
    patients = len(np.unique(dataset.patient[index]))
    result = [row('images', len(index)), row('patients', patients), row('no finding', healthy.sum())]
    if dataset.source_size is not None:
        smaller = (dataset.source_size[index] < dataset.images.shape[1:3]).any(1)
        result.append(row('enlarged images', smaller.sum()))
    return result


def _groups(dataset: Dataset, index: np.ndarray, row: Any) -> list[Row]:
    result = []
    for column, (grouping, names) in enumerate(dataset.info.get('groups', {}).items()):
        assert dataset.groups is not None
        codes = dataset.groups[index, column]
        for code, name in [*enumerate(names), (-1, UNKNOWN)]:
            of = codes == code
            if code >= 0 or of.any():
                result.append(row('images', of.sum(), grouping=grouping, group=name))
                result.append(
                    row('patients', len(np.unique(dataset.patient[index][of])), grouping=grouping, group=name)
                )
    return result


def _classes(dataset: Dataset, labels: np.ndarray, mask: np.ndarray, row: Any) -> list[Row]:
    positive, counted = (labels * mask).sum(0, dtype=int), mask.sum(0, dtype=int)
    by_class = {
        'positives': positive,
        'negatives': counted - positive,
        'not counted': len(mask) - counted,
        'prevalence': np.divide(positive, counted, out=np.full(len(positive), np.nan), where=counted > 0),
    }
    return [
        row(metric, value, name=name)
        for metric, values in by_class.items()
        for name, value in zip(dataset.classes, values, strict=True)
    ]


def _silent(dataset: Dataset, index: np.ndarray, row: Any) -> list[Row]:
    """Images that a reading of the first version calls uncertain, and those that no reading mentions or has read."""
    if dataset.cells is None:
        return []
    cells = dataset.cells[policies.readings_of(dataset.info['readings'])][:, index]
    result = []
    for metric, value in SILENT.items():
        said = cells == value
        counts = (said.any(0) if value == UNCERTAIN else said.all(0)).sum(0)
        result += [row(metric, n, name=name) for name, n in zip(dataset.classes, counts, strict=True)]
    return result


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
