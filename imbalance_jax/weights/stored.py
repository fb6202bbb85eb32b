"""What a file of weights holds, once it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

SAVE_INSTEAD = (
    'only if you trust it - PyTorch runs what such a file says - save what it loads as safetensors: '
    '`import torch, safetensors.torch as s; state = torch.load(PATH, weights_only=False); '
    "s.save_file({k: v.contiguous() for k, v in state.items()}, 'weights.safetensors')`"
)
ROOM = 1 << 20  # bytes that small files may take beyond a multiple of their size


@dataclass(frozen=True)
class Stored:
    """The tensors of a file, by their keys.

    tensors: NumPy arrays, in the order of the file; container: 'safetensors', 'zip', 'legacy' or 'npz', with ' module'
    behind it where a whole module was pickled; sha256: of the file; metadata: text that came with it; file: its name.
    """

    tensors: Mapping[str, np.ndarray]
    container: str
    sha256: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    file: str = ''


class Damaged(ValueError):
    """A file that is not what it says it is; the message says where, and the reader adds which file."""


def require(sound: bool, message: str) -> None:
    """Raises Damaged with the message unless `sound`."""
    if not sound:
        raise Damaged(message)
