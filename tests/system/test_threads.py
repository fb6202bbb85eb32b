"""Work of several cores: begun ahead, made once, and what goes wrong is told where it is asked for."""

import threading
import time

import pytest

from imbalance_jax.system import limits, threads


@pytest.fixture(params=[1, 4])
def cores(request, monkeypatch):
    monkeypatch.setattr(limits, 'cores', lambda: request.param)
    return request.param


def test_results_ahead_are_those_of_their_items(cores):
    made = []

    def square(number):
        made.append(number)
        return number**2

    with threads.ahead(square, [3, 1, 2, 3]) as results:
        assert {number: results[number]() for number in (2, 3, 1, 2)} == {1: 1, 2: 4, 3: 9}
    assert sorted(made) == [1, 2, 3]


def test_one_core_begins_nothing_before_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(limits, 'cores', lambda: 1)
    made = []
    with threads.ahead(made.append, 'ab') as results:
        assert not made
        results['b']()
    assert made == ['b']


def test_an_error_is_raised_where_its_result_is_asked_for(cores):
    with threads.ahead(lambda number: 1 / number, [0, 4]) as results:
        assert results[4]() == 0.25
        with pytest.raises(ZeroDivisionError):
            results[0]()


def test_what_has_not_begun_when_the_block_ends_is_not_done(monkeypatch):
    monkeypatch.setattr(limits, 'cores', lambda: 2)
    begun, both, go_on = [], threading.Barrier(3), threading.Event()

    def wait(number):
        begun.append(number)
        both.wait(10)
        go_on.wait(10)

    with threads.ahead(wait, range(9)):
        both.wait(10)  # two are at it
        threading.Timer(0.2, go_on.set).start()
    assert sorted(begun) == [0, 1]


def test_what_is_made_once_is_one_object_for_all_threads():
    once, made = threads.Once(), []

    def make():
        made.append(1)
        time.sleep(0.05)
        return object()

    with threads.ahead(lambda _: once('key', make), range(8)) as results:
        assert len({id(results[i]()) for i in range(8)}) == 1
    assert made == [1]
    with pytest.raises(ZeroDivisionError):
        once('other', lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        once('other', object)
