"""Student's interval over seeds."""

import numpy as np
import pytest

from imbalance_jax.metrics import intervals


def test_intervals_over_seeds():
    result = intervals.over_seeds(np.array([1.0, 2.0, 3.0, np.nan]))
    assert result.estimate == 2
    assert result.high - 2 == pytest.approx(4.30265 / np.sqrt(3), rel=1e-5)
    assert np.isnan(intervals.over_seeds(np.array([1.0])).low)
