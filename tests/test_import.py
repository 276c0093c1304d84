"""Importing the package registers, and does nothing else."""

from __future__ import annotations

import subprocess
import sys

PROBE = """
import socket, sys
def refuse(*arguments, **options):
    raise AssertionError('the network was touched')
socket.socket.connect = refuse
import moganet
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import HOOKS, MODELS, OPTIM_WRAPPERS
assert MODELS.get('MogaNet') is moganet.MogaNet
assert HOOKS.get('PictureHook') is not None
assert OPTIM_WRAPPERS.get('CpuAmpOptimWrapper') is not None
assert MODULE2PACKAGE['moganet'] == 'moganet' and MODULE2PACKAGE['mmseg'] == 'mmseg'
toolboxes = {'mmcv', 'mmdet', 'mmpose', 'mmpretrain', 'mmseg', 'torchvision'}
loaded = toolboxes & {name.partition('.')[0] for name in sys.modules}
assert not loaded, loaded
"""


def test_import_registers_and_does_nothing_else() -> None:
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', PROBE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == '' and done.stderr == ''
