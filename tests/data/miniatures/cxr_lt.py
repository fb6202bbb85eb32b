"""The CXR-LT challenges' tables and MIMIC-CXR-LT, on the images of the miniature of MIMIC-CXR-JPG."""

from pathlib import Path

from data.miniatures import mimic_cxr
from data.miniatures.films import film, table

CLASSES_2023 = (
    'Atelectasis', 'Calcification of the Aorta', 'Cardiomegaly', 'Consolidation', 'Edema', 'Emphysema',
    'Enlarged Cardiomediastinum', 'Fibrosis', 'Fracture', 'Hernia', 'Infiltration', 'Lung Lesion', 'Lung Opacity',
    'Mass', 'No Finding', 'Nodule', 'Pleural Effusion', 'Pleural Other', 'Pleural Thickening', 'Pneumomediastinum',
    'Pneumonia', 'Pneumoperitoneum', 'Pneumothorax', 'Subcutaneous Emphysema', 'Support Devices', 'Tortuous Aorta',
)  # fmt: skip
ADDED_2024 = (
    'Adenopathy', 'Azygos Lobe', 'Clavicle Fracture', 'Fissure', 'Granuloma', 'Hydropneumothorax', 'Infarction',
    'Kyphosis', 'Lobar Atelectasis', 'Pulmonary Embolism', 'Pulmonary Hypertension', 'Rib Fracture',
    'Round(ed) Atelectasis', 'Tuberculosis',
)  # fmt: skip
ZERO_SHOT = ('Bulla', 'Cardiomyopathy', 'Hilum', 'Osteopenia', 'Scoliosis')
LT_19 = (
    'Atelectasis', 'Calcification of the Aorta', 'Cardiomegaly', 'Consolidation', 'Edema', 'Enlarged Cardiomediastinum',
    'Fracture', 'Lung Lesion', 'Lung Opacity', 'No Finding', 'Pleural Effusion', 'Pleural Other', 'Pneumomediastinum',
    'Pneumonia', 'Pneumoperitoneum', 'Pneumothorax', 'Subcutaneous Emphysema', 'Support Devices', 'Tortuous Aorta',
)  # fmt: skip
KEYS = 'dicom_id,subject_id,study_id,ViewPosition,ViewCodeSequence_CodeMeaning'


def classes_2024() -> list[str]:
    known = [name for name in CLASSES_2023 if name != 'No Finding']
    return sorted([*known, 'Normal', *ADDED_2024])


def flags(row: int, classes: list[str] | tuple[str, ...]) -> list[int]:
    """Label k of row i is 1 where (i + 1) divides (k + 1): another number for every class and row."""
    return [int((k + 1) % (row + 2) == 0) for k in range(len(classes))]


def line(row: int, classes: list[str] | tuple[str, ...], path: bool = True) -> str:
    dicom, subject, study, view, _ = mimic_cxr.IMAGES[row]
    place = [mimic_cxr.path_of(dicom, subject, study)] if path else []
    cells = [dicom, subject, study, view, 'postero-anterior', *place, *flags(row, classes)]
    return ','.join(map(str, cells))


def write_2023(folder: Path) -> Path:
    """`cxr-lt-2023/{train,development,test}.csv` with the column `path` and 26 classes."""
    header = ','.join((KEYS, 'path', *CLASSES_2023))
    for name, rows in (('train', (0, 1, 2)), ('development', (3, 4)), ('test', (5, 6, 7))):
        table(folder / 'cxr-lt-2023' / f'{name}.csv', [header, *(line(row, CLASSES_2023) for row in rows)])
    return folder


def write_2024(folder: Path) -> Path:
    """`cxr-lt-2024/`: the column is `fpath`, tasks 1 to 3 have 40, 26 and 5 classes, and the splits are others."""
    root, forty = folder / 'cxr-lt-2024', classes_2024()
    everything = sorted([*forty, *ZERO_SHOT])
    splits = {'train': (0, 1, 2, 5), 'development': (3, 6), 'test': (4, 7)}
    of_row = {row: split for split, rows in splits.items() for row in rows}
    table(
        root / 'labels.csv',
        [','.join((KEYS, 'fpath', *everything, 'split'))]
        + [f'{line(row, everything)},{of_row[row]}' for row in sorted(of_row)],
    )
    by_task = {1: forty, 2: [*sorted({*CLASSES_2023, 'Normal'} - {'No Finding'})], 3: list(ZERO_SHOT)}
    header = ','.join((KEYS, 'fpath', *forty))
    table(root / 'train_labeled.csv', [header, *(line(row, forty) for row in splits['train'])])
    for task, classes in by_task.items():
        for split in ('development', 'test'):
            rows = [line(row, classes) for row in splits[split]]
            table(root / f'{split}_labeled_task{task}.csv', [','.join((KEYS, 'fpath', *classes)), *rows])
    return folder


def write_multi_label(folder: Path) -> Path:
    """MIMIC-CXR-LT of MICCAI 2023: three tables of 19 classes with `path`."""
    for name, rows in (('train', (0, 1, 2)), ('val', (3, 4)), ('test', (5, 6, 7))):
        header = ','.join((KEYS, 'path', *LT_19))
        table(folder / f'miccai2023_mimic-cxr-lt_labels_{name}.csv', [header, *(line(row, LT_19) for row in rows)])
    return folder


def write_single_label(folder: Path) -> Path:
    """The single-label version: `subject_id,study_id,dicom_id,path` and 19 one-hot columns."""
    header = ','.join(('subject_id,study_id,dicom_id,path', *LT_19))
    for name, rows in (('train', (0, 1, 2)), ('balanced-val', (3, 4)), ('test', (5, 6, 7)), ('balanced-test', (5, 6))):
        lines = []
        for row in rows:
            dicom, subject, study, _, _ = mimic_cxr.IMAGES[row]
            hot = ','.join(str(int(k == row)) for k in range(len(LT_19)))
            lines.append(f'{subject},{study},{dicom},{mimic_cxr.path_of(dicom, subject, study)},{hot}')
        table(folder / f'mimic-cxr-lt_single-label_{name}.csv', [header, *lines])
    return folder


def write_2026(folder: Path) -> Path:
    """The 2026 challenge's training table in the copy whose PadChest ids are floats: 39 digits do not fit."""
    header = 'PatientID,ImageID,StudyID,Normal,aortic elongation,cardiomegaly'
    name = '216840111366964013686042548532013208193054515_02-026-007.png'
    rows = [f'3.2426415967393e+38,{name},2168401,1,0,0', f'3.2426415967393e+38,x{name},2168402,0,1,1']
    table(folder / 'CXRLT_2026_training.csv', [header, *rows])
    for image in (name, f'x{name}'):
        film(folder / 'images' / image)
    return folder
