"""The section on the data: splits, prevalence and regions, a contact sheet, what was left out."""

import math
from typing import Any

import numpy as np

from imbalance_jax.analysis.report import figures, galleries
from imbalance_jax.analysis.report.cells import Cell, Table
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import Panel, whole
from imbalance_jax.data import coverage, policies
from imbalance_jax.data.dataset import SPLITS
from imbalance_jax.results.data import SILENT

FILES_NAMED = 5  # of those left out, per kind of problem


def section(study: Study) -> dict[str, Any]:
    """What the template lays out."""
    problems = {kind.replace('_', ' '): names for kind, names in study.info['problems'].items() if names}
    return {
        'splits': splits(study),
        'table': classes(study),
        'policies': [under_policies(study, split) for split in SPLITS] if labels_of(study) else [],
        'silent': silent(study),
        'groups': groups(study),
        'warnings': hidden(study),
        'trained_on': trained_on(study),
        'enlarged': study.data('enlarged images', '', split='train') if 'labels' in study.data.columns else 0,
        'prevalence': prevalence(study),
        'sheet': galleries.contact_sheet(study.sheet, study.classes),
        'notes': [*study.info.get('notes', []), *study.info.get('doubts', [])],
        'problems': [(kind, len(names), names[:FILES_NAMED]) for kind, names in problems.items()],
    }


def classes(study: Study) -> Table:
    """Positives, prevalence and annotated regions by class and split; concepts that are no class have regions only."""

    def cells(name: str, split: str) -> list[Cell]:
        positive, share = (study.data(metric, name, split=split) for metric in ('positives', 'prevalence'))
        regions = study.data('regions', '', concept=name, split=split)
        return [Cell(whole(positive)), Cell(_percent(share)), Cell(whole(regions))]

    head = ['positives', 'prevalence', 'regions'] * len(SPLITS)
    rows = [(name, [cell for split in SPLITS for cell in cells(name, split)]) for name in study.concept_names]
    return Table('data', 'class', head, rows, tuple((split, 3) for split in SPLITS))


def labels_of(study: Study) -> list[str]:
    """The label policies that the data were counted under, without the one that everything is judged by."""
    columns = study.data.columns  # those of older versions have none
    return [name for name in study.data.distinct('labels') if name] if 'labels' in columns else []


def under_policies(study: Study, split: str) -> Table:
    """Positives of those that count, and prevalence below, by class and label policy."""

    def cell(name: str, policy: str) -> Cell:
        positive, negative, share = (
            study.data(metric, name, split=split, labels=policy) for metric in ('positives', 'negatives', 'prevalence')
        )
        return Cell(f'{whole(positive)} / {whole(positive + negative)}', _percent(share))

    names = labels_of(study)
    rows = [(name, [cell(name, policy) for policy in names]) for name in study.classes]
    return Table(f'policies-{split}', 'class', names, rows)


def silent(study: Study) -> Table | None:
    """Images whose label is no yes and no no, by class and split; None where all are one or the other."""
    head = [metric for metric in ('not counted', *SILENT) if study.data.distinct('class', metric=metric)]
    counts = {
        name: [study.data(metric, name, split=split) for split in SPLITS for metric in head] for name in study.classes
    }
    if not any(value > 0 for values in counts.values() for value in values):
        return None
    rows = [(name, [Cell(whole(value)) for value in values]) for name, values in counts.items()]
    return Table('silent', 'class', head * len(SPLITS), rows, tuple((split, len(head)) for split in SPLITS))


def groups(study: Study) -> Table | None:
    """Images and patients by group and split; None for data without groups."""
    groupings = [name for name in study.data.distinct('grouping') if name] if 'grouping' in study.data.columns else []
    rows = []
    for grouping in groupings:
        for group in study.data.distinct('group', grouping=grouping):
            where = {'grouping': grouping, 'group': group}
            counts = [study.data(m, '', split=split, **where) for split in SPLITS for m in ('images', 'patients')]
            rows.append((f'{grouping}: {group}', [Cell(whole(value)) for value in counts]))
    head = ['images', 'patients'] * len(SPLITS)
    return Table('groups-of-people', 'group', head, rows, tuple((split, 2) for split in SPLITS)) if rows else None


def trained_on(study: Study) -> list[str]:
    """The arms that were trained on other labels than everything is judged by, with their policies."""
    labels = {arm: study.rows(arm)[0].get('labels', policies.OWN) for arm in study.arms}
    return [f'{arm} ({name})' for arm, name in labels.items() if name not in (policies.OWN, policies.PERMUTED)]


def hidden(study: Study) -> list[str]:
    """The labels, and the classes whose negatives they hide, of training images."""
    said = []
    for policy in ['', *labels_of(study)]:
        where = {'split': 'train', **({'labels': policy} if policy else {})}
        names = [name for name in study.classes if _hides(study, name, where)]
        if names:
            said.append(f'{policy or "the labels of this study"}: {", ".join(names)}')
    return said


def _hides(study: Study, name: str, where: dict[str, str]) -> bool:
    positive, negative = (study.data(metric, name, **where) for metric in ('positives', 'negatives'))
    unread = study.data('not read', name, split='train')
    read = study.data('images', '', split='train') - (unread if math.isfinite(unread) else 0)
    counts = (np.array([value]) for value in (positive, positive + negative, read))
    return bool(coverage.hides_negatives(*counts)[0])


def _percent(share: float) -> str:
    return f'{100 * share:.2f} %' if math.isfinite(share) else '–'


def splits(study: Study) -> Table:
    """Images and patients of the splits."""
    metrics = ('images', 'patients', 'no finding')
    rows = [(split, [Cell(whole(study.data(metric, '', split=split))) for metric in metrics]) for split in SPLITS]
    return Table('splits', 'split', ['images', 'patients', 'images without a finding'], rows)


def prevalence(study: Study) -> Panel:
    """The share of images with each finding, by split."""
    shares = {split: [study.data('prevalence', name, split=split) for name in study.classes] for split in SPLITS}
    return figures.prevalences(study.classes, shares)
