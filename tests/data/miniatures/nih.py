"""Tables on NIH's images, in miniature: NIH-CXR-LT in both versions and Google's adjudicated labels."""

from pathlib import Path

from data.miniatures.films import film, table

LT_CLASSES = (
    'No Finding', 'Infiltration', 'Effusion', 'Atelectasis', 'Nodule', 'Mass', 'Consolidation', 'Pneumothorax',
    'Pleural Thickening', 'Cardiomegaly', 'Emphysema', 'Edema', 'Fibrosis', 'Subcutaneous Emphysema', 'Pneumonia',
    'Tortuous Aorta', 'Calcification of the Aorta', 'Pneumoperitoneum', 'Hernia', 'Pneumomediastinum',
)  # fmt: skip
GOOGLE_HEADER = (
    'Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,'
    'OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],'
    'Fracture,Pneumothorax,Airspace opacity,Nodule or mass,Set Id'
)
GOOGLE = (
    ('00000013_008.png', 'No Finding,8,13,60,M,AP,3056,2544,0.139,0.139', 'NO,NO,YES,NO', 'test'),
    ('00000013_026.png', 'Cardiomegaly|Emphysema,26,13,57,M,AP,2500,2048,0.168,0.168', 'NO,YES,NO,NO', 'test'),
    ('00000017_001.png', 'No Finding,1,17,77,F,PA,2500,2048,0.168,0.168', 'YES,NO,NO,YES', 'val'),
    ('00000020_000.png', 'Mass,0,20,15,F,PA,2500,2048,0.168,0.168', 'NO,NO,NO,NO', 'val'),
)


def name_of(patient: int, film_number: int = 0) -> str:
    return f'{patient:08d}_{film_number:03d}.png'


def images(folder: Path, names: list[str]) -> None:
    for name in names:
        film(folder / 'images' / name, 40, 40)


def write_lt(folder: Path) -> Path:
    """The multi-label tables of MICCAI 2023: label k of image i is 1 where i + 2 divides k + 1."""
    for split, patients in (('train', (1, 2, 3)), ('val', (4, 5)), ('test', (6, 7))):
        header = ','.join(('id', *LT_CLASSES, 'subj_id'))
        rows = [
            ','.join([name_of(i), *(str(int((k + 1) % (i + 2) == 0)) for k in range(20)), str(i)]) for i in patients
        ]
        table(folder / f'miccai2023_nih-cxr-lt_labels_{split}.csv', [header, *rows])
        images(folder, [name_of(i) for i in patients])
    return folder


def write_single_label(folder: Path) -> Path:
    """The single-label tables of 2022, which spell `Pleural_Thickening`; balanced-test is a part of test."""
    classes = [name.replace('Pleural T', 'Pleural_T') for name in LT_CLASSES]
    for split, patients in (
        ('train', (1, 2, 3)),
        ('balanced-val', (4, 5)),
        ('test', (6, 7, 8)),
        ('balanced-test', (6, 8)),
    ):
        rows = [','.join([name_of(i), *(str(int(k == i)) for k in range(20))]) for i in patients]
        table(folder / f'nih-lt_single-label_{split}.csv', [','.join(('id', *classes)), *rows])
        images(folder, [name_of(i) for i in patients])
    return folder


def write_google(folder: Path) -> Path:
    lines = [GOOGLE_HEADER, *(f'{name},{facts},{cells},{split}' for name, facts, cells, split in GOOGLE)]
    table(folder / 'google2019_nih-chest-xray-labels.csv', lines)
    images(folder, [name for name, *_ in GOOGLE])
    return folder
