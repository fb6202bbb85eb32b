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

    Positions may have weights: then `positions` is their sum, `lightest` the smallest one, and shares are of weight.

    A unit whose largest value is a plateau wider than that share would be above T nowhere. Its T lies just below the
    plateau, which then counts as active as a whole; not so for a unit that has one value only.
    """

    def __init__(
        self, units: int, positions: float, quantile: float, *, capacity: float = CAPACITY, lightest: float = 1.0
    ) -> None:
        self.above = quantile * positions + 1e-6
        if not lightest <= self.above < positions:
            raise ValueError(f'quantile must lie between 1 / {positions:g} (one position) and 1, got {quantile}.')
        self.positions, self.seen = positions, 0.0
        self.positive = np.zeros(units)
        self.most = int(self.above / lightest + 1e-6) + 1  # activations among which T is for certain
        self.exact = self.most <= capacity
        self.lowest, self.highest = np.full(units, np.inf, np.float32), np.full(units, -np.inf, np.float32)
        self.top, self.top_weight = np.zeros((2, units, 0), np.float32)
        self.bins = np.zeros((units, 0 if self.exact else 2**KEPT_BITS // 2), np.float32)

    def add(self, features: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Takes notice of [n, ..., U] activations, of images of weights [n]. ValueError for what is not finite."""
        features = np.asarray(features, np.float32)
        values = features.reshape(-1, len(self.positive))
        weights = np.ones(len(features), np.float32) if weights is None else np.asarray(weights, np.float32)
        weight = np.repeat(weights, len(values) // len(weights))
        finite = np.isfinite(values)
        if not finite.all():
            raise ValueError(f'features hold {values.size - np.count_nonzero(finite)} values that are not finite.')
        self.seen += weight.sum(dtype=np.float64)
        above_zero = (values > 0).reshape(len(weights), -1, values.shape[1])
        self.positive += np.asarray(weights, np.float64) @ np.count_nonzero(above_zero, axis=1)
        self.lowest = np.minimum(self.lowest, values.min(axis=0, initial=np.inf))
        self.highest = np.maximum(self.highest, values.max(axis=0, initial=-np.inf))
        if self.exact:
            self._keep(*self._above_all_kept(values, weight))
        else:
            unit, position = np.nonzero(values.T > 0)
            index = (values[position, unit].view(np.uint32) >> KEPT_BITS) + unit * self.bins.shape[1]
            counted = np.bincount(index, weight[position], minlength=self.bins.size)
            self.bins += counted.reshape(self.bins.shape).astype(np.float32)

    def _above_all_kept(self, values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those of values [M, U] that can be among the highest, by unit, and their weights, both [U, m].

        Once enough values are kept, only a value above the lowest of them can matter. The rows of units with fewer such
        values are filled with -inf, of weight 0.
        """
        if self.top.shape[1] < self.most:
            return values.T, np.broadcast_to(weight, values.T.shape)
        position, unit = np.nonzero(values > self.top.min(axis=1))
        order = np.argsort(unit, kind='stable')
        position, unit = position[order], unit[order]
        number = np.bincount(unit, minlength=len(self.positive))
        place = np.arange(len(unit)) - np.repeat(np.cumsum(number) - number, number)
        shape = len(self.positive), int(number.max(initial=0))
        candidates, weights = np.full(shape, -np.inf, np.float32), np.zeros(shape, np.float32)
        candidates[unit, place], weights[unit, place] = values[position, unit], weight[position]
        return candidates, weights

    def _keep(self, values: np.ndarray, weights: np.ndarray) -> None:
        """The `most` highest of values [U, M] and of those before them, with their weights [U, M]."""
        kept = np.concatenate([self.top, values], axis=1)
        weights = np.concatenate([self.top_weight, weights], axis=1)
        surplus = kept.shape[1] - self.most
        if surplus > 0:
            chosen = np.argpartition(kept, surplus, axis=1)[:, surplus:]
            kept, weights = (np.take_along_axis(a, chosen, axis=1) for a in (kept, weights))
        self.top, self.top_weight = kept, weights

    def threshold(self, quantile: float | None = None) -> np.ndarray:
        """T [U] float32 of `quantile`, no larger than that of the beginning, which it is if None.

        ValueError for a larger one, and before all positions have been seen.
        """
        if not np.isclose(self.seen, self.positions, rtol=1e-4):
            raise ValueError(f'{self.seen:.0f} of {self.positions:.0f} positions have been seen.')
        above = self.above if quantile is None else quantile * self.positions + 1e-6
        if above > self.above:
            most = self.above / self.positions
            raise ValueError(f'quantile must be at most {most:g}, for which activations were kept, got {quantile}.')
        value = self._from_top(above) if self.exact else self._from_bins(above)
        plateau = (value >= self.highest) & (self.highest > np.maximum(self.lowest, 0))
        return np.where(plateau, np.nextafter(self.highest, np.float32(-np.inf)), value)

    def _from_top(self, least: float) -> np.ndarray:
        order = np.argsort(-self.top, axis=1, kind='stable')
        above = np.cumsum(np.take_along_axis(self.top_weight, order, axis=1), axis=1, dtype=np.float64) > least
        place = np.where(above.any(axis=1), above.argmax(axis=1), self.top.shape[1] - 1)
        return np.take_along_axis(self.top, np.take_along_axis(order, place[:, None], axis=1), axis=1)[:, 0]

    def _from_bins(self, least: float) -> np.ndarray:
        largest_first = np.cumsum(self.bins[:, ::-1], axis=1, dtype=np.float64)
        index = self.bins.shape[1] - 1 - (largest_first > least).argmax(axis=1)
        ends = (((index.astype(np.uint32) + 1) << KEPT_BITS) - 1).view(np.float32)
        return np.where(self.positive > least, ends, np.float32(0)).astype(np.float32)

    def share_positive(self) -> np.ndarray:
        """The share of positions [U] at which a unit is above 0."""
        return self.positive / self.positions

    @property
    def relative_error(self) -> float:
        """The most by which a threshold may lie above the exact one, as a share of it."""
        return 0.0 if self.exact else RELATIVE_ERROR
