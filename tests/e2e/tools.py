"""Run the tools as a user does, small."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

REPO = Path(__file__).resolve().parents[2]
TOOLS = REPO / 'tools'

# Layer scales of 1 multiply what a norm without statistics lets through; after two iterations that is infinite.
_COMMON = ['default_hooks.logger.interval=1', 'model.backbone.layer_scale_init_value=1e-5']
_LOADERS = ['train_dataloader.num_workers=0', 'val_dataloader.num_workers=0', 'test_dataloader.num_workers=0']
_EPOCHS = ['train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'default_hooks.checkpoint.interval=1']
_FEW = [
    *('train_dataloader.batch_size=2', 'train_dataloader.dataset.indices=4'),
    *('val_dataloader.batch_size=2', 'val_dataloader.dataset.indices=2'),
    *('test_dataloader.batch_size=2', 'test_dataloader.dataset.indices=2'),
]
# Ten proposals and regions are enough to run every line.
_FEW_REGIONS = [
    'model.train_cfg.rpn_proposal.nms_pre=20',
    'model.train_cfg.rpn_proposal.max_per_img=10',
    'model.train_cfg.rpn.sampler.num=16',
    'model.train_cfg.rcnn.sampler.num=8',
    'model.test_cfg.rpn.nms_pre=20',
    'model.test_cfg.rpn.max_per_img=10',
]
_ITERATIONS = ['train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=2']


@dataclass(frozen=True)
class Leaf:
    """A tiny leaf config, the changes that make it a matter of seconds, and what its test prints."""

    pattern: str
    options: tuple[str, ...]
    longer: str
    metric: str
    pictures: int

    @property
    def config(self) -> Path:
        (found,) = (REPO / 'configs').glob(self.pattern)
        return found


def _epochs(pattern: str, metric: str, pictures: int, *more: str) -> Leaf:
    options = (*_COMMON, *_LOADERS, *_EPOCHS, *_FEW, *more)
    return Leaf(pattern, options, 'train_cfg.max_epochs=2', metric, pictures)


def _iterations(pattern: str) -> Leaf:
    longer = 'train_cfg.max_iters=4'
    return Leaf(pattern, (*_COMMON, *_LOADERS, *_ITERATIONS, *_FEW), longer, 'mIoU', 2)


LEAVES = {
    'classification': _epochs('classification/*tiny-imagenet*.py', 'accuracy/top1', 2),
    'retinanet': _epochs('detection/retinanet*tiny*.py', 'coco/bbox_mAP_50', 2, 'model.test_cfg.score_thr=0.001'),
    'mask-rcnn': _epochs('detection/mask-rcnn*tiny*.py', 'coco/segm_mAP', 2, *_FEW_REGIONS),
    'sem-fpn': _iterations('segmentation/*sem-fpn*tiny*.py'),
    'upernet': _iterations('segmentation/*upernet*tiny*.py'),
    'pose': _epochs('pose/td-hm*tiny*.py', 'coco/AP', 2),
    'internet': _epochs('pose/internet*tiny*.py', 'MPJPE_all', 2),
}


def environment(**more: str) -> dict[str, str]:
    """Return an environment with one thread a process, this Python, and no launcher's variables."""
    launchers = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT', 'PORT')
    launchers += ('NNODES', 'NODE_RANK', 'MAX_RESTARTS')
    inherited = {name: value for name, value in os.environ.items() if name not in launchers}
    return {**inherited, 'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1', 'PYTHON': sys.executable, **more}


def run(
    *command: object, code: int = 0, env: dict[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a command line to its end and demand its exit code."""
    words = [str(word) for word in command]
    done = subprocess.run(words, env=env or environment(), capture_output=True, text=True, timeout=timeout)
    assert done.returncode == code, f'{words}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}'
    return done


# Importing a toolbox takes ten seconds of a processor. A server imports all of them once, and each tool that needs no
# start of Python of its own is run in a process that the server forks: as separate as any, with the imports done.
_SERVER = multiprocessing.get_context('forkserver')
_SERVER.set_forkserver_preload(
    ['moganet.engine.launch', *(f'{name}.{part}' for name in ('mmpretrain', 'mmdet', 'mmseg', 'mmpose')
                                for part in ('models', 'datasets', 'evaluation', 'visualization'))]
)


def run_script(words: list[str], folder: str, outputs: list[str]) -> None:
    """Run a script as ``__main__`` in this process, which was forked for it, with its output in files."""
    for stream, path in zip((1, 2), outputs):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), stream)
    os.chdir(folder)
    sys.argv = words
    runpy.run_path(words[0], run_name='__main__')


def fork(script: Path, *arguments: object, code: int = 0, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a tool in a process of its own that has the toolboxes imported, and demand its exit code."""
    words = [str(word) for word in (script, *arguments)]
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, name) for name in ('stdout', 'stderr')]
        for path in outputs:
            path.touch()
        exitcode = fork_call(run_script, words, os.getcwd(), [str(path) for path in outputs], timeout=timeout)
        stdout, stderr = (path.read_text() for path in outputs)
    assert exitcode == code, f'{words}\n{stdout[-4000:]}\n{stderr[-4000:]}'
    return subprocess.CompletedProcess(words, exitcode, stdout, stderr)


def fork_call(function: Callable[..., None], *arguments: object, timeout: float = 300) -> int:
    """Call a function in a process of its own that has the toolboxes imported; return its exit code."""
    (code,) = fork_calls(function, [arguments], timeout)
    return code


def fork_calls(function: Callable[..., None], each: Sequence[Sequence[object]], timeout: float = 300) -> list[int]:
    """Call a function in one process for each row of arguments, all at once; return their exit codes."""
    processes = [_SERVER.Process(target=function, args=arguments) for arguments in each]
    for process in processes:
        process.start()
    end = time.monotonic() + timeout
    for process in processes:
        process.join(max(0, end - time.monotonic()))
    if any(process.exitcode is None for process in processes):
        for process in processes:
            process.kill()
        raise subprocess.TimeoutExpired(str(each), timeout)
    return [process.exitcode for process in processes]


def train(config: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run tools/train.py in one process."""
    return fork(TOOLS / 'train.py', config, *arguments)


def test(config: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run tools/test.py in one process."""
    return fork(TOOLS / 'test.py', config, *arguments)


test.__test__ = False  # type: ignore[attr-defined]  # a tool, for pytest


def script(path: Path) -> ModuleType:
    """Import a tool's script, to call its ``main`` without another start of Python."""
    spec = importlib.util.spec_from_file_location(f'script_{path.stem}', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def call(main: Callable[[Sequence[str]], int], *arguments: object) -> int:
    """Call a tool's ``main``, which may end by SystemExit as argparse does; return the exit code."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code
