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
from imbalance_jax.system import environment
from imbalance_jax.training import optimizer
from imbalance_jax.training.members import Member
from imbalance_jax.training.objective import make_gradient
from imbalance_jax.training.optimizer import Averaged
from imbalance_jax.training.parts import Parts, head_and_rest
from imbalance_jax.training.tuning import NOTHING, Tuning

RESTART = 3  # stream of a seed's key, beside those of `data`


class State(NamedTuple):
    """What training changes in one member.

    params: {'model': ..., 'loss': one pytree per arm}; batch_stats: BatchNorm's running statistics ({} without); link:
    {'cosine': 1 for a head of cosines, 0 for a linear one; 'softmax': 1 for a softmax, 0 for sigmoids}, without what no
    member has; running: what the losses keep and do not train, one pytree per arm; opt_state: Adam's, or
    `optimizer.Averaged` where any member averages its weights; alive: [] bool, False once a loss or gradient was not
    finite: the member stays as it was before that step; loss_sum: [] float32, sum of the losses of this epoch's steps.
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
        """What is evaluated, kept and explained: the means where weights are averaged."""
        link = {'link': self.link} if self.link else {}
        if isinstance(self.opt_state, Averaged):
            return {'params': self.opt_state.params, 'batch_stats': self.opt_state.batch_stats, **link}
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
        variables = _init_model(model, environment.key(member.seed), image_shape)
        link = {'link': {name: jnp.float32(getattr(member, name)) for name in links}} if links else {}
        return {'params': variables['params'], 'batch_stats': variables.get('batch_stats', {}), **link}

    return init


def make_init(network_init: Callable, losses: Sequence[Loss], tuning: Tuning = NOTHING) -> Callable[[Member], State]:
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
            opt_state=optimizer.init(params, variables['batch_stats'], tuning),
            alive=jnp.array(True),
            loss_sum=jnp.zeros(()),
        )

    return init


def _init_model(model: nn.Module, key: jax.Array, image_shape: tuple[int, ...]) -> dict[str, Any]:
    return dict(model.init(key, jnp.zeros((1, *image_shape)), mutable=['params', 'batch_stats']))


def make_restart(
    model: nn.Module, image_shape: tuple[int, ...], tuning: Tuning = NOTHING
) -> Callable[[State, Member], State]:
    """Returns `restart(state, member) -> state` with a new head and an optimiser that has seen nothing.

    Classifier re-training, Kang et al. 2020 (arXiv 1910.09217), begins so. Features are those that were evaluated: of
    averaged weights the means.
    """

    def restart(state: State, member: Member) -> State:
        key = jax.random.fold_in(environment.key(member.seed), RESTART)
        features = state.variables
        network = {**features['params'], 'head': _init_model(model, key, image_shape)['params']['head']}
        params, batch_stats = {**state.params, 'model': network}, features['batch_stats']
        opt_state = optimizer.init(params, batch_stats, tuning)
        return state._replace(params=params, batch_stats=batch_stats, opt_state=opt_state)

    return restart


def make_train_step(
    model: nn.Module,
    losses: Sequence[Loss],
    learning_rate_factor: Callable[[Any], jax.Array],
    *,
    total_steps: int = 1,
    restart: Callable | None = None,
    tuning: Tuning = NOTHING,
    parts: Parts | None = None,
) -> Callable:
    """Returns `step(state, member, batch, t) -> state`: one step of Adam or AdamW on the arm's loss.

    Of `member` it reads arm, head_arm, seed, learning_rate, weight_decay and retrain_from, and of its fields of
    fine-tuning those that `tuning` says are used. `t` counts steps from 0; losses that change with time are given
    `t / total_steps`. With `restart`, a member's head begins anew at step `member.retrain_from`, with the loss
    `member.head_arm`, and from there on nothing else of its network changes; batch normalisation goes on with the
    statistics of the batch. While a member's network is frozen before its head, that part is in evaluation mode, and
    so is the batch normalisation of a part that is still closed while others are open. parts: of the network; without
    them all before the head is one. A step whose loss or gradient is not finite changes nothing but `alive`.
    """
    retrained = restart is not None

    def step(state: State, member: Member, batch: dict, t) -> State:
        if restart is not None:
            state = jax.lax.cond(t == member.retrain_from, restart, lambda state, _: state, state, member)
        depth = (parts or head_and_rest(state.variables)).depth
        gradient = make_gradient(model, losses, tuning, depth=depth, total_steps=total_steps, retrained=retrained)
        update = optimizer.make_update(tuning, depth['params'], learning_rate_factor)
        params, adam = optimizer.trained(state.params, tuning), optimizer.adam_of(state.opt_state)
        (value, (batch_stats, running)), grads = gradient(params, state, member, batch, t)
        finite = state.alive & jnp.isfinite(value) & jnp.isfinite(optax.tree.norm(grads))
        changed, adam = update(grads, params, adam, member, t)
        params = optimizer.merged(state.params, changed)
        new = State(params, batch_stats, state.link, running, adam, finite, state.loss_sum + value)
        if restart is not None:
            new = _only_head(new, state, t >= member.retrain_from)
        if tuning.averaged:
            new = _averaged(new, state, member)
        kept = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, state)
        return kept._replace(alive=finite)

    return step


def _averaged(new: State, old: State, member: Member) -> State:
    """`new`, with the means of its weights beside Adam's state."""
    network, batch_stats = new.params['model'], new.batch_stats
    means = optimizer.average(old.opt_state, new.opt_state, network, batch_stats, member.ema_rate)
    return new._replace(opt_state=means)


def _only_head(new: State, old: State, frozen: jax.Array) -> State:
    """`new`, or, where `frozen`, `old` with the head and the loss's parameters of `new`."""

    def keep(old, new):
        return jax.tree.map(lambda a, b: jnp.where(frozen, a, b), old, new)

    network = {**keep(old.params['model'], new.params['model']), 'head': new.params['model']['head']}
    return new._replace(params={**new.params, 'model': network}, batch_stats=keep(old.batch_stats, new.batch_stats))


def make_train_steps(step: Callable, get_batch: Callable, *, of_backbone: bool = False) -> Callable:
    """Returns `steps((state, member, sample_order), arrays, epoch_start, start, stop) -> (State, its counters)`.

    Several steps in one program. sample_order [steps,B]: of this epoch. `start` and `stop` count within the epoch and
    are traced, so one compiled program serves chunks of every length; `epoch_start` is the number of steps before this
    epoch. The counters, `alive` and `loss_sum`, can still be read when the memory of the state has been given to the
    next steps. of_backbone: `get_batch` is told the member's backbone, too.
    """

    def steps(one: tuple, arrays: Arrays, epoch_start, start, stop) -> tuple[State, dict[str, jax.Array]]:
        state, member, sample_order = one
        state = state._replace(loss_sum=jnp.where(start == 0, 0, state.loss_sum))

        def body(i, state: State) -> State:
            t = epoch_start + i
            own = (member.labels, member.backbone) if of_backbone else (member.labels,)
            batch = get_batch(arrays, sample_order[i], member.order_seed, t, *own)
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
