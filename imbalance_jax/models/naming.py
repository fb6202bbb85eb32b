"""Names of a model's variables in PyTorch: one tensor per Flax leaf, so that weights can come in and go out.

A model that has a counterpart in PyTorch has the attribute `torch_names`: scheme -> function from the path of a
variable below its collection, ('stage1_block1', 'conv1', 'kernel') or ('stem_norm', 'mean'), to the complete key in a
state dict, 'layer1.0.conv1.weight' or 'bn1.running_mean'. How an array's axes lie is told elsewhere.
"""

from collections.abc import Callable, Mapping
from typing import Any

from imbalance_jax.names import lookup

Path = tuple[str, ...]
Name = Callable[[Path], str]
LEAVES = {'kernel': 'weight', 'scale': 'weight', 'bias': 'bias', 'mean': 'running_mean', 'var': 'running_var'}


def torch_names_of(model: Any) -> Mapping[str, Name]:
    """Scheme -> function from path to key, of a model or of the model inside an adapter; empty for one without."""
    while not hasattr(model, 'torch_names') and hasattr(model, 'model'):
        model = model.model
    return getattr(model, 'torch_names', {})


def key(module: str, path: Path) -> str:
    """The key of a variable of a module that PyTorch calls `module`; ValueError for a leaf that it has no name for."""
    return f'{module}.{lookup(LEAVES, path[-1], "kind of variable")}'


def renamed(name: Name, firsts: Mapping[str, str]) -> Name:
    """`name` with other first parts: those of a file in which the model's modules lie under other names.

    firsts: first part, up to a dot -> what stands in its place. Keys that begin otherwise stay as they are.
    """

    def other(path: Path) -> str:
        first, _, rest = name(path).partition('.')
        return f'{firsts.get(first, first)}.{rest}'

    return other
