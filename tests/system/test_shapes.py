"""What functions are given: axes by name, one line per fault, the same under `jit`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax.system.shapes import Anything, require_region, takes


@takes(scores='... N K', labels='N+ K', patients=Anything('N'), rest='R ...', more='R ...')
def total(scores, labels, patients=None, rest=None, more=None):
    return (scores * labels).sum()


SCORES, LABELS = np.ones((2, 4, 3)), np.ones((4, 3))


def test_what_fits_goes_through_also_traced_and_as_lists():
    assert total(SCORES, LABELS, ['a', 'b', 'c', 'd']) == total(SCORES.tolist(), labels=LABELS.tolist()) == 24
    assert jax.jit(total)(SCORES, LABELS) == jax.vmap(total, (0, None))(SCORES, LABELS).sum() == 24
    assert total(jnp.ones((4, 3), jnp.bfloat16), LABELS > 0, rest=np.ones((5, 2)), more=np.ones((5, 2))) == 12


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        ({'labels': LABELS[0]}, r'labels must be \[N, K\], not \(3,\)'),
        ({'labels': LABELS[:3]}, r'labels must be \[N, K\] with N = 4, as scores, not \(3, 3\)'),
        ({'labels': 'a.npy'}, r'labels must be numbers \[N, K\], not str'),
        ({'labels': None}, r'labels must be numbers \[N, K\], not NoneType'),
        ({'labels': LABELS * 1j}, 'not complex'),
        ({'labels': [[1, 2], [3]]}, 'not list'),
        ({'scores': SCORES[:, :0], 'labels': LABELS[:0]}, 'with one N at least'),
        ({'patients': 'a'}, r'patients must be \[N\], not \(\)'),
        ({'rest': np.ones((5, 2)), 'more': np.ones((5, 3))}, r'with \.\.\. = \(2,\)'),
    ],
)
def test_what_does_not_fit_is_one_line(given, said):
    arguments = {'scores': SCORES, 'labels': LABELS, **given}
    with pytest.raises(ValueError, match=said) as error:
        total(**arguments)
    assert '\n' not in str(error.value)
    if all(isinstance(one, np.ndarray) for one in arguments.values()):
        with pytest.raises(ValueError, match=said):
            jax.jit(total)(**arguments)


def test_regions_are_of_two_values():
    for masks in (np.array([0, 1]), np.array([0, 255]), np.array([0.0, 1.0]), np.zeros(3), np.zeros((0, 3))):
        require_region(masks)
    for masks, said in ((np.array([0, 2]), 'hold 2'), (np.array([0, 0.4]), '> 0.5'), (np.array([0, 1, 255]), '== ')):
        with pytest.raises(ValueError, match=said):
            require_region(masks)


def test_axes_in_front_must_broadcast():
    @takes(x='... N', counts='... N')
    def product(x, counts):
        return (x * counts).sum(-1)

    assert product(np.ones(4), np.ones((3, 4))).shape == (3,)
    assert product(np.ones((2, 1, 4)), np.ones((3, 4))).shape == (2, 3)
    with pytest.raises(ValueError, match=r'must be alike, or 1, or not there; they are \(2,\) of x, \(3,\) of counts'):
        product(np.ones((2, 4)), np.ones((3, 4)))
