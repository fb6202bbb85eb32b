"""The contract of a model: every way to break it is one line, before anything is compiled."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from imbalance_jax import models
from imbalance_jax.attribution import layers
from imbalance_jax.models.layers import perturb

SHAPE = (8, 8, 1)


AFTER = {'sigmoid': nn.sigmoid, 'temperature': lambda x: 3 * x, 'turned round': lambda x: x[:, ::-1]}
HALF = {'half': lambda x: x.astype(jnp.bfloat16)}


class Plain(nn.Module):
    """A model of a user that keeps the contract, with names of its own; each flag breaks it in one way."""

    num_classes: int
    breaks: str = ''

    @nn.compact
    def __call__(self, image, train=False):
        out, breaks = {}, self.breaks
        image = image * (image > 1e6) if breaks == 'blind' else image
        move = nn.Module.perturb if breaks == 'flax' else perturb
        x = nn.relu(nn.Conv(4, (3, 3))(image))
        x = out['zebra'] = x if breaks == 'unperturbed' else move(self, 'zebra', x)
        x = nn.Conv(6, (3, 3), 2)(x)
        x = nn.relu(x - x.mean((0, 1, 2)) if breaks == 'of the batch' else x)
        x = out['apple'] = move(self, 'apple', x)
        if breaks == 'no maps':
            out = {}
        if breaks == 'order':
            out = dict(reversed(out.items()))
        if breaks == 'times 0':
            x = 0 * x
        if breaks == 'none':
            out['attention'] = None
        if breaks == 'numbered':
            out[3] = x
        x = out['pooled'] = move(self, 'pooled', x.mean((1, 2)))
        if breaks == 'not pooled':
            del out['pooled']
        if breaks == 'dropout':
            x = nn.Dropout(0.5)(x, deterministic=not train)
        name = 'classifier' if breaks == 'no head' else 'head'
        logits = nn.Dense(self.num_classes, use_bias=breaks != 'no bias', name=name)(x)
        if breaks == 'stopped':
            logits = jax.lax.stop_gradient(logits)
        if breaks == 'one number':
            logits = logits[:, 0]
        logits = (AFTER | HALF).get(breaks, lambda one: one)(logits)
        return logits if breaks == 'no out' else (logits, out)


class NoTrain(nn.Module):
    @nn.compact
    def __call__(self, image):
        x = perturb(self, 'stage', nn.Conv(4, (3, 3))(image))
        pooled = perturb(self, 'pooled', x.mean((1, 2)))
        return nn.Dense(3, name='head')(pooled), {'stage': x, 'pooled': pooled}


@pytest.mark.parametrize('model', [Plain(3), models.make('cnn', 3, widths=(4, 8)), models.make('cnn', 3, norm='group')])
def test_a_model_that_keeps_the_contract_passes(model):
    models.check(model, SHAPE)


@pytest.mark.parametrize(
    ('breaks', 'message'),
    [
        ('no out', 'return logits and a dict of named activations'),
        ('one number', r'logits must be \[B,K\], and are \[2\]'),
        ('no maps', r"`out` holds \['pooled'\]: none is a map"),
        ('not pooled', r"must have 'pooled' \[B,U\]"),
        ('no head', r"a part named 'head', the last layer, beside \['Conv_0', 'Conv_1', 'classifier'\]"),
        ('no bias', r"must have .*'bias': \(3,\)"),
        ('unperturbed', "do not change with a perturbation of 'zebra': write x = out"),
        ('stopped', "do not change with a perturbation of 'apple'"),
        ('order', "from front to back, and 'apple' comes after 'zebra'"),
        ('times 0', "the gradient of the logits at 'apple' is exactly 0: .* name an earlier layer"),
        *((after, "not those of 'head' on out\\['pooled'\\]: nothing may come after the head") for after in AFTER),
        ('blind', 'its logits are the same for every image: nothing of an image reaches them'),
        ('none', "what it returns as 'attention' must be an array, and is None"),
        ('numbered', '`out` names activations by texts, and has 3'),
        ('half', 'its logits must be float32, and are bfloat16: end with'),
        ('of the batch', 'its logits of an image depend on the other images of the batch, when it is not trained'),
        ('flax', "fails in apply with a perturbation of 'zebra' alone"),
        ('dropout', r'fails in apply\(\.\.\., train=True\)'),
    ],
)
def test_every_breach_is_one_line(breaks, message):
    with pytest.raises(ValueError, match=message) as error:
        models.check(Plain(3, breaks), SHAPE)
    assert '\n' not in str(error.value)


def test_logits_of_other_classes_are_named():
    models.check(Plain(3), SHAPE, 3)
    with pytest.raises(ValueError, match=r'its logits are \[B,3\] where there are 2 classes: as many as `num_classes`'):
        models.check(Plain(3), SHAPE, 2)


def test_a_model_without_train_is_named():
    with pytest.raises(ValueError, match=r'apply\(\.\.\., train=True\): .*unexpected keyword'):
        models.check(NoTrain(), SHAPE)


def test_an_error_of_the_model_itself_passes():
    with pytest.raises(ValueError, match='A window of'):
        models.check(models.make('cnn', 3, widths=(4, 4, 4, 4), pools=3), (4, 4, 1))


def test_layers_come_in_the_order_of_the_model_whatever_their_names():
    model = Plain(3)
    variables = model.init(jax.random.key(0), jnp.zeros((1, *SHAPE)))
    assert layers.layer_shapes(model, variables, SHAPE) == {'zebra': (8, 8, 4), 'apple': (4, 4, 6)}
    assert layers.last_stage(model, variables, SHAPE) == 'apple'


def test_a_function_that_does_not_take_the_number_of_classes_is_named(monkeypatch):
    monkeypatch.setitem(models.MODELS, 'odd', lambda **fields: None)
    with pytest.raises(ValueError, match="Model 'odd': too many positional arguments; it is called with the number of"):
        models.make('odd', 3)
