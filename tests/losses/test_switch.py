"""The losses of many arms as one function: the same values, and no branches where numbers are enough."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax import losses
from imbalance_jax.losses.switch import switch

POSITIVE, NEGATIVE = np.array([12, 3, 30]), np.array([28, 37, 10])
RANDOM = np.random.default_rng(5)
LOGITS = jnp.asarray(RANDOM.normal(0, 3, (6, 3)), jnp.float32)
LABELS, MASK = (jnp.asarray(RANDOM.random((6, 3)) < share, jnp.float32) for share in (0.4, 0.8))
GRID = [losses.make('focal', POSITIVE, NEGATIVE, gamma=g, alpha=a) for g in (0, 1, 2) for a in (0.25, 0.5, 0.75)]


def every(functions):
    """Value and gradient of every arm, [arms] and [arms, B, K]."""
    arms = switch(functions)
    trained, running = arms.init()

    def value(logits, arm):
        return arms.apply(trained, running, arm, logits, LABELS, MASK, None, 0.6)[0]

    return jax.vmap(jax.value_and_grad(value), (None, 0))(LOGITS, jnp.arange(len(functions)))


@pytest.mark.parametrize('mixed', [False, True])
def test_each_arm_has_the_value_and_gradient_of_its_loss(mixed):
    others = [losses.make(name, POSITIVE, NEGATIVE) for name in losses.LOSSES]
    functions = [*GRID[:4], *others, *GRID[4:]] if mixed else GRID
    values, gradients = every(functions)
    for loss, loss_value, gradient in zip(functions, values, gradients, strict=True):
        value, expected = jax.value_and_grad(loss, 1)(loss.init(), LOGITS, LABELS, MASK, None, 0.6)
        np.testing.assert_allclose(loss_value, value, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


def test_a_grid_of_hyper_parameters_is_one_program_without_branches():
    arms = switch(GRID)
    program = str(jax.make_jaxpr(arms.apply)(*arms.init(), 3, LOGITS, LABELS, MASK, None, 0.0))
    single = switch(GRID[:1])
    assert 'cond[' not in program
    length = len(str(jax.make_jaxpr(single.apply)(*single.init(), 0, LOGITS, LABELS, MASK, None, 0.0)).splitlines())
    assert len(program.splitlines()) <= length + 2
    two = switch([*GRID, losses.make('multi_task', POSITIVE, NEGATIVE)])
    assert str(jax.make_jaxpr(two.apply)(*two.init(), 3, LOGITS, LABELS, MASK, None, 0.0)).count('cond[') == 1


def test_a_branch_that_is_not_finite_reaches_no_other_arm():
    broken = losses.Loss(lambda params, logits, *rest: logits.sum() * jnp.nan)
    values, gradients = every([GRID[0], broken])
    assert np.isfinite(values[0])
    assert np.isfinite(gradients[0]).all()
    assert np.isnan(values[1])
