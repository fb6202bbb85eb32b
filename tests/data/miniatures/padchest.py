"""PadChest and PadChest-GR in miniature: list literals, ids of 39 digits, PNG of 16 bits, grounded reports."""

import csv
import gzip
import json

import numpy as np
from PIL import Image

HEADER = (
    '',
    'ImageID',
    'ImageDir',
    'StudyDate_DICOM',
    'StudyID',
    'PatientID',
    'PatientBirth',
    'PatientSex_DICOM',
    'ViewPosition_DICOM',
    'Projection',
    'MethodProjection',
    'Pediatric',
    'Modality_DICOM',
    'Manufacturer_DICOM',
    'PhotometricInterpretation_DICOM',
    'PixelRepresentation_DICOM',
    'PixelAspectRatio_DICOM',
    'SpatialResolution_DICOM',
    'BitsStored_DICOM',
    'WindowCenter_DICOM',
    'WindowWidth_DICOM',
    'Rows_DICOM',
    'Columns_DICOM',
    'XRayTubeCurrent_DICOM',
    'Exposure_DICOM',
    'ExposureInuAs_DICOM',
    'ExposureTime',
    'RelativeXRayExposure_DICOM',
    'ReportID',
    'Report',
    'MethodLabel',
    'Labels',
    'Localizations',
    'LabelsLocalizationsBySentence',
    'labelCUIS',
    'LocalizationsCUIS',
)
PATIENT = 313572750430997347502932654319389870000  # 39 digits: as a number of 64 bits, twenty of them are one
LABELS = (
    "['normal']",
    "['cardiomegaly', ' pleural effusion']",
    "['pseudonodule', 'unchanged']",
    "['nodule', '', 'scoliosis']",
    "['multiple nodules']",
    'nan',
    "['exclude']",
    "['unchanged']",
    "['nodule', 'suboptimal study']",
    "['']",
    "['cardiomegaly', 'hiatal hernia']",
)
VIEWS = ('PA', 'AP', 'AP_horizontal', 'L', 'COSTAL')
COUNT = 110


def view_of(number):
    return VIEWS[number // len(LABELS) % len(VIEWS)]


def image_of(number):
    return f'{216840111366964012819207061112010307142602253 + number}_{number:02d}-014-084.png'


def pixels(number):
    return np.random.default_rng(number).integers(0, 65536, (40, 32)).astype(np.uint16)


def png(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(number)).save(path)


def write(folder, flat=False, absent=(), truncated=()):
    """`absent`, `truncated`: numbers of files that are missing, or cut in half."""
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / 'PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz', 'wt', newline='') as file:
        table = csv.writer(file)
        table.writerow(HEADER)
        for number in range(COUNT):
            row = dict.fromkeys(HEADER, 'None') | {'': number, 'ImageID': image_of(number), 'ImageDir': number % 3}
            row |= {'PatientID': PATIENT + number // 2, 'PatientBirth': f'{1930 + number % 60}.0'}
            row |= {'StudyDate_DICOM': '20140915', 'PatientSex_DICOM': 'FMO'[number % 3], 'Projection': view_of(number)}
            row |= {'MethodLabel': 'Physician' if number % 4 == 0 else 'RNN_model', 'Labels': LABELS[number % 11]}
            table.writerow([row[name] for name in HEADER])
            path = folder / image_of(number) if flat else folder / str(number % 3) / image_of(number)
            if number not in absent:
                png(path, number)
            if number in truncated:
                path.write_bytes(path.read_bytes()[:900])
    return folder


FINDINGS = {
    'cardiomegaly': ('cardiac', [[0.25, 0.5, 0.75, 0.75]], [[0.25, 0.5, 0.5, 0.75]]),
    'laminar atelectasis': ('atelectasis', [[0.0, 0.0, 0.5, 0.25], [0.5, 0.5, 1.0, 1.0]], []),
    'lobar atelectasis': ('atelectasis', [[0.125, 0.25, 0.5, 0.75]], []),
}


def grounded(folder):
    """PadChest-GR: grounded reports, a row per study and label, images."""
    reports, rows = [], ['StudyID,ImageID,PatientID,PatientSex_DICOM,split,label,label_group,label_order']
    splits = ('train', 'train', 'train', 'validation', 'test')
    for number in range(30):
        found = [name for k, name in enumerate(FINDINGS) if number % (k + 2) == 0]
        findings = [{'sentence_en': 'No pleural effusion.', 'sentence_es': 'x', 'abnormal': False}]
        for name in found:
            _, boxes, extra = FINDINGS[name]
            findings.append(
                {
                    'sentence_en': f'{name}.',
                    'abnormal': True,
                    'boxes': boxes,
                    'extra_boxes': extra,
                    'labels': [name],
                    'locations': [],
                    'progression': None,
                }
            )
        reports.append({'StudyID': str(number), 'ImageID': image_of(number), 'findings': findings})
        of_image = f'{number},{image_of(number)},{PATIENT + number},F,{splits[number % 5]}'
        rows += [f'{of_image},{name},{FINDINGS[name][0]},1' for name in found] or [f'{of_image},Normal,Normal,1']
        png(folder / 'Padchest_GR_files' / image_of(number), number)
    (folder / 'grounded_reports_20240819.json').write_text(json.dumps(reports))
    (folder / 'master_table.csv').write_text('\n'.join(rows) + '\n')
    return folder
