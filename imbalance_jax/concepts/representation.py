"""What a loss makes of the features that the head reads: do classes collapse, and how many directions are used?

Figures of pooled features [N, U] of one network, on the images and in rounds of weights over them: weights [R, N], of
which a bootstrap over patients has one row per round. Several findings may be on one film: each class is taken against
all images, as in multi-label neural collapse (Li et al. 2024, arXiv 2310.15903).
"""

from typing import NamedTuple

import numpy as np

from imbalance_jax.system.shapes import fitting, takes

TINY = 1e-12
FITTING = {'x': 'N U', 'head': 'U K', 'positive': 'N K', 'train_positives': 'K'}
BY_CLASS = ('within_class', 'centre_length', 'head_length')  # of the figures of `collapse`


class Classes(NamedTuple):
    """positive [N, K] bool: which images show each finding; train_positives [K]: how many of the training split do."""

    positive: np.ndarray
    train_positives: np.ndarray

    @property
    def rare(self) -> np.ndarray:
        """The rarer half of the classes in training [K] bool, two at least where there are as many."""
        rank = np.argsort(np.argsort(self.train_positives, kind='stable'), kind='stable')
        return rank < max(2, len(rank) // 2)


@takes(x='N U', weights='R N')
def collapse(x: np.ndarray, head: np.ndarray | None, classes: Classes, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Neural collapse and the collapse of minorities, of features x [N, U] and the head's kernel [U, K].

    Without a head, `self_dual` and what is named after the head are left out.

    mu_c is the mean of the class's images, mu that of all, m_c = mu_c - mu, S_c the class's covariance:

    within_class [R,K]: NC1, tr(S_c) / |m_c|^2; 0 where all images of the class are one point, large where the class
        differs little from the others; with n images of a class about n at most
    equiangular [R]: NC2, mean over pairs of |cos(m_c, m_c') + 1 / (K - 1)|, 0 for a simplex
    self_dual [R]: NC3, || W / ||W|| - M / ||M|| || in Frobenius norms, 0 where the head's vectors w_c are the m_c
    centre_length, head_length [R,K]: |m_c| and |w_c| over their root mean square over classes
    centre_slope, head_slope [R]: slope of the logarithm of these lengths on the logarithm of the training positives
    centre_cosine, head_cosine [R,2]: mean cosine between classes, of the rare ones (`Classes.rare`) and of the others;
        1 is minority collapse (Fang et al. 2021, arXiv 2101.12699)

    A class without any image is NaN and left out of what is of several; one that a round has lost makes that NaN.
    """
    fitting({'x': x, 'head': head, **classes._asdict()}, FITTING, ['head'])
    shown: np.ndarray = np.any(classes.positive, axis=0)
    if not shown.all():
        of_head = None if head is None else head[:, shown]
        of_shown = collapse(x, of_head, Classes(*(a[..., shown] for a in classes)), weights)
        return {name: _widened(value, shown) if name in BY_CLASS else value for name, value in of_shown.items()}
    means, squares = class_moments(x, classes.positive, weights)
    centre = (weights @ x / np.maximum(weights.sum(1, keepdims=True), TINY))[:, None]
    vectors = {'centre': means - centre}
    if head is not None:
        vectors['head'] = np.broadcast_to(head.T, (len(weights), *head.T.shape))
    centred = vectors['centre']
    with np.errstate(invalid='ignore', divide='ignore'):
        within = (squares - (means**2).sum(-1)) / np.linalg.norm(centred, axis=-1) ** 2
        both = [v / np.sqrt((v**2).sum((1, 2), keepdims=True)) for v in vectors.values()]
    log_number = np.log(np.maximum(classes.train_positives, 1))
    result = {'within_class': within, 'equiangular': _equiangular(centred)}
    if head is not None:
        result['self_dual'] = np.sqrt(((both[1] - both[0]) ** 2).sum((1, 2)))
    for name, of_classes in vectors.items():
        relative = _relative_length(of_classes)
        result[f'{name}_length'] = relative
        result[f'{name}_slope'] = _slope(log_number, np.log(np.maximum(relative, TINY)))
        cosine = _cosines(of_classes)
        groups = (classes.rare, ~classes.rare)
        result[f'{name}_cosine'] = np.stack([_mean_pair(cosine[:, group][:, :, group]) for group in groups], axis=1)
    return result


@takes(x='N U', positive='N K', weights='R N')
def class_moments(x: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means [R,K,U] of the images of each class, and the means [R,K] of their squared lengths; NaN for a class without
    weight."""
    square, means, squares = (x**2).sum(1), [], []
    for chosen in positive.T:
        weight = weights[:, chosen].astype(np.float64)
        total = weight.sum(1, keepdims=True)
        share = weight / np.where(total > 0, total, 1)
        means.append(np.where(total > 0, share @ x[chosen], np.nan))
        squares.append(np.where(total[:, 0] > 0, share @ square[chosen], np.nan))
    return np.stack(means, axis=1), np.stack(squares, axis=1)


def _widened(values: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """[R,n] of the classes that are shown to [R,K], NaN for the others."""
    result = np.full((len(values), len(shown)), np.nan)
    result[:, shown] = values
    return result


def _relative_length(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1)
    with np.errstate(invalid='ignore', divide='ignore'):
        return lengths / np.sqrt((lengths**2).mean(-1, keepdims=True))


def _cosines(vectors: np.ndarray) -> np.ndarray:
    """[R,K,K] of vectors [R,K,U]."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    with np.errstate(invalid='ignore', divide='ignore'):
        unit = vectors / np.where(lengths > TINY, lengths, np.nan)
    return unit @ unit.transpose(0, 2, 1)


def _mean_pair(cosines: np.ndarray) -> np.ndarray:
    """Mean [R] over pairs of different classes of [R,K,K]; NaN below two."""
    one, other = np.triu_indices(cosines.shape[-1], 1)
    if not len(one):
        return np.full(len(cosines), np.nan)
    return cosines[:, one, other].mean(1)


def _equiangular(centred: np.ndarray) -> np.ndarray:
    return _mean_pair(np.abs(_cosines(centred) + 1 / max(centred.shape[1] - 1, 1)))


def _slope(log_number: np.ndarray, log_length: np.ndarray) -> np.ndarray:
    """Least squares slope [R] of log_length [R,K]; NaN where all classes are equally frequent."""
    centred = log_number - log_number.mean()
    with np.errstate(invalid='ignore', divide='ignore'):
        return (log_length @ centred) / (centred**2).sum()


@takes(x='n U', weights='R n')
def ranks(x: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """How many directions the features x [n, U] use, n at most: `rankme` and `participation_ratio` [R].

    rankme: exp(H(s / sum s)), s the singular values of x, H the entropy (Garrido et al. 2023, arXiv 2210.02885)
    participation_ratio: (sum l)^2 / sum l^2, l the eigenvalues of the covariance

    Both have an influence function, since an eigenvalue changes with the weight of an image by its squared projection
    less the eigenvalue. Rounds are the figure on the data plus the weighted mean of the influences: repeating images
    itself would lower the ranks.
    """
    if len(x) < 2 or not np.isfinite(x).all():
        return {name: np.full(len(weights), np.nan) for name in ('rankme', 'participation_ratio')}
    with np.errstate(invalid='ignore', divide='ignore'):
        share = weights / weights.sum(1, keepdims=True)
    result = {}
    for name, figure, data in (('rankme', _rankme, x), ('participation_ratio', _participation, x - x.mean(0))):
        values, projections = _spectrum(np.asarray(data, np.float64))
        value, slopes = figure(values)
        result[name] = value + share @ ((projections - values) @ slopes)
    return result


def _spectrum(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues [r] of x'x / n above rounding, and squared projections [n, r] of the images on their directions."""
    n = len(x)
    if n >= x.shape[1]:
        values, vectors = np.linalg.eigh(x.T @ x / n)
        projections = (x @ vectors) ** 2
    else:
        values, vectors = np.linalg.eigh(x @ x.T / n)
        projections = n * np.maximum(values, 0) * vectors**2
    kept = values > 1e-10 * max(values.max(initial=0), TINY)
    return values[kept], projections[:, kept]


def _rankme(values: np.ndarray) -> tuple[float, np.ndarray]:
    """RankMe of eigenvalues [r], and its derivative by each."""
    singular = np.sqrt(values)
    share = singular / singular.sum()
    entropy = -(share * np.log(share)).sum()
    rank = np.exp(entropy)
    return rank, -rank * (np.log(share) + entropy) / singular.sum() / (2 * singular)


def _participation(values: np.ndarray) -> tuple[float, np.ndarray]:
    """Participation ratio of eigenvalues [r], and its derivative by each."""
    total, squares = values.sum(), (values**2).sum()
    return total**2 / squares, 2 * total / squares - 2 * total**2 * values / squares**2
