"""Hooks that the toolboxes lack, in MMEngine's root registry."""

from .checkpoint import SafeCheckpointHook
from .finite import FiniteLossHook
from .pictures import PictureHook
from .stop_signal import Stopped, StopSignalHook

__all__ = ['FiniteLossHook', 'PictureHook', 'SafeCheckpointHook', 'StopSignalHook', 'Stopped']
