"""Files of MedMNIST in miniature: its keys, types and shapes, synthetic images."""

import numpy as np

PARTS = ('train', 'val', 'test')


def write(folder, subset, *, side=28, values=2, columns=1, colour=False, counts=(12, 6, 6)):
    """SUBSET.npz (28 px) or SUBSET_SIDE.npz; labels [N, 1] of `values` numbers in turn, or [N, columns] of 0 and 1."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in zip(PARTS, counts, strict=True):
        size = (count, side, side, 3) if colour else (count, side, side)
        arrays[f'{part}_images'] = rng.integers(0, 256, size, dtype=np.uint8)
        labels = np.arange(count * columns).reshape(count, columns) % values
        arrays[f'{part}_labels'] = labels.astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (f'{subset}.npz' if side == 28 else f'{subset}_{side}.npz')
    np.savez_compressed(path, **arrays)
    return path, arrays
