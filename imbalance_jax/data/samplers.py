"""Sampling weights: how often each training example is drawn.

A sampler is `sampler(labels [N, K], progress, *, option=default) -> weights [N]`: labels are 0 or 1 (a masked label as
0), progress is the share of training that is done, in [0, 1], and weights are float64, not negative and sum to 1: the
probability of each example at one draw with replacement. Everything here is NumPy. A new one is one function and one
line in `SAMPLERS`.

`N_c` is the number of examples with finding c. A class without examples is never drawn for and enters no rule.
"""

import functools
import logging
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from imbalance_jax.names import check_option, is_ours, lookup, options_of

log = logging.getLogger(__name__)
FEW = 0.05  # share of the training images: a sampler that draws fewer may mean something else

Sampler = Callable[..., np.ndarray]


def make(name: str, **options: float | str | None) -> Sampler:
    """The sampler `name` with these options: `sampler(labels, progress) -> weights [N]`.

    Raises ValueError for an unknown name, an option that the sampler does not have, or one that is no finite number
    (None where None is the default); a value out of range shows itself when the sampler is called, and a user's own one
    that changes the labels, or gives what are no weights.
    """
    sampler = lookup(SAMPLERS, name, 'sampler')
    defaults = options_of(sampler, required=True)
    for key, value in options.items():
        default = lookup(defaults, key, f'option of sampler {name!r}')
        check_option(f'Sampler option {key} = {value!r} of {name!r}', value, default)
    return partial(_checked, name, partial(sampler, **options))


def _checked(name: str, sampler: Sampler, labels: ArrayLike, progress: float) -> np.ndarray:
    """The weights, of labels that nobody can change."""
    given = np.array(labels)  # of its own, whatever it makes of it
    given.flags.writeable = False
    try:
        weights = np.asarray(sampler(given, progress))
        again = weights if is_ours(sampler) else np.asarray(sampler(given, progress))
    except Exception as error:  # a user's own may raise any
        if is_ours(sampler):
            raise
        if 'read-only' not in str(error):
            reason = ' '.join(str(error).split())
            raise ValueError(f'Sampler {name!r} failed with {type(error).__name__}: {reason}') from error
        raise ValueError(f'Sampler {name!r} changes the labels, which are those of all arms: take a copy.') from error
    if weights.shape != given.shape[:1] or weights.dtype.kind not in 'fiub':
        found = f'{weights.dtype} of shape {weights.shape}'
        raise ValueError(f'Sampler {name!r} gives {found}; expected a weight per example, {given.shape[:1]}.')
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ValueError(f'Sampler {name!r} gives weights from {weights.min():g} to {weights.max():g}; they must be '
                         'finite, 0 or more, and not all 0.')  # fmt: skip
    if not np.array_equal(weights, again):
        raise ValueError(f'Sampler {name!r} gives other weights each time it is asked; expected the same of the same '
                         'labels and progress, as a run is to be repeated: draw with a seed of its own.')  # fmt: skip
    if not is_ours(sampler):
        for said in _never_drawn(given, weights):
            _say(f'Sampler {name!r} {said}')
    return weights.astype(np.float64)


def _never_drawn(labels: np.ndarray, weights: np.ndarray) -> Iterator[str]:
    """Sentences about classes without an image that is ever drawn, and about few images that are."""
    drawn = weights > 0
    positive = labels.reshape(len(labels), -1) > 0
    lost = np.flatnonzero(positive.any(0) & ~positive[drawn].any(0))
    if len(lost):
        yield f'never draws an image with class {", ".join(map(str, lost))}.'
    if drawn.sum() < FEW * len(weights):
        yield f'draws {drawn.sum():,} of {len(weights):,} training images, and never the others.'


@functools.cache
def _say(sentence: str) -> None:
    """Once in a process: samplers are asked in every epoch."""
    log.warning(sentence)


def natural(labels: ArrayLike, progress: float) -> np.ndarray:
    """Every example alike: w_i = 1 / N."""
    positive = _positive(labels)
    return np.full(len(positive), 1 / len(positive))


def inverse_frequency(labels: ArrayLike, progress: float, *, no_finding_share: float | None = None) -> np.ndarray:
    """w_i ~ max of 1 / N_c over the example's findings; without a finding, the mean over classes of 1 / N_c.

    The mean is over classes, so one very rare class raises the weight of every example without a finding: on the
    training split of ChestMNIST these get at least 72 % of the draws, against 54 % naturally. `no_finding_share` sets
    their share of the draws instead.

    Source: the rarest-label rule in common use for multi-label data; the mean is a convention of public code.
    """
    return _rarest_finding(_positive(labels), lambda count: 1 / count, no_finding_share)


def square_root(labels: ArrayLike, progress: float, *, no_finding_share: float | None = None) -> np.ndarray:
    """As `inverse_frequency` with 1 / sqrt(N_c): half-way, in the exponent, between natural and balanced.

    Source: square-root sampling, Mahajan et al. 2018, "Exploring the limits of weakly supervised pretraining" (arXiv
    1805.00932).
    """
    return _rarest_finding(_positive(labels), lambda count: count**-0.5, no_finding_share)


def weighted_sampling(
    labels: ArrayLike, progress: float, *, quantile: float = 0.75, no_finding_share: float | None = None
) -> np.ndarray:
    """What the study's weighted sampler meant: as `inverse_frequency`, with 1 / N_c clipped at its `quantile`.

    The clip is the study's: classes rarer than the quantile over classes (0.75, linear interpolation) are drawn as if
    they were as frequent as that. `quantile` 1 clips nothing. The rule from class to example is ours, as the study's
    code had none: see `weighted_sampling_published`.
    """
    _require(0 <= quantile <= 1, 'quantile', quantile, 'in [0, 1]')

    def class_weight(count):
        weight = 1 / count
        return np.minimum(weight, np.quantile(weight, quantile))

    return _rarest_finding(_positive(labels), class_weight, no_finding_share)


def weighted_sampling_published(labels: ArrayLike, progress: float, *, quantile: float = 0.75) -> np.ndarray:
    """The study's weighted sampler as it ran: K class weights taken for the weights of the first K examples.

    Class weights are 1 / (N_c + 1e-6), clipped at their `quantile` and divided by their sum. The published code hands
    this vector of length K to a sampler that reads it as one weight per example, so an epoch of N draws sees examples
    0 to K - 1 only: the arm is trained on K images. Kept to show what that does. Raises ValueError if N < K.

    Source: Khakzar et al. 2022 (arXiv 2204.01729) and its code, `imba_sampling_weights`.
    """
    _require(0 <= quantile <= 1, 'quantile', quantile, 'in [0, 1]')
    positive = _positive(labels)
    num_examples, num_classes = positive.shape
    if num_examples < num_classes:
        raise ValueError(f'{num_examples} examples are fewer than the {num_classes} that this sampler draws from.')
    class_weight = 1 / (positive.sum(axis=0) + 1e-6)
    weights = np.zeros(num_examples)
    weights[:num_classes] = np.minimum(class_weight, np.quantile(class_weight, quantile))
    return weights / weights.sum()


def class_aware(labels: ArrayLike, progress: float) -> np.ndarray:
    """A class uniformly, then one of its examples uniformly: w_i ~ sum of 1 / N_c over the example's classes.

    "No finding" is a class of its own, of the examples without a positive label; classes without examples are left
    out. An example with several findings can be drawn for each.

    Source: Shen et al. 2016, "Relay backpropagation" (arXiv 1512.05830), as in Wu et al. 2020 (arXiv 2007.09654).
    """
    positive = _positive(labels)
    classes = np.column_stack([positive, ~positive.any(axis=1)])
    weights = classes @ (1 / np.maximum(classes.sum(axis=0), 1))
    return weights / weights.sum()


def progressive(labels: ArrayLike, progress: float) -> np.ndarray:
    """From natural to class-aware, linearly with training: (1 - t) natural + t class_aware, t = `progress`.

    Source: progressively-balanced sampling, Kang et al. 2020, "Decoupling representation and classifier" (arXiv
    1910.09217).
    """
    _require(0 <= progress <= 1, 'progress', progress, 'in [0, 1]')
    return (1 - progress) * natural(labels, progress) + progress * class_aware(labels, progress)


def repeat_factor(labels: ArrayLike, progress: float, *, threshold: float = 0.05) -> np.ndarray:
    """w_i ~ max over the example's findings of max(1, sqrt(threshold / f_c)), f_c = N_c / N; 1 without a finding.

    Classes more frequent than `threshold` are left alone. LVIS uses 0.001, below the rarest finding of a chest X-ray
    set, where it would change nothing; 0.05 is about the mean prevalence of ChestMNIST.

    Source: Gupta et al. 2019, "LVIS" (arXiv 1908.03195), repeat factor sampling.
    """
    _require(threshold > 0, 'threshold', threshold, 'positive')
    positive = _positive(labels)
    frequency = np.maximum(positive.sum(axis=0), 1) / len(positive)
    repeats = np.maximum(1, (positive * np.sqrt(threshold / frequency)).max(axis=1))
    return repeats / repeats.sum()


SAMPLERS: dict[str, Sampler] = {
    'class_aware': class_aware,
    'inverse_frequency': inverse_frequency,
    'natural': natural,
    'progressive': progressive,
    'repeat_factor': repeat_factor,
    'square_root': square_root,
    'weighted_sampling': weighted_sampling,
    'weighted_sampling_published': weighted_sampling_published,
}


def _rarest_finding(
    positive: np.ndarray, class_weight: Callable[[np.ndarray], np.ndarray], no_finding_share: float | None
) -> np.ndarray:
    """Each example's largest class weight, and the mean class weight without a finding; sums to 1.

    class_weight: counts of the classes that have examples -> their weights.
    """
    share = no_finding_share
    _require(share is None or 0 <= share <= 1, 'no_finding_share', share, 'in [0, 1], or None')
    count = positive.sum(axis=0)
    seen, healthy = count > 0, ~positive.any(axis=1)
    if not seen.any():
        return natural(positive, 0.0)
    weight_of_class = class_weight(count[seen])
    weights = np.where(healthy, weight_of_class.mean(), (positive[:, seen] * weight_of_class).max(axis=1))
    if share is not None and healthy.any():
        weights[healthy] *= share / weights[healthy].sum()
        weights[~healthy] *= (1 - share) / weights[~healthy].sum()
    return weights / weights.sum()


def _positive(labels: ArrayLike) -> np.ndarray:
    """Labels as bool [N, K]; a ValueError if they are not a matrix of 0 and 1 with at least one row and column."""
    labels = np.asarray(labels)
    if labels.ndim != 2 or not labels.size:
        raise ValueError(f'labels have shape {labels.shape}; they must be [N, K], with N and K at least 1.')
    if not np.isin(labels, (0, 1)).all():
        wrong = np.unique(labels[~np.isin(labels, (0, 1))])[:3].tolist()
        raise ValueError(f'labels hold {wrong}; they must be 0 or 1. Pass an uncertain or missing label as 0.')
    return labels == 1


def _require(valid: bool, name: str, value: float | None, allowed: str) -> None:
    if not valid:
        raise ValueError(f'Sampler option {name} = {value!r} is out of range: it must be {allowed}.')
