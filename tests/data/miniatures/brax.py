"""BRAX in miniature: one master table, four-valued cells, ages in bands of five years with a last one in words."""

from pathlib import Path

from data.miniatures.films import film, table

CLASSES = (
    'No Finding', 'Enlarged Cardiomediastinum', 'Cardiomegaly', 'Lung Lesion', 'Lung Opacity', 'Edema', 'Consolidation',
    'Pneumonia', 'Atelectasis', 'Pneumothorax', 'Pleural Effusion', 'Pleural Other', 'Fracture', 'Support Devices',
)  # fmt: skip
HEADER = ','.join(
    (
        'DicomPath,PngPath,PatientID,PatientSex,PatientAge,AccessionNumber,StudyDate',
        *CLASSES,
        'ViewPosition,Rows,Columns,Manufacturer',
    )
)
# patient, sex, age, view, cells, manufacturer
ROWS = [
    ('0a1', 'M', '85 or more', 'PA', '1,,,,,,,,,,,,,', 'Philips'),
    ('0a1', 'M', '85 or more', 'L', '1,,,,,,,,,,,,,', 'Philips'),
    ('0b2', 'F', '35', 'AP', ',,1.0,,-1,0,,,,,,,,', 'GE'),
    ('0c3', 'F', '60', 'PA', ',,,1,,,,,-1.0,,1,,,1', 'GE'),
    ('0d4', '', '', '', ',,,,,,,,,,,,1,', 'GE'),
    *((f'1{index:02d}', 'F', '40', 'PA', ',,1,,,,,,,,,,,', 'Philips') for index in range(40)),
]


def write(folder: Path, name: str = 'master_spreadsheet_update.csv') -> Path:
    lines = [HEADER]
    for number, (patient, sex, age, view, cells, maker) in enumerate(ROWS):
        place = f'id_{patient}/Study_1.{number}/Series_2.{number}/image-3.{number}'
        lines.append(
            f'Anonymized_DICOMs/{place}.dcm,images/{place}.png,{patient},{sex},{age},77{number},20130101,{cells},'
            f'{view},40,48,{maker}'
        )
        film(folder / 'images' / f'{place}.png', 40, 48)
    table(folder / name, lines)
    return folder
