"""A data set in colour of which every image is of one class: squares whose colour is the class."""

import numpy as np

from imbalance_jax.data.dataset import Dataset

NAMES = ['red', 'green', 'blue', 'yellow']
COLOURS = np.array([[60, 0, 0], [0, 60, 0], [0, 0, 60], [40, 40, 0]])


def make(*, image_size: int = 16, num: int = 120, seed: int = 0) -> Dataset:
    """Half of the images are for training, a quarter for each of validation and test."""
    random = np.random.default_rng(seed)
    classes = random.choice(4, num, p=[0.5, 0.3, 0.12, 0.08])
    images = random.normal(120, 12, (num, image_size, image_size, 3))
    corners = random.integers(1, image_size - 8, (num, 2))
    for image, k, (y, x) in zip(images, classes, corners, strict=True):
        image[y : y + 6, x : x + 6] += COLOURS[k]
    return Dataset(
        images=np.clip(images, 0, 255).astype(np.uint8),
        labels=np.eye(4, dtype=np.uint8)[classes],
        label_mask=np.ones((num, 4), np.uint8),
        split=np.repeat([0, 1, 2], [num // 2, num // 4, num - num // 2 - num // 4]).astype(np.uint8),
        patient=np.arange(num),
        image_id=np.array([f'i{i}' for i in range(num)]),
        region_image=np.arange(num, dtype=np.int32),
        region_concept=classes.astype(np.int32),
        region_box=np.concatenate([corners[:, ::-1], corners[:, ::-1] + 6], 1).astype(np.float32),
        region_mask=np.zeros((0, image_size, -(-image_size // 8)), np.uint8),
        info={
            'name': 'squares',
            'classes': NAMES,
            'concepts': NAMES,
            'frame': [image_size, image_size],
            'options': {},
            'problems': {},
            'source': 'drawn',
            'licence': 'none',
            'task': 'multi_class',
            'modality': 'photograph',
        },
    )
