"""Hooks that the toolboxes lack, in MMEngine's root registry."""

from .backend import BackendHook
from .buffers import BroadcastBuffersHook
from .checkpoint import SafeCheckpointHook
from .compile import CompileHook
from .finite import FiniteLossHook
from .fuse import FuseHook
from .pictures import PictureHook
from .stop_signal import Stopped, StopSignalHook

__all__ = [
    'BackendHook',
    'BroadcastBuffersHook',
    'CompileHook',
    'FiniteLossHook',
    'FuseHook',
    'PictureHook',
    'SafeCheckpointHook',
    'StopSignalHook',
    'Stopped',
]
