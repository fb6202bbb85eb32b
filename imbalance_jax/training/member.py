"""One member: its state, its start, its training steps and its predictions, as pure functions over one pytree."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from imbalance_jax.data.arrays import Arrays
from imbalance_jax.losses.loss import Loss
from imbalance_jax.losses.switch import switch
from imbalance_jax.training.members import Member

OPTIMIZER = optax.scale_by_adam()
RESTART = 3  # stream of a seed's key, beside those of `data`


class State(NamedTuple):
    """What training changes in one member.

    params: {'model': ..., 'loss': one pytree per arm}; batch_stats: BatchNorm's running statistics ({} without); link:
    {'cosine': 1 for a head of cosines, 0 for a linear one; 'softmax': 1 for a softmax, 0 for sigmoids}, without what no
    member has; running: what the losses keep and do not train, one pytree per arm; opt_state: Adam's; alive: [] bool,
    False once a loss or gradient was not finite: the member is frozen as it was before that step; loss_sum: []
    float32, sum of the losses of this epoch's steps.
    """

    params: Any
    batch_stats: Any
    link: Any
    running: Any
    opt_state: Any
    alive: jax.Array
    loss_sum: jax.Array

    @property
    def variables(self) -> dict[str, Any]:
        """What the model is applied with."""
        link = {'link': self.link} if self.link else {}
        return {'params': self.params['model'], 'batch_stats': self.batch_stats, **link}


def schedule(warmup_steps: int, total_steps: int, floor: float) -> Callable[[Any], jax.Array]:
    """Factor on the learning rate: linear from `floor` to 1, then a cosine back to `floor` at `total_steps`."""
    return optax.warmup_cosine_decay_schedule(floor, 1.0, warmup_steps, max(total_steps, warmup_steps + 1), floor)


def make_network_init(model: nn.Module, image_shape: tuple[int, ...], *, links: Sequence[str] = ()) -> Callable:
    """Returns `init(member) -> variables`; equal seeds give equal weights whatever the arm.

    Of `member`, a `members.Member`, it reads the seed, and `links`, the fields that say how logits are made and read:
    of 'cosine' and 'softmax' those that any arm has.
    """

    def init(member: Member) -> dict[str, Any]:
        variables = _init_model(model, jax.random.key(member.seed), image_shape)
        link = {'link': {name: jnp.float32(getattr(member, name)) for name in links}} if links else {}
        return {'params': variables['params'], 'batch_stats': variables.get('batch_stats', {}), **link}

    return init


def make_init(network_init: Callable, losses: Sequence[Loss]) -> Callable[[Member], State]:
    """Returns `init(member) -> State`: the variables of `network_init(member)`, and what the losses start with."""

    def init(member: Member) -> State:
        variables = network_init(member)
        trained, running = switch(losses).init()
        params = {'model': variables['params'], 'loss': trained}
        return State(
            params=params,
            batch_stats=variables['batch_stats'],
            link=variables.get('link', {}),
            running=running,
            opt_state=OPTIMIZER.init(params),
            alive=jnp.array(True),
            loss_sum=jnp.zeros(()),
        )

    return init


def _init_model(model: nn.Module, key: jax.Array, image_shape: tuple[int, ...]) -> dict[str, Any]:
    return dict(model.init(key, jnp.zeros((1, *image_shape)), mutable=['params', 'batch_stats']))


def make_restart(model: nn.Module, image_shape: tuple[int, ...]) -> Callable[[State, Member], State]:
    """Returns `restart(state, member) -> state` with a new head and an optimiser that has seen nothing.

    Classifier re-training, Kang et al. 2020 (arXiv 1910.09217), begins so.
    """

    def restart(state: State, member: Member) -> State:
        key = jax.random.fold_in(jax.random.key(member.seed), RESTART)
        network = {**state.params['model'], 'head': _init_model(model, key, image_shape)['params']['head']}
        params = {**state.params, 'model': network}
        return state._replace(params=params, opt_state=OPTIMIZER.init(params))

    return restart


def make_train_step(
    model: nn.Module,
    losses: Sequence[Loss],
    learning_rate_factor: Callable[[Any], jax.Array],
    *,
    total_steps: int = 1,
    restart: Callable | None = None,
) -> Callable:
    """Returns `step(state, member, batch, t) -> state`: one Adam step on the arm's loss.

    Of `member` it reads arm, head_arm, seed, learning_rate, weight_decay and retrain_from. `t` counts steps from 0;
    losses that change with time are given `t / total_steps`. With `restart`, a member's head begins anew at step
    `member.retrain_from`, with the loss `member.head_arm`, and from there on nothing else of its network changes; batch
    normalisation goes on with the statistics of the batch. A step whose loss or gradient is not finite changes nothing
    but `alive`.
    """
    arms = switch(losses)

    def objective(params, state: State, member: Member, batch: dict, t):
        variables = {**state.variables, 'params': params['model']}
        (logits, _), updates = model.apply(variables, batch['image'], train=True, mutable=['batch_stats'])
        truth = (batch['labels'], batch['label_mask'], batch.get('rows'), t / total_steps)
        arm = member.arm if restart is None else jnp.where(t < member.retrain_from, member.arm, member.head_arm)
        value, running = arms.apply(params['loss'], state.running, arm, logits, *truth)
        return value, (updates.get('batch_stats', {}), running)

    def step(state: State, member: Member, batch: dict, t) -> State:
        if restart is not None:
            state = jax.lax.cond(t == member.retrain_from, restart, lambda state, _: state, state, member)
        gradient = jax.value_and_grad(objective, has_aux=True)
        (value, (batch_stats, running)), grads = gradient(state.params, state, member, batch, t)
        finite = state.alive & jnp.isfinite(value) & jnp.isfinite(optax.global_norm(grads))
        decayed = jax.tree.map(lambda g, p: g + member.weight_decay * p, grads['model'], state.params['model'])
        updates, opt_state = OPTIMIZER.update({**grads, 'model': decayed}, state.opt_state)
        rate = member.learning_rate * learning_rate_factor(t)
        params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
        new = State(params, batch_stats, state.link, running, opt_state, finite, state.loss_sum + value)
        if restart is not None:
            new = _only_head(new, state, t >= member.retrain_from)
        kept = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, state)
        return kept._replace(alive=finite)

    return step


def _only_head(new: State, old: State, frozen: jax.Array) -> State:
    """`new`, or, where `frozen`, `old` with the head and the loss's parameters of `new`."""

    def keep(old, new):
        return jax.tree.map(lambda a, b: jnp.where(frozen, a, b), old, new)

    network = {**keep(old.params['model'], new.params['model']), 'head': new.params['model']['head']}
    return new._replace(params={**new.params, 'model': network}, batch_stats=keep(old.batch_stats, new.batch_stats))


def make_train_steps(step: Callable, get_batch: Callable) -> Callable:
    """Returns `steps((state, member, sample_order), arrays, epoch_start, start, stop) -> (State, its counters)`.

    Several steps in one program. sample_order [steps,B]: of this epoch. `start` and `stop` count within the epoch and
    are traced, so one compiled program serves chunks of every length; `epoch_start` is the number of steps before this
    epoch. The counters, `alive` and `loss_sum`, can still be read when the memory of the state has been given to the
    next steps.
    """

    def steps(one: tuple, arrays: Arrays, epoch_start, start, stop) -> tuple[State, dict[str, jax.Array]]:
        state, member, sample_order = one
        state = state._replace(loss_sum=jnp.where(start == 0, 0, state.loss_sum))

        def body(i, state: State) -> State:
            t = epoch_start + i
            batch = get_batch(arrays, sample_order[i], member.order_seed, t, member.labels)
            return step(state, member, batch, t)

        state = jax.lax.fori_loop(start, stop, body, state)
        return state, {'alive': state.alive, 'loss_sum': state.loss_sum}

    return steps


def make_predict(model: nn.Module, normalise: Callable) -> Callable:
    """Returns `predict(variables, images [n,B,H,W,C] uint8) -> logits [n,B,K]`, with the running statistics.

    Where a member's loss has a softmax, they are the logits of each class against all others.
    """

    def predict(variables: Any, images: jax.Array) -> jax.Array:
        return jax.lax.map(lambda x: model.apply(variables, normalise(x))[0], images)

    return predict


def make_evaluate(rank: Callable) -> Callable:
    """Returns `evaluate(logits, labels [N,K], label_mask [N,K])`: `rank` of logits, [n,B,K] each, that follow another.

    Logits beyond the N-th are of images that fill the last batches up, and count for nothing.
    """

    def evaluate(logits: Sequence[jax.Array], labels: jax.Array, label_mask: jax.Array):
        joined = jnp.concatenate([one.reshape(-1, one.shape[-1]) for one in logits])
        return rank(joined[: len(labels)], labels, label_mask)

    return evaluate
