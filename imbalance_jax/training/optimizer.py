"""One step of Adam or AdamW on one member's weights, with what an arm asks for beside it: all of it numbers.

Gradients are clipped first, weight decay is added (Adam: to the gradient; AdamW: to the step), a part that is closed
stays as it is, and Adam counts the steps of each part from its opening on, as if it had been given it then.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from imbalance_jax.training.members import Member
from imbalance_jax.training.tuning import Tuning

ADAM = optax.scale_by_adam()
# Arrays that may have more than one axis and are no kernels: by the names of our models, and by timm's.
UNDECAYED = ('bias', 'position', 'class_token', 'pos_embed', 'cls_token', 'dist_token', 'reg_token')


class Averaged(NamedTuple):
    """The state of a population of which any member averages its weights: Adam's, and the means so far."""

    adam: Any
    params: Any
    batch_stats: Any


def adam_of(opt_state: Any) -> Any:
    """Adam's part of a state."""
    return opt_state.adam if isinstance(opt_state, Averaged) else opt_state


def trained(params: Any, tuning: Tuning) -> Any:
    """The part of {'model', 'loss'} that the optimiser is given: of a population of heads, these alone."""
    return {**params, 'model': {'head': params['model']['head']}} if tuning.head_only else params


def merged(params: Any, changed: Any) -> Any:
    """`params` with what `trained` gave replaced by `changed`."""
    return {**changed, 'model': {**params['model'], **changed['model']}}


def init(params: Any, batch_stats: Any, tuning: Tuning) -> Any:
    """The optimiser's state before the first step."""
    adam = ADAM.init(trained(params, tuning))
    return Averaged(adam, params['model'], batch_stats) if tuning.averaged else adam


def average(old: Averaged, adam: Any, network: Any, batch_stats: Any, rate: Any) -> Averaged:
    """The means after a step: mean <- mean + rate (new - mean), of parameters and running statistics alike.

    rate: 1 less the decay; 1 for a member that averages nothing, which keeps its weights to the bit. As timm's
    ModelEmaV2, and so without correction of the start: the first mean is the weights that training begins with.
    """

    def move(mean: jax.Array, new: jax.Array) -> jax.Array:
        return jnp.where(rate < 1, mean + rate * (new - mean), new)

    return Averaged(adam, *jax.tree.map(move, (old.params, old.batch_stats), (network, batch_stats)))


def decays(path: tuple, p: jax.Array) -> bool:
    """Whether a parameter of one member has weight decay where norms and biases have none: kernels, mostly.

    As in timm: not those of one axis, whatever their name, and no embeddings of positions or tokens.
    """
    return p.ndim > 1 and path[-1].key not in UNDECAYED


def make_update(tuning: Tuning, depth: Any, factor: Callable[[Any], jax.Array]) -> Callable:
    """Returns `update(grads, params, adam, member, t) -> params, adam`: one step on what `trained` gives.

    depth: of each of the model's parameters, as `parts.Parts` has it; factor: on the learning rate, by step.
    """
    depth = trained({'model': depth}, tuning)['model']

    def update(grads: Any, params: Any, adam: Any, member: Member, t: Any) -> tuple[Any, Any]:
        closes = tuning.frozen and not tuning.head_only
        opens = _by_depth(params, depth, partial(opening, member)) if closes else None
        if closes:
            closed = jax.tree.map(lambda step: t < step, opens)
            grads = jax.tree.map(lambda shut, g: jnp.where(shut, 0, g), closed, grads)
        if tuning.clipped:
            grads, _ = optax.clip_by_global_norm(member.clip_norm).update(grads, optax.EmptyState())
        decay = jax.tree_util.tree_map_with_path(partial(_decay, member, tuning), params['model'])
        coupled = jax.tree.map(lambda w: (1 - member.decoupled) * w, decay) if tuning.adamw else decay
        decayed = jax.tree.map(lambda g, w, p: g + w * p, grads['model'], coupled, params['model'])
        grads = {**grads, 'model': decayed}
        changes, new_adam = _adam_since(opens, grads, adam) if closes else ADAM.update(grads, adam)
        if tuning.adamw:
            decoupled = jax.tree.map(lambda w, p: member.decoupled * w * p, decay, params['model'])
            changes = {**changes, 'model': jax.tree.map(jnp.add, changes['model'], decoupled)}
        new = _moved(params, changes, _rates(params, depth, member, factor(t), tuning))
        if closes:
            keep = partial(jax.tree.map, lambda shut, old, new: jnp.where(shut, old, new), closed)
            new, mu, nu = (keep(*pair) for pair in ((params, new), (adam.mu, new_adam.mu), (adam.nu, new_adam.nu)))
            new_adam = new_adam._replace(mu=mu, nu=nu)
        return new, new_adam

    return update


def _decay(member: Member, tuning: Tuning, path: tuple, p: jax.Array) -> Any:
    spared = tuning.spared and not decays(path, p)
    return member.decay_norms * member.weight_decay if spared else member.weight_decay


def opening(member: Member, depth: int) -> Any:
    """The step with which a part begins to train."""
    return member.opens[min(depth, len(member.opens)) - 1] if depth else jnp.int32(0)


def _by_depth(params: Any, depth: Any, value: Callable[[int], Any]) -> Any:
    """`value(depth)` for every parameter of a model and of losses, which count as the head."""
    return {**jax.tree.map(lambda _: value(0), params), 'model': jax.tree.map(value, depth)}


def _rates(params: Any, depth: Any, member: Member, factor: jax.Array, tuning: Tuning) -> Any:
    """The learning rate of every parameter."""
    rate = member.learning_rate * factor
    return _by_depth(params, depth, lambda n: rate * member.layer_decay**n if n and tuning.layer_decay else rate)


def _moved(params: Any, changes: Any, rates: Any) -> Any:
    return jax.tree.map(lambda p, u, rate: p - rate * u, params, changes, rates)


def _adam_since(opens: Any, grads: Any, adam: Any) -> tuple[Any, Any]:
    """`ADAM.update` with a count of steps for every leaf, of those since it opened."""

    def one(opened: jax.Array, g: jax.Array, mu: jax.Array, nu: jax.Array) -> tuple[Any, Any]:
        return ADAM.update(g, adam._replace(count=jnp.maximum(adam.count - opened, 0), mu=mu, nu=nu))

    leaves, tree = jax.tree.flatten(grads)
    columns = (jax.tree.leaves(opens), leaves, jax.tree.leaves(adam.mu), jax.tree.leaves(adam.nu))
    changes, states = zip(*map(one, *columns), strict=True)
    mu, nu = (jax.tree.unflatten(tree, [getattr(state, name) for state in states]) for name in ('mu', 'nu'))
    return jax.tree.unflatten(tree, changes), adam._replace(count=adam.count + 1, mu=mu, nu=nu)
