"""What approaches to class imbalance change in what a CNN learns: populations, explained, with statistics.

Each folder is of use on its own: `losses.make`, `models.make`, `attribution.METHODS`, `alignment.METRICS`,
`concepts.dissect`, `training.strategies.map_members`; the README beside each shows how.
"""

import importlib.metadata

try:
    __version__ = importlib.metadata.version('imbalance-jax')
except importlib.metadata.PackageNotFoundError:  # the folder itself is on the path
    __version__ = '0+local'
