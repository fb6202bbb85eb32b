"""CheXpert (Irvin et al. 2019): 224,316 radiographs, 14 observations that a labeler read out of reports."""

from pathlib import Path

from imbalance_jax.data.reader.layout import Images, Labels, Layout, Patient, Split, Table
from imbalance_jax.data.sources import chest, chexlocalize
from imbalance_jax.data.sources.declared import chosen, files, first_there, maker

AGE = ('Age', r'^([1-9]\d*)$', r'\1')  # 0 is no age
KEY = ('Path', r'(patient\d+)/(study\d+)/(view\d+_\w+)', r'\1_\2_\3')  # of an image, as CheXlocalize writes it
FILE_VIEW = ('Path', r'view\d+_(frontal|lateral)', r'\1')
TESTS = ('test_labels.csv', 'CheXpert/test_labels.csv', 'test.csv', '*/test_labels.csv')
COMPETITION = ('Atelectasis', 'Cardiomegaly', 'Consolidation', 'Edema', 'Pleural Effusion')
SOURCE = (
    'CheXpert, Stanford AIMI, https://stanfordaimi.azurewebsites.net. Irvin J, Rajpurkar P, Ko M, et al. CheXpert: a '
    'large chest radiograph dataset with uncertainty labels and expert comparison. AAAI 2019.'
)
LICENCE = 'Stanford University Dataset Research Use Agreement: neither images nor tables may be passed on.'


def layout(
    *, manual_dir: Path, views: str = 'frontal', classes: tuple[str, ...] = (), validation_fraction: float = 0.1,
    human_points: bool = False,
) -> Layout:  # fmt: skip
    """CheXpert in `manual_dir`: the small, full or batched download, perhaps beside the test set and CheXlocalize.

    A file is found by patientNNNNN/studyN/viewN, whatever the table's prefix. `views` is 'frontal', 'lateral' or 'all'.
    `classes` are some of the 14 observations, all by default. Training is `train.csv`. Where the test set's labels are
    there, `valid.csv` is validation; else it is the test set, and `validation_fraction` of the training patients
    validate. Masks of CheXlocalize, if they are there, are regions of validation and test (see `chexlocalize`).

    Cells have four values. Labels are made of them as the authors mean them: what is not mentioned is negative; and
    what is uncertain counts in no loss and no metric, which takes no side (the paper found that the best side differs
    per class; `u_zeros`, `u_ones` and `u_best` are policies).
    """
    tests = first_there(manual_dir, *TESTS)
    parts = {'train': ('train.csv', '*/train.csv'), 'validation' if tests else 'test': ('valid.csv', '*/valid.csv')}
    found = {split: first_there(manual_dir, *names) or names[0] for split, names in parts.items()}
    return Layout(
        name='chexpert',
        tables=(
            *(_table(name, split, views) for split, name in (found | ({'test': tests} if tests else {})).items()),
            *chexlocalize.tables(manual_dir),
        ),
        images=Images('{Path}', id='{key}', suffixes=('.jpg', '.png'), parts=3, channels=1),
        labels=(Labels(columns=chosen(classes, chest.OBSERVATIONS), aliases=chest.SAME_AS, version='chexpert'),),
        patient=Patient('Path', r'patient0*(\d+)'),
        split=Split(validation=validation_fraction, test=0),
        regions=chexlocalize.regions(manual_dir, human_points),
        groups={'sex': chest.sex('Sex'), 'age': chest.age('age'), 'view': chest.view('AP/PA')},
        family='chexpert',
        source=SOURCE,
        licence=LICENCE,
    )


def _table(file: str, split: str, views: str) -> Table:
    chest.of_views('', views)  # a name that there is
    where = {} if views == 'all' else {'view of file': (views,)}
    facts = {'age': AGE} if split != 'test' or Path(file).name == 'valid.csv' else {}  # the test set has no such column
    return Table(file, 'images', split=split, derive={'key': KEY, 'view of file': FILE_VIEW, **facts}, where=where)


make, files_of = maker(layout), files(layout)
