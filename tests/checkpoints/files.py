"""Small checkpoints as their writers write them, and pickles that torch.save never writes."""

from __future__ import annotations

import argparse
import io
import pickle
import struct
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from safetensors.torch import save_file

from moganet.checkpoints.legacy_check import MAGIC_BYTES


def weights(seed: int = 0) -> OrderedDict[str, torch.Tensor]:
    """Return a state dict as a module gives it: with the versions of its parts as an attribute."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Linear(8, 8)).state_dict()


def training_state() -> dict[str, Any]:
    """Return what timm, MMCV 1.x and MMEngine write beside the weights, all in one."""
    model = torch.nn.Linear(3, 4)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5]).state_dict()  # its milestones are a Counter
    history = HistoryBuffer()
    history.update(3.0)
    grouped = defaultdict(list)
    grouped['a'].append(1)
    return {
        'epoch': 299,
        'arch': 'moganet_tiny',
        'state_dict': weights(),
        'state_dict_ema': weights(1),
        'version': 2,
        'optimizer': optimizer.state_dict(),
        'amp_scaler': {'scale': 65536.0, '_growth_tracker': 0},
        'args': argparse.Namespace(lr=1e-3, opt_betas=None, mean=[0.485, 0.456], output=''),
        'metric': np.float64(80.25),
        'half': {'w': torch.full((3,), 0.5).half(), 'b': torch.full((3,), 0.25).bfloat16()},
        'lr_schedulers': schedule,
        'message_hub': {'log_scalars': {'train/loss': history}, 'runtime_info': {'iter': np.int64(5)}},
        'meta': {
            'CLASSES': ('a', 'b'),
            'PALETTE': np.array([[1, 2, 3]], np.uint8),
            'sigmas': np.array([]),
            'x': {1, 2},
            'kinds': [np.ones(2, code) for code in 'bhilqBHILQefdgFDG?'],
            'swapped': np.arange(3, dtype='>i4'),
            'names': np.array(['zero', 'one']),
            'raw': np.array([b'ab']),
            'best': np.float32(0.5),
            'grouped': grouped,
            'bytes': b'ab',
            'shape': torch.Size([1, 2]),
            'dtype': torch.float32,
            'device': torch.device('cpu'),
            'large': 2**70,
            'complex': 1j,
            'flag': np.bool_(True),
            'parameter': torch.nn.Parameter(torch.ones(2)),
        },
    }


def write(path: Path, container: str, data: Any = None) -> Path:
    """Write a checkpoint in a container: ``zip``, ``legacy`` or ``safetensors``."""
    data = {'state_dict': weights(), 'meta': {'epoch': 1}} if data is None else data
    if container == 'safetensors':
        save_file(data['state_dict'], path, {key: str(value) for key, value in data.get('meta', {}).items()})
    else:
        torch.save(data, path, _use_new_zipfile_serialization=container == 'zip')
    return path


def zip_entries(path: Path) -> dict[str, bytes]:
    """Return the entries of an archive."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(path: Path, entries: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> Path:
    """Write an archive of any entries, the same name twice if it is so."""
    with zipfile.ZipFile(path, 'w', compression) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def zip_with_pickle(path: Path, pickled: bytes, storage: bytes = b'\0' * 16) -> Path:
    """Write a torch archive around a pickle of one's own; its one storage, ``0``, has these bytes."""
    entries = [('a/data.pkl', pickled), ('a/byteorder', b'little'), ('a/data/0', storage), ('a/version', b'3\n')]
    return write_zip(path, entries)


def legacy_with_pickle(path: Path, pickled: bytes, place: str = 'contents') -> Path:
    """Write a torch file from before 1.6 with a pickle of one's own in one of its places."""
    pickles = {
        'protocol': pickle.dumps(1001, 2),
        'system': pickle.dumps({'protocol_version': 1001, 'little_endian': True, 'type_sizes': {'short': 2}}, 2),
        'contents': pickle.dumps({'a': 1}, 2),
        'keys': pickle.dumps([], 2),
    }
    pickles[place] = pickled
    path.write_bytes(MAGIC_BYTES + b''.join(pickles.values()))
    return path


def dumped(value: object) -> bytes:
    """Return a value pickled as torch pickles it."""
    stream = io.BytesIO()
    pickle.Pickler(stream, 2).dump(value)
    return stream.getvalue()


# The operations of pickle's second protocol, to write pickles that no pickler writes.


def program(*parts: bytes) -> bytes:
    """Return a pickle of these operations."""
    return b'\x80\x02' + b''.join(parts) + b'.'


def named(module: str, name: str) -> bytes:
    return f'c{module}\n{name}\n'.encode()


def text(value: str) -> bytes:
    return b'X' + struct.pack('<I', len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b'J' + struct.pack('<i', value) if abs(value) < 1 << 31 else b'\x8a\x0a' + value.to_bytes(10, 'little')


def tuple_of(*items: bytes) -> bytes:
    return b'(' + b''.join(items) + b't'


def called(function: bytes, *args: bytes) -> bytes:
    return function + tuple_of(*args) + b'R'


def storage(numel: int, kind: str = 'FloatStorage', key: str = '0') -> bytes:
    return tuple_of(text('storage'), named('torch', kind), text(key), text('cpu'), number(numel)) + b'Q'


def tensor(of: bytes, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    sizes, strides = (tuple_of(*map(number, numbers)) for numbers in (size, stride))
    hooks = called(named('collections', 'OrderedDict'))
    return called(named('torch._utils', '_rebuild_tensor_v2'), of, number(offset), sizes, strides, b'\x89', hooks)


def dict_of(**items: bytes) -> bytes:
    return b'}(' + b''.join(text(key) + value for key, value in items.items()) + b'u'
