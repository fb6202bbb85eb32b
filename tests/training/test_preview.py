"""What a plan refuses because training would, before there are data."""

import copy

import pytest
from data.reader.folders import picture, table

from imbalance_jax.configs import base
from imbalance_jax.data.samplers import SAMPLERS
from imbalance_jax.explain.run import STAGES
from imbalance_jax.losses import LOSSES
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
        ('arms', {'bce': {}, 'focl': {}}, "Unknown loss of config.arms.focl: 'focl'"),
        ('arms', {'bce': {'sampler': 'weihgted'}}, "Unknown sampler of config.arms.bce: 'weihgted'"),
        ('arms', {'bce': {}, 'focal': {'gamma': -2.0}}, 'gamma'),
        ('arms', {'bce': {'sampler': 'power', 'alpha': 1.0}}, 'sampler'),
        ('reference', 'none', 'config.reference'),
        (
            'arms',
            {'bce': {}, 'ce': {'loss': 'cross_entropy'}},
            'exactly one class per image, and phantom is multi',
        ),
        ('arms', {'bce': {}, '#focal': {'loss': 'focal'}}, 'does not begin with .*, or #, as a line that is left out'),
        ('model.name', 'resnet9', "Unknown model in config.model.name: 'resnet9'"),
        ('model.cnn.widths', (), 'none is a map'),
        ('data.name', 'nih', "Unknown data set 'nih'"),
        ('data.phantom.num_patient', 5, 'num_patient'),
        ('attribution.methods', ('saliensy',), "Unknown attribution method in config.attribution.methods: 'saliensy'"),
        ('attribution.methods', (), 'at least one method'),
        ('attribution.metrics', ('iou2',), "Unknown alignment metric in config.attribution.metrics: 'iou2'"),
        ('attribution.layer', 'stage9', "Unknown layer in config.attribution.layer: 'stage9'"),
        ('concepts.null', 'permute', "Unknown null model in config.concepts.null: 'permute'"),
        ('population.strategy', 'vmpa', 'vmpa'),
        ('data.phantom.common_prevalence', 25.0, 'common_prevalence is 25.0; it must be a number from'),
        ('data.phantom.test_fraction', 0.9, 'leave none of num_patients 1500 to train on'),
        ('data.imbalance', {'Masss': 0.01}, "Unknown class in config.data.imbalance: 'Masss'"),
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


def test_what_the_tables_of_a_folder_do_not_say_is_refused_where_it_is_there(tmp_path, capsys):
    for number in range(8):
        picture(tmp_path / f'{number}.png')
    table(tmp_path, 'file,finding\n' + ''.join(f'{number}.png,{"ab"[number % 2]}\n' for number in range(8)))
    block = {'reader': 'folder', 'path': str(tmp_path), 'tables': 't.csv', 'images': '{file}', 'labels': 'finding'}
    config = changed('data.mine', block)
    config.data.name = 'mine'
    preview.check(config, STAGES)
    for change, said in (
        ({'split': {'column': 'fold'}}, 'fold'),
        ({'labels': ('finding', 'finding')}, "names 'finding' twice"),
        ({'images': '{file}.jpg'}, 'None of the 8 images'),
    ):
        with config.unlocked():
            config.data.mine = {**block, **change}
        with pytest.raises((ValueError, FileNotFoundError), match=said):
            preview.check(config, STAGES)
    with config.unlocked():
        config.data.mine = {**block, 'path': str(tmp_path / 'on another machine')}
    preview.check(config, STAGES)
    assert 'on another machine' in capsys.readouterr().out


def test_a_loss_and_a_sampler_of_one_s_own_may_want_more_classes(monkeypatch):
    def failing(num_positive, num_negative):
        raise NameError('no such name')

    monkeypatch.setitem(LOSSES, 'own', lambda num_positive, num_negative: num_positive[5])
    monkeypatch.setitem(SAMPLERS, 'own', lambda labels, progress: labels[:, 5])
    preview.check(changed('arms', {'bce': {}, 'own': {'loss': 'own', 'sampler': 'own'}}), STAGES)
    monkeypatch.setitem(LOSSES, 'own', failing)
    with pytest.raises(ValueError, match=r"config\.arms\.own: loss 'own': NameError: no such name"):
        preview.check(changed('arms', {'bce': {}, 'own': {'loss': 'own'}}), STAGES)


def test_names_in_other_sets_are_looked_up_where_both_are_there(tmp_path):
    config = changed('data.name', 'mine')
    with config.unlocked():
        for name, finding in (('mine', 'edema'), ('theirs', 'pleural effusion')):
            folder = tmp_path / name
            folder.mkdir()
            for number in range(4):
                picture(folder / f'{number}.png')
            table(folder, f'image,{finding}\n' + ''.join(f'{number}.png,{number % 2}\n' for number in range(4)))
            block = {'reader': 'folder', 'path': str(folder), 'tables': 't.csv', 'images': 'image'}
            config.data[name] = {**block, 'labels': (finding,)}
        config.data.test_on = ('theirs:all',)
        config.data.label_maps = {'theirs': {'edema': 'Pleural_Effusion'}}
    with pytest.raises(ValueError, match=r"in data\.label_maps\.theirs: 'Pleural_Effusion'\. Did you mean 'pleural"):
        preview.check(config)
    config.data.label_maps.theirs.edema = 'pleural effusion'
    preview.check(config)
    config.data.theirs.labels = ('effusion',)
    with pytest.raises(ValueError, match=r'effusion'):
        preview.check(config)
