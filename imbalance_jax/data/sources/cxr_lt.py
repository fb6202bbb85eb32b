"""CXR-LT: the challenges of 2023, 2024 and 2026 on long-tailed findings, and MIMIC-CXR-LT, which they grew out of."""

from pathlib import Path

from imbalance_jax.data.reader.layout import Images, Labels, Layout, Patient, Split, Table
from imbalance_jax.data.reader.text_files import content
from imbalance_jax.data.sources import chest, cxr_lt_classes
from imbalance_jax.data.sources.declared import files, first_there, maker
from imbalance_jax.names import lookup
from imbalance_jax.system.files import at_home

KEYS_2026 = 3  # columns before the first class
LICENCE = 'PhysioNet Credentialed Health Data License: neither images nor tables may be passed on.'
PHYSIONET = 'https://physionet.org/content/cxr-lt-iccv-workshop-cvamd'
SOURCES = {
    '2023': f'CXR-LT 2023, {PHYSIONET}. Holste G, Zhou Y, Wang S, et al. Towards long-tailed, multi-label disease '
    'classification from chest X-ray: overview of the CXR-LT challenge. Medical Image Analysis 2024.',
    '2024': f'CXR-LT 2024, {PHYSIONET}. Lin M, Holste G, Wang S, et al. CXR-LT 2024: a MICCAI challenge on '
    'long-tailed, multi-label, and zero-shot disease classification from chest X-ray. 2025.',
    '2026': 'CXR-LT 2026, on images of PadChest and PadChest-GR, arXiv 2604.15555.',
    'multi-label': 'MIMIC-CXR-LT, multi-label. Holste G, Jiang Z, Jaiswal A, et al. How does pruning impact '
    'long-tailed multi-label medical image classifiers? MICCAI 2023.',
    'single-label': 'MIMIC-CXR-LT, single-label. Holste G, Wang S, Jiang Z, et al. Long-tailed classification of '
    'thorax diseases on chest X-ray: a new benchmark study. DALI 2022.',
}
# version: {split: its table}; {task} is the number of the task
TABLES = {
    '2023': {'train': 'train.csv', 'validation': 'development.csv', 'test': 'test.csv'},
    '2024': {
        'train': 'train_labeled.csv',
        'validation': 'development_labeled_task{task}.csv',
        'test': 'test_labeled_task{task}.csv',
    },
    '2026': {'train': 'CXRLT_2026_training.csv', 'test': 'CXRLT_2026_TEST_ALL_TASK1.csv'},
    'multi-label': {
        split: f'miccai2023_mimic-cxr-lt_labels_{name}.csv'
        for split, name in (('train', 'train'), ('validation', 'val'), ('test', 'test'))
    },
    'single-label': {
        split: f'mimic-cxr-lt_single-label_{name}.csv'
        for split, name in (('train', 'train'), ('validation', 'balanced-val'), ('test', '{test}'))
    },
}


def layout(
    *, manual_dir: Path, version: str = '2023', task: int = 1, labels_dir: str = '', views: str = 'all',
    test: str = 'test', validation_fraction: float = 0.1,
) -> Layout:  # fmt: skip
    """One of the long-tailed sets. `manual_dir` holds MIMIC-CXR-JPG's `files/` (PadChest's images for 2026).

    version: '2023' (26 classes), '2024' (`task` 1: 40 classes, 2: 26, 3: 5 that training has no labels of), '2026' (30
    classes, the columns from the fourth on), 'multi-label' and 'single-label' (MIMIC-CXR-LT, 19 classes; one class per
    image: of `test` 'test' or 'balanced-test'). The tables lie in `labels_dir`, in `manual_dir`, or in `cxr-lt-YEAR/`
    below either. The splits of 2024 are not those of 2023: never compare across them. Labels are 0 or 1 and all are
    known. `views` is 'all', as in the challenges, 'frontal' or 'lateral'. What has no table of validation takes
    `validation_fraction` of the patients.

    PadChest's patients are numbers of 39 digits. A table that rounded them is refused: different patients would be one.
    """
    names = lookup(TABLES, version, 'version (version)')
    by_task = {str(number): of_task for number, of_task in cxr_lt_classes.CLASSES[version].items()}
    classes = lookup(by_task, str(task), f'task of {version} (task)')
    if test not in ('test', 'balanced-test'):
        raise ValueError(f"test is {test!r}; expected 'test' or 'balanced-test'.")
    padchest = version == '2026'
    base = at_home(labels_dir or manual_dir)
    where = {} if padchest or version == 'single-label' else chest.of_views('ViewPosition', views)
    found = {
        split: first_there(base, f'cxr-lt-{version}/{name}', name)
        for split, name in ((one, text.format(task=task, test=test)) for one, text in names.items())
        if not (split == 'train' and task == 3)
    }
    if padchest and found.get('train'):
        classes = _columns(base / found['train'])[KEYS_2026:]
    there = {split: name for split, name in found.items() if name} or {'train': next(iter(names.values()))}
    spellings = {name: texts for name, texts in cxr_lt_classes.SPELLINGS.items() if name in classes}
    return Layout(
        name=f'cxr_lt_{version}',
        tables=tuple(
            Table(str(base / name) if labels_dir else name, 'images', split=split, where=where)
            for split, name in there.items()
        ),
        images=Images(
            *(('{ImageID}',) * 2 if padchest else ('{dicom_id}.jpg', '{dicom_id}')),
            channels=1,
            bits=16 if padchest else 0,
        ),
        labels=(Labels(columns=classes, aliases=spellings, none=(), version=f'cxr-lt {version}'),),
        patient=Patient('PatientID' if padchest else 'subject_id'),
        split=Split(validation=0 if task == 3 else validation_fraction, test=0),
        groups={} if padchest or version == 'single-label' else {'view': chest.view('ViewPosition')},
        task='multi_class' if version == 'single-label' else 'multi_label',
        family='padchest' if padchest else 'mimic',
        source=SOURCES[version],
        licence=LICENCE,
    )


def _columns(path: Path) -> tuple[str, ...]:
    path = path if path.is_file() else path.with_name(path.name + '.gz')
    return tuple(content(path).split('\n', 1)[0].strip().split(','))


make, files_of = maker(layout), files(layout)
