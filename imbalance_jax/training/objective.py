"""The loss of one member on a batch, as a function of what is trained, and its gradient."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from imbalance_jax.losses.loss import Loss
from imbalance_jax.losses.switch import Switch, switch
from imbalance_jax.models.odds import LINK
from imbalance_jax.training import optimizer
from imbalance_jax.training.members import Member
from imbalance_jax.training.parts import FROZEN, statistics
from imbalance_jax.training.tuning import Tuning


def make_gradient(
    model: nn.Module, losses: Sequence[Loss], tuning: Tuning, *, depth: Any, total_steps: int, retrained: bool
) -> Callable:
    """Returns `gradient(params, state, member, batch, t) -> (loss, (batch_stats, running)), grads`.

    params: what `optimizer.trained` gives. depth: of each of the model's variables, as `parts.Parts` has it; retrained:
    whether any member's head begins anew. While a member's network is frozen before the head, it is in evaluation mode,
    its gradient is 0, and nothing is computed for it where members are apart from one another.
    """
    value_of = make_value(switch(losses), tuning, total_steps=total_steps, retrained=retrained)
    apply = _training_apply(model, tuning.remat)

    def opened(params: Any, state: Any, member: Member, batch: dict, t: Any) -> tuple:
        params = optimizer.merged(state.params, params)
        link = {'link': state.link} if state.link else {}
        variables = {**link, 'params': params['model'], 'batch_stats': state.batch_stats}
        if tuning.staged:
            closes = lambda number: t < optimizer.opening(member, number)  # noqa: E731
            variables[FROZEN] = statistics(depth.get('batch_stats', {}), closes)
        logits, updates = apply(variables, batch['image'])
        value, running = value_of(params['loss'], logits, state.running, member, batch, t)
        return value, (updates.get('batch_stats', {}), running)

    def closed(params: Any, state: Any, member: Member, batch: dict, t: Any) -> tuple:
        params = optimizer.merged(state.params, params)
        network = {**jax.lax.stop_gradient(params['model']), 'head': params['model']['head']}
        link = {name: value for name, value in state.link.items() if name != LINK}  # losses take the logits themselves
        variables = {**({'link': link} if link else {}), 'params': network, 'batch_stats': state.batch_stats}
        logits, _ = model.apply(variables, batch['image'])
        value, running = value_of(params['loss'], logits, state.running, member, batch, t)
        return value, (state.batch_stats, running)

    of_open, of_closed = (jax.value_and_grad(function, has_aux=True) for function in (opened, closed))
    if tuning.head_only:
        return of_closed
    if not tuning.frozen:
        return of_open

    def gradient(params: Any, state: Any, member: Member, batch: dict, t: Any) -> tuple:
        return jax.lax.cond(t < member.opens[0], of_closed, of_open, params, state, member, batch, t)

    return gradient


def make_value(arms: Switch, tuning: Tuning, *, total_steps: int, retrained: bool) -> Callable:
    """Returns `value_of(params, logits, running, member, batch, t) -> loss, running`, with labels smoothed if wanted.

    Sigmoid: a label y becomes y (1 - e) + e / 2. Softmax: the loss becomes (1 - e) times that of the image's class plus
    e times the mean of the losses that it would have as an image of each class, which for cross-entropy, weighted or
    not, is that of labels y (1 - e) + e / K (Szegedy et al. 2016, arXiv 1512.00567).
    """

    def value_of(params: Any, logits: jax.Array, running: Any, member: Member, batch: dict, t: Any) -> tuple:
        arm = jnp.where(t < member.retrain_from, member.arm, member.head_arm) if retrained else member.arm
        labels, smoothing = batch['labels'], member.label_smoothing
        rest = (batch['label_mask'], batch.get('rows'), t / total_steps)
        if tuning.smoothed:
            amount = smoothing * (1 - member.softmax)
            value, running = arms.apply(params, running, arm, logits, labels * (1 - amount) + amount / 2, *rest)
        else:
            value, running = arms.apply(params, running, arm, logits, labels, *rest)
        if tuning.smoothed_softmax:
            shown = jnp.where(batch['label_mask'] > 0, labels, 0).sum(-1, keepdims=True)
            classes = jnp.eye(labels.shape[-1])[:, None] * shown  # [K,B,K]: every image as one of each class
            of_class = jax.vmap(lambda y: arms.apply(params, running, arm, logits, y, *rest)[0])(classes)
            amount = smoothing * member.softmax
            value = (1 - amount) * value + amount * of_class.mean()
        return value, running

    return value_of


def _training_apply(model: nn.Module, remat: bool) -> Callable:
    """`apply(variables, image) -> logits, updates` in training; with `remat` only named activations are kept for the
    gradient, and those between two of them are computed again (Chen et al. 2016, arXiv 1604.06174)."""

    def apply(variables: Any, image: jax.Array) -> tuple[jax.Array, Any]:
        (logits, _), updates = model.apply(variables, image, train=True, mutable=['batch_stats'])
        return logits, updates

    return jax.checkpoint(apply, policy=_is_named) if remat else apply


def _is_named(primitive: Any, *_: Any, **__: Any) -> bool:
    """Whether a value is kept: those that `models.layers.perturb` names."""
    return primitive.name == 'name'
