"""JSRT in miniature, with SCR's masks: tables by tabs, raw big-endian files at full size."""

import numpy as np
from PIL import Image

ANATOMY = {
    'left lung': (520, 200, 900, 800),
    'right lung': (100, 200, 480, 800),
    'heart': (350, 500, 650, 850),
    'left clavicle': (560, 120, 850, 170),
    'right clavicle': (150, 120, 450, 170),
}
NODULES = [(15.0, 1634, 692), (30.0, 500, 800), (8.8, 1000, 1500)]  # size in mm, x, y


def grey(number):
    """Stored values [2048, 2048] of 12 bits: a ramp to the right, dark where the film is white."""
    return np.tile(np.linspace(0, 4000, 2048) + number, (2048, 1)).astype('>u2')


def write(folder, masks=True):
    names = [f'JPCLN{k + 1:03d}' for k in range(3)] + [f'JPCNN{k + 1:03d}' for k in range(3)]
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        f'{name}.IMG\t5\t{size}\t53\t{"Female" if k else "Male"}\t{x}\t{y}\tmalignant\tl.upper lobe\tlung cancer'
        for k, (name, (size, x, y)) in enumerate(zip(names[:3], NODULES, strict=True))
    ]
    (folder / 'CLNDAT_EN.txt').write_bytes('\r\n'.join(lines).encode('latin-1') + b'\r\n')
    others = [f'{name}.IMG\t{30 + 20 * k}\tFemale\tnon-nodule' for k, name in enumerate(names[3:])]
    (folder / 'CNNDAT_EN.txt').write_bytes('\r\n'.join(others).encode('latin-1') + b'\r\n')
    for number, name in enumerate(names):
        (folder / f'{name}.IMG').write_bytes(grey(number).tobytes())
        for structure, (x0, y0, x1, y1) in ANATOMY.items() if masks else ():
            mask = np.zeros((1024, 1024), np.uint8)
            mask[y0:y1, x0:x1] = 255
            fold = folder / 'scr' / f'fold{1 if number % 2 else 2}' / 'masks' / structure
            fold.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(fold / f'{name}.gif')
    return folder
