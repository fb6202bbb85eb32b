"""VinDr-CXR in miniature, as PhysioNet and as Kaggle give it."""

from data.miniatures.films import dicom, film, pixels, table

from imbalance_jax.data.sources.vindr_cxr import GLOBAL, KAGGLE, LOCAL

READERS = ('R8', 'R9', 'R10', 'R3')
SIZE = (48, 40)  # height, width
TRAIN, TEST = [f'{i:032x}' for i in range(12)], [f'{i:032x}' for i in range(100, 104)]
COLUMNS = (*LOCAL, *GLOBAL, 'No finding')


def says(image, reader):
    """What a reader says: {finding: box or None for a global one}."""
    i, r = int(image, 16), READERS.index(reader)
    found = {}
    if i % 3 == 0:
        found['Cardiomegaly'] = (4 + r, 6, 24 + r, 30)
    if i % 4 == 1 and r == 0:
        found['Nodule/Mass'] = (1, 2, 9, 10)
    if i % 5 == 2 and r < 2:
        found['Pneumonia'] = None
    return found


def readers_of(image):
    first = int(image, 16) % 2
    return READERS[first : first + 3]


def physionet(folder):
    """`annotations/` with three readers per training image, a consensus for the test; DICOM of 12 bits."""
    labels, boxes = [f'image_id,rad_id,{",".join([*COLUMNS[:-2], "Other diseases", "No finding"])}'], []
    boxes.append('image_id,rad_id,class_name,x_min,y_min,x_max,y_max')
    for image in TRAIN:
        for reader in readers_of(image):
            found = says(image, reader)
            row = [int(name in found) for name in COLUMNS[:-1]] + [int(not found)]
            labels.append(f'{image},{reader},{",".join(map(str, row))}')
            local = {name: box for name, box in found.items() if box}
            boxes += [f'{image},{reader},{name},{",".join(map(str, box))}' for name, box in local.items()]
            if not found:
                boxes.append(f'{image},{reader},No finding,,,,')
        write_dicom(folder / 'train', image)
    consensus, test_boxes = [f'image_id,{",".join([*COLUMNS[:-2], "Other disease", "No finding"])}'], []
    test_boxes.append('image_id,class_name,x_min,y_min,x_max,y_max')
    for image in TEST:
        found = says(image, 'R8')
        row = [int(name in found) for name in COLUMNS[:-1]] + [int(not found)]
        row[COLUMNS.index('Other diseases')] = 1
        consensus.append(f'{image},{",".join(map(str, row))}')
        test_boxes += [f'{image},{name},{",".join(map(str, box))}' for name, box in found.items() if box]
        write_dicom(folder / 'test', image)
    for name, lines in (
        ('image_labels_train', labels),
        ('annotations_train', boxes),
        ('image_labels_test', consensus),
        ('annotations_test', test_boxes),
    ):
        table(folder / 'annotations' / f'{name}.csv', lines)
    return folder


def write_dicom(folder, image):
    array = pixels(image, *SIZE).astype('u2') * 16
    dicom(folder / f'{image}.dicom', array, 'MONOCHROME1' if int(image, 16) % 4 == 3 else 'MONOCHROME2', 12)


def kaggle(folder, scale=1):
    """`train.csv` with 14 findings, and PNG copies at 1/scale of the size with `train_meta.csv` if scale > 1."""
    lines, classes = ['image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max'], list(KAGGLE)
    for image in TRAIN:
        for reader in readers_of(image):
            local = {name: box for name, box in says(image, reader).items() if box}
            for name, box in local.items():
                corners = ','.join(f'{value}.0' for value in box)
                lines.append(f'{image},{name},{classes.index(name)},{reader},{corners}')
            if not local:
                lines.append(f'{image},No finding,14,{reader},,,,')
        film(folder / 'train' / f'{image}.png', SIZE[0] // scale, SIZE[1] // scale)
    table(folder / 'train.csv', lines)
    if scale > 1:
        table(folder / 'train_meta.csv', ['image_id,dim0,dim1', *(f'{image},{SIZE[0]},{SIZE[1]}' for image in TRAIN)])
    return folder
