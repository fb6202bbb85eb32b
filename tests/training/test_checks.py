"""What is wrong is said before anything is compiled: also what a stage of `explain` would trip over."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax.config import check, check_ranges
from imbalance_jax.config.fields import survives
from imbalance_jax.configs import base
from imbalance_jax.explain import alignment
from imbalance_jax.models.cnn import CNN
from imbalance_jax.system import workdir as writer
from imbalance_jax.training import build, checks, loop, network, run, trained
from imbalance_jax.training.build import make_members
from imbalance_jax.training.trained import Stage


def test_stages_check_their_options_before_training(tiny_config, tmp_path, monkeypatch):
    seen = []

    def check(config, untrained, image_shape, num_images):
        seen.append((config.data.image_size, untrained.model.apply, image_shape, num_images))
        raise ValueError('config.mine.rounds is 0; it must be 1 or more.')

    monkeypatch.setattr(loop, 'fit', lambda *_, **__: pytest.fail('training started'))
    stages = {'silent': Stage(lambda trained, workdir: None), 'mine': Stage(lambda trained, workdir: None, check)}
    with pytest.raises(ValueError, match=r'config\.mine\.rounds is 0'):
        run.run(tiny_config, tmp_path / 'run', stages=stages)
    assert not (tmp_path / 'run').exists()
    [(size, _, image_shape, num_images)] = seen
    assert image_shape == (size, size, 1)
    assert num_images == len(network.load_dataset(tiny_config).rows('test'))


def test_devices_that_cannot_share_a_batch_evenly_are_named_with_those_that_can():
    for strategy in ('data:3:shard:map', 'shard:map', 'data:12:shard:vmap:4', 'vmap'):
        checks.check_sharing(strategy, 12)
    with pytest.raises(
        ValueError, match=r"'data:8:shard:map', and 8 .* 12 images.* valid are data:2, data:3, data:4, "
    ):
        checks.check_sharing('data:8:shard:map', 12)
    with pytest.raises(ValueError, match='valid are those without data:d'):
        checks.check_sharing('data:2:shard:map', 1)
    with pytest.raises(ValueError, match='Unknown population strategy'):
        checks.check_sharing('data:0:shard:map', 12)


@pytest.mark.parametrize('value', [1e39, -1e39, 1e-50, 10**400, np.nextafter(2.0**-126, 0)])
def test_a_number_that_32_bits_do_not_hold_is_refused_wherever_it_stands(value):
    assert not survives(value)
    for place in ('train', 'arms'):
        config = base.get_config()
        with config.unlocked():
            if place == 'train':
                config.train.weight_decay = float(value) if value < 1e300 else 1e39
            else:
                config.arms = {'bce': {}, 'focal': {'gamma': value}}
        with pytest.raises(ValueError, match=r'(weight_decay|focal\.gamma) is .*(32 bits|0 or more)'):
            (check_ranges if place == 'train' else build.make_members)(config)


def test_numbers_that_32_bits_hold_are_taken():
    for value in (0, 0.0, 1, True, 2.0**-126, 3.4e38, -1e-30, float('inf'), 'word', None):
        assert survives(value)
    for value in np.random.default_rng(0).normal(size=100) * 10.0 ** np.arange(-50, 50):
        with np.errstate(over='ignore'):
            single = np.float32(value)
        assert survives(float(value)) == bool(np.isfinite(single) and abs(single) >= np.finfo(np.float32).tiny)


def test_a_truth_is_no_rate():
    config = base.get_config()
    with config.unlocked():
        config.arms = {'bce': {'learning_rate': True}}
    with pytest.raises(ValueError, match='learning_rate is True'):
        build.make_members(config)


@pytest.mark.parametrize('name', ['', ' ', "=cmd|'/c calc'!A0", '+1', '-1', '@x', 'a\nb', 'a\r', '\tx', ' x'])
def test_names_of_arms_are_no_formulas_and_one_line(name):
    with pytest.raises(ValueError, match=r'config\.arms has ') as caught:
        checks.check_population({'bce': {}, name: {'loss': 'bce'}}, (0,), 'bce')
    assert '\n' not in str(caught.value)
    with pytest.raises(ValueError, match='has a name of 201 bytes'):
        checks.check_population({'a' * 201: {}}, (0,), 'bce')
    checks.check_population({'bce': {}, 'bce@gamma=2': {}, 'a b': {}, 'ä<b>': {}}, (0,), 'bce')


@pytest.mark.parametrize('metric', ['iou', 'pointing_game', 'iobb', 'ior'])
def test_a_metric_by_the_name_of_a_figure_of_the_study_is_refused(tiny_config, metric):
    config = copy.deepcopy(tiny_config)
    config.attribution.methods, config.attribution.metrics = ('saliency',), ('relevance_rank', metric)
    with pytest.raises(ValueError, match=f"metrics has '{metric}'"):
        alignment.check(config, None, (16, 16, 1), 8)


def test_members_of_another_population_name_no_network(tmp_path, tiny_config):
    """members.json of other seeds, of fewer, and in another order, in a directory that was accepted as it is."""
    rows = make_members(tiny_config)
    writer.write_arrays(tmp_path / 'predictions.npz', alive=np.ones(len(rows), bool))
    writer.write_json(tmp_path / 'config.json', tiny_config.to_dict())
    writer.write_json(tmp_path / 'members.json', rows)
    trained.check_trained(tmp_path)
    for others in ([{**row, 'seed': row['seed'] + 5} for row in rows], rows[:4], [rows[1], rows[0], *rows[2:]]):
        writer.write_json(tmp_path / 'members.json', others)
        with pytest.raises(ValueError, match=r'and config.json .*: one is of another population'):
            trained.check_trained(tmp_path)
    writer.write_json(tmp_path / 'members.json', rows)
    whole = tiny_config.to_dict()
    for edited, said in (
        ({'arms': {}}, "reference 'bce', and it has no arm"),
        ({'reference': 'focal'}, "reference 'focal', and its arms are bce"),
        ({'seeds': (0,)}, 'one is of another population'),
        ({'arms': {'bce': {}}}, 'one is of another population'),
    ):
        with pytest.raises(ValueError, match=said) as error:
            trained.check_members(tmp_path, {**whole, **edited}, rows)
        assert '\n' not in str(error.value)
    with pytest.raises(ValueError, match='numbers its 6 members 0, 0, 2, 3 and 2 more'):
        trained.check_members(tmp_path, whole, [rows[0], {**rows[1], 'member': 0}, *rows[2:]])
    adopted = [{**row, 'adopted': {}} for row in rows[:-1]]  # arms from elsewhere may have different seeds
    trained.check_members(tmp_path, whole, adopted)
    with pytest.raises(ValueError, match='one is of another population'):
        trained.check_members(tmp_path, {**whole, 'arms': {**whole['arms'], 'focal': {}}}, adopted)


def test_what_is_for_weights_is_said_to_do_nothing_without_them(tiny_config):
    config, usual = copy.deepcopy(tiny_config), tiny_config.to_dict()
    assert not checks.without_effect(config, usual, 1)
    with config.unlocked():
        config.model.preprocessing.mean = []  # a tuple in a config file, a list in a plan
        assert not checks.without_effect(config, usual, 1)
        config.model.keep_head = True
        config.model.preprocessing.mean = (0.5,)
        (said,) = checks.without_effect(config, usual, 1)
        assert 'config.model.keep_head, config.model.preprocessing.mean.' in said
        config.arms = {'bce': {'weights': 'a.pth', 'preprocessing': 'imagenet'}}
        assert checks.without_effect(config, usual, 1) == [
            "Without effect, as preprocessing is 'imagenet', not 'given': config.model.preprocessing.mean."
        ]
        config.arms = {'bce': {'weights': 'a.pth', 'preprocessing': 'given'}}
        assert not checks.without_effect(config, usual, 1)
        config.augment.colour, config.data.phantom.shortcut_probability = 'jitter', 0.5
    assert checks.without_effect(config, usual, 1) == [
        "Without effect, as the images are grey: config.augment.colour = 'jitter'.",
        'Without effect, as there is no shortcut_class: config.data.phantom.shortcut_probability.',
    ]
    assert len(checks.without_effect(config, usual, 3)) == 1
    config.train.kept_shares, config.train.epochs = (0.1, 0.25, 0.5, 0.75), 4
    assert checks.without_effect(config, usual, 3)[1:] == [
        'share_0.1 and share_0.25 (config.train.kept_shares) are one: the weights after epoch 1 of 4.'
    ]
    config.train.kept_shares = ()
    config.data.phantom.shortcut_class = 'mass'
    assert not checks.without_effect(config, usual, 3)


def test_more_poolings_than_places_between_stages_are_refused():
    for pools, widths in ((3, (4, 4)), (5, (4, 4, 4))):
        with pytest.raises(ValueError, match=f'pools of the model cnn is {pools}; {len(widths)} stages have'):
            jax.eval_shape(
                lambda p=pools, w=widths: CNN(2, w, pools=p).init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
            )
    jax.eval_shape(lambda: CNN(2, (4, 4)).init(jax.random.key(0), jnp.zeros((1, 8, 8, 1))))


@pytest.mark.parametrize(
    ('block', 'field'), [('augment', 'scale'), ('concepts', 'quantile'), ('evaluate', 'smallest_effect')]
)
def test_a_share_that_32_bits_make_1_is_refused(tiny_config, block, field):
    config = copy.deepcopy(tiny_config)
    config[block][field] = 0.99999999
    with pytest.raises(ValueError, match=f'config.{block}.{field} is 0.99999999; it must be .*(below|between) '):
        check_ranges(config)
    with config.unlocked():
        config[block][field] = 0.9999
        config.arms = {'bce': {'ema': 0.999999999}}
    check_ranges(config)
    with pytest.raises(ValueError, match=r'config.arms.bce.ema is 0.999999999; it must be at least 0 and below 1'):
        make_members(config)


@pytest.mark.parametrize('field', ['data.test_on', 'attribution.metrics', 'concepts.layers'])
def test_names_are_words(tiny_config, field):
    config = copy.deepcopy(tiny_config)
    block, name = field.split('.')
    config[block][name] = (1,)
    with pytest.raises(ValueError, match=rf'config.{field} is \(1,\); it must be words'):
        check_ranges(config)


def test_options_that_a_model_cannot_be_built_with_are_named(tiny_config):
    config = copy.deepcopy(tiny_config)
    config.model.cnn.stem_stride = 100
    untrained = network.network(config, network.load_dataset(config))
    with pytest.raises(ValueError, match=r"config\.model\.cnn is \{.*'stem_stride': 100.*\}: "):
        checks.check_network(config, untrained, (16, 16, 1))


def test_a_data_set_is_not_called_as_a_field_of_data(tiny_config):
    config = copy.deepcopy(tiny_config)
    config.data.name = 'policies'
    with pytest.raises(ValueError, match=r"config\.data\.name is 'policies', but config\.data\.policies is a field"):
        check(config, base.get_config())


def test_an_arm_in_other_words_is_the_same_arm(tiny_config):
    kept = copy.deepcopy(tiny_config.to_dict())
    kept['arms'] = {'bce': {'loss': 'bce'}, 'multi_task': {}, 'weighted_sampling': {'loss': 'bce'}}
    same = run.in_words_of(kept, tiny_config)['arms']
    assert same == {'bce': {}, 'multi_task': {}, 'weighted_sampling': {'loss': 'bce'}}  # which has another sampler now
