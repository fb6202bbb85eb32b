"""The RSNA Pneumonia Detection Challenge of 2018: 26,684 of NIH's images, read again, with boxes of lung opacities."""

import json
import logging
from pathlib import Path
from typing import Any

from imbalance_jax.data.reader.layout import Images, Labels, Layout, Patient, Regions, Split, Table
from imbalance_jax.data.sources import chest, nih_tables
from imbalance_jax.data.sources.declared import files, first_there, maker
from imbalance_jax.data.sources.rsna_boxes import MAP
from imbalance_jax.names import lookup

log = logging.getLogger(__name__)
OPACITY = 'Lung Opacity'
THREE = ('Normal', 'No Lung Opacity / Not Normal', OPACITY)
HEADERS = 'kaggle_stage_2_train_images_dicom_headers.csv'
LABELS = {
    'opacity': Labels(columns=('Target',), classes=(OPACITY,), aliases={OPACITY: ('Target',)}, version='rsna'),
    'three': Labels(column='class', classes=THREE, none=(), version='rsna'),
}
SOURCE = (
    'RSNA Pneumonia Detection Challenge 2018. Shih G, Wu CC, Halabi SS, et al. Augmenting the National Institutes of '
    f'Health chest radiograph dataset with expert annotations of possible pneumonia. Radiology: AI 2019. '
    f'{nih_tables.CITED}'
)
LICENCE = 'Terms of the RSNA challenge: research and education; images: NIH Clinical Center.'


def layout(
    *, manual_dir: Path, classes: str = 'opacity', validation_fraction: float = 0.1, test_fraction: float = 0.2
) -> Layout:
    """The challenge's training images in `manual_dir`: `stage_2_train_images/*.dcm` (or a copy as PNG) and two tables.

    classes: 'opacity' (one class, `Lung Opacity`: opacities suspicious for pneumonia, not pneumonia), or 'three' (one
    class per image: normal, not normal without an opacity, opacity). Boxes are in the 1024 px frame, their corner
    upper left. A `patientId` is an image: whose it is, only the map to NIH's names tells, `rsna_boxes.MAP`. With it
    splits are by patient and images have NIH's names; without it every image is a patient of its own, and images of one
    patient may be in training and in test, which is warned of.
    """
    labels = lookup(LABELS, classes, 'kind of classes (classes)')
    mapped, headers = first_there(manual_dir, MAP), first_there(manual_dir, HEADERS)
    if not mapped:
        log.warning(
            '%s has no %s: whose images these are is unknown, every image is taken for a patient of its own, and '
            'images of one patient may be in training and in test.',
            manual_dir,
            MAP,
        )
    details = [Table('stage_2_detailed_class_info.csv', on=('patientId',), needed=True)] if classes == 'three' else []
    names = [Table(mapped, on=('patientId=subset_img_id',), needed=True, read=names_of)] if mapped else []
    facts = [Table(headers, on=('patientId=PatientID',))] if headers else []
    groups = {'sex': chest.sex('PatientSex'), 'age': chest.age('PatientAge'), 'view': chest.view('ViewPosition')}
    return Layout(
        name='rsna_pneumonia',
        tables=(Table('stage_2_train_labels.csv'), *details, *names, *facts),
        images=Images(
            '{patientId}.dcm',
            id='{img_id}' if mapped else '{patientId}',
            exclude=('stage_2_test_images/*',),
            suffixes=('.dcm', '.png', '.jpg'),
            channels=1,
        ),
        labels=(labels,),
        patient=Patient('img_id', r'^0*(\d+)_') if mapped else Patient(),
        split=Split(validation=validation_fraction, test=test_fraction),
        regions=(Regions(concept=OPACITY, box=('x', 'y', 'width', 'height'), frame=(nih_tables.FRAME,) * 2),),
        groups=groups if facts else {},
        task='multi_class' if classes == 'three' else 'multi_label',
        family='nih',
        source=SOURCE,
        licence=LICENCE,
    )


def names_of(path: Path) -> dict[str, list[Any]]:
    """The map's columns img_id, NIH's name, and subset_img_id, the challenge's; ValueError for another file."""
    try:
        entries = json.loads(path.read_text(encoding='utf-8'))
        return {name: [entry[name] for entry in entries] for name in ('img_id', 'subset_img_id')}
    except (ValueError, KeyError, TypeError) as error:
        reason = f'{type(error).__name__}: {error}'
        raise ValueError(f'{path} is no list of {{"subset_img_id": ..., "img_id": ...}} ({reason}).') from error


make, files_of = maker(layout), files(layout)
