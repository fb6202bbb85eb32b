"""An NNX module behind its adapter is trained, alone and in a population, as optax trains the module itself."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from imbalance_jax import losses
from imbalance_jax.models import adapters
from imbalance_jax.training import member as train
from imbalance_jax.training import members as training_members

RANDOM = np.random.default_rng(1)
SHAPE = (8, 8, 1)
BATCH = {
    'image': jnp.asarray(RANDOM.normal(size=(8, *SHAPE)), jnp.float32),
    'labels': jnp.asarray(RANDOM.random((8, 2)) < 0.5, jnp.float32),
    'label_mask': jnp.ones((8, 2)),
}


class Net(nnx.Module):
    def __init__(self, rngs):
        # A bias before the norm would have a gradient of rounding errors alone, which Adam makes steps of.
        self.conv = nnx.Conv(1, 4, (3, 3), use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.fc = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x):
        return self.fc(jnp.tanh(self.norm(self.conv(x))).mean((1, 2)))


def by_hand(seed, loss):
    """One step of Adam with L2 on the module: its parameters and statistics."""
    module = Net(nnx.Rngs(jax.random.key(seed)))
    module.train()
    graph, params, statistics = nnx.split(module, nnx.Param, nnx.BatchStat)

    def objective(params):
        net = nnx.merge(graph, params, jax.tree.map(jnp.copy, statistics))  # variables of this trace
        return loss({}, net(BATCH['image']), BATCH['labels']), nnx.to_pure_dict(nnx.state(net, nnx.BatchStat))

    gradient, statistics = jax.jit(jax.grad(objective, has_aux=True))(params)
    optimizer = optax.chain(optax.add_decayed_weights(0.1), optax.adam(1e-2))
    values = nnx.to_pure_dict(params)
    updates, _ = optimizer.update(nnx.to_pure_dict(gradient), optimizer.init(values), values)
    return optax.apply_updates(values, updates), statistics


def test_a_population_of_adapted_modules_trains_as_each_by_hand():
    rows = training_members.make_members({'bce': {}}, (1, 2), 'bce', learning_rate=1e-2, weight_decay=0.1)
    loss = losses.make('bce', [3, 4], [5, 4])
    model = adapters.of_nnx(Net, {'norm': 'norm'}, head='fc')
    members = training_members.member_arrays(rows, own_order=True)
    init = train.make_init(train.make_network_init(model, SHAPE), [loss])
    step = train.make_train_step(model, [loss], lambda t: 1.0)
    result = jax.jit(jax.vmap(lambda member: step(init(member), member, BATCH, 0)))(members)
    for i, row in enumerate(rows):
        params, statistics = by_hand(row['seed'], loss)
        params['head'] = params.pop('fc')
        expected = {'params': params, 'batch_stats': statistics}
        trained = {'params': result.params['model'], 'batch_stats': result.batch_stats}
        compare = lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-3, atol=1e-5)  # noqa: E731
        jax.tree.map(compare, trained, expected)
