"""What a pickle of weights may call, with which arguments, and whose state it may set.

The values here are those of :mod:`moganet.checkpoints.pickle_check`, which makes nothing: a call is a note of itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from .allowed import HISTORY_BUFFER

_SMALL = 1 << 20  # elements that an expanded tensor may have whatever the size of its storage

Check = Callable[..., bool]  # of arguments or of a state: whether weights may have them
Copied = Callable[[int], bool]  # notes that something of a size is copied; whether that is not too much


class Storage(NamedTuple):
    """A storage that a pickle declares: the bytes of one element, and how many elements there are."""

    itemsize: int
    numel: int


class Name(str):
    """A class or function that a pickle names."""


class Made:
    """What a call, noted and not made, would return."""

    def __init__(self, by: str, args: tuple[Any, ...]) -> None:
        self.by, self.args = by, args


class Tuple(tuple[Any, ...]):
    """A tuple that knows how deep it is nested."""

    depth = 1


class Pairs(list[Any]):
    """The keys and values of a dict, in turn: nothing is hashed here."""


def shown(value: object) -> str:
    """Return a value in a few words: it may be as large as its file."""
    if isinstance(value, Made):
        return f'what {value.by} returns'
    if isinstance(value, Tuple):
        return f'({", ".join(shown(item) for item in value[:4])}{", ..." if len(value) > 4 else ""})'
    if isinstance(value, list):
        return f'a {"dict" if isinstance(value, Pairs) else "list"}'
    text = str(value) if isinstance(value, Name) else repr(value)
    return text if len(text) <= 60 else f'{text[:60]}...'


# What may be called, with a test of the arguments. Every name that is missing here may be named, but not called.


def are_sizes(numbers: object) -> bool:
    return isinstance(numbers, tuple) and all(type(number) is int and 0 <= number < 1 << 62 for number in numbers)


def _tensor(copied: Copied, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> bool:
    """Whether a tensor lies within its storage, and is no larger: ``_rebuild_tensor`` and its successor."""
    if not isinstance(storage, Made) or storage.by != 'storage' or not all(map(are_sizes, ((offset,), size, stride))):
        return False
    hooks = rest[1:2]  # always an empty OrderedDict in what torch saves
    if len(size) != len(stride) or any(not isinstance(hook, Made) or hook.by not in DICTS for hook in hooks):
        return False
    numel = math.prod(size)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride)) if numel else -1
    return last < storage.args[1] and numel <= max(storage.args[1], _SMALL)


def _parameter(copied: Copied, data: Any, requires_grad: Any, hooks: Any) -> bool:
    return _by(data, *_TENSORS) and type(requires_grad) is bool and _by(hooks, *DICTS)


def _by(value: object, *names: str) -> bool:
    return isinstance(value, Made) and value.by in names


def _collection(copied: Copied, *args: Any) -> bool:
    return not args or (len(args) == 1 and isinstance(args[0], (list, tuple)) and copied(len(args[0])))


def _size(copied: Copied, sizes: Any) -> bool:
    return are_sizes(sizes) and copied(len(sizes))


def _encode(copied: Copied, text: Any, encoding: Any) -> bool:
    return type(text) is str and encoding == 'latin1' and copied(len(text))


def _dtype(copied: Copied, code: Any, align: Any = False, copy: Any = True) -> bool:
    # Numbers and text. An object or a record would let the file's bytes be taken for addresses.
    return isinstance(code, str) and bool(re.fullmatch(r'[biufc]\d{1,2}|[SU]\d{1,6}', code))


def _bytes(value: object) -> bool:
    return type(value) is bytes or _by(value, '_codecs.encode', 'builtins.bytes')


def _array(copied: Copied, kind: Any, shape: Any, code: Any) -> bool:
    return kind == 'numpy.ndarray' and shape == (0,) and _bytes(code)


def _scalar(copied: Copied, kind: Any, raw: Any) -> bool:
    return _by(kind, 'numpy.dtype') and _bytes(raw)


def _statistic(copied: Copied, owner: Any, name: Any) -> bool:
    return owner == HISTORY_BUFFER and isinstance(name, str) and not name.startswith('_')


_ARRAYS = ('numpy.core.multiarray._reconstruct', 'numpy._core.multiarray._reconstruct')
DICTS = ('collections.OrderedDict', 'collections.Counter', 'collections.defaultdict')
_TENSORS = tuple(f'torch._utils._rebuild_tensor{version}' for version in ('', '_v2'))
NEW = ('argparse.Namespace', HISTORY_BUFFER)
CALLS: dict[str, Check] = {
    **dict.fromkeys(_TENSORS, _tensor),
    'torch._utils._rebuild_parameter': _parameter,
    'torch.Size': _size,
    'torch.device': lambda copied, kind, *index: isinstance(kind, str) and are_sizes(index),
    **dict.fromkeys((*DICTS[:2], 'builtins.set'), _collection),
    'collections.defaultdict': lambda copied, *args: len(args) <= 1,
    'builtins.complex': lambda copied, *parts: all(isinstance(part, float) for part in parts),
    '_codecs.encode': _encode,
    'builtins.bytes': lambda copied, *args: not args,
    'builtins.getattr': _statistic,
    'numpy.dtype': _dtype,
    **dict.fromkeys(_ARRAYS, _array),
    **dict.fromkeys([name.replace('_reconstruct', 'scalar') for name in _ARRAYS], _scalar),
}

# Whose state may be set, with a test of the arguments that it was made with and of the state.


def _dtype_state(made: tuple[Any, ...], state: Any) -> bool:
    """Whether it sets the order of the bytes and no more: numpy believes the size and the flags that it is told."""
    kind, size = made[0][0], int(made[0][1:])
    sizes = {'S': (size, 1), 'U': (4 * size, 4)}.get(kind, (-1, -1))
    flags = 8 if kind == 'U' else 0  # text wants to be cleared first
    if not isinstance(state, tuple) or len(state) != 8 or any(isinstance(part, Made) for part in state):
        return False
    return state[1] in ('<', '>', '|', '=') and (state[0], *state[2:]) == (3, None, None, None, *sizes, flags)


def _array_state(made: tuple[Any, ...], state: Any) -> bool:
    if not isinstance(state, tuple) or len(state) != 5 or state[0] != 1 or not are_sizes(state[1]):
        return False
    return _by(state[2], 'numpy.dtype') and type(state[3]) is bool and _bytes(state[4])


def _attributes(made: tuple[Any, ...], state: Any) -> bool:
    return isinstance(state, Pairs) and all(type(key) is str for key in state[::2])


def _metadata(made: tuple[Any, ...], state: Any) -> bool:
    # torch keeps the versions of its modules as an attribute of a state dict; any other would hide a method.
    return isinstance(state, Pairs) and state[::2] == ['_metadata']


STATES: dict[str, Check] = {
    'numpy.dtype': _dtype_state,
    **dict.fromkeys(_ARRAYS, _array_state),
    **dict.fromkeys(NEW, _attributes),
    'collections.OrderedDict': _metadata,
}
