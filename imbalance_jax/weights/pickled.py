"""What a pickle of PyTorch names, and what of it means something; nothing is imported, called or built.

Globals are names (`Global`), what would be called or built is a `Record` of what it would have been given, and only
a few names mean something: an ordered dict, a tensor, a parameter (`KNOWN`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from imbalance_jax.weights.stored import require

PAIRS = 20_000  # the most that an ordered dict is made of in one call


class Global(NamedTuple):
    """The name of a class or function, which is never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f'{self.module}.{self.name}'


class Record:
    """What a pickle would have built: of `kind`, by calling it with `arguments`, then given `state` and items."""

    __slots__ = ('arguments', 'items', 'kind', 'state')

    def __init__(self, kind: Any, arguments: Any = (), state: Any = None) -> None:
        self.kind, self.arguments, self.state = kind, arguments, state
        self.items: dict[Any, Any] = {}


class Storage(NamedTuple):
    """Where the numbers of a tensor lie: the name of their type, the key of the storage, and how many there are."""

    kind: str
    key: str
    size: int


class Tensor(NamedTuple):
    """A view of a storage; offset, shape and strides are in elements, as the file says them. dtype: '' for that of the
    storage."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any
    dtype: str = ''


def _tensor(*arguments: Any) -> Any:
    require(len(arguments) >= 4, 'a tensor of it has too few arguments')
    return Tensor(*arguments[:4])


def _typed_tensor(*arguments: Any) -> Any:
    require(len(arguments) >= 7 and isinstance(arguments[6], Global), 'a tensor of it has no type')
    return Tensor(*arguments[:4])._replace(dtype=arguments[6].name)


def _of_subclass(*arguments: Any) -> Any:
    """`torch._tensor._rebuild_from_type_v2(function, type, arguments, state)`: the plain tensor inside."""
    known = len(arguments) == 4 and isinstance(arguments[0], Global) and arguments[0] in KNOWN
    if not known or arguments[0] == SUBCLASS or not isinstance(arguments[2], tuple):
        return Record(SUBCLASS, arguments)
    return KNOWN[arguments[0]](*arguments[2])


def _parameter(*arguments: Any) -> Any:
    require(len(arguments) >= 1, 'a parameter of it has no tensor')
    return arguments[0]


def _ordered(*arguments: Any) -> Any:
    """An OrderedDict, of nothing or of pairs, as old versions of Python pickled it."""
    pairs = arguments[0] if arguments else []
    require(isinstance(pairs, list) and len(pairs) <= PAIRS, 'an ordered dict of it is not made of pairs')
    sound = all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs)
    require(sound, 'an ordered dict of it is not made of pairs')
    return {hashable(key): value for key, value in pairs}


SUBCLASS = Global('torch._tensor', '_rebuild_from_type_v2')
KNOWN: dict[Global, Callable[..., Any]] = {
    Global('collections', 'OrderedDict'): _ordered,
    Global('torch._utils', '_rebuild_tensor'): _tensor,
    Global('torch._utils', '_rebuild_tensor_v2'): _tensor,
    Global('torch._utils', '_rebuild_tensor_v3'): _typed_tensor,
    Global('torch._utils', '_rebuild_parameter'): _parameter,
    Global('torch._utils', '_rebuild_parameter_with_state'): _parameter,
    SUBCLASS: _of_subclass,
}


class _Object:
    """Stands for a key that is neither text nor number; equal to itself only, so that nothing of a file is hashed."""


def hashable(key: Any) -> Any:
    """A key as it is where it is text or a number, else something that is equal to itself only."""
    return key if isinstance(key, (str, int, float, bytes, bool)) or key is None else _Object()
