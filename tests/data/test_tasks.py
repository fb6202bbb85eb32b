"""What a label says: one class per image, or findings that come together."""

import dataclasses

import numpy as np
import pytest
from squares import make

from imbalance_jax.data import tasks


def test_a_set_of_one_class_per_image_is_sound():
    tasks.check_task(make(image_size=16, num=12))


def test_left_out_images_may_be_of_no_class():
    dataset = make(image_size=16, num=12)
    labels, split = dataset.labels.copy(), dataset.split.copy()
    labels[3], split[3] = 0, 255
    tasks.check_task(dataclasses.replace(dataset, labels=labels, split=split))


@pytest.mark.parametrize(
    ('labels', 'mask', 'message'),
    [
        ([1, 1, 0, 0], [1, 1, 1, 1], 'image i3 .row 3. is of 2 classes;'),
        ([0, 0, 0, 0], [1, 1, 1, 1], 'is of 0 classes'),
        ([1, 0, 0, 0], [1, 0, 1, 1], 'has a label that is uncertain or missing'),
    ],
)
def test_an_image_of_no_known_single_class_is_named(labels, mask, message):
    dataset = make(image_size=16, num=12)
    dataset.labels[3], dataset.label_mask[3] = labels, mask
    with pytest.raises(ValueError, match=message):
        tasks.check_task(dataset)
    tasks.check_task(tasks.with_task(dataset, 'multi_label'))


def test_the_config_has_the_last_word():
    dataset = make(image_size=16, num=12)
    assert tasks.task_of(tasks.with_task(dataset, '').info) == 'multi_class'
    assert tasks.task_of(tasks.with_task(dataset, 'multi_label').info) == 'multi_label'
    assert tasks.task_of({}) == 'multi_label'


def test_names_and_numbers_of_classes_are_checked():
    dataset = make(image_size=16, num=12)
    with pytest.raises(ValueError, match="'multiclass'; valid are 'multi_label' and 'multi_class'"):
        tasks.check_task(tasks.with_task(dataset, 'multiclass'))
    one = {**dataset.info, 'classes': ['red']}
    alone = dataclasses.replace(dataset, info=one, labels=np.ones((12, 1), np.uint8), label_mask=np.ones((12, 1)))
    with pytest.raises(ValueError, match='has 1 class; valid are 2 or more'):
        tasks.check_task(alone)


def test_a_task_that_the_labels_deny_is_refused_where_it_is_set():
    dataset = make(image_size=16, num=12)
    several = tasks.with_task(dataset, 'multi_label')
    several.labels[3] = 1
    with pytest.raises(ValueError, match=r'image i3 .row 3. is of 4 classes; in a multi_class'):
        tasks.with_task(several, 'multi_class')
