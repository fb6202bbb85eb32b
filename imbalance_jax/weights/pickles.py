"""Pickles read as data: an interpreter of their opcodes that knows no class and calls nothing.

A pickle is a program for a stack machine. What it would call or build is noted (`weights.pickled`), so that no code
runs, whatever a file says; and time and memory are bounded by the length of the file.
"""

import pickletools
from collections.abc import Callable
from typing import IO, Any

from imbalance_jax.weights.pickled import KNOWN, Global, Record, Storage, hashable
from imbalance_jax.weights.stored import Damaged, require

OPCODES = 5_000_000  # the most that are read: a pickled ResNet-152 has 150,000
ARGUMENTS = 16  # the most that a function that is known takes
CALLS_OF_PAIRS = 20_000_000  # the most pairs in all


class _Mark:
    """Where a group of arguments begins on the stack."""


MARK = _Mark()


def load(file: IO[bytes]) -> Any:
    """What one pickle holds, read from where the file stands to its end; Damaged for what is none.

    Dicts are dicts, tensors `Tensor`, persistent ids of storages `Storage`, other calls `Record`.
    """
    return _Machine().run(file)


class _Machine:
    """Stack and memory of one pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.pairs = 0

    def run(self, file: IO[bytes]) -> Any:
        try:
            for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
                require(count < OPCODES, f'its pickle has more than {OPCODES:,} opcodes')
                if opcode.name == 'STOP':
                    require(len(self.stack) == 1, 'its pickle ends with more or less than one object')
                    return self.stack[0]
                self.step(opcode.name, argument)
        except Damaged:
            raise
        except (ValueError, LookupError, TypeError, OverflowError, MemoryError, RecursionError) as error:
            raise Damaged(f'its pickle is damaged ({" ".join(str(error).split())[:80]})') from error
        raise Damaged('its pickle has no end')

    def step(self, name: str, argument: Any) -> None:
        """Does one opcode."""
        if name in PUSHES:
            self.stack.append(argument)
        elif name in FIXED:
            self.stack.append(FIXED[name]())
        elif name in MEMOISE:
            index = len(self.memo) if name == 'MEMOIZE' else int(argument)
            self.memo[index] = self.stack[-1]
        elif name in RECALL:
            require(int(argument) in self.memo, f'its pickle recalls what was never kept ({argument})')
            self.stack.append(self.memo[int(argument)])
        elif name in OPCODE:
            OPCODE[name](self, argument)
        elif name not in SKIPPED:
            raise Damaged(f'its pickle has the opcode {name}, which no file of PyTorch has')

    def pop(self) -> Any:
        """The top of the stack."""
        require(bool(self.stack) and self.stack[-1] is not MARK, 'its pickle takes what is not there')
        return self.stack.pop()

    def group(self) -> list[Any]:
        """What lies above the last mark, which goes too."""
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is MARK:
                items = self.stack[index + 1 :]
                del self.stack[index:]
                return items
        raise Damaged('its pickle ends a group that was not begun')

    def top(self) -> Any:
        """The top of the stack, which stays."""
        require(bool(self.stack) and self.stack[-1] is not MARK, 'its pickle adds to what is not there')
        return self.stack[-1]

    def tuple_of(self, count: int) -> None:
        """The last `count` objects as a tuple."""
        items = [self.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def call(self, function: Any, arguments: Any) -> None:
        """What calling would give: a tensor or a dict where the name is known, else a record."""
        require(isinstance(arguments, tuple), 'its pickle calls with no tuple of arguments')
        known = KNOWN.get(function) if isinstance(function, Global) else None
        if known:
            require(len(arguments) <= ARGUMENTS, f'its pickle calls {function} with {len(arguments):,} arguments')
            self.pairs += sum(len(one) for one in arguments if isinstance(one, (list, tuple)))
            require(self.pairs <= CALLS_OF_PAIRS, 'its pickle copies too much')
        self.stack.append(known(*arguments) if known else Record(function, arguments))

    def build(self) -> None:
        """Gives an object its state; one that is no record keeps what it has."""
        state, thing = self.pop(), self.top()
        if isinstance(thing, Record):
            thing.state = state

    def set_items(self, pairs: list[Any]) -> None:
        """Puts keys and values, in turn, into the dict at the top."""
        require(len(pairs) % 2 == 0, 'its pickle has a key without a value')
        thing = self.top()
        items = thing.items if isinstance(thing, Record) else thing
        require(isinstance(items, dict), 'its pickle sets an item of what is no dict')
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            items[hashable(key)] = value

    def add(self, values: list[Any]) -> None:
        """Puts values into the list at the top."""
        thing = self.top()
        if isinstance(thing, list):
            thing.extend(values)

    def persistent(self) -> None:
        """A storage, or a class that PyTorch kept with its source."""
        pid = self.pop()
        require(isinstance(pid, tuple) and len(pid) >= 2, 'its pickle points to what is no storage')
        if pid[0] == 'module':
            self.stack.append(pid[1])
            return
        kinds = isinstance(pid[1], Global) and pid[0] == 'storage' and len(pid) >= 5
        require(kinds and isinstance(pid[2], str) and type(pid[4]) is int, 'its pickle points to what is no storage')
        require(len(pid) < 6 or pid[5] is None, 'its storages are views of others, as before PyTorch 0.4')
        self.stack.append(Storage(pid[1].name, pid[2], pid[4]))

    def stack_global(self) -> None:
        """A name from the two texts at the top."""
        name, module = self.pop(), self.pop()
        require(isinstance(name, str) and isinstance(module, str), 'a name in its pickle is no text')
        self.stack.append(Global(module, name))

    def new(self, keywords: bool) -> None:
        """An object of a class, with positional arguments, and keywords that no file of PyTorch has."""
        if keywords:
            self.pop()
        arguments = self.pop()
        self.call(self.pop(), arguments)

    def instance(self, argument: str) -> None:
        """An object of the class that `argument` names, of the group's arguments."""
        module, _, name = argument.partition(' ')
        self.call(Global(module, name), tuple(self.group()))

    def object_of_group(self) -> None:
        """An object of the class that is the group's first."""
        items = self.group()
        require(bool(items), 'its pickle builds an object of no class')
        self.call(items[0], tuple(items[1:]))


def _reduce(machine: _Machine, _: Any) -> None:
    arguments = machine.pop()
    machine.call(machine.pop(), arguments)


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items([key, value])


def _dict_of_group(machine: _Machine, _: Any) -> None:
    items = machine.group()
    machine.stack.append({})
    machine.set_items(items)


def _append(machine: _Machine, _: Any) -> None:
    value = machine.pop()
    machine.add([value])


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(' ')
    machine.stack.append(Global(module, name))


def _duplicate(machine: _Machine, _: Any) -> None:
    machine.stack.append(machine.top())


def _discard(machine: _Machine, _: Any) -> None:
    require(bool(machine.stack), 'its pickle takes what is not there')
    machine.stack.pop()


def _discard_group(machine: _Machine, _: Any) -> None:
    machine.group()


INTEGERS = ('INT', 'BININT', 'BININT1', 'BININT2', 'LONG', 'LONG1', 'LONG4')
TEXTS = ('STRING', 'BINSTRING', 'SHORT_BINSTRING', 'UNICODE', 'SHORT_BINUNICODE', 'BINUNICODE', 'BINUNICODE8')
BYTES = ('BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8', 'BYTEARRAY8')
PUSHES = frozenset((*INTEGERS, *TEXTS, *BYTES, 'FLOAT', 'BINFLOAT'))
FIXED: dict[str, Callable[[], Any]] = {
    'NONE': lambda: None,
    'NEWTRUE': lambda: True,
    'NEWFALSE': lambda: False,
    'EMPTY_LIST': list,
    'EMPTY_DICT': dict,
    'EMPTY_TUPLE': tuple,
    'EMPTY_SET': list,
    'MARK': lambda: MARK,
}
MEMOISE, RECALL = frozenset(('PUT', 'BINPUT', 'LONG_BINPUT', 'MEMOIZE')), frozenset(('GET', 'BINGET', 'LONG_BINGET'))
SKIPPED = frozenset(('PROTO', 'FRAME'))
OPCODE: dict[str, Callable[[_Machine, Any], None]] = {
    'GLOBAL': _global,
    'STACK_GLOBAL': lambda machine, _: machine.stack_global(),
    'REDUCE': _reduce,
    'BUILD': lambda machine, _: machine.build(),
    'NEWOBJ': lambda machine, _: machine.new(keywords=False),
    'NEWOBJ_EX': lambda machine, _: machine.new(keywords=True),
    'INST': lambda machine, argument: machine.instance(argument),
    'OBJ': lambda machine, _: machine.object_of_group(),
    'BINPERSID': lambda machine, _: machine.persistent(),
    'TUPLE': lambda machine, _: machine.stack.append(tuple(machine.group())),
    'TUPLE1': lambda machine, _: machine.tuple_of(1),
    'TUPLE2': lambda machine, _: machine.tuple_of(2),
    'TUPLE3': lambda machine, _: machine.tuple_of(3),
    'LIST': lambda machine, _: machine.stack.append(machine.group()),
    'FROZENSET': lambda machine, _: machine.stack.append(machine.group()),
    'APPEND': _append,
    'APPENDS': lambda machine, _: machine.add(machine.group()),
    'ADDITEMS': lambda machine, _: machine.add(machine.group()),
    'DICT': _dict_of_group,
    'SETITEM': _set_item,
    'SETITEMS': lambda machine, _: machine.set_items(machine.group()),
    'POP': _discard,
    'POP_MARK': _discard_group,
    'DUP': _duplicate,
}
