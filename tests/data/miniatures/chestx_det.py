"""ChestX-Det and ChestX-Det10 in miniature: parallel lists of findings, boxes and polygons."""

import json

from data.miniatures.films import film

TRIANGLE, SQUARE = [[100, 100], [500, 120], [300, 600]], [[600, 600], [900, 600], [900, 1000], [600, 1000]]


def findings(number):
    """[(finding, polygon)] of image `number`."""
    found = []
    if number % 2:
        found.append(('Effusion', TRIANGLE))
    if number % 3 == 1:
        found.append(('Diffuse Nodule', SQUARE))
        found.append(('Effusion', SQUARE))
    return found


def box_of(polygon):
    x, y = zip(*polygon, strict=True)
    return [min(x), min(y), max(x), max(y)]


def write(folder, ten=False):
    """`ten`: Det10, boxes only and other names of files; train and test have a file of one name."""
    for split, numbers in (('train', range(36201, 36225)), ('test', range(36201, 36207))):
        entries = []
        for number in numbers:
            of_image = [(name, shape) for name, shape in findings(number) if not ten or name != 'Diffuse Nodule']
            entry = {'file_name': f'{number}.png', 'syms': [name for name, _ in of_image]}
            entry['boxes'] = [box_of(shape) for _, shape in of_image]
            if not ten:
                entry['polygons'] = [shape for _, shape in of_image]
            entries.append(entry)
            film(folder / f'{split}_data' / f'{number}.png', 64, 64)
        (folder / (f'{split}.json' if ten else f'ChestX_Det_{split}.json')).write_text(json.dumps(entries))
    return folder
