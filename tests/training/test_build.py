"""What a user's own loss may do wrong is said with the arm and the loss, before anything is compiled."""

import numpy as np
import pytest

from imbalance_jax import losses
from imbalance_jax.training import arm_losses

ROW = {'arm': 'mine', 'loss': 'odd', 'hyper': {}}


def gives_a_number(num_positive, num_negative):
    return 3


def needs_more(num_positive, num_negative, *, a):
    return losses.LOSSES['bce'](num_positive, num_negative)


def refuses(num_positive, num_negative):
    raise ValueError('it takes no classes.')


@pytest.mark.parametrize(
    ('loss', 'message'),
    [(gives_a_number, 'gives 3, which is no'), (needs_more, "argument: 'a'"), (refuses, 'it takes no classes')],
)
def test_a_wrong_loss_is_named(monkeypatch, loss, message):
    monkeypatch.setitem(losses.LOSSES, 'odd', loss)
    counts = np.array([2.0, 3.0]), np.array([8.0, 7.0])
    with pytest.raises(ValueError, match=rf"config\.arms\.mine: loss 'odd'.*{message}"):
        arm_losses.build_loss(ROW, *counts)


def test_a_sound_loss_is_taken():
    loss = arm_losses.build_loss({**ROW, 'loss': 'bce'}, np.array([2.0]), np.array([8.0]))
    assert isinstance(loss, losses.Loss)
