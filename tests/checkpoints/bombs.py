"""Pickles that fill the memory, crash the process or break off, and need no code for it."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

from .files import called, dict_of, named, number, program, storage, tensor, text, tuple_of
from .hostile import Make


def _dtype(code: str, *state: bytes) -> bytes:
    made = called(named('numpy', 'dtype'), text(code), b'\x89', b'\x88')
    return made + (tuple_of(*state) + b'b' if state else b'')


def _forged(canary: Path) -> bytes:
    """Numbers that are taken for addresses: a dtype of numbers with the flags of one of objects."""
    dtype = _dtype('u8', number(3), text('<'), b'NNN', number(-1), number(-1), number(63))
    raw = called(named('_codecs', 'encode'), text('A' * 8), text('latin1'))
    return program(called(named('numpy.core.multiarray', 'scalar'), dtype, raw))


def _grown(canary: Path) -> bytes:
    """An array of short texts whose dtype is made long afterwards, so that it would end far behind its memory."""
    dtype = _dtype('S1') + b'q\x01'
    code = called(named('_codecs', 'encode'), text('b'), text('latin1'))
    raw = called(named('_codecs', 'encode'), text('A' * 8), text('latin1'))
    made = called(named('numpy.core.multiarray', '_reconstruct'), named('numpy', 'ndarray'), tuple_of(number(0)), code)
    array = made + tuple_of(number(1), tuple_of(number(8)), dtype, b'\x89', raw) + b'b'
    grow = tuple_of(number(3), text('|'), b'NNN', number(1 << 20), number(1), number(0)) + b'b'
    return program(dict_of(a=array, b=b'h\x01' + grow))


def _many(operation: bytes, count: int) -> Make:
    return lambda canary: program(operation * count)


def _copies(canary: Path) -> bytes:
    """One list of 10,000 and 10,000 sets of it: 100 kB that become gigabytes."""
    fill = b'](' + b''.join(b'J' + struct.pack('<i', index) for index in range(10_000)) + b'eq\x01'
    copy = named('builtins', 'set') + b'q\x02h\x01\x85R'
    return program(b'](', fill, copy, b'h\x02h\x01\x85R' * 10_000, b'e')


def _texts(canary: Path) -> bytes:
    """One text of 100 kB, encoded 10,000 times."""
    first = text('x' * 100_000) + b'q\x01' + text('latin1') + b'q\x02' + named('_codecs', 'encode') + b'q\x03'
    return program(first, b'](', b'h\x03h\x01h\x02\x86R' * 10_000, b'e')


BOMBS: dict[str, tuple[Make, str]] = {
    'bytearray': (lambda c: program(called(named('builtins', 'bytearray'), number(1 << 60))), r'builtins\.bytearray'),
    'tensor of a class': (
        lambda c: program(called(named('torch', 'FloatTensor'), number(1 << 40))),
        r'torch\.FloatTensor',
    ),
    'storage by size': (lambda c: program(storage(1 << 40)), r'declares 4,398,046,511,104 bytes|cut short|lists'),
    'storage of minus one': (lambda c: program(storage(-1)), r'declares a storage'),
    'tensor larger than its storage': (
        lambda c: program(tensor(storage(4), (1 << 20, 1 << 20), (1 << 20, 1))),
        r'call torch\._utils\._rebuild_tensor_v2',
    ),
    'tensor behind its storage': (lambda c: program(tensor(storage(4), (4,), (1,), 1)), r'_rebuild_tensor_v2'),
    'tensor before its storage': (lambda c: program(tensor(storage(4), (4,), (-1,), 3)), r'_rebuild_tensor_v2'),
    'expanded tensor': (lambda c: program(tensor(storage(4), (1 << 40,), (0,))), r'_rebuild_tensor_v2'),
    'storage declared twice': (lambda c: program(b'](', storage(4), storage(1 << 30), b'e'), r'twice, and differently'),
    'array by size': (
        lambda c: program(
            called(
                *(named('numpy.core.multiarray', '_reconstruct'), named('numpy', 'ndarray')),
                *(tuple_of(number(1 << 50)), called(named('_codecs', 'encode'), text('b'), text('latin1'))),
            )
        ),
        r'_reconstruct',
    ),
    'dtype of objects': (lambda c: program(_dtype('O8')), r'call numpy\.dtype'),
    'dtype of records': (lambda c: program(_dtype('V8')), r'call numpy\.dtype'),
    'forged dtype': (_forged, r'set the state of what numpy\.dtype'),
    'dtype that grows': (_grown, r'set the state of what numpy\.dtype'),
    'deep tuples as a key': (lambda c: program(b'}', b')' + b'\x85' * 500_000, b'Ns'), r'nests tuples'),
    'deep lists': (lambda c: program(b'}', text('w'), b']' * 5000 + b'a' * 4999, b's'), r'nests its contents|lists'),
    'operations': (_many(b']', 1_100_000), r'more than 1,000,000 operations'),
    'copies of a list': (_copies, r'call builtins\.set'),
    'copies of a text': (_texts, r'call _codecs\.encode'),
    'memo': (lambda c: program(b']r\xff\xff\xff\xff0'), r'uses POP'),
    'memo that was never put': (lambda c: program(b'j\xff\xff\xff\xff'), r'breaks off or is damaged'),
    'text that is not there': (lambda c: b'\x80\x02X\xff\xff\xff\x7fabc', r'breaks off or is damaged'),
    'integer of protocol 2': (lambda c: b'\x80\x02\x8b\xff\xff\xff\x7fabc', r'breaks off or is damaged|LONG4'),
    'empty stack': (lambda c: program(b'R'), r'breaks off or is damaged'),
    'no end': (lambda c: b'\x80\x02}', r'breaks off or is damaged|no end'),
    'protocol 4': (lambda c: pickle.dumps({'w': 1.0}, 4), r'of protocol 4'),
    'protocol 0': (lambda c: pickle.dumps([1], 0), r'uses |of protocol'),
}
