"""Names looked up, and options read from signatures."""

from functools import partial

import pytest

from imbalance_jax.names import lookup, options_of


def method(score, images, window=5, *, key, stride=1, statistic='mean', **more):
    """Takes options in every way that Python knows."""


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"Unknown loss 'bcee'\. Did you mean 'bce'\? Known: bce, focal\."):
        lookup({'focal': 1, 'bce': 2}, 'bcee', 'loss')


def test_letters_that_changed_places_are_the_likeliest_slip():
    with pytest.raises(ValueError, match=r"Did you mean 'PATIENT'"):
        lookup({'parent': 1, 'PATIENT': 2}, 'patient', 'column')
    with pytest.raises(ValueError, match=r"'lables'\. Did you mean 'labels'"):
        lookup(dict.fromkeys(('tables', 'labels')), 'lables', 'field')


def test_options_are_the_keyword_parameters_with_a_default():
    assert options_of(method) == {'window': 5, 'stride': 1, 'statistic': 'mean'}
    assert options_of(method, skip=('window',)) == {'stride': 1, 'statistic': 'mean'}


def test_what_a_partial_settles_is_no_option():
    assert options_of(partial(method, statistic='squared')) == {'window': 5, 'stride': 1}
    assert options_of(partial(partial(method, stride=2), statistic='squared')) == {'window': 5}
