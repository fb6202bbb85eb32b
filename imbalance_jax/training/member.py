"""One member: its state, its start, its training steps and its predictions, as pure functions over one pytree."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from imbalance_jax.losses.switch import switch


class State(NamedTuple):
    """What training changes in one member.

    params: {'model': ..., 'loss': one pytree an arm}; batch_stats: BatchNorm's running statistics ({} without); link:
    {'cosine': 1 for a head of cosines, 0 for a linear one}, or {} where all are linear; running: what the losses keep
    and do not train, one pytree an arm; moments: Adam's state; alive: [] bool, False once a loss or gradient was not
    finite: the member is frozen as it was before that step; loss_sum: [] float32, sum of the losses of this epoch's
    steps.
    """

    params: Any
    batch_stats: Any
    link: Any
    running: Any
    moments: Any
    alive: jax.Array
    loss_sum: jax.Array

    @property
    def variables(self) -> dict:
        """What the model is applied with."""
        link = {'link': self.link} if self.link else {}
        return {'params': self.params['model'], 'batch_stats': self.batch_stats, **link}


OPTIMIZER = optax.scale_by_adam()
RESTART = 3  # stream of a seed's key, beside those of `data`


def schedule(warmup_steps: int, total_steps: int, floor: float) -> Callable:
    """Factor on the learning rate: linear from `floor` to 1, then a cosine back to `floor` at `total_steps`."""
    return optax.warmup_cosine_decay_schedule(floor, 1.0, warmup_steps, max(total_steps, warmup_steps + 1), floor)


def make_init(model, losses: Sequence, image_shape: tuple[int, int, int], linked: bool = False) -> Callable:
    """Returns `init(member) -> State`; equal seeds give equal weights whatever the arm.

    `member` is a `population.Member`, of which a step reads arm, seed, order_seed, learning_rate, weight_decay,
    retrain_from, and, if the heads are `linked` to it, cosine.
    """

    def init(member) -> State:
        variables = _init_model(model, jax.random.key(member.seed), image_shape)
        trained, running = switch(losses).init()
        params = {'model': variables['params'], 'loss': trained}
        link = {'cosine': jnp.float32(member.cosine)} if linked else {}
        batch_stats = variables.get('batch_stats', {})
        return State(params, batch_stats, link, running, OPTIMIZER.init(params), jnp.array(True), jnp.zeros(()))

    return init


def _init_model(model, key, image_shape) -> dict:
    return model.init(key, jnp.zeros((1, *image_shape)), mutable=['params', 'batch_stats'])


def make_restart(model, image_shape: tuple[int, int, int]) -> Callable:
    """Returns `restart(state, member) -> state` with a new head and an optimiser that has seen nothing.

    Classifier re-training, Kang et al. 2020 (arXiv 1910.09217), begins so.
    """

    def restart(state: State, member) -> State:
        key = jax.random.fold_in(jax.random.key(member.seed), RESTART)
        network = {**state.params['model'], 'head': _init_model(model, key, image_shape)['params']['head']}
        params = {**state.params, 'model': network}
        return state._replace(params=params, moments=OPTIMIZER.init(params))

    return restart


def make_train_step(
    model, losses: Sequence, learning_rate_factor: Callable, total_steps: int = 1, restart: Callable | None = None
) -> Callable:
    """Returns `step(state, member, batch, t) -> state`: one Adam step on the arm's loss.

    Losses that are the shared kernel are one branch with the arm's numbers; see `losses.switch`. With `restart`, a
    member's head begins anew at step `member.retrain_from`, and from there on nothing else of its network changes;
    batch normalisation goes on with the statistics of the batch.
    """
    arms = switch(losses)

    def objective(params, state: State, member, batch, t):
        variables = {**state.variables, 'params': params['model']}
        (logits, _), updates = model.apply(variables, batch['image'], train=True, mutable=['batch_stats'])
        asked = (batch['labels'], batch['label_mask'], batch.get('rows'), t / total_steps)
        value, running = arms.apply(params['loss'], state.running, member.arm, logits, *asked)
        return value, (updates.get('batch_stats', {}), running)

    def step(state: State, member, batch: dict, t) -> State:
        if restart is not None:
            state = jax.lax.cond(t == member.retrain_from, restart, lambda state, _: state, state, member)
        gradient = jax.value_and_grad(objective, has_aux=True)
        (value, (batch_stats, running)), grads = gradient(state.params, state, member, batch, t)
        finite = state.alive & jnp.isfinite(value) & jnp.isfinite(optax.global_norm(grads))
        decayed = jax.tree.map(lambda g, p: g + member.weight_decay * p, grads['model'], state.params['model'])
        updates, moments = OPTIMIZER.update({**grads, 'model': decayed}, state.moments)
        rate = member.learning_rate * learning_rate_factor(t)
        params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
        new = State(params, batch_stats, state.link, running, moments, finite, state.loss_sum + value)
        if restart is not None:
            new = _only_head(new, state, t >= member.retrain_from)
        kept = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, state)
        return kept._replace(alive=finite)

    return step


def _only_head(new: State, old: State, frozen) -> State:
    """`new`, or, where `frozen`, `old` with the head and the loss's parameters of `new`."""

    def keep(old, new):
        return jax.tree.map(lambda a, b: jnp.where(frozen, a, b), old, new)

    network = {**keep(old.params['model'], new.params['model']), 'head': new.params['model']['head']}
    return new._replace(params={**new.params, 'model': network}, batch_stats=keep(old.batch_stats, new.batch_stats))


def make_train_steps(step: Callable, batch: Callable) -> Callable:
    """Returns `steps(one, arrays, epoch_start, start, stop) -> (State, its numbers)`: several steps in one program.

    one: (state, member, order [steps,B] of this epoch). `start` and `stop` count within the epoch and are traced, so
    one compiled program serves chunks of every length; `epoch_start` is the number of steps before this epoch. The
    numbers, `alive` and `loss_sum`, can still be read when the memory of the state has been given to the next steps.
    """

    def steps(one, arrays, epoch_start, start, stop) -> tuple[State, dict]:
        state, member, order = one
        state = state._replace(loss_sum=jnp.where(start == 0, 0, state.loss_sum))

        def body(i, state):
            t = epoch_start + i
            return step(state, member, batch(arrays, order[i], member.order_seed, t, member.permuted), t)

        state = jax.lax.fori_loop(start, stop, body, state)
        return state, {'alive': state.alive, 'loss_sum': state.loss_sum}

    return steps


def make_predict(model, normalise: Callable) -> Callable:
    """Returns `predict(variables, images [n,B,H,W,C] uint8) -> logits [n,B,K]`, with the running statistics."""

    def predict(variables, images):
        return jax.lax.map(lambda x: model.apply(variables, normalise(x))[0], images)

    return predict


def make_evaluate(predict: Callable, rank: Callable) -> Callable:
    """Returns `evaluate(variables, images [n,B,H,W,C], labels [N,K], label_mask [N,K])`: `rank` of the predictions.

    Images beyond the N-th fill the last batch up and count for nothing.
    """

    def evaluate(variables, images, labels, label_mask):
        logits = predict(variables, images)
        return rank(logits.reshape(-1, logits.shape[-1])[: len(labels)], labels, label_mask)

    return evaluate
