"""One member: its state, its start, its training steps and its predictions, as pure functions over one pytree."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class State(NamedTuple):
    """What training changes in one member.

    params: {'model': ..., 'loss': one pytree an arm}; batch_stats: BatchNorm's running statistics ({} without);
    moments: Adam's state; alive: [] bool, False once a loss or gradient was not finite: the member is frozen as it
    was before that step; loss_sum: [] float32, sum of the losses of this epoch's steps.
    """

    params: Any
    batch_stats: Any
    moments: Any
    alive: jax.Array
    loss_sum: jax.Array

    @property
    def variables(self) -> dict:
        """What the model is applied with."""
        return {'params': self.params['model'], 'batch_stats': self.batch_stats}


OPTIMIZER = optax.scale_by_adam()


def schedule(warmup_steps: int, total_steps: int, floor: float) -> Callable:
    """Factor on the learning rate: linear from `floor` to 1, then a cosine back to `floor` at `total_steps`."""
    return optax.warmup_cosine_decay_schedule(floor, 1.0, warmup_steps, max(total_steps, warmup_steps + 1), floor)


def make_init(model, losses: Sequence, image_shape: tuple[int, int, int]) -> Callable:
    """Returns `init(member) -> State`; equal seeds give equal weights whatever the arm.

    `member` is a `population.Member`, of which a step reads arm, seed, order_seed, learning_rate and weight_decay.
    """

    def init(member) -> State:
        image = jnp.zeros((1, *image_shape))
        variables = model.init(jax.random.key(member.seed), image, mutable=['params', 'batch_stats'])
        params = {'model': variables['params'], 'loss': tuple(loss.init() for loss in losses)}
        batch_stats = variables.get('batch_stats', {})
        return State(params, batch_stats, OPTIMIZER.init(params), jnp.array(True), jnp.zeros(()))

    return init


def make_train_step(model, losses: Sequence, learning_rate_factor: Callable) -> Callable:
    """Returns `step(state, member, batch, t) -> state`: one Adam step on the arm's loss.

    The gradient is taken inside the branch that `lax.switch` selects, so a loss of another arm that is not finite
    here cannot reach this member.
    """

    def objective(params, state: State, member, batch):
        variables = {'params': params['model'], 'batch_stats': state.batch_stats}
        (logits, _), updates = model.apply(variables, batch['image'], train=True, mutable=['batch_stats'])
        branches = [_branch(loss, arm) for arm, loss in enumerate(losses)]
        value = jax.lax.switch(member.arm, branches, params['loss'], logits, batch['labels'], batch['label_mask'])
        return value, updates.get('batch_stats', {})

    def step(state: State, member, batch: dict, t) -> State:
        gradient = jax.value_and_grad(objective, has_aux=True)
        (value, batch_stats), grads = gradient(state.params, state, member, batch)
        finite = state.alive & jnp.isfinite(value) & jnp.isfinite(optax.global_norm(grads))
        decayed = jax.tree.map(lambda g, p: g + member.weight_decay * p, grads['model'], state.params['model'])
        updates, moments = OPTIMIZER.update({**grads, 'model': decayed}, state.moments)
        rate = member.learning_rate * learning_rate_factor(t)
        params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
        new = State(params, batch_stats, moments, finite, state.loss_sum + value)
        kept = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, state)
        return kept._replace(alive=finite)

    return step


def _branch(loss, arm: int) -> Callable:
    return lambda params, logits, labels, label_mask: loss(params[arm], logits, labels, label_mask)


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
            return step(state, member, batch(arrays, order[i], member.order_seed, t), t)

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
