"""Twins: two images that differ in one concept and in nothing else, the exact answer to 'what if it were not there?'"""

from typing import NamedTuple

import numpy as np


class Twins(NamedTuple):
    """M pairs of images; whatever belongs to the concept differs, and every other pixel is bit-equal.

    rows: [M] the data set's image that one of the two is; absent, present: [M,H,W,C] uint8, without and with it
    """

    rows: np.ndarray
    absent: np.ndarray
    present: np.ndarray

    @property
    def changed(self) -> np.ndarray:
        """The pixels [M,H,W] bool in which the two differ: all that the concept is."""
        return (self.absent != self.present).any(-1)
