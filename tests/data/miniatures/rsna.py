"""The RSNA Pneumonia Detection Challenge of 2018 in miniature."""

import json
from pathlib import Path

from data.miniatures.films import dicom, pixels, table

# image id, NIH name, class, boxes x y width height in the 1024 px frame
CASES = [
    ('0004cfab-14fd-4e49-80ba-63a80b6bddd6', '00000001_000.png', 'No Lung Opacity / Not Normal', ()),
    ('00313ee0-9eaa-42f4-b0ab-c148ed3241cd', '00000001_001.png', 'Normal', ()),
    ('00436515-870c-4b36-a041-de91049b9ab4', '00000002_000.png', 'Lung Opacity',
     ((264, 152, 213, 379), (562, 152, 256, 453))),
    ('00704310-78a8-4b38-8475-49f4573b2dbb', '00000002_001.png', 'Lung Opacity', ((323, 577, 160, 104),)),
    *((f'{number:08d}-aaaa-bbbb-cccc-dddddddddddd', f'{number:08d}_000.png', 'Normal', ()) for number in range(3, 43)),
]  # fmt: skip
SIDE = 64


def write(folder: Path, images: bool = True, mapped: bool = True) -> Path:
    """One row per box in both tables, empty boxes for negatives; DICOM of 8 bits; the map to NIH's names as JSON."""
    labels, details = ['patientId,x,y,width,height,Target'], ['patientId,class']
    for name, _, kind, boxes in CASES:
        labels += [f'{name},{x}.0,{y}.0,{w}.0,{h}.0,1' for x, y, w, h in boxes] or [f'{name},,,,,0']
        details += [f'{name},{kind}'] * max(len(boxes), 1)
        if images:
            fields = {'PatientID': name, 'PatientSex': 'F', 'PatientAge': '151', 'ViewPosition': 'PA'}
            dicom(folder / 'stage_2_train_images' / f'{name}.dcm', pixels(name, SIDE, SIDE), **fields)
    table(folder / 'stage_2_train_labels.csv', labels)
    table(folder / 'stage_2_detailed_class_info.csv', details)
    if mapped:
        entries = [{'img_id': nih, 'subset_img_id': name, 'SOPInstanceUID': '1.2.3'} for name, nih, _, _ in CASES]
        (folder / 'pneumonia-challenge-dataset-mappings_2018.json').write_text(json.dumps(entries))
    return folder
