"""Members whose head is retrained, whose head is of cosines, and training splits that are thinned."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax import losses, models
from imbalance_jax.attribution import layers
from imbalance_jax.data import arrays, thinning
from imbalance_jax.system import workdir
from imbalance_jax.system.files import read_json
from imbalance_jax.training import build, checks, network, run
from imbalance_jax.training import member as train
from imbalance_jax.training import members as training_members

ARMS = {
    'bce': {},
    'retrained': {'loss': 'bce', 'sampler': 'class_aware', 'retrain_head_from': 0.5},
    'ldam': {'head': 'cosine'},
}
ROWS = training_members.make_members(ARMS, (0,), 'bce', learning_rate=1e-2, weight_decay=1e-3)
EPOCHS, STEPS = 4, 3
PLAIN, COSINE, RETRAINED = (next(r['member'] for r in ROWS if r['arm'] == arm) for arm in ('bce', 'ldam', 'retrained'))


@pytest.fixture(scope='module')
def trained():
    """The states of the three members after every step."""
    model = models.make('cnn', 3, widths=(4, 8))
    functions = [losses.make(row['loss'], [20, 9, 3], [28, 39, 45]) for row in ROWS]
    members = training_members.member_arrays(ROWS, own_order=True, epochs=EPOCHS, steps_per_epoch=STEPS)
    factor, restart = train.schedule(1, EPOCHS * STEPS, 0.1), train.make_restart(model, (8, 8, 1))
    step = train.make_train_step(model, functions, factor, total_steps=EPOCHS * STEPS, restart=restart)
    step = jax.jit(jax.vmap(step, (0, 0, None, None)))
    state = jax.jit(jax.vmap(train.make_init(train.make_network_init(model, (8, 8, 1), links=['cosine']), functions)))(
        members
    )
    random, states = np.random.default_rng(0), [state]
    batch = {
        'image': random.normal(size=(6, 8, 8, 1)).astype(np.float32),
        'labels': (random.random((6, 3)) < 0.5).astype(np.float32),
        'label_mask': np.ones((6, 3), np.float32),
    }
    for t in range(EPOCHS * STEPS):
        states.append(step(states[-1], members, batch, t))
    return model, batch, [jax.tree.map(np.asarray, state) for state in states]


def leaves(state, member: int) -> dict[str, np.ndarray]:
    tree = {'model': state.params['model'], 'batch_stats': state.batch_stats}
    return {jax.tree_util.keystr(path): leaf[member] for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def test_after_half_of_training_only_the_new_head_changes(trained):
    _, _, states = trained
    begin, before, after, end = (leaves(states[t], RETRAINED) for t in (0, 6, 7, 12))
    for name in before:
        assert np.array_equal(before[name], end[name]) == ("'head'" not in name), name
    # A fresh head that made one step: near no head that was there before.
    kernel = next(name for name in before if 'head' in name and 'kernel' in name)
    for other in (begin, before):
        assert np.abs(after[kernel] - other[kernel]).max() > 0.1
    assert states[7].opt_state.count[RETRAINED] == 1
    assert states[7].opt_state.count[PLAIN] == 7


def test_other_members_do_not_notice(trained):
    _, _, states = trained
    for t in range(12):
        before, after = (leaves(states[i], PLAIN) for i in (t, t + 1))
        assert not any(np.array_equal(before[name], after[name]) for name in before)


def test_a_head_of_cosines(trained):
    model, batch, states = trained
    one = [jax.tree.map(lambda a, i=i: a[i], states[-1].variables) for i in range(3)]
    logits, out = model.apply(one[COSINE], batch['image'])
    kernel = one[COSINE]['params']['head']['kernel']
    pooled = np.asarray(out['pooled'], np.float64)
    expected = pooled @ kernel / np.linalg.norm(pooled, axis=1, keepdims=True) / np.linalg.norm(kernel, axis=0)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    plain = {name: value for name, value in one[PLAIN].items() if name != 'link'}
    np.testing.assert_array_equal(model.apply(one[PLAIN], batch['image'])[0], model.apply(plain, batch['image'])[0])

    def score(x):
        return layers.class_logits(model.apply(one[COSINE], x)[0], jnp.zeros(6, int))

    assert np.isfinite(jax.grad(lambda x: score(x).sum())(batch['image'])).all()
    dead = jax.tree.map(jnp.zeros_like, one[COSINE]['params'])
    gradient = jax.grad(lambda p: model.apply({**one[COSINE], 'params': p}, batch['image'])[0].sum())(dead)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_each_stage_draws_in_its_own_way():
    labels = np.repeat([[1, 0, 0], [0, 1, 0]], [3, 9], axis=0)
    ways = training_members.samplings(ROWS)
    result = [build.draws(ways, {'own': labels}, None, EPOCHS, epoch).cumulative for epoch in range(EPOCHS)]
    assert ways == [('natural', (), 1.0, 'own'), ('class_aware', (), 0.5, 'own')]
    np.testing.assert_array_equal(training_members.member_arrays(ROWS, own_order=True).sampler, [0, 0, 1])
    for epoch, weights in enumerate(result):
        assert not weights[0].any()
        assert weights[1].any() == (epoch >= 2)


@pytest.mark.parametrize(
    ('arm', 'said'),
    [
        ({'loss': 'bce', 'head': 'cosin'}, "Did you mean 'cosine'"),
        ({'loss': 'bce', 'retrain_head_from': 0}, 'retrain_head_from is 0'),
        ({'loss': 'bce', 'retrain_head_from': 1.5}, 'retrain_head_from is 1.5'),
    ],
)
def test_wrong_stages_are_refused(arm, said):
    with pytest.raises(ValueError, match=said):
        checks.check_members(
            training_members.make_members({'bce': {}, 'x': arm}, (0,), 'bce', learning_rate=1.0, weight_decay=0.0)
        )


def test_a_study_of_every_kind_of_arm(tiny_config, tmp_path):
    """Losses with state and duals, a cosine head, two stages, a thinned class: from the config to explanations."""
    config = copy.deepcopy(tiny_config)
    config.seeds, config.reference = (0,), 'bce'
    with config.unlocked():
        config.arms = {
            'bce': {},
            'auc_margin': {},
            'average_precision': {},
            'ldam_deferred': {'head': 'cosine'},
            'crt': {'loss': 'bce', 'sampler': 'class_aware', 'retrain_head_from': 0.5},
        }
        config.data.imbalance['Mass'] = 0.1
    run.run(config, tmp_path)
    result = workdir.read_arrays(tmp_path / 'predictions.npz')
    assert result['alive'].all()
    cosine = [row['member'] for row in read_json(tmp_path / 'members.json') if row['head'] == 'cosine']
    assert np.abs(result['logits_test'][cosine]).max() <= 1
    table = workdir.read_table(tmp_path, 'data')
    thinned = table[(table['metric'] == 'prevalence') & (table['split'] == 'train') & (table['class'] == 'Mass')]
    assert thinned['value'].item() <= 0.1


def test_thinning_keeps_patients_whole_and_other_splits_as_they_are(tiny_config):
    dataset = network.load_dataset(tiny_config)
    k = dataset.classes.index('Mass')
    before = arrays.split_arrays(dataset, 'train')
    share = before.labels[:, k].mean()
    left = []
    for wanted in (share, 0.6 * share, 0.3 * share):
        thin = thinning.thin(dataset, {'Mass': float(wanted)})
        assert arrays.split_arrays(thin, 'train').labels[:, k].mean() <= wanted + 1e-9
        for split in ('validation', 'test'):
            np.testing.assert_array_equal(thin.rows(split), dataset.rows(split))
        gone = np.setdiff1d(dataset.rows('train'), thin.rows('train'))
        assert not np.isin(dataset.patient[thin.rows('train')], dataset.patient[gone]).any()
        assert all(dataset.labels[dataset.patient == p, k].any() for p in dataset.patient[gone])
        left.append(set(gone.tolist()))
    assert not left[0]
    assert left[1] < left[2]  # a lower prevalence leaves out the same patients and more
    other = np.setdiff1d(
        dataset.rows('train'), thinning.thin(dataset, {'Mass': float(0.6 * share)}, seed=1).rows('train')
    )
    assert set(other.tolist()) != left[1]
    wrong = (('Mas', 0.1, "Did you mean 'Mass'"), ('Mass', 0.9, 'at most'), ('Mass', 1e-9, 'no patient'))
    for name, wanted, said in wrong:
        with pytest.raises(ValueError, match=said):
            thinning.thin(dataset, {name: wanted})
