"""Fine-tuning against PyTorch and timm (tests/golden/fine_tuning.py), what nobody uses, and what is refused."""

import functools
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from imbalance_jax import losses, models
from imbalance_jax.losses import recalibration
from imbalance_jax.losses.switch import switch
from imbalance_jax.models import resnet
from imbalance_jax.models.layers import classify, perturb
from imbalance_jax.training import checks, members, network, objective, optimizer, parts, remat, tuning
from imbalance_jax.training import member as train

GOLDEN = dict(np.load(Path(__file__).parents[1] / 'golden' / 'fine_tuning.npz'))
SHAPE, STEPS = (12, 12, 1), 20
CLIPPED = {'loss': 'bce', 'clip_norm': 0.3}
LAYERS = {'optimizer': 'adamw', 'layer_decay': 0.6, 'decay_norms': False}
ARMS = {  # those of the golden networks, and one without any fine-tuning beside them
    'plain': {'loss': 'bce'},
    'adamw': {**CLIPPED, **LAYERS, 'label_smoothing': 0.1, 'ema': 0.9},
    'stages': {**CLIPPED, 'unfreeze': 'stages', 'frozen': 0.75},
    'head_only': {**CLIPPED, 'optimizer': 'adamw', 'frozen': 1.0},
}
MODEL = models.make('cnn', 3, widths=(4, 6, 8))


def rows_of(arms, reference='plain'):
    return members.make_members(arms, (0,), reference, learning_rate=3e-2, weight_decay=0.2)


def tree_of(name: str) -> dict:
    """The variables of a golden network."""
    result: dict = {}
    for key, value in GOLDEN.items():
        if key.startswith(f'{name}/'):
            *path, leaf = key.split('/')[1:]
            inner = result
            for part in path:
                inner = inner.setdefault(part, {})
            inner[leaf] = value
    return result


def batch_of(t: int) -> dict:
    return {'image': GOLDEN['images'][t % 5], 'labels': GOLDEN['labels'][t % 5], 'label_mask': np.ones((8, 3))}


def population_of(rows, **options):
    """init, the step of one member, and the members' arrays, from the golden network and at a rate that stays."""
    used, start = tuning.tuning_of(rows, **options), tree_of('start')
    of_network = parts.parts_of(MODEL, network.abstract_variables(MODEL, SHAPE), SHAPE)
    stages = len(of_network.names) if used.staged else 1
    arrays = members.member_arrays(rows, own_order=True, epochs=2, steps_per_epoch=STEPS // 2, parts=stages)
    statistics = {name: {'var': np.ones_like(one['mean']), **one} for name, one in start['batch_stats'].items()}
    functions = [losses.make('bce', [4, 4, 4], [4, 4, 4])] * len(rows)
    init = train.make_init(lambda member: {'params': start['params'], 'batch_stats': statistics}, functions, used)
    step = train.make_train_step(MODEL, functions, lambda t: 1.0, total_steps=STEPS, tuning=used, parts=of_network)
    return init, step, arrays


def run(rows, **options):
    """The states [P] after every step."""
    init, step, arrays = population_of(rows, **options)
    step, states = jax.jit(jax.vmap(step, (0, 0, None, None))), [jax.vmap(init)(arrays)]
    for t in range(STEPS):
        states.append(step(states[-1], arrays, batch_of(t), t))
    return [jax.tree.map(np.asarray, state) for state in states]


@pytest.fixture(scope='module')
def population():
    rows = rows_of(ARMS)
    return {row['arm']: row['member'] for row in rows}, run(rows)


def raw(state):
    return {'params': state.params['model'], 'batch_stats': state.batch_stats}


def assert_same(variables, expected, member):
    """Of all that is expected; running variances are not, which PyTorch has unbiased."""
    for path, value in jax.tree_util.tree_leaves_with_path(expected):
        leaf = functools.reduce(lambda tree, key: tree[key.key], path, variables)
        np.testing.assert_allclose(leaf[member], value, rtol=1e-5, atol=1e-5, err_msg=str(path))


@pytest.mark.parametrize('arm', ['adamw', 'stages', 'head_only'])
def test_twenty_steps_are_those_of_pytorch(population, arm):
    """AdamW with timm's groups, clipping and ModelEmaV2; stages in evaluation mode until they open; a linear probe."""
    number, states = population
    assert_same(raw(states[-1]), tree_of(arm), number[arm])
    if arm == 'adamw':
        assert_same(states[-1].variables, tree_of('mean'), number[arm])
        with pytest.raises(AssertionError):
            assert_same(raw(states[-1]), tree_of('mean'), number[arm])


def test_what_is_closed_does_not_change_a_bit(population):
    number, states = population
    opened = {'stages': [0, 5, 10, 15], 'head_only': [0, *[STEPS] * 3]}
    for arm, (_, third, second, first) in opened.items():
        for stage, begin in (('stage3', third), ('stage2', second), ('stage1', first)):
            for t in (begin, min(begin + 1, STEPS)):
                for before, after in zip(*(jax.tree.leaves(of_stage(states[i], stage)) for i in (0, t)), strict=True):
                    same = np.array_equal(before[number[arm]], after[number[arm]])
                    assert same == (t == begin or begin == STEPS), (arm, stage, t)


def of_stage(state, stage):
    return [{name: leaf for name, leaf in tree.items() if stage in name} for tree in raw(state).values()]


def test_without_means_what_is_kept_is_the_weights(population):
    number, states = population
    for a, b in zip(jax.tree.leaves(states[-1].variables), jax.tree.leaves(raw(states[-1])), strict=True):
        others = [number[arm] for arm in ('plain', 'stages', 'head_only')]
        np.testing.assert_allclose(a[others], b[others], rtol=1e-6, atol=1e-7)  # the program may round them apart


def test_members_beside_each_other_are_as_if_alone(population):
    """Alone, a probe has a program without what the others use, and its optimiser knows its head only."""
    number, states = population
    alone = run(rows_of({'head_only': ARMS['head_only']}, 'head_only'))[-1]
    together = jax.tree.map(lambda a: a[number['head_only']], raw(states[-1]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[0], rtol=1e-4, atol=1e-5), together, raw(alone))
    assert list(alone.opt_state.mu['model']) == ['head']


def test_what_nobody_uses_is_in_no_program():
    """Fields at their defaults leave the step as it is without them, and the checkpoint too."""
    plain, named = (
        rows_of({'plain': {'loss': 'bce'}}),
        rows_of({'plain': {'loss': 'bce', 'clip_norm': 0.0, 'ema': 0.0}}),
    )
    old = [{key: value for key, value in plain[0].items() if key not in tuning.RANGES}]
    assert not tuning.tuning_of(plain).used + tuning.tuning_of(named).used + tuning.tuning_of(old).used
    jax.tree.map(np.testing.assert_array_equal, *(members.member_arrays(r, own_order=True) for r in (plain, old)))
    init, step, arrays = population_of(plain)
    one = jax.tree.map(lambda a: a[0], arrays)
    state = jax.eval_shape(init, one)
    assert jax.tree.structure(state.opt_state) == jax.tree.structure(jax.eval_shape(optimizer.ADAM.init, state.params))
    read = jax.make_jaxpr(step)(state, one, batch_of(0), 0).jaxpr
    used = {var for eqn in read.eqns for var in eqn.invars if not hasattr(var, 'val')}
    given = dict(zip(one._fields, read.invars[len(jax.tree.leaves(state)) :], strict=False))
    assert {name for name, var in given.items() if var in used} <= {'arm', 'learning_rate', 'weight_decay'}


def test_rematerialisation_keeps_less_and_changes_nothing():
    """Within a block nothing is kept for the gradient; values, statistics and gradients are as without."""
    model = resnet.ResNet(3, resnet.BasicBlock, (1, 1), width=4, stem='small')
    variables = model.init(jax.random.key(0), jnp.zeros((1, *SHAPE)), mutable=['params', 'batch_stats'])
    blocks = remat.blocks_of(parts.parts_of(model, variables, SHAPE).depth['params'])
    assert blocks == {('stage1_block1',), ('stage2_block1',)}

    def value(params):
        given = {**variables, 'params': params}
        (logits, _), updates = model.apply(given, GOLDEN['images'][0], train=True, mutable=['batch_stats'])
        return (logits**2).sum(), updates

    functions = value, remat.rematerialised(value, blocks)
    plain, again = (jax.jit(jax.value_and_grad(f, has_aux=True))(variables['params']) for f in functions)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), plain, again)
    kept = [jax.eval_shape(lambda p, f=f: jax.vjp(f, p, has_aux=True)[1], variables['params']) for f in functions]
    maps = [sum(leaf.size for leaf in jax.tree.leaves(one) if leaf.ndim == 4 and len(leaf) == 8) for one in kept]
    assert maps[1] < 0.6 * maps[0]


def test_mixed_precision_keeps_all_that_is_kept_in_float32():
    shape, model = (32, 32, 1), models.make('cnn', 3, dtype='bfloat16')
    functions, rows = [losses.make('bce', [4, 4, 4], [4, 4, 4])], rows_of({'plain': {'loss': 'bce', 'ema': 0.9}})
    used, one = tuning.tuning_of(rows), jax.tree.map(lambda a: a[0], members.member_arrays(rows, own_order=True))
    init = train.make_init(train.make_network_init(model, shape), functions, used)
    step = train.make_train_step(model, functions, lambda t: 1.0, tuning=used)
    state = jax.eval_shape(init, one)
    batch = {'image': jnp.zeros((2, *shape)), 'labels': jnp.zeros((2, 3)), 'label_mask': jnp.ones((2, 3))}
    result, text = jax.eval_shape(step, state, one, batch, 0), str(jax.make_jaxpr(step)(state, one, batch, 0))
    assert {leaf.dtype.name for leaf in jax.tree.leaves(result)} <= {'float32', 'int32', 'bool'}
    assert text.count('bf16') > 20
    logits, _ = jax.eval_shape(model.apply, state.variables, batch['image'])
    assert logits.dtype == jnp.float32


@pytest.mark.parametrize('name', [*models.MODELS])
def test_parts_follow_the_named_layers(name):
    """From the head to the front, every variable in one part, statistics with their layer's weights."""
    model, shape = models.make(name, 3), (64, 64, 1)
    variables = network.abstract_variables(model, shape)
    found = parts.parts_of(model, variables, shape)
    depth = found.depth
    assert set(jax.tree.leaves(depth['params']['head'])) == {0}
    rest = {key: value for key, value in depth['params'].items() if key != 'head'}
    assert set(jax.tree.leaves(rest)) == set(range(1, len(found.names) + 1))
    assert len(found.names) > 1
    for path, number in jax.tree_util.tree_leaves_with_path(depth.get('batch_stats', {})):
        layer = functools.reduce(lambda tree, key: tree[key.key], path[:-1], depth['params'])
        assert set(jax.tree.leaves(layer)) == {number}
    behind = ('stage4_norm', 'stage4_block12')  # the pooled vector's, of ConvNeXt and ViT
    for key, value in rest.items():  # whatever is called after a named layer belongs to it
        if key.split('_')[0] in found.names and key not in behind:
            assert set(jax.tree.leaves(value)) == {found.names.index(key.split('_')[0]) + 1}, key


def test_embeddings_norms_and_biases_are_spared():
    """Of a transformer as of a convolutional network: what is left are kernels, of all layers and the head."""
    for name in ('vit_tiny', 'cnn'):
        params = network.abstract_variables(models.make(name, 3), (64, 64, 1))['params']
        kept = {path for path, leaf in jax.tree_util.tree_leaves_with_path(params) if optimizer.decays(path, leaf)}
        assert kept == {path for path, _ in jax.tree_util.tree_leaves_with_path(params) if path[-1].key == 'kernel'}


def test_a_program_within_a_program_is_looked_into():
    def apply(a, b):
        both = jax.jit(lambda a, b: (2 * a, a * b))(a, b)
        return [jnp.sin(both[0]), both[1]]

    traced = jax.make_jaxpr(apply)(1.0, 2.0).jaxpr
    assert parts.dependencies(traced, [1, 2]) == [1, 3]


def test_smooth_labels_of_a_softmax_are_those_of_pytorch():
    golden = {name.removeprefix('softmax/'): value for name, value in GOLDEN.items() if name.startswith('softmax/')}
    labels = np.eye(5, dtype=np.float32)[golden['classes']]
    coefficients = losses.softmax.coefficients(5, weight=golden['weight'])
    value_of = smooth(losses.loss.from_coefficients(coefficients), True)
    value, gradient = jax.value_and_grad(lambda z: value_of(z, labels, 0.3))(golden['logits'])
    np.testing.assert_allclose(value, golden['loss'], rtol=1e-5)
    np.testing.assert_allclose(gradient, golden['gradient'], rtol=1e-4, atol=1e-7)


def smooth(loss, is_softmax):
    """value(logits, labels, amount) of a loss as training has it."""
    rows = rows_of({'plain': {'loss': 'cross_entropy' if is_softmax else 'bce', 'label_smoothing': 0.1}})
    one = jax.tree.map(lambda a: a[0], members.member_arrays(rows, own_order=True))
    arms = switch([loss])
    trained, running = arms.init()
    value_of = objective.make_value(arms, tuning.tuning_of(rows), total_steps=1, retrained=False)

    def value(logits, labels, amount):
        batch = {'labels': labels, 'label_mask': jnp.ones_like(labels)}
        member = one._replace(label_smoothing=jnp.float32(amount))
        return value_of(trained, logits, running, member, batch, 0)[0]

    return value


@pytest.mark.parametrize('name', ['bce', 'focal', 'ldam', 'softmax_focal'])
def test_smooth_labels_are_taken_back_from_probabilities(name):
    """At a logit, the mean smooth loss of images with the probability that it is said to have has no slope."""
    is_softmax, z = losses.link_of(name) == losses.SOFTMAX, np.array([[0.4, -0.3, 0.2]], np.float32)
    loss = losses.make(name, [90, 40, 7], [47, 97, 130], **({'logit_scale': 2.0} if name == 'ldam' else {}))
    value, outcomes = smooth(loss, is_softmax), np.eye(3, dtype=np.float32)
    if is_softmax:
        against = np.array([[z[0, k] - np.logaddexp.reduce(np.delete(z[0], k)) for k in range(3)]])
        eta = expit(recalibration.softmax_log_odds(loss, against, smoothing=0.2))[0]
        weights = eta
    else:
        eta = expit(recalibration.log_odds(loss, z, smoothing=0.2))[0]
        outcomes = np.array([[int(bit) for bit in f'{i:03b}'] for i in range(8)], np.float32)
        weights = np.where(outcomes > 0, eta, 1 - eta).prod(1)

    def slope(weights):
        return jax.grad(lambda z: sum(w * value(z, y[None], 0.2) for w, y in zip(weights, outcomes, strict=True)))(z)

    assert (eta > 0).all()
    np.testing.assert_allclose(slope(weights), 0, atol=2e-6)
    assert np.abs(slope(np.roll(weights, 1))).max() > 1e-3


def test_beyond_smooth_labels_a_class_is_certain():
    loss = losses.make('bce', [1, 1, 1], [1, 1, 1])
    odds = recalibration.log_odds(loss, np.array([[-9.0, 0.0, 9.0], [np.nan, 0.0, 0.1]]), smoothing=0.1)
    np.testing.assert_array_equal(odds[0], [-np.inf, 0.0, np.inf])
    assert np.isnan(odds[1, 0])
    softmax = losses.make('cross_entropy', [1, 1, 1], [2, 2, 2])
    odds = recalibration.softmax_log_odds(softmax, np.array([[9.0, -9.5, -9.5]]), smoothing=0.1)
    np.testing.assert_array_equal(odds, [[np.inf, -np.inf, -np.inf]])


def test_a_retrained_head_stands_on_the_means():
    """With means and a retrained head, features are the means from then on, and the head begins anew in both."""
    arms = {'plain': {'loss': 'bce'}, 'both': {'loss': 'bce', 'ema': 0.9, 'retrain_head_from': 0.5}}
    rows = rows_of(arms)
    used, (init, _, arrays) = tuning.tuning_of(rows), population_of(rows)
    functions, restart = [losses.make('bce', [4] * 3, [4] * 3)] * 2, train.make_restart(MODEL, SHAPE, used)
    step = train.make_train_step(MODEL, functions, lambda t: 1.0, total_steps=4, restart=restart, tuning=used)
    one = jax.tree.map(lambda a: a[1], arrays)._replace(retrain_from=np.int32(2))
    step, states = jax.jit(step), [init(one)]
    for t in range(4):
        states.append(step(states[-1], one, batch_of(t), t))
    before, after = states[2].variables, states[4]
    for tree in (raw(after), after.variables):
        for part in ('stage1_conv', 'stage3_norm'):
            jax.tree.map(np.testing.assert_array_equal, before['params'][part], tree['params'][part])
        jax.tree.map(np.testing.assert_array_equal, before['batch_stats'], tree['batch_stats'])
    assert not np.allclose(raw(after)['params']['head']['kernel'], after.variables['params']['head']['kernel'])
    dead = step(after, one, {**batch_of(0), 'image': np.full_like(batch_of(0)['image'], np.nan)}, 4)
    assert not dead.alive
    jax.tree.map(np.testing.assert_array_equal, after.variables, dead.variables)


class Foreign(nn.Module):
    """Batch normalisation that knows of no closed parts."""

    @nn.compact
    def __call__(self, image, train: bool = False):
        out = {}
        for name in ('stage1', 'stage2'):
            x = nn.BatchNorm(not train, name=f'{name}_norm')(nn.Conv(4, (3, 3), name=f'{name}_conv')(image))
            image = out[name] = perturb(self, name, nn.relu(x))
        return classify(self, image, out)

    num_classes: int = 2


def test_stages_need_normalisation_that_can_be_closed():
    rows = rows_of({'plain': {'loss': 'bce', 'unfreeze': 'stages', 'frozen': 0.5}})
    for model in (MODEL, models.make('cnn', 3, widths=(4, 8), norm='group')):
        parts.check_stages(model, rows, SHAPE)
    with pytest.raises(ValueError, match=r"arms.plain.unfreeze is 'stages', but .* stage[12]_norm"):
        parts.check_stages(Foreign(), rows, SHAPE)
    parts.check_stages(Foreign(), rows_of({'plain': {'loss': 'bce', 'frozen': 0.5}}), SHAPE)


@pytest.mark.parametrize(
    ('arm', 'said'),
    [
        ({'frozen': 1.5}, 'frozen is 1.5; it must be in 0..1'),
        ({'frozen': float('nan')}, 'frozen is nan'),
        ({'layer_decay': 0.0}, 'layer_decay is 0.0; it must be more than 0'),
        ({'ema': 1.0}, 'ema is 1.0; it must be at least 0 and below 1'),
        ({'label_smoothing': -0.1}, 'label_smoothing is -0.1'),
        ({'clip_norm': float('inf')}, 'clip_norm is inf; it must be 0 or more, and finite'),
        ({'optimizer': 'adamww'}, "Did you mean 'adamw'"),
        ({'unfreeze': 'stage'}, "Did you mean 'stages'"),
        ({'decay_norms': 0}, 'decay_norms is 0; it must be True or False'),
        ({'unfreeze': 'stages'}, "frozen is 0.0 and unfreeze is 'stages'"),
        ({'unfreeze': 'stages', 'frozen': 1.0}, "frozen is 1.0 and unfreeze is 'stages'"),
        ({'unfreeze': 'stages', 'unfreeze_at': (0.5, 0.2)}, 'fractions of training in 0..1 that do not fall'),
        ({'unfreeze': 'stages', 'unfreeze_at': (0.1,), 'frozen': 0.2}, 'both say when'),
        ({'unfreeze_at': (0.1,)}, "set unfreeze to 'stages'"),
        ({'frozen': 0.8, 'retrain_head_from': 0.7}, 'beyond retrain_head_from 0.7'),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arm, said):
    with pytest.raises(ValueError, match=said) as caught:
        checks.check_members(rows_of({'plain': {'loss': 'bce', **arm}}))
    assert 'plain' in str(caught.value)
    assert '\n' not in str(caught.value)


def test_opening_steps():
    def opens(parts=3, **fields):
        return members.opening_steps(fields, 20, parts)

    assert opens() == [0, 0, 0]
    assert opens(frozen=0.25, parts=1) == [5]
    assert opens(frozen=1.0, parts=1) == [members.NEVER]
    assert opens(frozen=0.75, unfreeze='stages') == [5, 10, 15]
    assert opens(unfreeze='stages', unfreeze_at=(0.1, 1.0)) == [2, members.NEVER, members.NEVER]
    rows = rows_of({'plain': {'loss': 'bce', 'unfreeze': 'stages', 'unfreeze_at': (0.1,) * 4}})
    with pytest.raises(ValueError, match='the model has 3 parts before its head, the last one first: stage3, stage2'):
        tuning.check_parts(rows, ['stage3', 'stage2', 'stage1'])


def test_losses_that_rank_take_no_smooth_labels():
    row = {'arm': 'x', 'label_smoothing': 0.1}
    tuning.check_smoothing(row, 'focal', losses.make('focal', [2], [3]))
    with pytest.raises(ValueError, match=r"arms\.x\.label_smoothing is 0.1, but 'average_precision' ranks images"):
        tuning.check_smoothing(row, 'average_precision', losses.make('average_precision', [2], [3]))
