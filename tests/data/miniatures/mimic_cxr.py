"""MIMIC-CXR-JPG and the CXR-LT tables on its images, in miniature."""

from pathlib import Path

from data.miniatures.films import film, table

CLASSES = (
    'Atelectasis', 'Cardiomegaly', 'Consolidation', 'Edema', 'Enlarged Cardiomediastinum', 'Fracture', 'Lung Lesion',
    'Lung Opacity', 'No Finding', 'Pleural Effusion', 'Pleural Other', 'Pneumonia', 'Pneumothorax', 'Support Devices',
)  # fmt: skip
# dicom, subject, study, view, split; two images of a study share its labels
IMAGES = (
    ('02aa804e-bde0afdd-112c0b34-7bc16630-4e384014', 10000032, 50414267, 'PA', 'train'),
    ('174413ec-4ec4c1f7-34ea26b7-c5f994f8-79ef1962', 10000032, 50414267, 'LATERAL', 'train'),
    ('2a2277a9-b0ded155-c0de8eb9-c124d10e-82c5caab', 10000032, 53189527, 'AP', 'train'),
    ('68b5c4b1-227d0485-9cc38c3f-7b84ab51-4b472714', 10000764, 57375967, 'AP', 'validate'),
    ('096052b7-d256dc40-453a102b-fa7d01c6-1b22c6b4', 11000764, 57375968, 'PA', 'validate'),
    ('b79e55c3-735ce5ac-64412506-cdc9ea79-f1af521f', 11000898, 50771383, 'PA', 'test'),
    ('dcfeeac4-1597e318-d0e6736a-8b2c2238-47ac3f1b', 19000898, 54205396, 'AP', 'test'),
    ('8959e402-2175d68d-edba5a6c-baab51c3-9359f700', 19000899, 54205397, '', 'test'),
)
# study: cells in the order of the classes; the last study of the test split is in no label table
CHEXPERT = {
    50414267: (10000032, ',,,,,,,,1.0,,,,,'),
    53189527: (10000032, '-1.0,1.0,,0.0,,,,1.0,,,,-1.0,,1.0'),
    57375967: (10000764, '1.0,,,,,,,,,,,,,'),
    57375968: (11000764, ',,,,,,,,1.0,,,,,'),
    50771383: (11000898, ',0.0,,,,,,,,1.0,,,0.0,'),
    54205396: (19000898, '-1.0,,,,,,,,,,,,,'),
}
NEGBIO = {**CHEXPERT, 54205396: (19000898, '1.0,,,,,,,,,,,,,')}
# study: cells by name, by radiologists
LABELED_HEADER = (
    'study_id,Enlarged Cardiomediastinum,Cardiomegaly,Lung Lesion,Airspace Opacity,Edema,Consolidation,Pneumonia,'
    'Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices,No Finding'
)
LABELED = {50771383: '0.0,0.0,,1.0,,,-1.0,,,0.0,,,,0.0', 54205396: ',,,,,,,0.0,,,,,1.0,'}


def path_of(dicom: str, subject: int, study: int) -> str:
    return f'files/p{str(subject)[:2]}/p{subject}/s{study}/{dicom}.jpg'


def write(folder: Path, gz: bool = True, unnamed: bool = False, labelled: bool = True) -> Path:
    """Writes the tables (gzipped or not, with an unnamed index or not) and the images of `files/`."""
    suffix = '.csv.gz' if gz else '.csv'
    first = 'Unnamed: 0,' if unnamed else ''
    lines = [
        first + 'dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,'
        'StudyTime,ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning'
    ]
    splits = ['dicom_id,study_id,subject_id,split']
    for number, (dicom, subject, study, view, split) in enumerate(IMAGES):
        index = f'{number},' if unnamed else ''
        lines.append(
            f'{index}{dicom},{subject},{study},"CHEST (PA, LAT)",{view},40,48,21800506,213014.531,'
            'CHEST (PA AND LAT),postero-anterior,Erect'
        )
        splits.append(f'{dicom},{study},{subject},{split}')
        film(folder / path_of(dicom, subject, study), 40, 48)
    table(folder / f'mimic-cxr-2.0.0-metadata{suffix}', lines)
    table(folder / f'mimic-cxr-2.0.0-split{suffix}', splits)
    for labeler, cells in (('chexpert', CHEXPERT), ('negbio', NEGBIO)):
        header = ','.join(('subject_id,study_id', *CLASSES))
        rows = [f'{subject},{study},{row}' for study, (subject, row) in cells.items()]
        table(folder / f'mimic-cxr-2.0.0-{labeler}{suffix}', [header, *rows])
    if labelled:
        rows = [f'{study},{row}' for study, row in LABELED.items()]
        table(folder / 'mimic-cxr-2.1.0-test-set-labeled.csv', [LABELED_HEADER, *rows])
    return folder
