"""BRAX (Reis et al. 2022): 40,967 Brazilian chest radiographs, labelled as CheXpert is."""

from pathlib import Path

from imbalance_jax.data.reader.layout import Group, Images, Labels, Layout, Patient, Split, Table
from imbalance_jax.data.sources import chest
from imbalance_jax.data.sources.declared import chosen, files, first_there, maker

TABLES = ('master_spreadsheet_update.csv', 'master_spreadsheet.csv')
SOURCE = (
    'BRAX, PhysioNet, https://physionet.org/content/brax. Reis EP, de Paiva JPQ, da Silva MCB, et al. BRAX, Brazilian '
    'labeled chest x-ray dataset. Scientific Data 2022.'
)
LICENCE = 'PhysioNet Credentialed Health Data License: neither images nor tables may be passed on.'


def layout(
    *, manual_dir: Path, views: str = 'frontal', classes: tuple[str, ...] = (), validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
) -> Layout:  # fmt: skip
    """BRAX in `manual_dir`: the master table, of which the corrected one goes first, and `images/` as PNG.

    `views` is 'frontal', 'lateral' or 'all'. There is no official split: patients are drawn. Labels are made of the
    four-valued cells as of CheXpert's. Ages are bands of five years, '85 or more' the last.
    """
    return Layout(
        name='brax',
        tables=(Table(first_there(manual_dir, *TABLES) or TABLES[0], where=chest.of_views('ViewPosition', views)),),
        images=Images('{PngPath}', suffixes=('.png',), channels=1),
        labels=(Labels(columns=chosen(classes, chest.OBSERVATIONS), version='brax'),),
        patient=Patient('PatientID'),
        split=Split(validation=validation_fraction, test=test_fraction),
        groups={
            'sex': chest.sex('PatientSex'),
            'age': chest.age('PatientAge'),
            'view': chest.view('ViewPosition'),
            'device': Group('Manufacturer'),
        },
        family='brax',
        source=SOURCE,
        licence=LICENCE,
    )


make, files_of = maker(layout), files(layout)
