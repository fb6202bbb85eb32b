"""What a label says: whether each finding is there, or which one of the classes an image is."""

import dataclasses

import numpy as np

from imbalance_jax.data.dataset import LEFT_OUT, Dataset

MULTI_LABEL, MULTI_CLASS = 'multi_label', 'multi_class'


def task_of(info: dict) -> str:
    """MULTI_LABEL, each class a question of its own, or MULTI_CLASS, an image being of exactly one. info: of a data
    set; one that says nothing is multi-label."""
    return info.get('task', MULTI_LABEL)


def with_task(dataset: Dataset, task: str) -> Dataset:
    """The data set as one of that task; '' leaves what it says of itself. ValueError where its images are not."""
    if task in ('', task_of(dataset.info)):
        return dataset
    result = dataclasses.replace(dataset, info={**dataset.info, 'task': task})
    check_task(result)
    return result


def check_task(dataset: Dataset) -> None:
    """Raises ValueError, naming the image, where a multi-class set has one that is not of exactly one known class."""
    task = task_of(dataset.info)
    if task not in (MULTI_LABEL, MULTI_CLASS):
        raise ValueError(f"info['task'] is {task!r}; valid are {MULTI_LABEL!r} and {MULTI_CLASS!r}.")
    if task == MULTI_LABEL:
        return
    if len(dataset.classes) < 2:
        raise ValueError(
            f'{dataset.info["name"]} is {MULTI_CLASS} and has {len(dataset.classes)} class; valid are 2 or more.'
        )
    known = np.asarray(dataset.label_mask.astype(bool).all(axis=1))
    used = dataset.split != LEFT_OUT
    number = (dataset.labels == 1).sum(1)
    wrong = np.flatnonzero(used & ~(known & (number == 1)))
    if wrong.size:
        first = int(wrong[0])
        what = f'is of {number[first]} classes' if known[first] else 'has a label that is uncertain or missing'
        others = f', one of {wrong.size} such images' if wrong.size > 1 else ''
        raise ValueError(
            f'{dataset.info["name"]}: image {dataset.image_id[first]} (row {first}) {what}{others}; in a {MULTI_CLASS} '
            f"set each is of exactly one known class. For findings that come together set data.task = '{MULTI_LABEL}'."
        )
