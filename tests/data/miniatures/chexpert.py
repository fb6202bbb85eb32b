"""CheXpert and CheXlocalize in miniature: the three forms on disk, the tables' spellings, masks and human readers."""

import json
from pathlib import Path

import numpy as np
from data.miniatures import coco
from data.miniatures.films import film, table

CLASSES = (
    'No Finding', 'Enlarged Cardiomediastinum', 'Cardiomegaly', 'Lung Opacity', 'Lung Lesion', 'Edema', 'Consolidation',
    'Pneumonia', 'Atelectasis', 'Pneumothorax', 'Pleural Effusion', 'Pleural Other', 'Fracture', 'Support Devices',
)  # fmt: skip
HEADER = ','.join(('Path,Sex,Age,Frontal/Lateral,AP/PA', *CLASSES))
TASKS = (
    'Enlarged Cardiomediastinum', 'Cardiomegaly', 'Lung Lesion', 'Airspace Opacity', 'Edema', 'Consolidation',
    'Atelectasis', 'Pneumothorax', 'Pleural Effusion', 'Support Devices',
)  # fmt: skip
# path within train/, sex, age, frontal or lateral, AP or PA, cells in the order of the classes
TRAIN = (
    ('patient00001/study1/view1_frontal.jpg', 'Female,68,Frontal,AP', '1.0,,,,,,,,,0.0,,,,1.0'),
    ('patient00002/study2/view1_frontal.jpg', 'Female,87,Frontal,AP', ',,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,'),
    ('patient00002/study1/view2_lateral.jpg', 'Female,83,Lateral,', ',,,1.0,,,-1.0,,,,,,1.0,'),
    ('patient00003/study1/view1_frontal.jpg', 'Unknown,0,Frontal,AP', ',,,,,1.0,,,,0.0,,,,'),
    ('patient00004/study1/view1_frontal.jpg', 'Male,20,Frontal,PA', ',,,,,,,,,,,0.0,,'),
    ('patient00005/study1/view1_frontal.jpg', 'Male,90,Frontal,LL', ',,,1.0,1.0,,,-1.0,1.0,,,,,'),
    ('patient00006/study1/view1_frontal.jpg', 'Male,41,Frontal,AP', ',,,,,,,,-1.0,,1.0,,,'),
    ('patient00007/study1/view1_frontal.jpg', 'Male,41,Frontal,AP', ',,,,,,,,0.0,,1.0,,,'),
)
VALID = (
    ('patient64541/study1/view1_frontal.jpg', 'Male,73,Frontal,AP', '0.0,1.0,1.0,1.0,' + ','.join(['0.0'] * 10)),
    ('patient64542/study1/view1_frontal.jpg', 'Male,70,Frontal,PA', '0.0,' + ','.join(['0.0'] * 12) + ',1.0'),
    ('patient64542/study1/view2_lateral.jpg', 'Male,70,Lateral,', '0.0,' + ','.join(['0.0'] * 12) + ',1.0'),
)
TEST = (
    ('patient64741/study1/view1_frontal.jpg', '0.0,0.0,1.0,1.0,' + ','.join(['0.0'] * 10)),
    ('patient64742/study1/view1_frontal.jpg', '1.0,' + ','.join(['0.0'] * 13)),
    ('patient64743/study1/view1_frontal.jpg', ','.join(['0.0'] * 9 + ['1.0'] + ['0.0'] * 4)),
)
SIZE = (40, 48)  # height, width of every film


def write(folder: Path, form: str = 'small', test: bool = False) -> Path:
    """Writes CheXpert as 'small', 'full' or 'batches' (csv and disk differ); returns its folder."""
    name = 'CheXpert-v1.0-small' if form == 'small' else 'CheXpert-v1.0'
    root = folder if form == 'batches' else folder / name
    tables = folder / 'CheXpert-v1.0 batch 1 (validate & csv)' if form == 'batches' else root
    for split, rows in (('train', TRAIN), ('valid', VALID)):
        table(
            tables / f'{split}.csv', [HEADER, *(f'{name}/{split}/{path},{rest},{cells}' for path, rest, cells in rows)]
        )
        for number, (path, *_) in enumerate(rows):
            batch = f'CheXpert-v1.0 batch {2 + number % 3} (train {1 + number % 3})'
            place = {'train': folder / batch, 'valid': tables / 'valid'}[split] if form == 'batches' else root / split
            film(place / path, *SIZE)
    if test:
        write_test(folder)
    return root


def write_test(folder: Path) -> None:
    """Writes the test images and labels as CheXlocalize ships them, without sex, age and view."""
    header = ','.join(('Path', *CLASSES))
    table(folder / 'CheXpert' / 'test_labels.csv', [header, *(f'test/{path},{cells}' for path, cells in TEST)])
    for path, _ in TEST:
        film(folder / 'CheXpert' / 'test' / path, *SIZE)


def rectangle(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


# key: {task: mask}; an image without a finding is absent, a task without a region is an empty mask
GROUND = {
    'val': {
        'patient64541_study1_view1_frontal': {
            'Enlarged Cardiomediastinum': rectangle(10, 30, 12, 36),
            'Cardiomegaly': rectangle(20, 30, 12, 36),
            'Airspace Opacity': rectangle(0, 10, 0, 8) | rectangle(30, 40, 40, 48),
        },
        'patient64542_study1_view1_frontal': {'Support Devices': rectangle(0, 40, 20, 24)},
    },
    'test': {
        'patient64741_study1_view1_frontal': {
            'Cardiomegaly': rectangle(20, 30, 12, 36),
            'Airspace Opacity': rectangle(5, 10, 4, 20),
        },
        'patient64743_study1_view1_frontal': {'Pneumothorax': rectangle(0, 20, 40, 48)},
    },
}
HUMAN = {
    'patient64741_study1_view1_frontal': {
        'Cardiomegaly': rectangle(20, 30, 12, 24),
        'Airspace Opacity': rectangle(0, 0, 0, 0),
    },
    'patient64743_study1_view1_frontal': {'Pneumothorax': rectangle(0, 20, 40, 48)},
}
POINTS = {'patient64741_study1_view1_frontal': {'Cardiomegaly': [[24.0, 25.0]], 'Airspace Opacity': [[6.5, 7.25]]}}


def write_chexlocalize(folder: Path) -> Path:
    """Writes the masks of val and test, of the human benchmark too, as compressed COCO runs of all ten tasks."""
    root = folder / 'CheXlocalize'
    root.mkdir(parents=True)

    def runs(masks: dict[str, dict[str, np.ndarray]]) -> str:
        empty = np.zeros(SIZE, bool)
        of_image = {
            key: {task: {'size': list(SIZE), 'counts': coco.compressed(tasks.get(task, empty))} for task in TASKS}
            for key, tasks in masks.items()
        }
        return json.dumps(of_image)

    for split, masks in GROUND.items():
        (root / f'gt_segmentations_{split}.json').write_text(runs(masks))
    (root / 'hb_segmentations_test.json').write_text(runs(HUMAN))
    (root / 'hb_salient_pt_test.json').write_text(
        json.dumps({key: {'img_size': list(SIZE), **points} for key, points in POINTS.items()})
    )
    return root
