"""The activation that a unit exceeds at a given share of all positions, found while the probe set streams by."""

import numpy as np

CAPACITY = 2**14  # largest activations of a unit that are kept, by default
KEPT_BITS = 16  # of a float32, for the histogram: sign, exponent and 7 bits of the fraction
RELATIVE_ERROR = 2.0**-7  # of a threshold from the histogram: the width of a bin over its lower end


class UpperQuantile:
    """T of each unit with P(a > T) = `quantile`: the smallest activation that leaves no more than this share above.

    Where the floor(quantile x positions) + 1 largest activations of a unit fit into `capacity`, they are kept and T is
    exact. Otherwise activations above 0 are counted in bins that share the upper 16 bits of the float32: T is then the
    upper end of the bin in which the exact T lies, at most `RELATIVE_ERROR` above it, for 128 KiB per unit however many
    positions there are. In that case units are taken to be after a ReLU: a T below 0 is given as 0.

    A unit whose largest value is a plateau wider than that share would be above T nowhere. Its T lies just below the
    plateau, which then counts as active as a whole; not so for a unit that has one value only.
    """

    def __init__(self, units: int, positions: int, quantile: float, *, capacity: float = CAPACITY) -> None:
        self.above = int(quantile * positions + 1e-6)
        if not 1 <= self.above < positions:
            raise ValueError(f'quantile must lie between 1 / {positions} (one position) and 1, got {quantile}.')
        self.positions, self.seen = positions, 0
        self.positive = np.zeros(units, np.int64)
        self.exact = self.above < capacity
        self.lowest, self.highest = np.full(units, np.inf, np.float32), np.full(units, -np.inf, np.float32)
        self.top = np.zeros((units, 0), np.float32)
        self.bins = np.zeros((units, 0 if self.exact else 2**KEPT_BITS // 2), np.int32)

    def add(self, features: np.ndarray) -> None:
        """Takes notice of [..., U] activations. Raises ValueError for values that are not finite."""
        values = np.asarray(features, np.float32).reshape(-1, len(self.positive))
        finite = np.isfinite(values)
        if not finite.all():
            raise ValueError(f'features hold {values.size - np.count_nonzero(finite)} values that are not finite.')
        self.seen += len(values)
        self.positive += np.count_nonzero(values > 0, axis=0)
        self.lowest = np.minimum(self.lowest, values.min(axis=0, initial=np.inf))
        self.highest = np.maximum(self.highest, values.max(axis=0, initial=-np.inf))
        if self.exact:
            kept = np.concatenate([self.top, values.T], axis=1)
            surplus = kept.shape[1] - (self.above + 1)
            self.top = np.partition(kept, surplus, axis=1)[:, surplus:] if surplus > 0 else kept
        else:
            unit, position = np.nonzero(values.T > 0)
            index = (values[position, unit].view(np.uint32) >> KEPT_BITS) + unit * self.bins.shape[1]
            self.bins += np.bincount(index, minlength=self.bins.size).reshape(self.bins.shape).astype(np.int32)

    def threshold(self) -> np.ndarray:
        """T [U] float32, once all positions have been seen; ValueError before."""
        if self.seen != self.positions:
            raise ValueError(f'{self.seen} of {self.positions} positions have been seen.')
        value = self.top.min(axis=1) if self.exact else self._from_bins()
        plateau = (value >= self.highest) & (self.highest > np.maximum(self.lowest, 0))
        return np.where(plateau, np.nextafter(self.highest, np.float32(-np.inf)), value)

    def _from_bins(self) -> np.ndarray:
        largest_first = np.cumsum(self.bins[:, ::-1], axis=1, dtype=np.int64)
        index = self.bins.shape[1] - 1 - (largest_first > self.above).argmax(axis=1)
        ends = (((index.astype(np.uint32) + 1) << KEPT_BITS) - 1).view(np.float32)
        return np.where(self.positive > self.above, ends, np.float32(0)).astype(np.float32)

    def share_positive(self) -> np.ndarray:
        """The share of positions [U] at which a unit is above 0."""
        return self.positive / self.positions

    @property
    def relative_error(self) -> float:
        """The most by which a threshold may lie above the exact one, as a share of it."""
        return 0.0 if self.exact else RELATIVE_ERROR
