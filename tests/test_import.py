"""Importing the package registers, and does nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
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
toolboxes = {'huggingface_hub', 'mmcv', 'mmdet', 'mmpose', 'mmpretrain', 'mmseg', 'timm', 'torchvision', 'triton'}
loaded = toolboxes & {name.partition('.')[0] for name in sys.modules}
assert not loaded, loaded
"""


def test_import_registers_and_does_nothing_else() -> None:
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', PROBE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == '' and done.stderr == ''


def test_a_torch_that_is_too_old_is_told_to_whoever_asks_for_the_model(tmp_path: Path) -> None:
    (tmp_path / 'torch.py').write_text("__version__ = '2.0.1'\n")
    (tmp_path / 'mmengine').mkdir()
    for name in ('__init__', 'model'):
        (tmp_path / f'mmengine/{name}.py').touch()
    environment = {**os.environ, 'PYTHONPATH': f'{tmp_path}{os.pathsep}{ROOT}'}
    command = [sys.executable, '-c', 'import moganet; moganet.MogaNet']
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError: moganet.MogaNet needs') and '(torch 2.0.1 is too old)' in last, done.stderr
