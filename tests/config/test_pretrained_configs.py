"""The configs that begin with weights: one flag says where they are, and half of the arms begin at random."""

import pytest

from imbalance_jax.configs import frozen_heads, transfer
from imbalance_jax.training import build
from imbalance_jax.training.start import weights_of


@pytest.mark.parametrize(('module', 'frozen'), [(frozen_heads, 1.0), (transfer, 0.0)])
def test_half_of_the_members_begin_with_the_weights(module, frozen):
    config = module.get_config()
    config.model.weights = 'mine.pth'
    rows = build.make_members(config)
    assert {weights_of(row) for row in rows if row['arm'].startswith('random')} == {'random'}
    assert {weights_of(row) for row in rows if row['arm'].startswith('imagenet')} == {'mine.pth'}
    assert len(rows) == len(config.arms) * len(config.seeds)
    assert {row['frozen'] for row in rows} == {frozen}
    assert config.reference in config.arms
