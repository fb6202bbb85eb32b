"""Probabilities under the prior of the data: what a loss and a sampler made of the log-odds is taken back.

A loss whose entries stand for themselves says by a formula which probability its best logit stands for
(`losses.recalibration`). Smooth labels make eta (1 - e) + e / 2 of a probability eta, which is taken back next; beyond
the ends of that a class counts as certain. Draws with other odds of a class move the log-odds by the logarithm of the
ratio of the odds (King and Zeng 2001, "Logistic regression in rare events data"), which is taken back last. For any
other loss, and where the formula does not rise with the logit, a logistic regression of the validation labels on the
logit stands in (Platt 1999): it needs no theory of the loss, but labels, and is as uncertain as they are few.

All of them keep the order of images: none changes a class's AUROC or average precision, and none is an arm of its own.
A softmax ties its classes together: the probabilities behind its logits follow by formula from all logits of an image,
draws raise the logarithm of each class's share, and the order of images in a class may change a little. A softmax loss
of a user's own, without a formula, has a logistic regression for each class, whose probabilities need not sum to 1.

Of a network that was trained elsewhere with an unknown loss nothing is known that could be taken back: its
probabilities are what it says.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy

from imbalance_jax.data import samplers
from imbalance_jax.data.arrays import Arrays
from imbalance_jax.losses import recalibration
from imbalance_jax.losses.counts import ratio
from imbalance_jax.losses.loss import SOFTMAX, UNKNOWN, Loss
from imbalance_jax.metrics.calibration import platt
from imbalance_jax.training.members import Sampling, distinct, samplings, whole

ROUNDING = 1e-9  # a shift of log-odds below it is none
EXACT, SAMPLED, PLATT = 'exact', 'exact and draws', 'Platt'  # how the logits of an arm become probabilities
AS_SAID = 'as the network says'  # of a network that was trained elsewhere, with a loss that is not known


class Recalibrated(NamedTuple):
    """Log-odds {split: [P,N,K]} under the prior of the training set, and how each arm's were found, {arm: method}."""

    log_odds: dict[str, np.ndarray]
    method: dict[str, str]

    def probabilities(self, split: str) -> np.ndarray:
        """The probabilities [P,N,K] of a split."""
        return probabilities(self.log_odds[split])


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The sigmoid in float64."""
    return scipy.special.expit(np.float64(logits))


def prior_shifts(members: Sequence[dict], versions: Mapping[str, Arrays]) -> np.ndarray:
    """By how much each member's sampler moves the log-odds of every class [P,K]; 0 for a class of one kind only.

    versions: of the labels, name -> the training split. Of a sampler that changes with time, as it is in the end.
    """
    shift = {sampling: _prior_shift(sampling, versions[sampling.labels]) for sampling in samplings(members)}
    return np.stack([shift[samplings([row])[0]] for row in members])


def _prior_shift(sampling: Sampling, arrays: Arrays) -> np.ndarray:
    labels, mask = np.asarray(arrays.labels, np.float64), np.asarray(arrays.label_mask, np.float64)

    def odds(weights):
        positive, counted = weights @ (labels * mask), weights @ mask
        return ratio(positive, counted - positive)

    weights = samplers.make(sampling.sampler, **dict(sampling.options))(labels * mask, 1.0)
    return np.log(odds(weights) / odds(np.ones(len(labels))))


def class_shifts(members: Sequence[dict], versions: Mapping[str, Arrays]) -> np.ndarray:
    """By how much each member's sampler raises the logarithm of every class's share [P,K]; one class per image."""
    shift = {sampling: _class_shift(sampling, versions[sampling.labels]) for sampling in samplings(members)}
    return np.stack([shift[samplings([row])[0]] for row in members])


def _class_shift(sampling: Sampling, arrays: Arrays) -> np.ndarray:
    labels = np.asarray(arrays.labels, np.float64)
    weights = samplers.make(sampling.sampler, **dict(sampling.options))(labels, 1.0)
    return np.log(ratio(weights @ labels / weights.sum(), labels.mean(0)))


def done(best_epoch: np.ndarray, epochs: int) -> np.ndarray:
    """The fraction [P] of training at the last step of each member's best epoch, which counts from 1."""
    return np.nextafter(np.asarray(best_epoch, np.float64) / epochs, 0.0)


def recalibrated(
    members: Sequence[dict],
    losses: Sequence[Loss],
    versions: Mapping[str, Arrays],
    *,
    logits: Mapping[str, np.ndarray],
    validation: Arrays,
    done: np.ndarray,
) -> Recalibrated:
    """Log-odds under the prior of the training set, arm by arm, by the labels that it was trained on.

    losses: one per arm; versions: of the labels, name -> the training split; logits: {'validation': [P,N,K], ...};
    validation: labels and mask of its rows; done: [P], the fraction of training after which a member's weights were
    kept.
    """
    arms, every = distinct(members, 'arm'), Recalibrated({}, {})
    every.log_odds.update({split: np.full(np.shape(one), np.nan) for split, one in logits.items()})
    for arm, loss in zip(arms, losses, strict=True):
        index = [row['member'] for row in members if row['arm'] == arm]
        own = {split: np.asarray(one)[index].astype(np.float64) for split, one in logits.items()}
        rows = [whole(row) for row in members if row['arm'] == arm]
        if rows[0]['loss'] == UNKNOWN:
            every.method[arm] = AS_SAID
            for split, one in own.items():
                every.log_odds[split][index] = one
            continue
        shifts = (class_shifts if loss.link == SOFTMAX else prior_shifts)(rows, versions)
        by_formula = _by_softmax if loss.link == SOFTMAX else _by_formula
        smoothing = rows[0].get('label_smoothing', 0.0)
        odds = by_formula(loss, own, done[index], shifts, smoothing)
        every.method[arm] = PLATT if odds is None else SAMPLED if np.abs(shifts).max() > ROUNDING else EXACT
        if odds is None:
            line = platt(own['validation'], validation.labels, validation.label_mask)
            odds = {split: line.intercept[:, None] + line.slope[:, None] * one for split, one in own.items()}
        for split, one in odds.items():
            every.log_odds[split][index] = one
    return every


def _by_softmax(
    loss: Loss, logits: Mapping[str, np.ndarray], done: np.ndarray, shifts: np.ndarray, smoothing: float
) -> dict[str, np.ndarray] | None:
    """Log-odds {split: [S,N,K]} of the members of an arm with a softmax; None without a formula."""
    if loss.softmax_at is None:
        return None
    return {
        split: np.stack(
            [
                recalibration.softmax_log_odds(loss, z, fraction, moved=moved, smoothing=smoothing)
                for z, fraction, moved in zip(one, done, shifts, strict=True)
            ]
        )
        for split, one in logits.items()
    }


def _by_formula(
    loss: Loss, logits: Mapping[str, np.ndarray], done: np.ndarray, shifts: np.ndarray, smoothing: float
) -> dict[str, np.ndarray] | None:
    """Log-odds {split: [S,N,K]} of the members of an arm; None without a formula that rises over all their logits."""
    if loss.entries is None:
        return None
    every = np.concatenate(list(logits.values()), axis=1)
    looked_at = np.stack([recalibration.grid(one) for one in every])
    odds = recalibration.log_odds(
        loss, np.concatenate([looked_at, every], axis=1), done[:, None, None], smoothing=smoothing
    )
    if not recalibration.rises(odds[:, : recalibration.GRID]):
        return None
    ends = np.cumsum([recalibration.GRID, *(one.shape[1] for one in logits.values())])
    parts = zip(logits, ends, ends[1:], strict=False)
    return {split: odds[:, start:stop] - shifts[:, None] for split, start, stop in parts}
