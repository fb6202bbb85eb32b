"""The section on the data: splits, prevalence and regions, a contact sheet, what was left out."""

import math
from typing import Any

from imbalance_jax.analysis.report import figures, galleries
from imbalance_jax.analysis.report.cells import Cell, Table
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import Panel, whole
from imbalance_jax.data.dataset import SPLITS

FILES_NAMED = 5  # of those left out, per kind of problem


def section(study: Study) -> dict[str, Any]:
    """What the template lays out."""
    problems = {kind.replace('_', ' '): names for kind, names in study.info['problems'].items() if names}
    return {
        'splits': splits(study),
        'table': classes(study),
        'prevalence': prevalence(study),
        'sheet': galleries.contact_sheet(study.sheet, study.classes),
        'problems': [(kind, len(names), names[:FILES_NAMED]) for kind, names in problems.items()],
    }


def classes(study: Study) -> Table:
    """Positives, prevalence and annotated regions by class and split; concepts that are no class have regions only."""

    def cells(name: str, split: str) -> list[Cell]:
        positive, share = (study.data(metric, name, split=split) for metric in ('positives', 'prevalence'))
        regions = study.data('regions', '', concept=name, split=split)
        percent = f'{100 * share:.2f} %' if math.isfinite(share) else '–'
        return [Cell(whole(positive)), Cell(percent), Cell(whole(regions))]

    head = ['positives', 'prevalence', 'regions'] * len(SPLITS)
    rows = [(name, [cell for split in SPLITS for cell in cells(name, split)]) for name in study.concept_names]
    return Table('data', 'class', head, rows, tuple((split, 3) for split in SPLITS))


def splits(study: Study) -> Table:
    """Images and patients of the splits."""
    metrics = ('images', 'patients', 'no finding')
    rows = [(split, [Cell(whole(study.data(metric, '', split=split))) for metric in metrics]) for split in SPLITS]
    return Table('splits', 'split', ['images', 'patients', 'images without a finding'], rows)


def prevalence(study: Study) -> Panel:
    """The share of images with each finding, by split."""
    shares = {split: [study.data('prevalence', name, split=split) for name in study.classes] for split in SPLITS}
    return figures.prevalences(study.classes, shares)
