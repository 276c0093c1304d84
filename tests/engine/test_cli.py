from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest

from moganet.engine.cli import parse_test, parse_train, print_error, run_tool
from moganet.engine.launch import TestOptions, TrainOptions
from moganet.engine.report import metric_lines


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    # A copy, as parsing notes the rank in it.
    launcher = ('RANK', 'LOCAL_RANK', 'SLURM_PROCID', 'SLURM_LOCALID', 'OMPI_COMM_WORLD_RANK')
    kept = {name: value for name, value in os.environ.items() if name not in launcher}
    monkeypatch.setattr(os, 'environ', kept)


def test_train_options() -> None:
    assert parse_train(['c.py']) == TrainOptions('c.py')
    line = 'c.py --work-dir w --resume --amp bf16 --auto-scale-lr --launcher pytorch --seed 3 --deterministic'
    options = parse_train([*line.split(), '--cfg-options', 'a.b=1', 'c=[2,3]'])
    assert (options.resume, options.amp, options.auto_scale_lr, options.seed) == ('auto', 'bf16', True, 3)
    assert options.cfg_options == {'a.b': 1, 'c': [2, 3]} and options.deterministic and options.launcher == 'pytorch'


def test_options_of_the_config_keep_their_blanks() -> None:
    options = parse_train(['c.py', '--cfg-options', 'root=/data/my coco', "name='a b'", 'steps=(1, 2)', 'lr=1e-3'])
    wanted = {'root': '/data/my coco', 'name': 'a b', 'steps': (1, 2), 'lr': 1e-3}
    assert options.cfg_options == wanted


@pytest.mark.parametrize(
    ('word', 'told'),
    [('lr', 'KEY=VALUE is needed'), ('=3', 'KEY=VALUE is needed'), ('a=(1,(2)', 'its brackets do not match')],
)
def test_options_of_the_config_that_are_none(word: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_train(['c.py', '--cfg-options', word])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f'error: --cfg-options {word}: {told}; see tools/train.py --help\n'


@pytest.mark.parametrize(
    ('line', 'resume', 'amp'),
    [
        ('--resume c.py', 'auto', None),
        ('--amp c.py', None, 'auto'),
        ('--resume epoch_1.pth c.py', 'epoch_1.pth', None),
        ('c.py --resume auto --amp', 'auto', 'auto'),
        ('--amp fp16 c.py', None, 'fp16'),
    ],
)
def test_optional_values_do_not_take_the_config(line: str, resume: str | None, amp: str | None) -> None:
    options = parse_train(line.split())
    assert (options.config, options.resume, options.amp) == ('c.py', resume, amp)


def test_test_options() -> None:
    words = ['--tta', '--fused', '--show-dir', 'd', '--out', 'o.pkl', '--local-rank', '1']
    options = parse_test(['c.py', 'x.pth', *words])
    assert options == TestOptions('c.py', checkpoint='x.pth', tta=True, fused=True, show_dir='d', out='o.pkl')


def test_errors_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(KeyError('no such key'))
    print_error(ValueError('class `MogaNet` in moganet/models/backbones/moganet.py: arch is\n  wrong'))
    assert capsys.readouterr().err == 'error: no such key\nerror: arch is wrong\n'


def test_of_several_processes_on_a_machine_the_first_tells(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv('LOCAL_RANK', '1')
    print_error('told by another')
    monkeypatch.delenv('LOCAL_RANK')
    monkeypatch.setenv('SLURM_LOCALID', '1')
    print_error('told by another of Slurm')
    parse_train(['c.py'])
    assert os.environ['LOCAL_RANK'] == '1'
    print_error('told by another of Slurm, later')
    assert capsys.readouterr().err == ''


def _fail(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_a_users_error_ends_the_tool_and_an_error_of_the_work_keeps_its_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse() -> Callable[[], None]:
        raise FileNotFoundError('no such config: x')

    assert run_tool(refuse) == 2
    assert capsys.readouterr().err == 'error: no such config: x\n'
    assert run_tool(lambda: lambda: None) == 0
    with pytest.raises(ValueError, match='in training'):
        run_tool(lambda: _fail(ValueError('in training')))


def test_only_the_first_process_prints(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        print('printed')

    for rank in ('1', '0'):
        monkeypatch.setenv('RANK', rank)
        stdout = sys.stdout
        run_tool(lambda: work)
        assert sys.stdout is stdout
    assert capsys.readouterr().out == 'printed\n'


def test_metrics_in_columns() -> None:
    import numpy as np

    lines = metric_lines({'mIoU': np.float32(1.5), 'coco/AP .5': 0.25, 'classwise': [1, 2], 'name': 'x'})
    assert lines == ['mIoU        1.5000', 'coco/AP .5  0.2500']
    assert metric_lines({}) == ['no metric was computed']
