"""Each check of a preflight, right and wrong, on a config that takes a second; the whole of it is in tests/e2e."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.registry import MODELS

from moganet.engine.cli import parse_preflight
from moganet.engine.launch import TrainOptions, prepare_training, start
from moganet.engine.preflight import CHECKS, Result, Subject, checks, preflight

from .test_launch import CONFIG


@pytest.fixture
def narrow(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (workplace / 'narrow.py').write_text(CONFIG)
    monkeypatch.setenv('MOGANET_CACHE', str(workplace / 'cache'))
    return workplace


def _until(name: str, gpus: int = 1, cfg: dict[str, Any] | None = None, **options: Any) -> dict[str, Result]:
    """Make the checks up to one of them."""
    found = {}
    for result in checks.results_of(Subject(TrainOptions('narrow.py', cfg_options=cfg or {}, **options), gpus)):
        found[result.name] = result
        if result.name == name:
            break
    return found


def _made(folder: Path) -> list[Path]:
    """Everything below a folder but the data, which are a link, and the hashes of files that were read."""
    return sorted(path for path in folder.rglob('*') if path.relative_to(folder).parts[0] not in ('data', 'cache'))


def test_a_run_that_may_begin(narrow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = _made(narrow)
    torch.manual_seed(3)
    drawn = torch.get_rng_state()
    assert preflight(TrainOptions('narrow.py', work_dir='run', amp='bf16'), 2) == 0
    assert _made(narrow) == before and torch.equal(torch.get_rng_state(), drawn)
    printed = capsys.readouterr()
    *lines, summary = printed.out.splitlines()
    assert printed.err == '' and [line.split()[:2] for line in lines] == [[name, 'ok'] for name in CHECKS]
    assert summary == f'a run may begin: 8 ok ({", ".join(CHECKS)})'
    told = dict(zip(CHECKS, lines))
    assert 'ImageClassifier of mmpretrain' in told['config'] and 'mixed precision: bf16' in told['config']
    assert 'random weights' in told['checkpoint'] and '8 samples of 10 classes, 8 of 8' in told['data']
    assert '4 pictures of 32 x 32' in told['batch'] and '2 x 4 = 8 pictures a step, lr=0.1 is for 8' in told['rate']
    assert '2 processes' in told['memory'] and '1 iterations of' in told['time']


def test_of_several_processes_the_first_checks(
    narrow: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv('RANK', '1')
    assert preflight(TrainOptions('none.py', launcher='pytorch')) == 0 and capsys.readouterr().out == ''
    monkeypatch.setenv('RANK', '0')
    assert preflight(TrainOptions('none.py')) == 1
    lines = capsys.readouterr().out.splitlines()
    assert 'FAILED   no such config: none.py' in lines[0]
    assert lines[-1].startswith('a run would fail: 1 FAILED (config)')
    assert all('not run  it needs a config that is right' in line for line in lines[1:-1]) and len(lines) == 9, lines


def test_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse_preflight(['c.py', '8', '--resume', '--seed', '3']) == (
        TrainOptions('c.py', resume='auto', seed=3, preflight=True),
        8,
    )
    assert parse_preflight(['--amp', 'c.py']) == (TrainOptions('c.py', amp='auto', preflight=True), None)
    with pytest.raises(SystemExit) as ended:
        parse_preflight(['c.py', '0'])
    assert ended.value.code == 2 and "'0' is no number of processes" in capsys.readouterr().err


def test_without_data_what_needs_none_is_checked(narrow: Path) -> None:
    found = _until('time', cfg={'train_dataloader.dataset.data_root': 'data/tiny/imagenett'})
    states = {name: result.state for name, result in found.items()}
    assert states == {
        **dict.fromkeys(('config', 'checkpoint', 'disk'), 'ok'),
        **dict.fromkeys(('batch', 'memory', 'time'), 'not run'),
        'data': 'FAILED',
        'rate': 'warning',
    }
    assert "did you mean 'data/tiny/imagenet'?" in found['data'].text
    assert 'cannot be counted by shapes: the training pipeline' in found['memory'].text  # its Resize says no one number


def test_a_picture_that_is_not_there(narrow: Path) -> None:
    listed = (narrow / 'data/tiny/imagenet/meta/train.txt').read_text().splitlines()[:3]
    (narrow / 'list.txt').write_text('\n'.join([*listed, 'zero/none.png 0']))
    found = _until('data', cfg={'train_dataloader.dataset.ann_file': str(narrow / 'list.txt')})['data']
    assert found.state == 'FAILED' and '3 of 4 at random made' in found.text and 'zero/none.png: ' in found.text


@pytest.mark.parametrize(('classes', 'state'), [(2, 'FAILED'), (20, 'warning')])
def test_classes_of_the_data_and_of_the_model(classes: int, state: str, narrow: Path) -> None:
    found = _until('data', cfg={'model.head.num_classes': classes})['data']
    assert found.state == state and f'head.num_classes={classes}' in found.text and '10 classes' in found.text


def test_more_in_a_batch_than_there_are(narrow: Path) -> None:
    found = _until('batch', cfg={'train_dataloader.batch_size': 9, 'train_dataloader.drop_last': True})['batch']
    assert found.state == 'FAILED' and '8 samples make no batch of 9' in found.text


def _with_spare(root: bool) -> str:
    """Register a classifier with a parameter that no loss sees, or one whose gradient is infinite; return its name."""
    base: Any = MODELS.get('mmpretrain.ImageClassifier')

    class Spared(base):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.spare = torch.nn.Parameter(torch.zeros(()))

        def loss(self, *args: Any) -> dict[str, torch.Tensor]:
            losses: dict[str, torch.Tensor] = super().loss(*args)
            return {**losses, 'loss_root': self.spare.sqrt()} if root else losses

    MODELS.register_module(name='Spared', module=Spared, force=True)
    return 'Spared'


@pytest.mark.parametrize(
    ('gpus', 'options', 'state', 'told'),
    [
        (1, {}, 'warning', 'none: spare: freeze or remove'),
        (2, {}, 'FAILED', 'find_unused_parameters=True'),
        (2, {'find_unused_parameters': True}, 'ok', 'which find_unused_parameters=True allows'),
    ],
)
def test_a_parameter_without_gradient(gpus: int, options: dict[str, Any], state: str, told: str, narrow: Path) -> None:
    found = _until('config')  # imports the toolbox
    assert found['config'].state == 'ok'
    batch = _until('batch', gpus, {'model.type': _with_spare(root=False), **options})['batch']
    assert batch.state == state and told in batch.text, batch


def test_numbers_that_are_not_finite(narrow: Path) -> None:
    zero = {'type': 'ClsDataPreprocessor', 'mean': [0, 0, 0], 'std': [0, 0, 0]}
    found = _until('time', cfg={'model.data_preprocessor': zero})
    assert found['batch'].state == 'FAILED' and found['time'].state == 'not run'
    assert 'the loss is nan. not finite: the pictures, as the model is given them' in found['batch'].text
    assert found['batch'].text.split('Pictures: ')[1].count('data/tiny/imagenet/train/') == 2
    found = _until('batch', cfg={'model.type': _with_spare(root=True)})
    assert found['batch'].state == 'FAILED' and 'gradients are not, the first that of spare' in found['batch'].text


def test_checkpoints(narrow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the zoo is not fetched; one that is not there is refused; the run's own is gone on from, and sized."""
    name = 'moganet-tiny_in1k'
    init = {'model.backbone.init_cfg': {'type': 'Pretrained', 'checkpoint': name}}
    for options in ({'load_from': name}, init, {'load_from': f'moganet://{name}'}):
        found = _until('checkpoint', cfg=options)['checkpoint']
        assert found.state == 'warning' and 'https://' in found.text and name in found.text
    assert not (narrow / 'cache').exists()
    found = _until('checkpoint', resume='none.pth')['checkpoint']
    assert found.state == 'FAILED' and 'none.pth' in found.text
    found = _until('checkpoint', resume='auto')['checkpoint']
    assert found.state == 'ok' and 'has no checkpoint yet' in found.text

    changes = {
        'optim_wrapper.optimizer': {'_delete_': True, 'type': 'AdamW', 'lr': 0.1},
        'custom_hooks': [{'type': 'EMAHook'}],
        'experiment_name': 'preflight',
        'model.backbone.norm_cfg.type': 'BN',
    }
    start(prepare_training(TrainOptions('narrow.py', seed=0, cfg_options=changes))).train()
    before = _made(narrow)
    found = _until('time', resume='auto', cfg=changes)
    path = narrow / 'work_dirs/narrow/epoch_1.pth'
    assert found['checkpoint'].state == 'ok' and f'resuming from {path}' in found['checkpoint'].text
    told = float(found['disk'].text.split(' checkpoints of ')[1].split(' MB')[0]) * 1e6
    assert path.stat().st_size == pytest.approx(told, rel=0.1)  # names and headers outweigh such small tensors
    assert _made(narrow) == before and 'are there of this run' in found['disk'].text
    path.write_bytes(path.read_bytes()[:-100])
    assert _until('checkpoint', resume='auto', cfg=changes)['checkpoint'].state == 'FAILED'
