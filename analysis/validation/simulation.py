"""What a simulation says: one share of its runs, beside what it should be."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Measured(NamedTuple):
    """A share of `runs` simulated studies. what: such as 'coverage'; regime: what was planted; lowest and highest: the
    range in which the true share should lie (0..1), a nominal level having both ends equal."""

    what: str
    regime: str
    share: float
    lowest: float
    highest: float
    runs: int

    @property
    def error(self) -> float:
        """Monte-Carlo standard error of the share, not below that of one run in `runs`."""
        share = np.clip(self.share, 1 / self.runs, 1 - 1 / self.runs)
        return float(np.sqrt(share * (1 - share) / self.runs))

    @property
    def holds(self) -> bool:
        """Whether the share lies in its range or within three Monte-Carlo errors of it."""
        return self.lowest - 3 * self.error <= self.share <= self.highest + 3 * self.error


Simulation = Callable[..., Sequence[Measured]]  # (runs, *, seed) -> what it says
