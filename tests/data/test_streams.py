"""Rows that stay where they are, work in threads, and what is made ahead."""

import threading

import numpy as np
import pytest

from imbalance_jax.data import streams


def test_rows_read_what_is_asked_for():
    array = np.arange(24).reshape(6, 2, 2)
    rows = streams.Rows(array, np.array([5, 0, 3]))
    assert (len(rows), rows.shape, rows.nbytes) == (3, (3, 2, 2), 3 * 4 * 8)
    np.testing.assert_array_equal(rows[np.array([[2], [0]])], array[[[3], [5]]])
    np.testing.assert_array_equal(rows[1:], array[[0, 3]])
    np.testing.assert_array_equal(np.asarray(rows), array[[5, 0, 3]])


def test_what_is_taken_begins_where_devices_can_read_it():
    array = np.random.default_rng(0).integers(0, 256, (9, 3, 5), np.uint8)
    for count in range(1, 9):
        taken = streams.take(streams.Rows(array, np.arange(8, -1, -1)), np.arange(count), size=count + 2)
        assert taken.shape == (count + 2, 3, 5)
        assert taken.ctypes.data % streams.ALIGNED == 0
        np.testing.assert_array_equal(taken[:count], array[8 : 8 - count : -1])


def test_work_on_all_cores_keeps_order_and_looks_ahead_only_so_far():
    taken: list[int] = []
    items = (taken.append(index) or index for index in range(500))
    for index, result in enumerate(streams.on_all_cores(lambda x: x * x, items)):
        assert result == index**2
        assert len(taken) <= index + streams.AHEAD
    assert len(taken) == 500


def test_errors_of_work_reach_the_caller():
    with pytest.raises(ZeroDivisionError):
        list(streams.on_all_cores(lambda x: 1 // x, [2, 1, 0, 1]))
    with pytest.raises(ZeroDivisionError):
        list(streams.ahead(1 // x for x in (1, 0)))


def test_one_item_is_made_ahead_and_not_two():
    made, second = [], threading.Event()

    def items():
        for item in range(4):
            made.append(item)
            if item == 1:
                second.set()
            yield item

    coming = streams.ahead(items())
    assert next(coming) == 0
    assert second.wait(10)
    assert made == [0, 1]
    assert list(coming) == [1, 2, 3]
