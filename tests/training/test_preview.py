"""What a plan refuses because training would, before there are data."""

import copy

import pytest

from imbalance_jax.configs import base
from imbalance_jax.explain.run import STAGES
from imbalance_jax.training import preview


def changed(field: str, value):
    config = copy.deepcopy(base.get_config())
    config.data.image_size = 16
    with config.unlocked():
        block = config
        *path, last = field.split('.')
        for name in path:
            block = block[name]
        block[last] = value
    return config


@pytest.mark.parametrize(
    ('field', 'value', 'words'),
    [
        ('arms', {'bce': {}, 'focl': {}}, "Unknown loss 'focl'"),
        ('arms', {'bce': {'sampler': 'weihgted'}}, "Unknown sampler 'weihgted'"),
        ('arms', {'bce': {}, 'focal': {'gamma': -2.0}}, 'gamma'),
        ('arms', {'bce': {'sampler': 'power', 'alpha': 1.0}}, 'sampler'),
        ('reference', 'none', 'config.reference'),
        ('model.name', 'resnet9', "Unknown model 'resnet9'"),
        ('model.cnn.widths', (), 'none is a map'),
        ('data.name', 'nih', "Unknown data set 'nih'"),
        ('data.phantom.num_patient', 5, 'num_patient'),
        ('attribution.methods', ('saliensy',), "Unknown attribution method 'saliensy'"),
        ('attribution.methods', (), 'at least one method'),
        ('attribution.metrics', ('iou2',), "Unknown alignment metric 'iou2'"),
        ('attribution.layer', 'stage9', "Unknown layer 'stage9'"),
        ('concepts.null', 'permute', "Unknown null model in config.concepts.null: 'permute'"),
        ('population.strategy', 'vmpa', 'vmpa'),
    ],
)
def test_what_train_would_refuse_is_refused_before_there_are_data(field, value, words):
    with pytest.raises(ValueError, match=words):
        preview.check(changed(field, value), STAGES)


def test_a_sound_config_passes_and_is_looked_at_once_for_all_seeds(monkeypatch):
    checker, config = preview.Checker(STAGES), changed('seeds', (0, 1))
    checker(config)
    monkeypatch.setattr(preview, 'check', lambda *_: pytest.fail('looked at again'))
    checker(changed('seeds', (2,)))
