"""Every bad input by the command line: one clear line, exit code 2, nothing left behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from moganet import MogaNet

from .tools import LEAVES, REPO, TOOLS, call, environment, run, script

CONFIG = LEAVES['classification'].config
TRAIN, TEST = script(TOOLS / 'train.py'), script(TOOLS / 'test.py')

NARROW = ('_delete_=True', 'embed_dims=(30,64,96,192)', 'depths=(1,1,1,1)', 'ffn_ratios=(8,8,4,4)')

# What is given, and what the line must hold: the thing given, and what to do.
TRAIN_LINES = {
    'no such config': (['configs/none.py'], ['no such config: configs/none.py']),
    'a slip in the name of the config': (
        [CONFIG.with_name(CONFIG.name.replace('xtiny', 'xtinny'))],
        ['no such config', str(CONFIG)],
    ),
    'a folder for the config': ([REPO / 'configs'], ['no such config', 'is a folder']),
    'no file of Python': ([REPO / 'README.md'], ['README.md', '.py file is needed']),
    'unknown arch': ([CONFIG, '--cfg-options', 'model.backbone.arch=tinny'], ["'tinny'", 'xtiny, tiny']),
    'unknown argument': (
        [CONFIG, '--cfg-options', 'model.backbone.drop_path=0.1'],
        ["MogaNet has no argument 'drop_path'", "'drop_path_rate'"],
    ),
    'a channel split that does not divide': (
        [CONFIG, '--cfg-options', *(f'model.backbone.arch.{word}' for word in NARROW)],
        ['embed_dims 30', '1:3:4', 'divisible by 8'],
    ),
    'an option that is none': ([CONFIG, '--cfg-options', 'lr'], ['--cfg-options lr', 'KEY=VALUE']),
    'a variable of the config': (
        [CONFIG, '--cfg-options', 'digit_names=(a,b)'],
        ["'digit_names' is a variable", 'train_dataloader.dataset.metainfo.classes'],
    ),
    'unknown key of a loader': (
        [CONFIG, '--cfg-options', 'train_dataloader.batchsize=2'],
        ["'batchsize'", "'batch_size'"],
    ),
    'unknown key of the data': (
        [CONFIG, '--cfg-options', 'train_dataloader.dataset.data_rot=x'],
        ["'data_rot'", "'data_root'"],
    ),
    'unknown key of the optimizer': (
        [CONFIG, '--cfg-options', 'optim_wrapper.optimizer.weight_decy=0.1'],
        ["'weight_decy'", "'weight_decay'"],
    ),
    'argument of the old code': (
        [CONFIG, '--cfg-options', 'model.backbone.init_value=1.0'],
        ["'init_value'", 'layer_scale_init_value'],
    ),
    'unknown type': ([CONFIG, '--cfg-options', 'model.backbone.type=MogaNett'], ["'MogaNett'", "'MogaNet'"]),
    'backbone of the old code': ([CONFIG, '--cfg-options', 'model.backbone.type=MogaNet_feat'], ["type='MogaNet'"]),
    'unknown type of a transform': (
        [CONFIG, '--cfg-options', 'train_dataloader.dataset.pipeline.0.type=LoadImageFromFil'],
        ["'LoadImageFromFil'", "'LoadImageFromFile'"],
    ),
    'unknown key in an option': ([CONFIG, '--cfg-options', 'modle.backbone.arch=tiny'], ["'modle'", "'model'"]),
    'unknown key of the loop': ([CONFIG, '--cfg-options', 'train_cfg.max_epoch=3'], ["'max_epoch'", "'max_epochs'"]),
    'unknown key of a hook': (
        [CONFIG, '--cfg-options', 'default_hooks.logger.intervall=3'],
        ["'intervall'", "'interval'"],
    ),
    'unknown task': ([CONFIG, '--cfg-options', 'default_scope=mmdett'], ['unknown task', "'mmdet'"]),
    'out_indices out of range': ([CONFIG, '--cfg-options', 'model.backbone.out_indices=(0,4)'], ['out_indices', '4']),
    'out_indices repeated': ([CONFIG, '--cfg-options', 'model.backbone.out_indices=(1,1)'], ['out_indices', '1']),
    'negative drop path': ([CONFIG, '--cfg-options', 'model.backbone.drop_path_rate=-0.1'], ['drop_path_rate', '-0.1']),
    'no such dataset root': (
        [CONFIG, '--cfg-options', 'train_dataloader.dataset.data_root=data/tiny/imagenot'],
        ["train_dataloader.dataset.data_root='data/tiny/imagenot'", 'make_tiny.py'],
    ),
    'no such validation folder': (
        [CONFIG, '--cfg-options', 'val_dataloader.dataset.data_prefix=vall'],
        ['val_dataloader.dataset.data_prefix', "'vall'"],
    ),
    'benchmark without data': (
        [REPO / 'configs/classification/moganet-xtiny_8xb128_in1k.py'],
        ["'data/imagenet'", 'data/imagenet/{train,val}'],
    ),
    'no such checkpoint to resume': ([CONFIG, '--resume', 'none.pth'], ['no such checkpoint: none.pth']),
    'no such checkpoint to load beside --resume': (
        [CONFIG, '--resume', '--cfg-options', 'load_from=none.pth'],
        ['no such checkpoint: none.pth'],
    ),
    'no such checkpoint to resume in the config': (
        [CONFIG, '--cfg-options', 'resume=True', 'load_from=none.pth'],
        ['no such checkpoint: none.pth'],
    ),
    'no such checkpoint to load': ([CONFIG, '--cfg-options', 'load_from=none.pth'], ['no such checkpoint: none.pth']),
    'fp16 on a CPU': ([CONFIG, '--amp', 'fp16'], ['--amp fp16', 'bf16']),
    'unknown precision': ([CONFIG, '--amp', 'fp8'], ['--amp', 'fp8', 'bf16']),
    'unknown option': ([CONFIG, '--epochs', '3'], ['--epochs', '--help']),
    'no config': ([], ['CONFIG']),
    'seed out of range': ([CONFIG, '--seed', '-1'], ['--seed -1']),
    'a work dir below a file': ([CONFIG, '--work-dir', 'file/run'], ['--work-dir file/run cannot be written']),
}
TEST_LINES = {
    'no such checkpoint': ([CONFIG, 'run/epoch_1.pth'], ['no such checkpoint: run/epoch_1.pth']),
    'out is no pickle': ([CONFIG, 'foreign.pth', '--out', 'predictions.json'], ['--out predictions.json', '.pkl']),
    'torn checkpoint': ([CONFIG, 'torn.pth'], ['torn.pth', 'cut']),
    'no checkpoint at all': ([CONFIG, 'text.pth'], ['text.pth is no checkpoint but a text']),
    'checkpoint that runs code': ([CONFIG, 'code.pth'], ['code.pth', 'posix.system']),
    'checkpoint of another model': ([CONFIG, 'foreign.pth'], ['foreign.pth holds no MogaNet', 'backbone.stem.weight']),
    'checkpoint of another variant': (
        [CONFIG, 'narrow.pth'],
        ['narrow.pth does not fill the model', 'have another shape (backbone.patch_embed1', 'another variant'],
    ),
    'no name of the zoo': ([CONFIG, 'moganet-tinny_in1k'], ["'moganet-tinny_in1k'", 'moganet-tiny_in1k']),
}


def _told(output: pytest.CaptureResult[str]) -> str:
    """Return the one line on stderr."""
    lines = output.err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith('error: '), output.err
    return lines[0]


def _listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*'))


@pytest.mark.parametrize('name', TRAIN_LINES)
def test_train_refuses(name: str, workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments, told = TRAIN_LINES[name]
    if name == 'a work dir below a file':
        (workplace / 'file').write_text('')
    before = _listing(workplace)
    assert call(TRAIN.main, *arguments) == 2
    line = _told(capfd.readouterr())
    assert all(part in line for part in told), line
    assert _listing(workplace) == before


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of good and bad checkpoints."""
    folder = tmp_path_factory.mktemp('checkpoints')
    torch.save({'state_dict': {'backbone.stem.weight': torch.zeros(4)}}, folder / 'foreign.pth')
    torch.save({'state_dict': _narrow()}, folder / 'narrow.pth')
    whole = (folder / 'narrow.pth').read_bytes()
    (folder / 'torn.pth').write_bytes(whole[: len(whole) // 2])
    (folder / 'text.pth').write_text('version https://example.org/large-file\n')
    torch.save({'state_dict': {}, 'meta': os.system}, folder / 'code.pth')
    return folder


@pytest.mark.parametrize('name', TEST_LINES)
def test_test_refuses(
    name: str, workplace: Path, checkpoints: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, told = TEST_LINES[name]
    checkpoint = arguments[1]
    if (checkpoints / str(checkpoint)).exists():
        (workplace / str(checkpoint)).symlink_to(checkpoints / str(checkpoint))
    before = _listing(workplace)
    assert call(TEST.main, *arguments, '--show-dir', 'pictures') == 2
    line = _told(capfd.readouterr())
    assert all(part in line for part in told), line
    assert _listing(workplace) == before


def test_resume_refuses_weights_alone(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.save({'state_dict': _narrow()}, 'weights.pth')
    assert call(TRAIN.main, CONFIG, '--resume', 'weights.pth') == 2
    assert 'cannot be resumed from' in _told(capfd.readouterr())
    assert not (workplace / 'work_dirs').exists()


def test_pretrained_weights_must_fill_the_backbone(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.save({'state_dict': _narrow()}, 'weights.pth')
    init = ['type=Pretrained', 'checkpoint=weights.pth', 'prefix=backbone']
    options = ['_delete_=True', *init]
    if not _has_init_cfg():
        options = init
    assert call(TRAIN.main, CONFIG, '--cfg-options', *[f'model.backbone.init_cfg.{option}' for option in options]) == 2
    line = _told(capfd.readouterr())
    assert 'weights.pth does not fill the model' in line and 'blocks1' in line


def _narrow() -> dict[str, torch.Tensor]:
    """Return the weights of a classifier that is narrower than any variant."""
    backbone = MogaNet(dict(embed_dims=(8, 8, 8, 8), depths=(1, 1, 1, 1), ffn_ratios=(2, 2, 2, 2)))
    weights = {f'backbone.{name}': value for name, value in backbone.state_dict().items()}
    return {**weights, 'head.fc.weight': torch.zeros(10, 8), 'head.fc.bias': torch.zeros(10)}


def _has_init_cfg() -> bool:
    from mmengine.config import Config

    return 'init_cfg' in Config.fromfile(CONFIG).model.backbone


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(('', 0))
        other.listen()
        yield int(other.getsockname()[1])


@pytest.mark.parametrize('script_name', ['dist_train.sh', 'dist_test.sh'])
def test_dist_scripts_refuse(script_name: str, workplace: Path, busy_port: int) -> None:
    """By subprocess, each a start of Python: the two scripts, whose checks come before torchrun."""
    arguments = [CONFIG] if script_name == 'dist_train.sh' else [CONFIG, 'none.pth']
    path = TOOLS / script_name
    line = run(path, code=2).stderr
    assert line.startswith('error: usage: ') and len(line.splitlines()) == 1
    line = run(path, *arguments, '2', env=environment(PORT=str(busy_port)), code=2).stderr
    assert line.startswith(f'error: PORT={busy_port} cannot be used') and len(line.splitlines()) == 1
    if script_name == 'dist_test.sh':
        line = run(path, *arguments, '2', code=2).stderr
        assert line.startswith('error: no such checkpoint') and len(line.splitlines()) == 1
    assert _listing(workplace) == ['data']


def test_full_disk(workplace: Path) -> None:
    """A limit on the size of files stands for a full disk: the system refuses the write in the same way."""
    command = f'ulimit -f 16; exec {sys.executable} {TOOLS / "train.py"} {CONFIG} --work-dir run'
    done = subprocess.run(['bash', '-c', command], env=environment(), capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith('error: --work-dir run cannot be written: File too large')
    assert _listing(workplace) == ['data']
