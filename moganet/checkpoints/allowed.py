"""The classes and functions that a checkpoint may name, and what stands for them while it is read.

A pickle names classes and functions, and has them called. Those that build tensors are torch's; beside them the files
that this project reads hold the arguments of a command line (timm), scores and label maps as numpy's scalars and arrays
(MMCV, mmpose) and the history of a log (MMEngine). Nothing else is let in, and what could do more than build such a
value has a stand-in here.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from collections import Counter, OrderedDict
from typing import Any

import numpy as np
import torch

HISTORY_BUFFER = 'mmengine.logging.history_buffer.HistoryBuffer'

# Bytes that an element takes in each kind of storage; quantised storages are in no released file.
STORAGE_BYTES = {
    **dict.fromkeys(('BoolStorage', 'CharStorage', 'ByteStorage'), 1),
    **dict.fromkeys(('HalfStorage', 'BFloat16Storage', 'ShortStorage'), 2),
    **dict.fromkeys(('FloatStorage', 'IntStorage'), 4),
    **dict.fromkeys(('DoubleStorage', 'LongStorage', 'ComplexFloatStorage'), 8),
    'ComplexDoubleStorage': 16,
}
_STORAGE_MODULES = ('torch', 'torch.cuda')
_DTYPES = (
    *('float64', 'float32', 'float16', 'bfloat16', 'complex64', 'complex128', 'bool'),
    *('int64', 'int32', 'int16', 'int8', 'uint8'),
)
_REBUILDERS = ('_rebuild_tensor', '_rebuild_tensor_v2', '_rebuild_parameter')

# Numbers and text. Arrays of objects or of records are left out: they hold addresses, and numpy trusts their flags.
_NUMPY_KINDS = np.typecodes['AllInteger'] + np.typecodes['Float'] + np.typecodes['Complex'] + '?SU'


def storage_bytes(name: str) -> int | None:
    """Return the bytes of one element of the storage that is named, ``torch.HalfStorage``; None for anything else."""
    module, _, kind = name.rpartition('.')
    return STORAGE_BYTES.get(kind) if module in _STORAGE_MODULES else None


def torch_globals() -> dict[str, Any]:
    """Return what builds tensors, under full names. It is less than torch itself lets in."""
    found: dict[str, Any] = {f'torch._utils.{name}': getattr(torch._utils, name) for name in _REBUILDERS}
    found |= {f'torch.{name}': getattr(torch, name) for name in _DTYPES}
    found |= {'torch.Size': torch.Size, 'torch.device': torch.device}
    found |= {'torch.nn.parameter.Parameter': torch.nn.Parameter}
    # While it reads, torch puts this for a kind of storage: a dtype, and no storage yet.
    storage_type: Any = torch.serialization.StorageType
    kinds = {kind: storage_type(kind) for kind in STORAGE_BYTES}
    found |= {f'{module}.{kind}': kinds[kind] for module in _STORAGE_MODULES for kind in kinds}
    found |= {'collections.OrderedDict': OrderedDict, 'collections.Counter': Counter, 'builtins.set': set}
    found |= {'builtins.complex': complex, '_codecs.encode': _latin1}
    return found


def file_globals() -> dict[str, Any]:
    """Return what the files hold beside tensors, under full names. Torch itself lets in none of it."""
    multiarray = _numpy_multiarray()
    kinds = {type(np.dtype(code)) for code in _NUMPY_KINDS}
    found: dict[str, Any] = {f'{kind.__module__}.{kind.__qualname__}': kind for kind in kinds}
    found |= {'numpy.dtype': np.dtype, 'numpy.ndarray': np.ndarray, 'argparse.Namespace': argparse.Namespace}
    # numpy 1 and 2 keep these two under different paths, and a file may come from either.
    for path in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        found |= {f'{path}._reconstruct': multiarray._reconstruct, f'{path}.scalar': multiarray.scalar}
    found |= {'builtins.getattr': _history_statistic, 'builtins.bytes': _empty_bytes}
    found |= {'collections.defaultdict': _plain_dict}
    found |= {f'builtins.{name}': _factory for name in ('list', 'dict', 'int', 'float')}
    history = _history_buffer()
    return found if history is None else {**found, HISTORY_BUFFER: history}


def _latin1(text: str, encoding: str) -> bytes:
    """Stand in for ``codecs.encode``: it is how pickle's second protocol writes bytes, always in this encoding."""
    if encoding != 'latin1':
        raise ValueError(f'a checkpoint may encode text as latin1 alone, not as {encoding!r}')
    return text.encode('latin1')


def _empty_bytes() -> bytes:
    """Stand in for ``bytes`` in a checkpoint, which pickle calls for the contents of an empty array alone.

    A data set without sigmas has one in its metainfo (mmpose's InterHand3DDataset), and so have its checkpoints.
    """
    return b''


def _plain_dict(factory: object = None) -> dict[Any, Any]:
    """Stand in for ``defaultdict``: what was saved has its values, and needs no default any more."""
    return {}


def _factory() -> None:
    """Stand in for the factory of a ``defaultdict``; it is never called."""


def _history_statistic(owner: object, name: str) -> object:
    """Stand in for ``getattr`` in a checkpoint: MMEngine's log history refers to its own methods by it."""
    history = _history_buffer()
    if history is None or owner is not history:
        raise AttributeError(f'a checkpoint may look up attributes of HistoryBuffer alone, not {name!r} of {owner!r}')
    return getattr(history, name)


def _history_buffer() -> Any:
    """Return MMEngine's class, or None where there is no MMEngine."""
    if importlib.util.find_spec('mmengine') is None:
        return None
    return importlib.import_module('mmengine.logging.history_buffer').HistoryBuffer


def _numpy_multiarray() -> Any:
    # np.core warns about its own name in numpy 2, where it is np._core.
    return importlib.import_module('numpy._core.multiarray' if hasattr(np, '_core') else 'numpy.core.multiarray')
