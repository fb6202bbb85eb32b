"""The planted population of tests/planted.py, and the first passes over its probe set."""

import pytest
from planted import GREY, population

from imbalance_jax.explain import unit_passes


@pytest.fixture(scope='session')
def probe():
    return population(GREY)


@pytest.fixture(scope='session')
def thresholds(probe):
    return unit_passes.collect_thresholds(probe, 0.02, 0.9)


@pytest.fixture(scope='session')
def results(probe, thresholds):
    overlaps = unit_passes.dissect(probe, thresholds, quantile=0.02, null='image_permutation', rounds=50)
    return [one['stage1'] for one in overlaps]
