"""Fields set by a command line or a sweep: right kinds, near names, and options that only signatures know."""

import pytest

from imbalance_jax import config as fields
from imbalance_jax.config import overrides
from imbalance_jax.configs import base
from imbalance_jax.training import plugins


@pytest.fixture
def config():
    return base.get_config().lock()


def get(config, name):
    for part in name.split('.'):
        config = config[part]
    return config


@pytest.mark.parametrize(
    ('name', 'text', 'value'),
    [
        ('train.epochs', '3', 3),
        ('train.learning_rate', '1e-3', 1e-3),
        ('train.learning_rate', '1', 1.0),
        ('seeds', '(0, 1)', (0, 1)),
        ('seeds', '0, 1', (0, 1)),
        ('concepts.layers', '()', ()),
        ('attribution.methods', "('saliency', 'grad_cam')", ('saliency', 'grad_cam')),
        ('attribution.methods', 'saliency,grad_cam', ('saliency', 'grad_cam')),
        ('attribution.methods', 'saliency', ('saliency',)),
        ('data.folder', '2024', '2024'),
        ('data.imbalance.Effusion', '0.05', 0.05),
        ('data.phantom.num_patients', '60', 60),
        ('model.cnn.widths', '(4, 8)', (4, 8)),
        # known from signatures alone
        ('model.resnet50.width', '32', 32),
        ('model.resnet34.norm', 'group', 'group'),
        ('attribution.occlusion.window', '9', 9),
        ('attribution.occlusion.baseline', 'blur', 'blur'),
        ('attribution.deeplift.baseline', '0.5', 0.5),
        ('attribution.smooth_grad.samples', '5', 5),
        ('data.nih_chest_xray14.manual_dir', 'a folder', 'a folder'),
        ('arms.focal.gamma', '5', 5.0),
        ('arms.focal.learning_rate', '1e-2', 1e-2),
        ('arms.bce.sampler', 'class_aware', 'class_aware'),
    ],
)
def test_a_text_becomes_a_value_of_the_right_kind(config, name, text, value):
    overrides.apply_texts(config, {name: text}, plugins.options)
    assert get(config, name) == value
    assert type(get(config, name)) is type(value)
    fields.check(config, base.get_config(), plugins.options)


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('train.epoch', '3', "Did you mean 'train.epochs'"),
        (
            'arms.bce.pos_weight',
            '3',
            r"config\.arms\.bce has 'pos_weight': a loss weighs classes, such as weighted_bce",
        ),
        ('train', '3', 'config.train is a block'),
        ('train.epochs', 'many', "config.train.epochs is 'many'; it must be a whole number"),
        ('train.epochs', '2.5', 'must be a whole number'),
        ('train.learning_rate', 'fast', 'must be a number'),
        (
            'seeds',
            '3',
            r'config.seeds is 3; it must be a tuple: --config.seeds="\(3,\)" for this one alone, or "\(0, 1, 2\)"',
        ),
        ('seeds', "('a',)", "has 'a'; each of its values must be a whole number"),
        ('data.imbalance', '0.5', 'is a block'),
        ('arms', 'focal', 'is a block'),
        ('model.resnet55.width', '3', "Did you mean 'resnet50'"),
        ('model.resnet50.widht', '3', "Did you mean 'width'"),
        ('model.resnet50.width', 'wide', 'must be a whole number'),
        ('attribution.oclusion.window', '3', "Did you mean 'occlusion'"),
        ('attribution.occlusion.windows', '3', "Did you mean 'window'"),
        ('data.phantm.seed', '3', "Did you mean 'phantom'"),
        ('data.phantom.sed', '3', "Did you mean 'seed'"),
        ('arms.focl.gamma', '3', "Did you mean 'focal'"),
        ('arms.focal.gama', '3', "Did you mean 'gamma'"),
        ('arms.focal.gamma', 'much', 'config.arms.focal.gamma is .much.; it must be a number'),
        ('arms.focal.head', '3', None),
    ],
)
def test_a_wrong_text_is_one_helpful_line(config, name, text, message):
    if message is None:  # a word, if a strange one: for whoever knows the words
        overrides.apply_texts(config, {name: text}, plugins.options)
        return
    with pytest.raises(ValueError, match=message) as caught:
        overrides.apply_texts(config, {name: text}, plugins.options)
    assert '\n' not in str(caught.value)


def test_a_value_has_no_fields(config):
    with config.unlocked():
        config.data.mine = {'reader': 'folder', 'path': '.', 'labels': ('mass', 'edema')}
    with pytest.raises(ValueError, match=r"config.data.mine.labels is \('mass', 'edema'\) and has no fields"):
        overrides.apply_texts(config, {'data.mine.labels.columns': 'mass'}, plugins.options)


@pytest.mark.parametrize('name', ['train', 'data.label_maps', 'data.phantom'])
def test_a_block_is_set_field_by_field(config, name):
    with config.unlocked():
        config.data.label_maps = {'theirs': {'Effusion': 'mass'}}
    with pytest.raises(ValueError, match=rf'config.{name} is a block; set one of its fields'):
        overrides.apply_texts(config, {name: '{}'}, plugins.options)
    if name != 'data.label_maps':  # whose fields are the user's, so that a point may give all of them
        with pytest.raises(ValueError, match=rf'config.{name} is a block; a point sets one of its fields'):
            overrides.apply_point(config, {name: {}}, plugins.options)


def test_a_point_of_a_sweep_sets_options_too(config):
    point = {'config.model.resnet50.width': 16, 'arms.focal.gamma': 1.0, 'config.data.imbalance': {'Mass': 0.1}}
    overrides.apply_point(config, point, plugins.options)
    assert config.model.resnet50.width == 16
    assert config.arms.focal.gamma == 1.0
    assert config.data.imbalance.Mass == 0.1
    with pytest.raises(ValueError, match='must be a whole number'):
        overrides.apply_point(config, {'model.resnet50.width': 'wide'}, plugins.options)


@pytest.mark.parametrize(
    ('block', 'message'),
    [
        ({'model': {'resnet50': {'widht': 3}}}, "Did you mean 'width'"),
        ({'model': {'resnet50': {'width': 0}}}, 'config.model.resnet50.width is 0; it must be 1 or more'),
        ({'attribution': {'occlusion': {'window': 'wide'}}}, 'must be a whole number'),
        ({'arms': {'focal': {'gama': 3.0}}}, "Did you mean 'gamma'"),
        ({'arms': {'focal': {'gamma': 'much'}}}, 'must be a number'),
        ({'arms': {'fokal': {'gamma': 1.0}}}, "Did you mean 'focal'"),
        (
            {'arms': {'bce': {'learningrate': 0.1}}},
            "field or option in config.arms.bce: .*Did you mean 'learning_rate'",
        ),
        (
            {'model': {'preprocessing': {'st': (1.0,)}}},
            "config field 'model.preprocessing.st'.*model.preprocessing.std",
        ),
        ({'plugin_folders': (3,)}, 'config.plugin_folders has 3; expected folders, as texts'),
        ({'data': {'name': 'folder'}}, "config.data.name is 'folder', but config.data.folder is a field of its own"),
        ({'data': {'name': 'test_on'}}, 'config.data.test_on is a field of its own; take another name'),
        ({'data': {'name': 'policies'}}, 'config.data.policies is a field of its own; take another name'),
    ],
)
def test_options_in_a_config_file_are_checked_too(config, block, message):
    with config.unlocked():
        config.update(block)
    with pytest.raises(ValueError, match=message):
        fields.check(config, base.get_config(), plugins.options)


def test_a_long_list_of_fields_is_cut(config):
    with pytest.raises(ValueError, match='nearest: ') as caught:
        overrides.apply_texts(config, {'train.epoch': '3'})
    assert str(caught.value).count(',') < 10


def test_arm_fields_are_those_of_members():
    from imbalance_jax.config.fields import ARM_FIELDS
    from imbalance_jax.training import members

    [row] = members.make_members({'bce': {}}, (0,), 'bce', learning_rate=1.0, weight_decay=0.0)
    assert ARM_FIELDS.keys() <= row.keys()
