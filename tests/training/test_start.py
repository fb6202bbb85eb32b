"""Weights that training begins with: put into members, wanted images, kept with the run, refused if they don't fit."""

import copy
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax import models, weights
from imbalance_jax.config import file
from imbalance_jax.models import entrance
from imbalance_jax.models.cnn import CNN
from imbalance_jax.models.entrance import MATRIX, OFFSET
from imbalance_jax.training import exported, run, snapshot, start, start_files, start_images
from imbalance_jax.training import trained as training_trained
from imbalance_jax.training.start import Start

WIDTHS = (4, 8)
LEAVES = {'kernel': 'weight', 'scale': 'weight', 'bias': 'bias', 'mean': 'running_mean', 'var': 'running_var'}


class Named(CNN):
    """A CNN that has names in PyTorch."""

    torch_names = {'torchvision': lambda path: '.'.join((*path[:-1], LEAVES[path[-1]]))}  # noqa: RUF012


@pytest.fixture(autouse=True)
def named(monkeypatch):
    monkeypatch.setitem(models.MODELS, 'named', Named)


def variables(seed, *, channels=3, classes=7):
    """Variables of the CNN, of which all have something to say."""
    image = jnp.zeros((1, 16, 16, channels))
    shapes = jax.eval_shape(
        lambda: Named(classes, widths=WIDTHS).init(jax.random.key(0), image, mutable=['params', 'batch_stats'])
    )
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: random.uniform(0.2, 0.8, leaf.shape).astype(np.float32), shapes)


def stored(folder, seed, **what):
    """A file of them, in PyTorch's names and layout."""
    tensors = weights.to_torch(variables(seed, **what), Named.torch_names['torchvision'])
    path = folder / f'{seed}.safetensors'
    weights.write_safetensors(path, tensors, {})
    return path


@pytest.fixture
def config(tiny_config):
    config = copy.deepcopy(tiny_config)
    config.model.name = 'named'
    with config.unlocked():
        config.model.named = {'widths': WIDTHS}
        config.arms = {'bce': {}}
    return config


def row(weights, seed=0, **fields):
    return {'arm': 'one', 'seed': seed, 'weights': str(weights), 'preprocessing': '', **fields}


def fact(**fields):
    preprocessing = {**start_images.IMAGENET, 'resize': 0, 'crop': 0, 'interpolation': 'bilinear'}
    return {
        'file': 'a',
        'name': 'a',
        'trained_on': [],
        'classes': [],
        'head': 'new',
        'exported': {},
        'preprocessing': preprocessing,
        **fields,
    }


def test_members_that_began_alike_are_told_by_weights_and_seed():
    members = [
        row('random', 0),
        row('random', 1),
        row('a', 0),
        row('a', 1),
        row('random', 0),
        {'seed': 1, 'arm': 'old'},
    ]
    first, number = start.began_as(members)
    assert first == [0, 1, 2, 3]
    assert number.tolist() == [0, 1, 2, 3, 0, 1]


def test_weights_take_the_place_of_all_but_the_head():
    drawn = jax.tree.map(lambda a: np.stack([a, a + 1, a + 2]), variables(0))
    given = variables(1)
    del given['params']['head']
    begun = start.begin(drawn, [row('a'), row('random'), row('a')], {'a': Start(fact(), given)})
    for part, path, leaf in ((p, path, leaf) for p in given for path, leaf in weights.flat(given[p])):
        before, now = drawn[part], begun[part]
        for name in path:
            before, now = before[name], now[name]
        np.testing.assert_array_equal(now, np.stack([leaf, before[1], leaf]))
    np.testing.assert_array_equal(begun['params']['head']['kernel'], drawn['params']['head']['kernel'])


def test_each_member_has_the_way_in_of_its_weights():
    of_xrv = {**start_images.XRV, 'resize': 0, 'crop': 0, 'interpolation': 'bilinear'}
    starts = {'a': Start(fact(), {}), 'x': Start(fact(preprocessing=of_xrv), {})}
    links = start.links_of([row('random'), row('a'), row('x')], starts, (0.5, 0.25))
    assert links[MATRIX].shape == (3, 1, 3)
    np.testing.assert_array_equal(links[MATRIX][0], 1)
    np.testing.assert_array_equal(links[OFFSET][0], 0)
    values = (np.array([0.0, 1.0]) - 0.5) / 0.25  # black and white
    by_xrv = values[:, None] * links[MATRIX][2] + links[OFFSET][2]
    np.testing.assert_allclose(by_xrv, [[-1024] * 3, [1024] * 3])
    by_imagenet = values[:, None] * links[MATRIX][1] + links[OFFSET][1]
    mean, std = np.array(start_images.IMAGENET['mean']), np.array(start_images.IMAGENET['std'])
    np.testing.assert_allclose(by_imagenet, [-mean / std, (1 - mean) / std], atol=1e-6)


def test_one_channel_in_a_network_of_three_gives_the_same(config, tmp_path):
    """A radiograph's weights beside ImageNet's: the network has three channels, and computes what it did with one."""
    narrow, wide = stored(tmp_path, 1, channels=1), stored(tmp_path, 2)
    rows = [row(narrow, preprocessing='xrv'), row(wide, preprocessing='imagenet')]
    starts = start_files.read(config, rows)
    widened = starts[str(narrow)].variables['params']
    assert widened['stage1_conv']['kernel'].shape == (3, 3, 3, 4)
    pixels = np.random.default_rng(0).random((2, 16, 16, 1)).astype(np.float32)
    links = start.links_of(rows[:1], starts, (0.0, 1.0))
    model = entrance.Entrance(Named(7, widths=WIDTHS), 3)
    head = variables(1, channels=1)['params']['head']
    both = {'params': {**widened, 'head': head}, 'batch_stats': starts[str(narrow)].variables['batch_stats']}
    logits = jax.jit(model.apply)({**both, 'link': jax.tree.map(lambda a: a[0], links)}, pixels)[0]
    expected = jax.jit(Named(7, widths=WIDTHS).apply)(variables(1, channels=1), (2 * pixels - 1) * 1024)[0]
    np.testing.assert_allclose(logits, expected, rtol=1e-5)


def test_what_is_kept_is_what_was_read(config, tmp_path):
    path = stored(tmp_path, 1)
    read = start_files.read(config, [row(path, preprocessing='imagenet')])
    start.keep(tmp_path, read)
    path.unlink()
    [(name, one)] = start.kept(tmp_path).items()
    assert one.facts == json.loads(json.dumps(read[name].facts))
    jax.tree.map(np.testing.assert_array_equal, one.variables, read[name].variables)
    again = start_files.read(config, [row(path, preprocessing='imagenet')], tmp_path)  # the file is not needed again
    jax.tree.map(np.testing.assert_array_equal, again[name].variables, one.variables)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({}, 'is not known: set config.model.preprocessing.name'),
        ({'name': 'given'}, 'give 1 or 3 numbers of each'),
        ({'name': 'given', 'mean': (0.5,), 'std': (0.0,)}, 'std more than 0'),
        ({'name': 'given', 'mean': (0.5,), 'std': (1.0,), 'low': 1.0}, 'low less than high'),
        ({'name': 'given', 'mean': (128.0,), 'std': (64.0,)}, r'mean is \(128.0,\), beyond 0 to 1; low and high say'),
        ({'name': 'imagenet', 'crop': 8}, "it is 'weights'"),
        ({'name': 'imagenet', 'size': 'weights'}, 'is not known: set config.model.preprocessing.resize'),
    ],
)
def test_images_that_nobody_knows_how_to_prepare_are_one_line(config, fields, message):
    config.model.preprocessing.update(fields)
    setting = config.model.preprocessing
    with pytest.raises(ValueError, match=message) as error:
        start_images.preprocessing_of(setting, setting.name, None, 'a.pth')
    assert '\n' not in str(error.value)


def test_what_an_exported_file_wants_is_what_it_says(config, capsys):
    setting = config.model.preprocessing
    of_grey = {'matrix': '[[4.0]]', 'offset': '[-2.0]', 'resize': '0', 'crop': '0', 'interpolation': ''}
    wanted = start_images.preprocessing_of(setting, '', None, 'a.safetensors', of_grey)
    assert (wanted['mean'], wanted['std'], wanted['channels'], wanted['crop']) == ((0.5,), (0.25,), 1, 0)
    of_three = {**of_grey, 'matrix': '[[4.0, 2.0, 1.0]]', 'offset': '[-2.0, 0.0, 1.0]'}
    wanted = start_images.preprocessing_of(setting, '', None, 'a.safetensors', of_three)
    assert (wanted['mean'], wanted['std']) == ((0.5, 0.0, -1.0), (0.25, 0.5, 1.0))
    assert not capsys.readouterr().out
    assert start_images.preprocessing_of(setting, 'own', None, 'a.safetensors', of_grey)['mean'] is None
    assert "config.model.preprocessing.name = 'own' takes its place" in capsys.readouterr().out
    for fields in ({'matrix': '[[1.0], [0.5]]'}, {'matrix': 'x'}, {'offset': '[1, 2]'}, {'matrix': '[[-1.0]]'}):
        with pytest.raises(ValueError, match='is not known: set'):  # of mixed channels, and of somebody else's
            start_images.preprocessing_of(setting, '', None, 'a.safetensors', {**of_grey, **fields})


def test_what_an_exported_file_no_longer_says_is_named():
    whole = dict.fromkeys((*exported.NETWORK, *exported.IMAGES), '[]')
    assert not exported.lost(whole)
    assert not exported.lost({'format': 'pt', 'architecture': 'resnet18'})  # somebody else's
    del whole['classes'], whole['resize']
    assert exported.lost(whole) == 'its metadata, which `export` writes, lack classes, resize'
    assert exported.network(whole) == {}


def test_fields_of_given_that_change_nothing_are_said(config):
    setting = config.model.preprocessing
    assert not start_images.without_effect(setting, ['own'])
    setting.update({'mean': (0.5,), 'std': (0.2,)})
    [said] = start_images.without_effect(setting, ['own', ''])
    assert "'own' and that of published weights, not 'given': config.model.preprocessing.mean, config" in said
    assert not start_images.without_effect(setting, ['own', 'given'])


def test_weights_that_do_not_fit_are_one_line(config, tmp_path):
    path = stored(tmp_path, 1)
    for change, rows, message in (
        ({}, [row(tmp_path / 'none.pth')], 'there is no such file'),
        (
            {'widths': (4, 4)},
            [row(path, preprocessing='imagenet')],
            'does not fit config.model.name = .named.*stage2',
        ),
        ({}, [row(path, preprocessing='xrv')], 'does not fit config.model.name = .named.*stage1_conv'),
        ({}, [row(path, preprocessing='lab')], "Unknown preprocessing of config.arms.one: 'lab'"),
        ({}, [row(path, preprocessing='own'), row(path, preprocessing='imagenet')], 'the same for all arms'),
    ):
        other = copy.deepcopy(config)
        other.model.named.update(change)
        with pytest.raises(ValueError, match=message) as error:
            start_files.read(other, rows)
        assert '\n' not in str(error.value)
    kept = weights.read(path).tensors
    for change, how, message in (
        ({'stage1_conv.weight': np.zeros((4, 3, 5, 5), np.float32)}, {}, r'4, 1, 3, 3\]\. Or: .*5, 5\].*4, 3, 3, 3\]'),
        ({'head.bias': np.zeros(0, np.float32)}, {'keep_head': True}, r'head without outputs: head\.bias is \[0\]'),
    ):
        weights.write_safetensors(tmp_path / 'odd.safetensors', {**kept, **change}, {})
        other = copy.deepcopy(config)
        other.model.update(how)
        with pytest.raises(ValueError, match=message):
            start_files.read(other, [row(tmp_path / 'odd.safetensors', preprocessing='own')])
    config.model.name = 'cnn'
    with pytest.raises(ValueError, match='has no names in PyTorch by which'):
        start_files.read(config, [row(path, preprocessing='imagenet')])


def test_a_head_is_kept_by_the_names_of_its_classes(config, tmp_path):
    path, whole = stored(tmp_path, 1, classes=3), variables(1, classes=3)['params']['head']
    config.model.keep_head = True
    [read] = start_files.read(config, [row(path, preprocessing='imagenet')]).values()
    np.testing.assert_array_equal(read.variables['params']['head']['kernel'], whole['kernel'])
    same = start_files._with_classes(read, ['a', 'b', 'c'])
    np.testing.assert_array_equal(same.variables['params']['head']['bias'], whole['bias'])
    with pytest.raises(ValueError, match='has 3 outputs, and the data set 2 classes'):
        start_files._with_classes(read, ['a', 'b'])
    known = read._replace(facts={**read.facts, 'classes': ['Lung Opacity', 'Mass', '']})
    chosen = start_files._with_classes(known, ['Mass', 'Lung_Opacity']).variables['params']['head']
    np.testing.assert_array_equal(chosen['kernel'], whole['kernel'][:, [1, 0]])
    with pytest.raises(ValueError, match='has no output for Edema; it has Lung Opacity, Mass'):
        start_files._with_classes(known, ['Edema'])


def test_weights_that_may_know_the_test_patients_are_found():
    one = Start(fact(trained_on=['rsna', 'chexpert']), {})
    infos = [{'name': 'nih_chest_xray14'}, {'name': 'mine', 'family': 'chexpert'}, {'name': 'phantom'}]
    assert start_files.seen_families(one, infos) == {'nih_chest_xray14': 'nih', 'mine': 'chexpert'}
    assert 'allow_seen_patients' in start_files.said_of_patients(one, {'nih_chest_xray14': 'nih'})


def test_the_front_of_a_network_begins_with_weights_of_the_whole(config, tmp_path):
    """The study's truncated DenseNet-121: of a file of the whole, what it has not is left."""
    options = {'growth': 2, 'width': 4, 'bottleneck': 2}
    whole = models.make('densenet121', 5, **options)
    image = jnp.zeros((1, 32, 32, 3))
    shapes = jax.eval_shape(lambda: whole.init(jax.random.key(0), image, mutable=['params', 'batch_stats']))
    full = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5, np.float32), shapes)
    path = tmp_path / 'whole.safetensors'
    weights.write_safetensors(path, weights.to_torch(full, whole.torch_names), {})
    config.model.name = 'densenet121_truncated'
    config.data.image_size = 32
    with config.unlocked():
        config.model.densenet121_truncated = options
    [read] = start_files.read(config, [row(path, preprocessing='imagenet')]).values()
    assert 'stage2_norm' in read.variables['params']
    assert not [name for name in read.variables['params'] if name.startswith(('stage3', 'stage4', 'head'))]


def test_paths_count_from_the_current_folder_then_from_that_of_the_config(config, tmp_path):
    here, there = tmp_path / 'here', tmp_path / 'there'
    for folder, name in ((here, 'a'), (there, 'a'), (there, 'b')):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text('')
    with config.unlocked():
        config.arms = {'bce': {'weights': 'b'}, 'other': {'weights': 'none'}, 'drawn': {'weights': 'random'}}
    config.model.weights = 'a'
    file.find_weights(config, (here, there))
    assert config.model.weights == str(here / 'a')
    found = {name: arm.weights for name, arm in config.arms.items()}
    assert found == {'bce': str(there / 'b'), 'other': str(here / 'none'), 'drawn': 'random'}


def test_two_sizes_in_one_population_are_refused():
    starts = {
        name: Start(fact(preprocessing={**fact()['preprocessing'], 'crop': crop}), {})
        for name, crop in (('a', 8), ('b', 9))
    }
    with pytest.raises(ValueError, match='images of one size'):
        start.geometry(starts)


def test_a_population_begins_with_weights_and_is_explained_without_their_file(config, tmp_path):
    """Three arms of one program, and all that goes with it: state, padding, members.json, resuming, references."""
    one, two = stored(tmp_path, 1), stored(tmp_path, 2, channels=1)
    with config.unlocked():
        config.arms = {
            'bce': {},
            'imagenet': {'loss': 'bce', 'weights': str(one), 'preprocessing': 'imagenet', 'ema': 0.5},
            'xrv': {'loss': 'bce', 'weights': str(two), 'preprocessing': 'xrv'},
        }
    config.seeds = (0,)
    config.train.epochs = 1
    begun, at_start = [], snapshot.start

    def watched(program, experiment):
        begun.append(at_start(program, experiment))
        return begun[-1]

    workdir = tmp_path / 'run'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, 'start', watched)
        run.run(config, workdir)
    [first] = begun
    kernel = first.state.params['model']['stage2_conv']['kernel']
    given = [variables(seed, channels=c)['params']['stage2_conv']['kernel'] for seed, c in ((1, 3), (2, 1))]
    np.testing.assert_array_equal(kernel[1:], given)
    np.testing.assert_array_equal(first.best['params']['stage2_conv']['kernel'][1:], given)  # means begin so, too
    head = first.state.params['model']['head']['kernel']
    np.testing.assert_array_equal(head, np.broadcast_to(head[:1], head.shape))  # equal seeds have equal heads
    members = json.loads((workdir / 'members.json').read_text())
    assert [row.get('weights_sha256') for row in members] == [None, weights.read(one).sha256, weights.read(two).sha256]

    def refused(message):
        with pytest.raises(ValueError, match=message):
            run.run(config, workdir)

    stored(tmp_path, 1, classes=2)  # another file of that name
    refused('arm imagenet was begun with other weights')
    one.unlink()
    before = (workdir / 'predictions.npz').read_bytes()
    run.run(config, workdir)  # is done already
    assert (workdir / 'predictions.npz').read_bytes() == before
    two.unlink()
    trained = training_trained.load(workdir)
    place, everyone = trained.with_untrained
    assert place.num_members == 6
    np.testing.assert_array_equal(np.asarray(everyone['params']['stage2_conv']['kernel'])[4:6], given)
    means = np.asarray(everyone['batch_stats']['stage1_norm']['mean'])[4:6]
    np.testing.assert_array_equal(means[0], variables(1)['batch_stats']['stage1_norm']['mean'])
    random = trained.random_networks['params']['stage2_conv']['kernel']
    np.testing.assert_array_equal(random, np.broadcast_to(random[:1], random.shape))  # one seed, without weights
    np.testing.assert_allclose(trained.random_networks['link'][MATRIX], np.asarray(everyone['link'][MATRIX])[3:6])


def test_weights_without_a_head_say_what_they_have():
    stored = weights.Stored({'fc.1.weight': np.zeros((3, 8))}, 'zip', '')
    names = {'torchvision': lambda path: 'fc.bias'}
    with pytest.raises(ValueError, match=r'a.pth has no tensor of a head .* Its last tensors: fc.1.weight \[3, 8\]'):
        start_files._outputs(stored, names, 'a.pth')
