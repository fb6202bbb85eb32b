"""What is asked of a loss of a user's own on small batches, before anything is trained with it.

Types and shapes are those that a training carries from step to step. Of values it is asked whether the logits matter,
whether right answers cost less than wrong ones, and whether what the loss says of itself is so: its `coefficients`, and
its `entries`, of which `recalibration` makes probabilities.
"""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.losses import recalibration
from imbalance_jax.losses.loss import KERNELS, SOFTMAX, Loss
from imbalance_jax.system import tracing

log = logging.getLogger(__name__)
MOMENTS = (0.0, 0.5, 1.0)  # of training done, at which is asked
IMAGES = 64  # of a batch: one more or less changes what a loss takes from the batch by little
ENTRIES = 16  # whose label is turned
LEVEL = 0.2  # by which the log-odds of an entry may be off, of what a batch of `IMAGES` says
CERTAIN = 8.0  # log-odds beyond which one is as good as another


def check(name: str, loss: Loss, num_classes: int) -> None:
    """ValueError, of one line, for a loss that cannot be trained with, or says of itself what is not so."""
    said = f'Loss {name!r}'
    params = _of_types(said, loss, num_classes)
    batch = _batch(loss, num_classes)
    ask = _questions(loss, batch.rows)
    _check_slopes(said, ask, batch)
    if not jax.tree.leaves(params) and loss.advance is None:  # others may turn as their parameters do
        _check_direction(said, loss, ask, num_classes)
    if type(loss.coefficients) in KERNELS:
        _check_coefficients(said, loss, batch, ask)
    if loss.entries is not None:
        for fraction in MOMENTS:
            _check_entries(said, loss, ask, batch, fraction=fraction)


def needs_all_labels(loss: Loss, num_classes: int) -> bool:
    """Whether labels that are not known, those of which `label_mask` is 0, change the loss."""
    batch = _batch(loss, num_classes)
    known = np.ones_like(batch.labels)
    known[::2] = 0
    turned = np.roll(batch.labels, 1, axis=1) if loss.link == SOFTMAX else 1 - batch.labels
    turned = np.where(known == 1, batch.labels, turned)
    as_are, others = (
        np.asarray(loss(loss.init(), batch.logits, one, known, batch.rows, 0.5)) for one in (batch.labels, turned)
    )
    return not np.allclose(as_are, others, rtol=1e-4, atol=1e-7, equal_nan=True)


class _Batch(NamedTuple):
    logits: np.ndarray
    labels: np.ndarray
    rows: np.ndarray


def _batch(loss: Loss, num_classes: int) -> _Batch:
    """Of images that are right and wrong by chance, with one class each where the loss asks for that."""
    generator, size = np.random.default_rng(0), max(IMAGES, num_classes + 2)
    logits = generator.uniform(-3, 2, (size, num_classes)).astype(np.float32)  # as of findings that are rare
    labels = (generator.random(logits.shape) < 0.5).astype(np.uint8)
    if loss.link == SOFTMAX:
        labels = np.eye(num_classes, dtype=np.uint8)[np.arange(size) % num_classes]
    return _Batch(logits, labels, np.arange(size, dtype=np.int32))


def _of_types(said: str, loss: Loss, num_classes: int) -> dict:
    """The loss's parameters, where all that it gives has the form that a training carries on."""
    said_of_init = f'{said}: `init` gives'
    params = _asked(f'{said}: `init`: ', loss.init)
    if not isinstance(params, dict):
        raise ValueError(f'{said_of_init} {params!r}; expected a dict of parameters, {{}} for none.')
    for path, leaf in jax.tree_util.tree_leaves_with_path({k: v for k, v in params.items() if k != 'running'}):
        kind = jnp.asarray(leaf).dtype
        if kind != jnp.float32:
            where = jax.tree_util.keystr(path)
            raise ValueError(f'{said_of_init} {where} of {kind}; expected float32, as it is trained.')
    again = _asked(f'{said}: `init`: ', loss.init)
    if not jax.tree.all(jax.tree.map(lambda one, other: np.array_equal(one, other), params, again)):
        raise ValueError(f'{said_of_init} other parameters each time; expected the same, as a run is to be repeated.')
    size, own = num_classes + 2, said
    said = f'{said} for {size} images of {num_classes} classes'
    batch = [jax.ShapeDtypeStruct((size, num_classes), kind) for kind in (jnp.float32, jnp.uint8, jnp.uint8)]
    rows, fraction = jax.ShapeDtypeStruct((size,), jnp.int32), jax.ShapeDtypeStruct((), jnp.float32)
    value = _asked(f'{said}: ', jax.eval_shape, lambda *given: loss(loss.init(), *given), *batch, rows, fraction)
    _expect(said, value, jax.ShapeDtypeStruct((), jnp.float32), 'one number, float32')
    if tracing.is_another_each_time(lambda *given: loss(params, *given), *batch, rows, fraction):
        raise ValueError(f'{own} {tracing.ANOTHER}.')
    if loss.entries is not None:
        of_each = jax.ShapeDtypeStruct((size, 1), jnp.float32)
        entries = _asked(f'{said}: entries ', jax.eval_shape, loss.entries, batch[0], batch[0], of_each)
        _expect(f'{said} gives entries', entries, batch[0], str([size, num_classes]), given='')
    if loss.advance is not None:
        carry = lambda *given: loss.carry(loss.init(), *given)['running']  # noqa: E731
        carried = _asked(f'{said}: `advance`: ', jax.eval_shape, carry, *batch, rows, fraction)
        before = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, params.get('running', {})))
        _expect(f'{said}: `advance` gives', carried, before, f"params['running'] as before, {_form(before)}", given='')
    return params


def _asked(where: str, function: Callable, *given: Any) -> Any:
    try:
        return function(*given)
    except Exception as error:  # a user's own may raise any
        reason = ' '.join(str(error).split())
        raise ValueError(f'{where}{type(error).__name__}: {reason}') from error


def _expect(said: str, found: Any, wanted: Any, in_words: str, *, given: str = ' gives') -> None:
    """ValueError for a tree that has not the form of another."""
    forms: list[Any] = [jax.tree.structure(one) for one in (found, wanted)]
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=False)
    if forms[0] != forms[1] or any((one.shape, one.dtype) != (other.shape, other.dtype) for one, other in pairs):
        raise ValueError(f'{said}{given} {_form(found)}; expected {in_words}.')


def _form(tree: Any) -> Any:
    return jax.tree.map(lambda one: f'{one.dtype} {list(one.shape)}', tree)


def _check_slopes(said: str, ask: Callable, batch: _Batch) -> None:
    """ValueError for a loss that is not finite, or that no logit, or those of a class for its images or for the others,
    change at any moment of training; a class that it leaves out is said."""
    slopes = []
    for fraction in MOMENTS:
        value, slope = ask(batch.logits, batch.labels, fraction)
        if not (np.isfinite(value) and np.isfinite(slope).all()):
            raise ValueError(f'{said} is {value:.4g}, with gradients {slope.min():.4g} to {slope.max():.4g}, of logits '
                             f'between -3 and 2; expected finite numbers.')  # fmt: skip
        slopes.append(slope)
    if not np.any(slopes):
        raise ValueError(f'{said} does not depend on the logits, so that nothing would be trained: its gradient is 0. '
                         'Are all weights 0, or is it a constant?')  # fmt: skip
    counts = np.any(slopes, axis=0)
    unseen = ~counts.any(0)
    if unseen.any():  # which may be meant
        log.warning('%s does not depend on the logits of class %s, which it does not train.', said, unseen.argmax())
    for there, images in ((1, 'with'), (0, 'without')):
        lost = ~(counts & (batch.labels == there)).any(0) & ~unseen
        if lost.any():
            what = f'{said} does not depend on the logits of class {lost.argmax()} for any image {images} it'
            raise ValueError(f'{what}: its gradient is 0. Is a weight 0, or an axis left out?')


def _questions(loss: Loss, rows: np.ndarray) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """`ask(logits [B,K], labels [B,K], fraction) -> (value [], gradient [B,K])`, one compiled program."""

    def value(logits, labels, fraction):
        return loss(loss.init(), logits, labels, jnp.ones_like(labels), rows, fraction)

    of_batch = jax.jit(jax.value_and_grad(value))
    return lambda logits, labels, fraction=0.0: jax.device_get(of_batch(logits, labels, jnp.float32(fraction)))


def _check_direction(said: str, loss: Loss, ask: Callable, num_classes: int) -> None:
    """ValueError for a loss that makes answers of a class worse, as where a weight is below 0 or a sign is turned: that
    takes logits of 0 down where the class is, or, of sigmoids, up where it is not."""
    size = max(IMAGES, num_classes + 2)
    of_each = num_classes if loss.link == SOFTMAX else num_classes + 1  # of the last, no class
    labels = np.eye(of_each, num_classes, dtype=np.uint8)[np.arange(size) % of_each]
    for fraction in MOMENTS:
        slope = ask(np.zeros(labels.shape, np.float32), labels, fraction)[1].astype(np.float64)
        there, elsewhere = (slope * labels).sum(0), (slope * (1 - labels)).sum(0)
        least = 1e-6 * np.abs(slope).sum()
        down = (there > least) | ((elsewhere < -least) & (loss.link != SOFTMAX))
        if down.any():
            k = int(down.argmax())
            way = f'{there[k]:.4g} over the images of it, {elsewhere[k]:.4g} over the others'
            raise ValueError(
                f'{said} makes answers of class {k} worse: its gradient at logits of 0 is {way}; expected the first '
                'below 0 and the second above. Is a weight below 0, or a sign turned?'
            )


def _check_coefficients(said: str, loss: Loss, batch: _Batch, ask: Callable) -> None:
    """ValueError for coefficients, by which the loss is computed in training, that are those of another loss."""
    coefficients: Any = loss.coefficients
    kernel = jax.grad(lambda logits: KERNELS[type(coefficients)](coefficients, logits, batch.labels))
    slope = ask(batch.logits, batch.labels, MOMENTS[0])[1]
    if not np.allclose(np.asarray(kernel(jnp.asarray(batch.logits))), slope, rtol=1e-3, atol=1e-6):
        raise ValueError(f'{said}: its `coefficients`, of which it is computed in training, give another loss than its '
                         '`apply`; leave them out, or use losses.loss.from_coefficients.')  # fmt: skip


def _check_entries(said: str, loss: Loss, ask: Callable, batch: _Batch, *, fraction: float) -> None:
    """ValueError for entries whose log-odds (`recalibration`) are not those of the loss: eta l+' + (1 - eta) l-' = 0,
    with the derivatives of the loss of a batch by the logit of an entry whose own label is turned."""
    image, k = np.arange(ENTRIES), np.arange(ENTRIES) * batch.logits.shape[1] // ENTRIES

    def slope(place: tuple[int, int], label: int) -> float:
        labels = batch.labels.copy()
        labels[place] = label
        return ask(batch.logits, labels, fraction)[1][place]

    places = list(zip(image.tolist(), k.tolist(), strict=True))
    positive, negative = (np.array([slope(place, label) for place in places], np.float64) for label in (1, 0))
    with np.errstate(divide='ignore', invalid='ignore'):
        truth = np.log(negative) - np.log(-positive)
    claimed = recalibration.log_odds(loss, batch.logits, fraction)[image, k]
    with np.errstate(invalid='ignore'):
        off = np.abs(np.clip(claimed, -CERTAIN, CERTAIN) - np.clip(truth, -CERTAIN, CERTAIN))
    neither = np.isnan(claimed) & np.isnan(truth)  # a logit that no probability has, or one of many as good
    neither |= (positive == 0) & (negative == 0)
    off = np.where(neither, 0, np.where(np.isnan(off), np.inf, off))
    if (off > LEVEL).any():
        worst = off.argmax()
        raise ValueError(
            f'{said}: its entries say log-odds of {claimed[worst]:.3g} behind a logit of '
            f'{batch.logits[image[worst], k[worst]]:.3g}, and by the loss of a batch they are {truth[worst]:.3g}: an '
            'entry depends on its own logit and label alone, and is what the loss is the mean of. Leave `entries` out '
            '(entrywise=False), and no probabilities are made of them.'
        )
