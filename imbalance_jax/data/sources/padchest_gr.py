"""PadChest-GR (de Castro et al. 2025): 4,555 studies of PadChest, findings with boxes of two readers."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from imbalance_jax.data import reader
from imbalance_jax.data.reader import Group, Images, Labels, Layout, Patient, Regions, Table
from imbalance_jax.data.sources.text import single_file, text_rows
from imbalance_jax.names import lookup

MASTER = 'master_table.csv'
READERS = {'boxes': 'first', 'extra_boxes': 'second'}  # key in the reports -> name of the reader
SOURCE = (
    'PadChest-GR, https://bimcv.cipf.es/bimcv-projects/padchest-gr/. de Castro DC et al. PadChest-GR: A bilingual '
    'chest X-ray dataset for grounded radiology report generation. NEJM AI 2025.'
)
NAMES = {'label': '', 'label_group': ''}


def layout(*, manual_dir: Path, names: str = 'label_group', at_least: int = 20) -> Layout:
    """Makes PadChest-GR of `master_table.csv`, `grounded_reports_*.json` and the images below `manual_dir`.

    Classes are the groups of labels (`names` 'label_group'), or the labels, with `at_least` images; the split is the
    table's. Boxes are shares of the image, of the findings that a sentence names as abnormal; `boxes` and `extra_boxes`
    are two readers'. Raises as `reader.read`, and ValueError for reports that are not as published.
    """
    lookup(NAMES, names, 'column of names (option names)')
    groups = label_groups(single_file(manual_dir, MASTER, 'It is part of PadChest-GR.')) if names != 'label' else {}
    return Layout(
        name='padchest_gr',
        tables=(
            Table(MASTER),
            Table('grounded_reports_*.json', name='boxes', read=partial(boxes, groups=groups)),
        ),
        images=Images('{ImageID}', id='{ImageID}', bits=16),
        labels=(Labels(column=names, at_least=at_least),),
        patient=Patient('PatientID'),
        split=reader.Split(column='split'),
        regions=(
            Regions(
                'boxes',
                ('ImageID',),
                column='name',
                others='ignore',
                box=('box',),
                form='xyxy',
                unit='fraction',
                reader='reader',
            ),
        ),
        groups={'sex': Group('PatientSex_DICOM', values={'female': ('F',), 'male': ('M',)})},
        family='padchest',
        source=SOURCE,
        licence='BIMCV research use agreement; not to be passed on.',
    )


def label_groups(path: Path) -> dict[str, str]:
    """{label: its group} of the master table; ValueError naming the file for a table without these columns."""
    table = text_rows(path)
    where, header = next(table, (f'{path}, line 1', []))
    if lacking := [name for name in ('label', 'label_group') if name not in header]:
        raise ValueError(f'{where}: the header has no {", ".join(lacking)}.')
    label, group = header.index('label'), header.index('label_group')
    return {cells[label]: cells[group] for _, cells in table if len(cells) > max(label, group)}


def boxes(path: Path, *, groups: Mapping[str, str]) -> Mapping[str, list[Any]]:
    """A row per box and label of the grounded reports: ImageID, name (its group if it has one), box, reader."""
    columns: dict[str, list[Any]] = {name: [] for name in ('ImageID', 'name', 'box', 'reader')}
    try:
        reports = json.loads(path.read_text('utf-8'))
        for report in reports:
            for finding in report['findings']:
                for key, who in READERS.items():
                    drawn = finding.get(key) or []
                    meant = dict.fromkeys(groups.get(name, name) for name in finding.get('labels') or [])
                    for name, box in ((name, box) for name in meant for box in drawn):
                        for column, value in zip(columns.values(), (report['ImageID'], name, box, who), strict=True):
                            column.append(value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f'{type(error).__name__}: {error}'
        raise ValueError(f'{path} is no list of grounded reports with ImageID and findings ({reason}).') from error
    return columns
