"""Google's adjudicated labels of 4,376 NIH images (Majkowska et al. 2020): four findings, three radiologists each."""

from pathlib import Path

from imbalance_jax.data.reader.layout import Images, Labels, Layout, Patient, Split, Table
from imbalance_jax.data.sources import chest, nih_tables
from imbalance_jax.data.sources.declared import files, maker
from imbalance_jax.system.files import at_home

CLASSES = ('Fracture', 'Pneumothorax', 'Airspace opacity', 'Nodule or mass')
FILE = 'google2019_nih-chest-xray-labels.csv'


def layout(*, manual_dir: Path, labels_dir: str = '') -> Layout:
    """NIH's images in `manual_dir` that `google2019_nih-chest-xray-labels.csv` names, there or in `labels_dir`.

    Four findings, YES or NO, adjudicated. `Set Id` val is validation and test is test: no image is for training. It
    tests, with clean labels, what was trained on NIH's images, all of whose test list it is drawn from. `Pneumothorax`
    is the one finding that NIH's table has under the same definition.
    """
    return Layout(
        name='nih_google',
        tables=(Table(str(at_home(labels_dir) / FILE) if labels_dir else FILE),),
        images=Images('{Image Index}', id='{Image Index}', suffixes=('.png', '.jpg'), channels=1),
        labels=(Labels(columns=CLASSES, version='google 2019'),),
        patient=Patient('Patient ID'),
        split=Split('Set Id', validation=0, test=0),
        groups={
            'sex': chest.sex('Patient Gender'),
            'age': chest.age('Patient Age'),
            'view': chest.view('View Position'),
        },
        family='nih',
        source='Majkowska A, Mittal S, Steiner DF, et al. Chest radiograph interpretation with deep learning models: '
        f'assessment with radiologist-adjudicated reference standards. Radiology 2020. {nih_tables.CITED}',
        licence=nih_tables.LICENCE,
    )


make, files_of = maker(layout), files(layout)
