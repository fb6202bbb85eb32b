"""MIMIC-CXR-JPG (Johnson et al. 2019): 377,110 radiographs of 227,827 studies, labels per study."""

from pathlib import Path

from imbalance_jax.data.reader.layout import Images, Labels, Layout, Patient, Split, Table
from imbalance_jax.data.sources import chest
from imbalance_jax.data.sources.declared import chosen, files, first_there, maker
from imbalance_jax.names import lookup

OBSERVATIONS = tuple(sorted(chest.OBSERVATIONS))  # as its tables order them
FILES = {
    'chexpert': 'mimic-cxr-2.0.0-chexpert.csv',
    'negbio': 'mimic-cxr-2.0.0-negbio.csv',
    'radiologists': 'mimic-cxr-2.1.0-test-set-labeled.csv',
}
IMAGE = 'files/p{subject_id:.2}/p{subject_id}/s{study_id}/{dicom_id}.jpg'
SOURCE = (
    'MIMIC-CXR-JPG, PhysioNet, https://physionet.org/content/mimic-cxr-jpg. Johnson AEW, Pollard TJ, Greenbaum NR, et '
    'al. MIMIC-CXR-JPG, a large publicly available database of labeled chest radiographs. arXiv 1901.07042.'
)
LICENCE = 'PhysioNet Credentialed Health Data License: neither images nor tables may be passed on.'


def layout(
    *, manual_dir: Path, views: str = 'frontal', classes: tuple[str, ...] = (), labels: str = 'chexpert'
) -> Layout:
    """MIMIC-CXR-JPG in `manual_dir`, the folder that holds `files/` and the tables, gzipped or not.

    Labels are of studies: every image of one has them, so that a lateral film has labels of what only the frontal one
    may show; `views` is 'frontal' by default, 'lateral' or 'all'. `labels` says whose come first: 'chexpert', 'negbio',
    or 'radiologists' (687 studies of the test split, read by hand); an image of a study that the first lacks is left
    out. Whatever else is there is another version of the cells, to be chosen by a label policy. Labels are made of
    cells as of CheXpert's: what is not mentioned is negative, what is uncertain counts nowhere. The official splits.
    """
    lookup(FILES, labels, 'version of the labels (labels)')
    others = [name for name, file in FILES.items() if name != labels and first_there(manual_dir, file)]
    wanted = chosen(classes, OBSERVATIONS)
    read_by = tuple(
        Labels(columns=wanted, aliases=chest.SAME_AS, table=name, on=('study_id',), version=name)
        for name in (labels, *others)
    )
    joined = Table(FILES[labels], 'labels', on=('study_id',), needed=True)
    return Layout(
        name='mimic_cxr',
        tables=(
            Table('mimic-cxr-2.0.0-metadata.csv', where=chest.of_views('ViewPosition', views)),
            Table('mimic-cxr-2.0.0-split.csv', on=('dicom_id',), needed=True),
            joined,
            *(Table(FILES[name], name) for name in (labels, *others)),
        ),
        images=Images(IMAGE, id='{dicom_id}', suffixes=('.jpg', '.png'), channels=1),
        labels=read_by,
        patient=Patient('subject_id'),
        split=Split('split', validation=0, test=0),
        groups={'view': chest.view('ViewPosition')},
        family='mimic',
        source=SOURCE,
        licence=LICENCE,
    )


make, files_of = maker(layout), files(layout)
