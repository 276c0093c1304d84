"""Go through a pickle without doing what it says, and refuse what is more than weights.

A pickle is a program for a small machine with a stack. Here that machine runs on paper: names stay names, calls are
noted and never made. So the offending name is known before anything is read, and so are the storages that the pickle
declares. It is stricter than torch's weights-only reader, which lets a pickle call some functions with arguments that
fill the memory, or set the flags of numpy's types so that numbers are taken for addresses.
"""

from __future__ import annotations

import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from typing import IO, Any, NamedTuple

from .allowed import HISTORY_BUFFER, file_globals, storage_bytes, torch_globals
from .errors import NotACheckpointError, TornFileError, UnsafeFileError
from .pickle_rules import CALLS, DICTS, NEW, STATES, Check, Made, Name, Pairs, Storage, Tuple, are_sizes, shown

_MOST_OPERATIONS = 1_000_000  # a tensor takes some 30; a training state has thousands of tensors
_DEEPEST_TUPLE = 100  # Python hashes tuples recursively, without a limit
_MOST_COPIED = 4  # times the bytes read so far: a text is copied when it is encoded, and once more into an array


class Inspected(NamedTuple):
    """What a pickle holds: its value, with a ``Made`` for each thing that it would build, and the storages by key."""

    value: Any
    storages: dict[str, Storage]


def inspect(stream: IO[bytes], where: str) -> Inspected:
    """Follow one pickle from the stream's position on and leave the stream behind it.

    Args:
        where: what the messages call the file.

    Raises:
        UnsafeFileError: it wants something that no weights need.
        TornFileError: it is no whole pickle.
    """
    return _Machine(where).run(stream)


def python3_name(module: str, name: str) -> str:
    """Return the full name of what a pickle names; its second protocol writes the names of Python 2."""
    if (module, name) in NAME_MAPPING:
        return '.'.join(NAME_MAPPING[module, name])
    return f'{IMPORT_MAPPING.get(module, module)}.{name}'


class _Machine:
    """The stack, the memo and the marks of one pickle."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}
        self.allowed = torch_globals().keys() | file_globals().keys() | {HISTORY_BUFFER}
        self.position, self.copied, self.protocol = 0, 0, 0

    def run(self, stream: IO[bytes]) -> Inspected:
        start = stream.tell()
        try:
            for count, (operation, argument, position) in enumerate(pickletools.genops(stream)):
                self.position = (position or 0) - start
                if count > _MOST_OPERATIONS:
                    raise self.unsafe(f'its pickle has more than {_MOST_OPERATIONS:,} operations')
                if operation.name == 'STOP':
                    return Inspected(self.result(), self.storages)
                if operation.name in CONSTANTS:
                    self.stack.append(argument if operation.arg else CONSTANTS[operation.name])
                else:
                    step = STEPS.get(operation.name)
                    if step is None:
                        raise self.unsafe(f'its pickle uses {operation.name}, which no weights need')
                    step(self, argument)
        except (UnsafeFileError, NotACheckpointError):
            raise
        except Exception as error:
            # pickletools raises ValueError for most; a pickle that pops from an empty stack raises others here.
            raise TornFileError(
                f'{self.where}: its pickle breaks off or is damaged ({type(error).__name__}: {error}); fetch it again'
            ) from error
        raise TornFileError(f'{self.where}: its pickle has no end; fetch it again')

    def result(self) -> Any:
        value = self.stack.pop()
        if self.protocol != 2:
            raise self.unsafe(
                f'its pickle is of protocol {self.protocol}, and torch reads weights alone from protocol 2, its own '
                'default; have it saved again without pickle_protocol'
            )
        return value

    def unsafe(self, what: str) -> UnsafeFileError:
        return UnsafeFileError(
            f'{self.where} is refused: {what}. Nothing of it was run. Weights need nothing of the kind; only if you '
            'trust whoever made the file as you trust a program, read it with unsafe=True'
        )

    # Each method below is one operation of the pickle machine.

    def proto(self, version: int) -> None:
        self.protocol = version

    def name(self, argument: str) -> None:
        module, _, name = argument.partition(' ')
        self.push_name(module, name)

    def stack_name(self, _: object) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.push_name(str(module), str(name))

    def push_name(self, module: str, name: str) -> None:
        full = python3_name(module, name)
        if full not in self.allowed:
            raise self.unsafe(f'it wants to use {full}')
        self.stack.append(Name(full))

    def call(self, _: object) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        check = CALLS.get(function) if isinstance(function, Name) else None
        if check is None or not isinstance(args, tuple) or not self.passes(check, *args):
            raise self.unsafe(f'it wants to call {shown(function)} with {shown(args)}')
        self.stack.append(Made(str(function), args))

    def new(self, _: object) -> None:
        args, kind = self.stack.pop(), self.stack.pop()
        if not isinstance(kind, Name) or kind not in NEW or args != ():
            raise self.unsafe(f'it wants to make {shown(kind)} of {shown(args)}')
        self.stack.append(Made(str(kind), ()))

    def build(self, _: object) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        check = STATES.get(made.by) if isinstance(made, Made) else None
        if check is None or not check(made.args, state):
            raise self.unsafe(f'it wants to set the state of {shown(made)} to {shown(state)}')

    def storage(self, _: object) -> None:
        kind, *said = self.stack.pop()
        if kind != 'storage' or len(said) not in (4, 5) or said[4:] not in ([], [None]):
            raise self.unsafe(f'it wants to load {shown(kind)} from outside its pickle')
        name, key, location, numel = said[:4]
        itemsize = storage_bytes(name) if isinstance(name, Name) else None
        if itemsize is None or not isinstance(key, str) or not isinstance(location, str) or not are_sizes((numel,)):
            raise self.unsafe(f'it declares a storage {shown(key)} of {shown(numel)} elements of {shown(name)}')
        found = Storage(itemsize, numel)
        if self.storages.setdefault(key, found) != found:
            raise self.unsafe(f'it declares the storage {key!r} twice, and differently')
        self.stack.append(Made('storage', found))

    def append(self, _: object) -> None:
        item = self.stack.pop()
        self.extend([item])

    def appends(self, _: object) -> None:
        self.extend(self.since_mark())

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise self.unsafe(f'it wants to append to {shown(target)}')
        target.extend(items)

    def set_item(self, _: object) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.update([key, value])

    def set_items(self, _: object) -> None:
        self.update(self.since_mark())

    def update(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Pairs):
            target.extend(pairs)
        elif not isinstance(target, Made) or target.by not in DICTS:
            raise self.unsafe(f'it wants to set items of {shown(target)}')

    def mark(self, _: object) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def tuple_since_mark(self, _: object) -> None:
        self.push_tuple(self.since_mark())

    def tuple_of(self, count: int) -> None:
        items = [self.stack.pop() for _ in range(count)]
        self.push_tuple(items[::-1])

    def push_tuple(self, items: list[Any]) -> None:
        made = Tuple(items)
        made.depth = 1 + max((item.depth for item in items if isinstance(item, Tuple)), default=0)
        if made.depth > _DEEPEST_TUPLE:
            raise self.unsafe(f'it nests tuples more than {_DEEPEST_TUPLE} deep')
        self.stack.append(made)

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def memoize(self, _: object) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def passes(self, check: Check, *args: Any) -> bool:
        """Whether the arguments of a call are right, in number and in kind."""
        try:
            return check(self.copy, *args)
        except TypeError:
            return False

    def copy(self, size: int) -> bool:
        """Note that something of a size is copied; whether the sum is what a pickle of this length may copy."""
        self.copied += size
        return self.copied <= _MOST_COPIED * (self.position + 1)


_Step = Callable[[_Machine, Any], None]
_STRINGS = ('BINUNICODE', 'SHORT_BINUNICODE', 'BINUNICODE8', 'SHORT_BINSTRING', 'SHORT_BINBYTES', 'BINBYTES')
_NUMBERS = ('BININT', 'BININT1', 'BININT2', 'BINFLOAT', 'LONG1')
CONSTANTS: dict[str, Any] = {
    **dict.fromkeys((*_STRINGS, *_NUMBERS)),
    'NONE': None,
    'NEWFALSE': False,
    'NEWTRUE': True,
}
STEPS: dict[str, _Step] = {
    'PROTO': _Machine.proto,
    'FRAME': lambda machine, _: None,
    'EMPTY_TUPLE': lambda machine, _: machine.push_tuple([]),
    'EMPTY_LIST': lambda machine, _: machine.stack.append([]),
    'EMPTY_DICT': lambda machine, _: machine.stack.append(Pairs()),
    'EMPTY_SET': lambda machine, _: machine.stack.append(Made('builtins.set', ())),
    'TUPLE': _Machine.tuple_since_mark,
    'TUPLE1': lambda machine, _: machine.tuple_of(1),
    'TUPLE2': lambda machine, _: machine.tuple_of(2),
    'TUPLE3': lambda machine, _: machine.tuple_of(3),
    'MARK': _Machine.mark,
    'APPEND': _Machine.append,
    'APPENDS': _Machine.appends,
    'SETITEM': _Machine.set_item,
    'SETITEMS': _Machine.set_items,
    'GLOBAL': _Machine.name,
    'STACK_GLOBAL': _Machine.stack_name,
    'REDUCE': _Machine.call,
    'NEWOBJ': _Machine.new,
    'BUILD': _Machine.build,
    'BINPERSID': _Machine.storage,
    **dict.fromkeys(('BINPUT', 'LONG_BINPUT'), _Machine.put),
    **dict.fromkeys(('BINGET', 'LONG_BINGET'), _Machine.get),
    'MEMOIZE': _Machine.memoize,
}
