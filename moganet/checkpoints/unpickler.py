"""An unpickler that builds what the allow-list names, for a torch whose own takes no list (before 2.6)."""

from __future__ import annotations

import argparse
import pickle
from collections import Counter, OrderedDict
from typing import IO, Any

import numpy as np

from .allowed import HISTORY_BUFFER, file_globals, torch_globals
from .pickle_check import CONSTANTS, STEPS, python3_name
from .pickle_rules import CALLS

# What pickle's second protocol, torch's own, has for weights; the names are those of pickletools.
_NAMES = {*STEPS, *CONSTANTS, 'STOP'} - {'FRAME', 'STACK_GLOBAL', 'MEMOIZE', 'SHORT_BINUNICODE', 'BINUNICODE8'}
_OPERATIONS = {getattr(pickle, name)[0] for name in _NAMES}
_DICTS = (dict, OrderedDict, Counter)

# Without a type: its operations are methods that the type stubs leave out.
_Unpickler: Any = pickle._Unpickler


class RestrictedUnpickler(_Unpickler):
    """Python's own unpickler in Python, less every operation that torch's weights-only one lacks.

    The one in C lets a pickle set attributes of the classes that it may name, and reserves memory for any number that a
    pickle puts into its memo.
    """

    dispatch = {code: _Unpickler.dispatch[code] for code in _OPERATIONS}

    def __init__(self, file: IO[bytes], **options: Any) -> None:
        super().__init__(file, **options)
        self._globals = torch_globals() | file_globals()
        self._callable = [self._globals[name] for name in CALLS if name in self._globals]
        self._built = [argparse.Namespace, np.ndarray, OrderedDict, self._globals.get(HISTORY_BUFFER)]

    def load(self) -> Any:
        """Return what the pickle holds.

        Raises:
            pickle.UnpicklingError: it wants anything that is not on the list.
        """
        try:
            return super().load()
        except (KeyError, IndexError) as error:
            raise pickle.UnpicklingError(
                f'an operation that no weights need, or a damaged pickle: {error!r}'
            ) from error

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name of the list."""
        full = python3_name(module, name)
        if full not in self._globals:
            raise pickle.UnpicklingError(f'{full} is not among what a checkpoint may use')
        return self._globals[full]

    def load_reduce(self) -> None:
        """Call what may be called."""
        if not any(self.stack[-2] is function for function in self._callable):
            raise pickle.UnpicklingError(f'a checkpoint may not call {self.stack[-2]!r}')
        super().load_reduce()

    def load_newobj(self) -> None:
        """Make an empty thing of a class whose state is set afterwards."""
        if not any(self.stack[-2] is kind for kind in self._built):
            raise pickle.UnpicklingError(f'a checkpoint may not make {self.stack[-2]!r}')
        super().load_newobj()

    def load_build(self) -> None:
        """Set the state of a thing whose class may have one; never of a class itself."""
        kind, state = type(self.stack[-2]), self.stack[-1]
        if not isinstance(self.stack[-2], np.dtype) and (kind not in self._built or type(state) not in (dict, tuple)):
            raise pickle.UnpicklingError(f'a checkpoint may not set the state of {self.stack[-2]!r}')
        super().load_build()

    def load_appends(self) -> None:
        """Append to a list."""
        self._check_target(self.metastack[-1][-1], (list,))
        super().load_appends()

    def load_append(self) -> None:
        """Append one item to a list."""
        self._check_target(self.stack[-2], (list,))
        super().load_append()

    def load_setitem(self) -> None:
        """Set one item of a dict."""
        self._check_target(self.stack[-3], _DICTS)
        super().load_setitem()

    def load_setitems(self) -> None:
        """Set items of a dict."""
        self._check_target(self.metastack[-1][-1], _DICTS)
        super().load_setitems()

    def _check_target(self, target: object, kinds: tuple[type, ...]) -> None:
        if type(target) not in kinds:
            raise pickle.UnpicklingError(f'a checkpoint may not put items into {type(target).__name__}')


for _name in ('reduce', 'newobj', 'build', 'append', 'appends', 'setitem', 'setitems'):
    RestrictedUnpickler.dispatch[getattr(pickle, _name.upper())[0]] = getattr(RestrictedUnpickler, f'load_{_name}')
