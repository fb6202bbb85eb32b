"""Probabilities under the prior of the data: what a loss's weights and a sampler moved is moved back.

A logit that was trained with a positive weight w is off by log w, and one that was trained on draws with other odds of
a class by the logarithm of the ratio of the odds (King and Zeng 2001, "Logistic regression in rare events data").
Both move all images of a class alike. So does every post-hoc adjustment of logits, tau-normalisation of a class's
weights, and every threshold: none can change a class's AUROC or average precision, and none is an arm of its own here.
"""

from collections.abc import Sequence

import numpy as np
import scipy.special

from imbalance_jax.data import samplers
from imbalance_jax.data.arrays import Arrays
from imbalance_jax.losses.counts import ratio
from imbalance_jax.losses.loss import Loss
from imbalance_jax.training.members import distinct, samplings


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The sigmoid in float64."""
    return scipy.special.expit(np.float64(logits))


def prior_shifts(members: Sequence[dict], arrays: Arrays) -> np.ndarray:
    """By how much each member's sampler moves the log-odds of every class [P,K]; 0 for a class of one kind only.

    Of a sampler that changes with time, as it is in the end.
    """
    labels, mask = np.asarray(arrays.labels, np.float64), np.asarray(arrays.label_mask, np.float64)

    def odds(weights):
        positive, counted = weights @ (labels * mask), weights @ mask
        return ratio(positive, counted - positive)

    natural = odds(np.ones(len(labels)))
    shift = {}
    for sampling in samplings(members):
        weights = samplers.make(sampling.sampler, **dict(sampling.options))(labels * mask, 1.0)
        shift[sampling] = np.log(odds(weights) / natural)
    return np.stack([shift[samplings([row])[0]] for row in members])


def corrected(members: Sequence[dict], losses: Sequence[Loss], arrays: Arrays, logits: np.ndarray) -> np.ndarray:
    """Logits [P,N,K] under the prior of the training set. losses: one per arm; arrays: the training split."""
    arms = distinct(members, 'arm')
    under_prior = [losses[arms.index(row['arm'])].corrected(logits[row['member']]) for row in members]
    return np.stack(under_prior) - prior_shifts(members, arrays)[:, None]
