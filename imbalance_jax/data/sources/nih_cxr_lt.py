"""NIH-CXR-LT: NIH's images with 20 classes, six of them new and rare, as several labels per image or as one."""

from pathlib import Path

from imbalance_jax.data.reader.layout import Images, Labels, Layout, Patient, Split, Table
from imbalance_jax.data.sources import chest, nih_tables
from imbalance_jax.data.sources.cxr_lt_classes import NIH_LT, SPELLINGS
from imbalance_jax.data.sources.declared import files, first_there, maker
from imbalance_jax.data.sources.nih_regions import box_table, boxes
from imbalance_jax.names import lookup
from imbalance_jax.system.files import at_home

NAMES = {'multi-label': 'miccai2023_nih-cxr-lt_labels_{}.csv', 'single-label': 'nih-*lt_single-label_{}.csv'}
SPLITS = {
    'multi-label': {'train': 'train', 'validation': 'val', 'test': 'test'},
    'single-label': {'train': 'train', 'validation': 'balanced-val', 'test': 'test'},
}
SOURCES = {
    'multi-label': 'Holste G, Jiang Z, Jaiswal A, et al. How does pruning impact long-tailed multi-label medical image '
    'classifiers? MICCAI 2023.',
    'single-label': 'Holste G, Wang S, Jiang Z, et al. Long-tailed classification of thorax diseases on chest X-ray: a '
    'new benchmark study. DALI 2022.',
}


def layout(*, manual_dir: Path, version: str = 'multi-label', labels_dir: str = '', test: str = 'test') -> Layout:
    """NIH-CXR-LT: NIH's images in `manual_dir`, and the tables there or in `labels_dir`.

    version: 'multi-label' (labels are 0 or 1), or 'single-label' (one class per image; `test` 'test' or
    'balanced-test', which is a part of it). `Pleural_Thickening` of the one is `Pleural Thickening` of the other. Where
    NIH's own tables are there, its boxes are regions, and sex, age and view are groups. Splits are the tables' own.
    """
    names = lookup(NAMES, version, 'version (version)')
    if test not in ('test', 'balanced-test'):
        raise ValueError(f"test is {test!r}; expected 'test' or 'balanced-test'.")
    base = at_home(labels_dir or manual_dir)
    of_split = SPLITS[version] | ({'test': test} if version == 'single-label' else {})
    people = first_there(manual_dir, 'Data_Entry_2017*.csv')
    facts = [Table(people, on=('id=Image Index',))] if people else []
    sex = 'Patient Gender'
    return Layout(
        name='nih_cxr_lt',
        tables=(
            *(Table(str(base / names.format(name)), 'images', split=split) for split, name in of_split.items()),
            *facts,
            *box_table(manual_dir),
        ),
        images=Images('{id}', id='{id}', suffixes=('.png', '.jpg'), channels=1),
        labels=(Labels(columns=NIH_LT, aliases=SPELLINGS, none=(), version=f'nih-cxr-lt {version}'),),
        patient=Patient('id', r'^0*(\d+)_'),
        split=Split(validation=0, test=0),
        regions=boxes(manual_dir, 'id', NIH_LT),
        groups={'sex': chest.sex(sex), 'age': chest.age('Patient Age'), 'view': chest.view('View Position')}
        if facts
        else {},
        task='multi_class' if version == 'single-label' else 'multi_label',
        family='nih',
        source=f'NIH-CXR-LT, https://nihcc.app.box.com/v/ChestXray-NIHCC. {SOURCES[version]} {nih_tables.CITED}',
        licence=nih_tables.LICENCE,
    )


make, files_of = maker(layout), files(layout)
