"""Pickles that run code: most, were they run, would write the canary's file, whose path they are built for."""

from __future__ import annotations

import argparse
import functools
import operator
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .files import called, dict_of, dumped, named, number, program, text, tuple_of

Make = Callable[[Path], bytes]


class Reduced:
    """Pickled as a call."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


class Stated:
    """Pickled as a call with a state."""

    def __init__(self, function: Any, args: tuple[Any, ...], state: Any) -> None:
        self.call = function, args, state

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


HISTORY = named('mmengine.logging.history_buffer', 'HistoryBuffer')


def shell(canary: Path) -> str:
    return f'touch {canary}'


def python(canary: Path) -> str:
    return f'open({str(canary)!r}, "w").close()'


def call(module: str, name: str, argument: Callable[[Path], str]) -> Make:
    """Return a pickle that calls a function with one text."""
    return lambda canary: program(called(named(module, name), text(argument(canary))))


def within(*place: str) -> Make:
    """Return a checkpoint as trainings write it, with a command in one place of it."""

    def make(canary: Path) -> bytes:
        harm: Any = Reduced(os.system, shell(canary))
        for key in reversed(place):
            harm = {key: harm}
        return dumped({'epoch': 3, 'meta': {'version': '1.0'}, **harm})

    return make


def through(make: Callable[[Path], object]) -> Make:
    return lambda canary: dumped(make(canary))


def _chain(canary: Path) -> bytes:
    """``getattr(getattr(HistoryBuffer, 'mean'), '__globals__')`` and on to ``eval``."""
    look_up = named('builtins', 'getattr')
    mean = called(look_up, HISTORY, text('mean'))
    found = called(look_up, mean, text('__globals__'))
    found = called(look_up, called(look_up, found, text('get')), text('__call__'))
    return program(called(called(found, text('__builtins__')), text(python(canary))))


def _build_on_class(canary: Path) -> bytes:
    """Give a class a method that runs code, through the state of the class itself."""
    state = tuple_of(b'N', dict_of(__setstate__=named('builtins', 'eval')))
    return program(named('argparse', 'Namespace'), state, b'b', text(python(canary)), b'b')


def _build_on_allowed_class(canary: Path) -> bytes:
    """The same with allowed names alone: it would change the class for the whole process."""
    state = tuple_of(b'N', dict_of(__eq__=named('collections', 'OrderedDict')))
    return program(named('argparse', 'Namespace'), state, b'b')


def _hidden_method(canary: Path) -> bytes:
    """Put a function in the way of a state dict's ``items``."""
    made = called(named('collections', 'OrderedDict'))
    return program(made, dict_of(items=named('torch', 'Size')), b'b')


def _dotted(module: str, name: str) -> Make:
    """Reach through a module's attributes by the dotted names of protocol 4."""

    def make(canary: Path) -> bytes:
        short = b'\x8c' + bytes([len(module)]) + module.encode() + b'\x8c' + bytes([len(name)]) + name.encode()
        return b'\x80\x04' + short + b'\x93' + tuple_of(text(shell(canary))) + b'R.'

    return make


def _old(operations: Callable[[str], bytes]) -> Make:
    """A pickle of operations that only old or rare pickles have."""
    return lambda canary: program(operations(shell(canary)))


CODE: dict[str, tuple[Make, str]] = {
    # What harms, and a part of what the message must say.
    'os.system': (call('os', 'system', shell), r'os\.system'),
    'posix.system': (call('posix', 'system', shell), r'posix\.system'),
    'nt.system': (call('nt', 'system', shell), r'nt\.system'),
    'os.popen': (call('os', 'popen', shell), r'os\.popen'),
    'os.remove': (call('os', 'remove', str), r'os\.remove'),
    'os.execvp': (through(lambda c: Reduced(os.execvp, 'touch', ['touch', str(c)])), r'os\.execvp'),
    'os.mkdir': (through(lambda c: Reduced(os.mkdir, str(c))), r'(os|posix)\.mkdir'),
    'eval': (call('builtins', 'eval', python), r'builtins\.eval'),
    'eval of Python 2': (call('__builtin__', 'eval', python), r'builtins\.eval'),
    'exec': (call('builtins', 'exec', python), r'builtins\.exec'),
    'execfile': (call('__builtin__', 'execfile', str), r'execfile'),
    'compile': (call('builtins', 'compile', python), r'builtins\.compile'),
    '__import__': (call('builtins', '__import__', lambda c: 'antigravity'), r'builtins\.__import__'),
    'open': (through(lambda c: Reduced(open, str(c), 'w')), r'io\.open|_io\.open'),
    'getattr on a module': (
        lambda c: program(called(named('builtins', 'getattr'), named('os', 'x'), text('system'))),
        r'os\.x',
    ),
    'getattr chain': (_chain, r'call builtins\.getattr with \(what builtins\.getattr returns'),
    'getattr of a private name': (
        lambda c: program(called(named('builtins', 'getattr'), HISTORY, text('__init__'))),
        r'call builtins\.getattr',
    ),
    'subprocess.Popen': (through(lambda c: Reduced(subprocess.Popen, ['touch', str(c)])), r'subprocess\.Popen'),
    'subprocess.call': (call('subprocess', 'call', shell), r'subprocess\.call'),
    'pty.spawn': (call('pty', 'spawn', str), r'pty\.spawn'),
    'importlib': (call('importlib', 'import_module', lambda c: 'antigravity'), r'importlib\.import_module'),
    'runpy': (call('runpy', 'run_path', str), r'runpy\.run_path'),
    'code interpreter': (call('code', 'InteractiveInterpreter', str), r'code\.Inter'),
    'ctypes': (call('ctypes', 'CDLL', str), r'ctypes\.CDLL'),
    'pathlib touch': (call('pathlib', 'Path.touch', str), r'pathlib\.Path\.touch'),
    'shutil.rmtree': (call('shutil', 'rmtree', str), r'shutil\.rmtree'),
    'webbrowser': (call('webbrowser', 'open', str), r'webbrowser\.open'),
    'numpy runstring': (call('numpy.testing._private.utils', 'runstring', python), r'runstring'),
    'numpy.load': (call('numpy', 'load', str), r'numpy\.load'),
    'numpy.fromfile': (call('numpy', 'fromfile', str), r'numpy\.fromfile'),
    'numpy memmap': (call('numpy', 'memmap', str), r'numpy\.memmap'),
    'torch.load': (call('torch', 'load', str), r'torch\.load'),
    'torch.serialization.load': (call('torch.serialization', 'load', str), r'torch\.serialization\.load'),
    'torch.save': (through(lambda c: Reduced(torch.save, [1], str(c))), r'torch.*save'),
    'torch.hub': (call('torch.hub', 'load', str), r'torch\.hub\.load'),
    'torch.jit.load': (call('torch.jit', 'load', str), r'torch\.jit\.load|torch\.jit\._ser'),
    'torch.ops': (call('torch.ops', 'load_library', str), r'load_library'),
    'torch collect_env': (call('torch.utils.collect_env', 'run', shell), r'collect_env\.run'),
    'torch os': (call('torch._utils', 'os.system', shell), r'torch\._utils\.os\.system'),
    'torch storage from_file': (call('torch', 'UntypedStorage.from_file', str), r'UntypedStorage\.from_file'),
    'functools.partial': (through(lambda c: Reduced(functools.partial, eval, python(c))), r'functools\.partial'),
    'operator.attrgetter': (through(lambda c: Reduced(operator.attrgetter, 'system')), r'operator\.attrgetter'),
    'operator.methodcaller': (through(lambda c: Reduced(operator.methodcaller, 'touch')), r'operator\.methodcaller'),
    'copyreg': (call('copyreg', '_reconstructor', str), r'copyreg\._reconstructor'),
    'pickle.loads': (call('pickle', 'loads', str), r'pickle\.loads'),
    'cPickle': (call('cPickle', 'loads', str), r'loads'),
    'codecs decode': (call('_codecs', 'decode', str), r'_codecs\.decode'),
    'compressing codec': (
        lambda c: program(called(named('_codecs', 'encode'), text('x' * 99), text('zip'))),
        r'call _codecs\.encode',
    ),
    'dotted name': (_dotted('torch', 'serialization.os.system'), r'torch\.serialization\.os\.system'),
    'dotted name of numpy': (_dotted('numpy', 'os.system'), r'numpy\.os\.system'),
    'dotted name of a class': (_dotted('collections', 'OrderedDict.__init__.__globals__'), r'__globals__'),
    'state of a class': (_build_on_class, r'builtins\.eval'),
    'state of an allowed class': (_build_on_allowed_class, r'set the state of argparse\.Namespace'),
    'hidden method': (_hidden_method, r'set the state of what collections\.OrderedDict returns'),
    'INST': (_old(lambda c: b'(' + text(c) + b'ios\nsystem\n'), r'INST'),
    'OBJ': (_old(lambda c: b'(' + named('os', 'system') + text(c) + b'o'), r'os\.system'),
    'EXT1': (_old(lambda c: b'\x82\x01' + tuple_of(text(c)) + b'R'), r'EXT1'),
    'NEWOBJ_EX': (_old(lambda c: named('argparse', 'Namespace') + b')}\x92'), r'NEWOBJ_EX'),
    'NEWOBJ of a function': (_old(lambda c: named('_codecs', 'encode') + b')\x81'), r'make _codecs\.encode'),
    'NEWOBJ with arguments': (
        _old(lambda c: named('numpy', 'ndarray') + tuple_of(tuple_of(number(1 << 20))) + b'\x81'),
        r'make numpy\.ndarray',
    ),
    'PERSID': (_old(lambda c: b'Pstorage\n'), r'PERSID'),
    'module from outside': (
        lambda c: program(tuple_of(text('module'), text('a'), text(str(c)), text('x')), b'Q'),
        r"load 'module'",
    ),
    'call of a result': (
        lambda c: program(called(called(named('torch', 'Size'), tuple_of()), text('x'))),
        r'call what torch',
    ),
    'call of a dtype': (lambda c: program(called(named('torch', 'float32'), text('x'))), r'call torch\.float32'),
    'append to a class': (_old(lambda c: named('argparse', 'Namespace') + text(c) + b'a'), r'append to argparse'),
    'items of a class': (
        _old(lambda c: named('argparse', 'Namespace') + text('x') + text(c) + b's'),
        r'set items of argparse',
    ),
    'factory is called': (lambda c: program(called(named('builtins', 'list'), text('x'))), r'call builtins\.list'),
    'in state_dict': (within('state_dict', 'backbone.weight'), r'(os|posix)\.system'),
    'in optimizer': (within('optimizer', 'state', 'step'), r'(os|posix)\.system'),
    'in meta': (within('meta', 'env_info'), r'(os|posix)\.system'),
    'in message_hub': (within('message_hub', 'log_scalars', 'train/loss'), r'(os|posix)\.system'),
    'in args': (
        through(lambda c: {'args': argparse.Namespace(lr=Reduced(os.system, shell(c)))}),
        r'(os|posix)\.system',
    ),
    'state that is called': (
        through(lambda c: Stated(argparse.Namespace, (), {'x': Reduced(eval, python(c))})),
        r'builtins\.eval|call argparse',
    ),
}
